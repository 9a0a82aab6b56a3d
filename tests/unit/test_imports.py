"""Who may import whom: downward only, as the table says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import distnet

ROOT = Path(distnet.__file__).parent

ORDER: tuple[tuple[str, ...], ...] = (
    # From the bottom to the top. A module, or a package with all that is in it, imports from the
    # rows above its own in this table, never from its neighbours.
    ("errors", "interfaces", "_native"),
    ("address",),
    # Without I/O.
    ("core", "ethernet"),
    # What is known of the machine: sockets, files, processes.
    ("transports", "channel", "endpoints", "paths", "process", "qemu", "state", "ask"),
    # What is told to people and to programs.
    ("observers", "client", "testing"),
    ("distnet", "connection", "report"),
    ("aio",),
    # Services; they do not import each other, and what looks into them is above them.
    ("master", "switch", "gateway", "cluster"),
    ("control", "pytest_plugin"),
    # The command line.
    ("options", "arguments"),
    ("qemu_args",),
    ("tap", "vde_tap", "cli"),
)
"""The one place that says which module stands where: a new one is entered here."""

ROWS = {name: row for row, names in enumerate(ORDER) for name in names}

NO_IO = ("core", "ethernet")
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
    """The full names of what is imported anywhere in a module, late imports too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name the package in full"
            assert node.module is not None
            yield node.module
            # From a package, a module may be imported as if it were a name.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(name: str) -> str | None:
    """What a full name is called in the table, or None if it is not of this package."""
    first, _, rest = name.partition(".")
    if first != "distnet":
        return None
    child = rest.partition(".")[0]
    is_module = (ROOT / f"{child}.py").exists() or (ROOT / child).is_dir()
    return child if child and is_module else "distnet"


def of_this_package(tree: ast.Module) -> set[str]:
    """What a module imports of this package, as the table calls it."""
    names = set()
    for name in imports(tree):
        found = place(name)
        # The statement that names a module in the package does not thereby use the package.
        if found is not None and (found != "distnet" or name != "distnet"):
            names.add(found)
    return names


class ImportTests(SynchronousTestCase):
    """The rule, held against every module."""

    def test_all_have_a_place(self) -> None:
        """Every module stands in the table."""
        missing = {name.partition(".")[0] for name, _ in modules()} - ROWS.keys()
        self.assertEqual(missing, set(), "enter it in ORDER")

    def test_downward_only(self) -> None:
        """No module imports from its own row of the table, but its own package, nor from above."""
        wrong = []
        for name, tree in modules():
            own = name.partition(".")[0]
            wrong += [
                f"{name} imports {other}"
                for other in sorted(of_this_package(tree) - {own})
                if own in ROWS and ROWS[other] >= ROWS[own]
            ]
        self.assertEqual(wrong, [])

    def test_no_io_in_the_core(self) -> None:
        """What has no I/O imports no reactor, socket, thread or time."""
        wrong = [
            f"{name} imports {other}"
            for name, tree in modules()
            if name.partition(".")[0] in NO_IO
            for other in imports(tree)
            if any(other == bad or other.startswith(f"{bad}.") for bad in FORBIDDEN_WITHOUT_IO)
        ]
        self.assertEqual(wrong, [])

    def test_plugins_import_nothing(self) -> None:
        """The plugin file imports nothing of the package, else a failure hides the command."""
        for path in (ROOT.parent / "twisted" / "plugins").glob("distnet*.py"):
            self.assertEqual(of_this_package(ast.parse(path.read_text())), set())
