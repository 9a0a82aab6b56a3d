"""Finds tests by their names, wherever they are."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeGuard

from tests.mutations.objects import ROOT, Unfit

_UNIT = "unit"


@dataclass(frozen=True, slots=True)
class Test:
    """
    A test.

    @ivar name: how mutations call it.
    @ivar id: what its runner calls it: of a unit test the dotted name, else pytest's node id.
    @ivar path: its file, from the top of the checkout.
    """

    name: str
    id: str
    path: Path

    @property
    def is_unit(self) -> bool:
        """Whether it is among the unit tests."""
        return _UNIT in self.path.parts


def find(name: str) -> Test:
    """
    A test by its name: C{OutboxTests.test_push}, or of pytest C{test_dhcp} or C{test_dhcp[tcp]},
    and before that a part of the name of its module if need be, as in C{test_gateway.test_dhcp}.

    @raise Unfit: there is none, or several have that name.
    """
    bare, bracket, parameter = name.partition("[")
    found = _named().get(bare, set())
    if len(found) != 1:
        names = ", ".join(sorted(f"{'.'.join(path.with_suffix('').parts)}.{own}"
                                 for path, own in found))  # fmt: skip
        raise Unfit(f"{name!r} may be {names}" if found else f"there is no test {name!r}")
    [(path, own)] = found
    if _UNIT in path.parts:
        return Test(name, ".".join((*path.with_suffix("").parts, own)), path)
    return Test(name, f"{path}::{own.replace('.', '::')}{bracket}{parameter}", path)


@cache
def _named() -> dict[str, set[tuple[Path, str]]]:
    """All tests, as (file, name in it), by all names that they have."""
    classes: dict[str, list[tuple[Path, ast.ClassDef]]] = defaultdict(list)
    named: dict[str, set[tuple[Path, str]]] = defaultdict(set)

    def add(path: Path, own: str) -> None:
        module = path.with_suffix("").parts
        for start in range(len(module) + 1):
            named[".".join((*module[start:], own))].add((path, own))

    for file in sorted((ROOT / "tests").rglob("*.py")):
        path = file.relative_to(ROOT)
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                classes[node.name].append((path, node))
            elif path.name.startswith("test_") and _is_test(node):
                add(path, node.name)
    for name, those in classes.items():
        for path, node in those:
            if path.name.startswith("test_"):
                for method in _methods(node, classes):
                    add(path, f"{name}.{method}")
    return named


def _is_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name.startswith("test_")
    return False


def _methods(node: ast.ClassDef, classes: dict[str, list[tuple[Path, ast.ClassDef]]]) -> set[str]:
    """The tests of a class, and of those that it is made of."""
    own = {each.name for each in node.body if _is_test(each)}
    for base in node.bases:
        name = base.id if isinstance(base, ast.Name) else getattr(base, "attr", "")
        for _, parent in classes.get(name, []):
            own |= _methods(parent, classes)
    return own
