"""Fixtures of pytest for tests of kernels: they boot some, and end them after the test.

    def test_they_agree(distnet_cluster):
        kernels = distnet_cluster(
            kernel="target/kernel.bin", nodes=3, topology="vde", append="IP={n}"
        )
        kernels[2].wait_for("ready")
        kernels.mail.send(0, b"sixteen bytes ok")
        assert kernels.mail.recv() == (0, b"sixteen bytes ok")

pytest finds this by itself where distnet is installed. A test that does not use the fixtures does
not import what is behind them. C{cluster} is the same, as long as no other plugin has a fixture of
that name; so are C{module_cluster} and C{session_cluster}.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

if TYPE_CHECKING:
    from distnet.cluster import Cluster

Boot = Callable[..., "Cluster"]
_Scope = Literal["function", "module", "session"]

_SHORT: Final[dict[str, _Scope]] = {
    "cluster": "function",
    "module_cluster": "module",
    "session_cluster": "session",
}
"""What the fixtures are called as well, unless somebody else has a fixture of that name."""

_PREFIX: Final = "pytest-"
_numbers = itertools.count()
_live = pytest.StashKey[list["Cluster"]]()


def pytest_configure(config: pytest.Config) -> None:
    """No cluster runs yet."""
    config.stash[_live] = []


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Give the fixtures their short names too, those that nobody else has given to one."""
    names = ModuleType("distnet_short_names")
    for name, scope in _SHORT.items():
        if not _is_taken(name, session):
            setattr(names, name, _short_fixture(name, scope))
    session.config.pluginmanager.register(names, names.__name__)


def _is_taken(name: str, session: pytest.Session) -> bool:
    """Whether another plugin, or the conftest.py of all tests, has a fixture with a name."""
    # pytest has no other way to ask. Of what is registered later ours would hide what was before.
    find = getattr(getattr(session, "_fixturemanager", None), "getfixturedefs", None)
    if find is None:
        return False
    try:
        return bool(find(name, session))
    except (AttributeError, TypeError):
        # Before pytest 8 it took the id of a node.
        return bool(find(name, ""))


def _short_fixture(name: str, scope: _Scope) -> object:
    def short(request: pytest.FixtureRequest) -> Boot:
        boot: Boot = request.getfixturevalue(f"distnet_{name}")
        return boot

    short.__doc__ = f"C{{distnet_{name}}} by a shorter name, which no other plugin has here."
    return pytest.fixture(name=name, scope=scope)(short)


@pytest.fixture
def distnet_cluster(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """
    Boot kernels: C{distnet_cluster("file.toml")}, C{distnet_cluster(kernel=..., nodes=3, ...)}
    with the keys of such a file, or both, where keys go before what the file says. Paths are
    relative to the file, or else to the test's own.

    What it returns is a L{distnet.cluster.Cluster}, all of whose nodes have their ids. If a test
    fails while it runs, the report has its consoles, logs and command lines.
    """
    yield from _clusters(request)


@pytest.fixture(scope="module")
def distnet_module_cluster(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """As C{distnet_cluster}, for kernels that all tests of a module share."""
    yield from _clusters(request)


@pytest.fixture(scope="session")
def distnet_session_cluster(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """As C{distnet_cluster}, for kernels that all tests share, with paths from pytest's root."""
    yield from _clusters(request)


def _clusters(request: pytest.FixtureRequest) -> Iterator[Boot]:
    from distnet.cluster import Cluster, from_table, read_table
    from distnet.cluster.directory import sweep

    # What a pytest that was killed has left.
    sweep(_PREFIX)
    live = request.config.stash[_live]
    here = request.config.rootpath if request.scope == "session" else request.path.parent

    with ExitStack() as stack:

        def boot(file: str | os.PathLike[str] | None = None, **keys: Any) -> Cluster:
            directory, where, table = here, "cluster()", dict[str, Any]()
            if file is not None:
                path = here / file
                directory, where, table = path.parent, str(path), read_table(path)
            # A name of its own, since tests may run side by side.
            name = f"{_PREFIX}{os.getpid()}-{next(_numbers)}"
            cluster = Cluster(from_table({**table, **keys, "name": name}, directory, where))
            live.append(cluster)
            stack.callback(live.remove, cluster)
            stack.callback(cluster.down)
            return cluster.up()

        yield boot


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Put what is known of the clusters that run into the report of a failed test."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed:
        for cluster in item.config.stash[_live]:
            report.sections.append((f"distnet cluster {cluster.config.name}", cluster.report()))
