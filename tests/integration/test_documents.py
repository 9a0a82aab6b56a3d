"""What README and docs/ tell their readers to do works, as it stands there."""

from __future__ import annotations

import shutil
import subprocess
from ctypes.util import find_library
from functools import cache
from pathlib import Path

import pytest

from tests.documents import ENGLISH, PAGES
from tests.following import sandboxed


@cache
def why_no_sandbox() -> str:
    """Why there can be no sandbox here, or nothing."""
    tried = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", "--pid", "--fork", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return tried.stderr.strip()


pytestmark = [
    pytest.mark.skipif(bool(why_no_sandbox()), reason=f"no namespaces: {why_no_sandbox()}"),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU here"),
    pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here"),
]


@pytest.mark.parametrize("document", [ENGLISH, *PAGES], ids=lambda path: path.stem)
def test_it_works_as_it_says(document: Path) -> None:
    """Every block that does not say why not is run, and shows what the document shows."""
    ended = sandboxed(document)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("```console\n$ echo one\ntwo\n```\n", "it ended with 0:\none"),
        ("```console\n$ echo one 2\none 3\ntwo\n```\n", "it ended with 0:\none 2"),
        ("```sh\nfalse\n```\n", "it ended with 1"),
        ('```toml\nkernel = "x"\nnodes = 0\n```\n', "nodes: "),
        ("```python\nprint(1)  # one\n```\n", "it ended with 0:\n1"),
        ("```sh\ntwistd -n distnet --port nonsense\n```\n", "nonsense"),
    ],
)
def test_it_would_notice(tmp_path: Path, block: str, said: str) -> None:
    """A document that says something else than what happens fails."""
    document = tmp_path / "document.md"
    document.write_text(block)
    ended = sandboxed(document)
    assert ended.returncode == 1
    assert said in ended.stdout
