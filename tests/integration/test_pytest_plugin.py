"""The fixtures of pytest, in runs of pytest of their own; with kernels in tests/guest."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tiny_kernels
from tests.clusters import Clusters, clusters

pytest_plugins = "pytester"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clusters]:
    """A place for clusters, which all runs of pytest have."""
    with clusters(tmp_path) as place:
        for name, value in place.environment.items():
            monkeypatch.setenv(name, value)
        yield place


def run(pytester: pytest.Pytester, *words: str) -> tuple[int, str]:
    """Run pytest; its exit status, and what it prints."""
    ran = pytester.runpytest_subprocess(*words)
    return int(ran.ret), ran.stdout.str()


def test_others_are_not_disturbed(pytester: pytest.Pytester, place: Clusters) -> None:
    """A run that does not use the fixtures imports neither what is behind them nor Twisted."""
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "distnet.pytest_plugin" in sys.modules
            assert "distnet.cluster" not in sys.modules
            assert not any(name.split(".")[0] == "twisted" for name in sys.modules)
        """
    )
    # Those of the project's own tests use Twisted.
    status, said = run(pytester, "-p", "no:twisted", "-p", "no:hypothesispytest")
    assert status == 0, said


def test_the_fixtures_are_listed(pytester: pytest.Pytester, place: Clusters) -> None:
    """pytest --fixtures tells what they do."""
    _, said = run(pytester, "--fixtures")
    for name in ("cluster ", "module_cluster [module scope]", "session_cluster [session scope]"):
        assert re.search(rf"^distnet_{re.escape(name)}.*\n    \S", said, re.M), f"no {name}\n{said}"
        assert re.search(rf"^{re.escape(name)}.*\n    \S", said, re.M), f"no {name}\n{said}"


ANOTHER = """
    import pytest

    @pytest.fixture
    def cluster():
        return "another's"
"""


def test_another_has_the_short_name(pytester: pytest.Pytester, place: Clusters) -> None:
    """A fixture of that name that another plugin has is the one; whatever order they came in."""
    pytester.makepyfile(another=ANOTHER)
    pytester.syspathinsert()
    pytester.makepyfile(
        """
        def test_it(cluster, module_cluster, distnet_cluster):
            assert cluster == "another's"
            assert callable(distnet_cluster)
            assert module_cluster.__module__ == "distnet.pytest_plugin"
            assert module_cluster is not distnet_cluster
        """
    )
    # One that is loaded before ours, one that is loaded after it, and what a conftest.py has.
    ways = {"after": 'pytest_plugins = ["another"]\n', "conftest": ANOTHER, "-p": ""}
    for way, conftest in ways.items():
        pytester.makeconftest(conftest)
        # In this process, as there is nothing to start.
        ran = pytester.runpytest_inprocess(
            "-p",
            "no:twisted",
            "-p",
            "no:hypothesispytest",
            *(["-p", "another"] if way == "-p" else []),
        )
        assert ran.ret == 0, f"{way}: {ran.stdout.str()}"


def test_a_mistake(pytester: pytest.Pytester, place: Clusters) -> None:
    """A wrong key is told as in a file, and nothing is started."""
    pytester.makepyfile(
        'def test_it(distnet_cluster):\n    distnet_cluster(kernel="k", nodes=1, topolgy="vde")\n'
    )
    status, said = run(pytester)
    assert status == 1
    assert "BadConfig: cluster(): topolgy: there is no such key: did you mean topology?" in said


@pytest.mark.skipif(
    shutil.which("qemu-system-riscv64") is None, reason="needs the Debian package qemu-system-misc"
)
def test_a_start_that_fails(pytester: pytest.Pytester, place: Clusters) -> None:
    """When kernels do not come up, the report says why; keys go before what a file says."""
    tiny_kernels.write(pytester.path, tiny_kernels.ends("it is over\n", 3))
    (pytester.path / "mine.toml").write_text(
        f'kernel = "kernel"\nnodes = 1\nmachine = "{tiny_kernels.MACHINE}"\nmemory = "1G"\n'
    )
    pytester.makepyfile('def test_it(cluster):\n    cluster("mine.toml", memory="64M")\n')
    status, said = run(pytester)
    assert status == 1
    assert "ClusterError: node 0 has no id: its QEMU ended with status 3" in said
    section = said.partition("- distnet cluster pytest-")[2]
    assert "node 0: QEMU ended with status 3\n" in section
    assert " -m 64M " in section
    assert "  | it is over\n" in section
    assert "master: " in section
    place.assert_nothing_is_left()
