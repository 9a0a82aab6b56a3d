"""Finds an object in the sources by its name, wherever it is: Python's and C's."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PLACES = ("distnet", "bench", "tests")
"""Where objects are looked for; a name that is in one is not looked for in those after it."""


class Unfit(ValueError):
    """A mutation does not fit what there is."""


@dataclass(frozen=True, slots=True)
class Found:
    """
    An object.

    @ivar path: its file, from the top of the checkout.
    @ivar name: its name, with that of its module.
    @ivar begin: where in the file its source begins, in characters.
    @ivar end: where that ends.
    """

    path: Path
    name: str
    begin: int
    end: int

    @property
    def language(self) -> str:
        """C{"py"} or C{"c"}."""
        return self.path.suffix[1:].replace("h", "c")


def holding(fits: Callable[[str, str], bool]) -> list[str]:
    """The names of the innermost objects whose source C{fits}, with its language."""
    found: list[Found] = []
    for place in PLACES:
        for each in {each for those in _named(place).values() for each in those}:
            source = (ROOT / each.path).read_text()[each.begin : each.end]
            if fits(source, each.language):
                found.append(each)
    return sorted(
        each.name
        for each in found
        if not any(
            other.path == each.path and each.begin <= other.begin and other.end < each.end
            for other in found
        )
    )


def find(name: str) -> list[Found]:
    """
    An object's sources, of which there are two if it is a property that can be set, say.

    @param name: qualified in its module, like C{Outbox.push}, and before that a part of the name of
        the module if need be; or the path of a file that is no module, like C{setup.py}.
    @raise Unfit: there is none, or several have that name.
    """
    if name.endswith(".py"):
        path = Path(name)
        return [Found(path, name, 0, len((ROOT / path).read_text()))]
    for place in PLACES:
        found = _named(place).get(name, [])
        if len(names := {each.name for each in found}) > 1:
            raise Unfit(f"{name!r} may be {', '.join(sorted(names))}")
        if found:
            return found
    raise Unfit(f"there is no {name!r}")


@cache
def _named(place: str) -> dict[str, list[Found]]:
    """All objects in a directory, by all names that they have."""
    named = defaultdict(list)
    for path in sorted((ROOT / place).rglob("*.*")):
        if path.suffix in {".py", ".c", ".h"} and "__pycache__" not in path.parts:
            relative = path.relative_to(ROOT)
            module = relative.with_suffix("").parts
            if module[-1] == "__init__":
                module = module[:-1]
            source = path.read_text()
            objects = in_python(source) if path.suffix == ".py" else in_c(source)
            for own, begin, end in objects:
                found = Found(relative, ".".join((*module, own)), begin, end)
                for start in range(len(module) + 1):
                    named[".".join((*module[start:], own))].append(found)
    return named


def in_python(source: str) -> Iterator[tuple[str, int, int]]:
    """Functions, classes and what is assigned to, in the module and in classes."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))

    def walk(nodes: list[ast.stmt], prefix: str) -> Iterator[tuple[str, int, int]]:
        for node in nodes:
            begin = node.lineno
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                begin = min([begin, *(each.lineno for each in node.decorator_list)])
            assert node.end_lineno is not None
            for name in _names(node):
                yield prefix + name, lines[begin - 1], lines[node.end_lineno]
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.If | ast.Try | ast.With):
                yield from walk(node.body, prefix)

    yield from walk(ast.parse(source).body, "")


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


_C_OBJECT = re.compile(
    r"^(?![ \t\n#}/*])(?:[^{;\n]*\{[^\n]*\}[^\n]*;|[^{;]*;|[^{;]*\{.*?^\}[^\n]*)$",
    re.MULTILINE | re.DOTALL,
)
"""From a line that begins at the margin to one that ends it there, as all C is formatted here."""


def in_c(source: str) -> Iterator[tuple[str, int, int]]:
    """Functions, and structures and tables by their names. Declarations have none."""
    for match in _C_OBJECT.finditer(source):
        head = match[0].partition("{")[0]
        if "{" in match[0] and (named := re.search(r"(\w+)\s*\(|(\w+)(?:\[\w*\])?\s*=?\s*$", head)):
            yield named[1] or named[2], match.start(), match.end()
