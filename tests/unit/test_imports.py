"""Who may import whom: downward only, as the table says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import distnet

ROOT = Path(distnet.__file__).parent

ORDER: tuple[tuple[str, ...], ...] = (
    # From the bottom to the top. A name stands for a module, or for a package with all in it that
    # no longer name stands for. What stands in a row imports from the rows above its own in this
    # table, and from what the same name stands for, never from its neighbours.
    ("errors", "text", "mac", "guestnet", "once", "_native", "divert", "processes"),
    ("address", "seam", "wire", "vdewire"),
    # Without I/O.
    ("master.core", "switch.core"),
    # What is known of the machine: sockets, files, programs.
    ("sockets", "control.paths", "qemu"),
    ("control.ask", "control.claim", "control.telling", "client", "nic"),
    # What is told to people and to programs.
    ("observers", "testing"),
    ("distnet",),
    ("daemon", "control.server"),
    # Services; they do not import each other.
    ("master", "switch", "gateway", "cluster"),
    ("pytest_plugin",),
    # The command lines wire them.
    ("master.options", "switch.options", "cli"),
    ("switch.cli",),
)
"""The one place that says which module stands where: a new one is entered here."""

ROWS = {name: row for row, names in enumerate(ORDER) for name in names}

NO_IO = (
    "text",
    "mac",
    "guestnet",
    "once",
    "wire",
    "vdewire",
    "master.core",
    "switch.core",
)
FORBIDDEN_WITHOUT_IO = (
    "asyncio",
    "select",
    "selectors",
    "socket",
    "subprocess",
    "threading",
    "time",
    "twisted.internet",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    """All modules of the package, as (dotted name below the package, tree)."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        yield ".".join(parts) or "distnet", ast.parse(path.read_text(), str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    """The full names of what is imported anywhere in a module: late, and under TYPE_CHECKING."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the package in full"
            assert node.module is not None
            # From a package, a module may be imported as if it were a name.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name: str) -> str | None:
    """The module of this package that a full name is in, as L{modules} names it, or None."""
    first, _, rest = name.partition(".")
    if first != "distnet":
        return None
    parts = rest.split(".") if rest else []
    while parts:
        path = ROOT.joinpath(*parts)
        if path.with_suffix(".py").exists() or path.is_dir():
            return ".".join(parts)
        parts.pop()
    return "distnet"


def of_this_package(tree: ast.Module) -> set[str]:
    """The modules of this package that a module imports."""
    return {found for name in imports(tree) if (found := module_of(name)) is not None}


def place(module: str) -> str | None:
    """The longest name in the table that stands for a module, or None."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (name := ".".join(parts[:length])) in ROWS:
            return name
    return None


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The modules that import each other, by way of others too: each group once."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for other in graph.get(ahead.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    ahead.append(other)
        return seen

    far = {name: reached(name) for name in graph}
    groups = {
        tuple(sorted(other for other in graph if other in far[name] and name in far[other]))
        for name in graph
        if name in far[name]
    }
    return sorted(map(list, groups))


class ImportTests(SynchronousTestCase):
    """The rule, held against every module."""

    def test_all_have_a_place(self) -> None:
        """Every module stands in the table, and nothing else does."""
        known = {name for name, _ in modules()}
        # A package is made of its modules: what is in it may be told apart by them alone.
        packages = {path.parent.relative_to(ROOT) for path in ROOT.rglob("__init__.py")}
        containers = {".".join(path.parts) for path in packages}
        missing = {name for name in known - containers if place(name) is None}
        self.assertEqual(missing, set(), "enter it in ORDER")
        self.assertEqual(ROWS.keys() - known, set(), "it is not there any more")

    def test_downward_only(self) -> None:
        """No module imports from its own row of the table, but its own package, nor from above."""
        wrong = []
        for name, tree in modules():
            own = place(name)
            if own is None:
                continue
            for other in sorted(of_this_package(tree)):
                its = place(other)
                if its is None or its == own:
                    continue
                if ROWS[its] >= ROWS[own]:
                    wrong.append(f"{name} imports {other}")
        self.assertEqual(wrong, [])

    def test_no_circles(self) -> None:
        """No module imports itself by way of others, not under TYPE_CHECKING either."""
        graph = {name: of_this_package(tree) - {name} for name, tree in modules()}
        self.assertEqual(circles(graph), [])

    def test_circles_are_found(self) -> None:
        """The test above would notice."""
        graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
        self.assertEqual(circles(graph), [["b", "c"]])

    def test_no_io_in_the_core(self) -> None:
        """What has no I/O imports no reactor, socket, thread or time."""
        wrong = [
            f"{name} imports {other}"
            for name, tree in modules()
            if place(name) in NO_IO
            for other in imports(tree)
            if any(other == bad or other.startswith(f"{bad}.") for bad in FORBIDDEN_WITHOUT_IO)
        ]
        self.assertEqual(wrong, [])

    def test_plugins_import_nothing(self) -> None:
        """The plugin file imports nothing of the package, else a failure hides the command."""
        for path in (ROOT.parent / "twisted" / "plugins").glob("distnet*.py"):
            self.assertEqual(of_this_package(ast.parse(path.read_text())), set())
