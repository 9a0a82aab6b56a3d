"""How Sphinx makes a site of these pages: C{make docs}. A link that leads nowhere fails it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from myst_parser.sphinx_ext.myst_refs import MystReferenceResolver
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index",
    "README.zh-CN.md": "zh-CN",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changes",
}
"""What lies beside docs/, where people look for it, and its page."""

project = "distnet"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "distnet"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False

# Links to headings have the names that GitHub gives them.
myst_heading_anchors = 3
nitpicky = True
highlight_language = "text"
# An ellipsis in a block stands for what was left out.
suppress_warnings = ["misc.highlighting_failure"]


class BesideThePages(SphinxPostTransform):
    """Links to what is in the repository but no page: one of L{PAGES}, or a file, as mere text."""

    # Before MyST looks for them among the pages.
    default_priority = MystReferenceResolver.default_priority - 1

    def run(self, **_: Any) -> None:
        """Resolve those that are there; MyST complains of the others."""
        for node in list(self.document.findall(pending_xref)):
            target = str(node["reftarget"])
            if node["refdomain"] == "doc":
                # From a page: MyST looks for the heading, if one is named.
                beside = PAGES.get(f"{os.path.relpath(target, ROOT)}.md")
                node["reftarget"] = beside or target
            elif node["reftype"] == "myst":
                self._resolve(node, target.removeprefix("../"))

    def _resolve(self, node: pending_xref, target: str) -> None:
        page = PAGES.get(target)
        shown = node[0].deepcopy()
        if page is not None:
            assert self.app.builder is not None
            node.replace_self(make_refnode(self.app.builder, self.env.docname, page, "", shown))
        elif target and (ROOT / target).exists():
            node.replace_self(shown)


def setup(app: Sphinx) -> dict[str, Any]:
    """Have Sphinx resolve those links too."""
    app.add_post_transform(BesideThePages)
    return {"parallel_read_safe": True}
