"""The benchmark with another checkout of distnet: that its own code runs, or what it lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import routercontestants, switchcontestants
from bench.checkout import Checkout, CheckoutError, opened
from bench.contests import CONTESTS
from tests.benches import measured_in
from tests.daemons import ROOT

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git here")

WHO = ("-c", "user.name=a test", "-c", "user.email=nobody@localhost")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout of something else, with a commit."""
    root = tmp_path / "other"
    for command in (["init", "-q", str(root)], ["commit", "-q", "--allow-empty", "-m", "one"]):
        where = ["-C", str(root)] if root.exists() else []
        subprocess.run(["git", *where, *WHO, *command], check=True)
    return root


def fill(root: Path, *, native: bool = True) -> None:
    """Give a directory what a checkout of distnet has."""
    ignored = shutil.ignore_patterns("__pycache__", *([] if native else ["*.so"]))
    shutil.copytree(ROOT / "distnet", root / "distnet", ignore=ignored)
    shutil.copytree(ROOT / "twisted", root / "twisted", ignore=ignored)
    (root / ".venv").symlink_to(sys.prefix)


@pytest.fixture
def other(bare: Path) -> Checkout:
    """Another checkout of distnet."""
    if not list((ROOT / "distnet/_native").glob("router.*.so")):
        pytest.skip("no native code here")
    fill(bare)
    return opened(bare)


def lacking(root: Path) -> str:
    """What is said of a checkout of which nothing can be measured."""
    with pytest.raises(CheckoutError) as raised:
        opened(root)
    (line,) = str(raised.value).splitlines()
    assert str(root) in line
    return line


def test_what_is_no_checkout_is_named(bare: Path) -> None:
    """A directory that is not there, that git does not know, or that is not distnet's."""
    assert "No such file" in lacking(bare / "nowhere")
    assert "there is no package distnet" in lacking(bare)
    subprocess.run(["rm", "-rf", str(bare / ".git")], check=True)
    assert "not a git repository" in lacking(bare)


def test_what_a_checkout_lacks_is_named(bare: Path) -> None:
    """A virtual environment, and then native code."""
    fill(bare, native=False)
    assert "has no native code (ModuleNotFoundError" in lacking(bare)
    (bare / ".venv").unlink()
    assert "has no .venv" in lacking(bare)


def test_the_command_says_it_in_a_line(bare: Path) -> None:
    """Nothing is measured then, and there is no traceback."""
    command = [sys.executable, "-m", "bench", "--beside", str(bare)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.splitlines() == [lacking(bare)]


def code_of(pid: int) -> str:
    """All that a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()


def test_its_own_master_runs(other: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The master of a checkout has native code of that checkout; ours has not."""
    monkeypatch.delenv("DISTNET_NATIVE", raising=False)
    ours = routercontestants.OURS
    for contestant, expected in ((ours.at(other), True), (ours, False)):
        with routercontestants.started(contestant) as place:
            assert place.pid is not None
            assert (f"{other.root}/distnet/_native/router." in code_of(place.pid)) is expected


def test_its_own_switch_runs(other: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """The switch of a checkout has native code of that checkout; ours has not."""
    monkeypatch.delenv("DISTNET_NATIVE", raising=False)
    ours = switchcontestants.OURS
    for contestant, expected in ((ours.at(other), True), (ours, False)):
        with switchcontestants.started(contestant) as switch:
            assert switch is not None
            found = code_of(switch.process.pid)
            assert (f"{other.root}/distnet/_native/bridge." in found) is expected


MEASURED = {
    "routers": ("one per write, 1 pair, 64 bytes", "messages/s"),
    "switches": ("64 bytes, 64 under way", "delivered/s"),
}


@pytest.mark.parametrize("contest", MEASURED)
def test_both_are_measured(other: Checkout, tmp_path: Path, contest: str) -> None:
    """In each round ours and that of the checkout, and nobody else."""
    for tool in CONTESTS[contest].tools:
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    case, figure = MEASURED[contest]
    more = ["--only=ours", f"--beside={other.root}", f"--cases={case}", "--rounds=2"]
    shown, report = measured_in(tmp_path / "out", contest, *more)
    assert not report.failures
    assert report.before == other.commit
    assert f"| {figure} | {case} |" in shown
    ours = report.records[0].subject
    pair = [ours, f"{ours} at {other.commit}"]
    assert [record.subject for record in report.records] == pair * 2
