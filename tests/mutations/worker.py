"""
A process that runs tests in forks of itself, in the copy of the checkout that it was started in.

C{python -m tests.mutations.worker}. It has imported what others have written, which takes longest,
and nothing of the checkout but this; so each fork imports what is there now. It reads L{Job}s and
writes L{Result}s, a line of JSON each.
"""

from __future__ import annotations

import compileall
import ctypes
import importlib
import json
import os
import py_compile
import select
import signal
import sys
import tempfile
import unittest
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from hypothesis import Phase, settings

PRELOADED = (
    "OpenSSL.SSL", "automat", "cffi", "cryptography.x509", "hypothesis.stateful",
    "hypothesis.strategies", "pytest_twisted", "service_identity", "twisted.application.service",
    "twisted.internet.endpoints", "twisted.internet.protocol", "twisted.internet.testing",
    "twisted.logger", "twisted.plugin", "twisted.protocols.tls", "twisted.python.usage",
    "twisted.trial.unittest", "zope.interface",
)  # fmt: skip
"""Anything but a reactor, which is chosen by who imports it first."""
COMPILED = ("bench", "distnet", "tests", "twisted")
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Job:
    """
    Tests to run.

    @ivar tests: what their runner calls them: dotted names, or pytest's node ids.
    @ivar are_unit: whether they are unit tests.
    @ivar seconds: how long they may take.
    @ivar patience: how long they wait for something, in seconds; None for as long as usually.
    @ivar is_pure: whether they run without native code.
    """

    tests: list[str]
    are_unit: bool
    seconds: float
    patience: float | None
    is_pure: bool


@dataclass(slots=True)
class Result:
    """
    What became of the tests of a job.

    @ivar failed: those that did, with any of their parameters; all of them if they took too long.
    @ivar skipped: those that were only skipped.
    @ivar problem: what else went wrong, so that the rest tells nothing.
    @ivar output: what was printed.
    """

    failed: list[str]
    skipped: list[str]
    problem: str | None = None
    output: str = ""


def run_unit(tests: list[str]) -> Result:
    """Run unit tests here."""
    with tempfile.TemporaryDirectory(prefix="distnet-unit-") as directory:
        os.chdir(directory)
        result = Result([], [])
        for test in tests:
            [case] = unittest.defaultTestLoader.loadTestsFromName(test)
            found = unittest.TestResult()
            case.run(found)
            for kind in (found.errors, found.failures):
                print(*(trace for _, trace in kind), sep="\n")
            if not found.wasSuccessful():
                result.failed.append(test)
            elif found.skipped:
                result.skipped.append(test)
            if "_FailedTest" in type(case).__name__:
                result.problem = f"{test} cannot be imported"
        return result


class Observer:
    """Takes note of what pytest says of the tests."""

    def __init__(self) -> None:
        self.ends: dict[str, set[str]] = {}
        self.broken: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test, or its fixtures, came to an end."""
        if report.when == "call" or report.outcome != "passed":
            self.ends.setdefault(report.nodeid, set()).add(report.outcome)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file was read."""
        if report.failed:
            self.broken.append(f"{report.nodeid} cannot be imported")

    def of(self, test: str) -> set[str]:
        """How a test ended, with all its parameters."""
        return {
            end
            for name, ends in self.ends.items()
            if name == test or name.startswith(f"{test}[")
            for end in ends
        }


def run_pytest(tests: list[str]) -> Result:
    """Run tests of pytest here."""
    observer = Observer()
    pytest.main(["--no-header", "--tb=short", *tests], plugins=[observer])
    failed = [test for test in tests if "failed" in observer.of(test)]
    skipped = [test for test in tests if observer.of(test) == {"skipped"}]
    unrun = [f"{test} was not run" for test in tests if not observer.of(test)]
    return Result(failed, skipped, ", ".join(observer.broken or unrun) or None)


def run(job: Job) -> Result:
    """Run the tests of a job in a fork."""
    with tempfile.TemporaryDirectory(prefix="distnet-result-") as directory:
        place, output = Path(directory) / "result", Path(directory) / "output"
        child = os.fork()
        if not child:
            _be_the_child(job, place, output)
        descriptor = os.pidfd_open(child)
        in_time = bool(select.select([descriptor], [], [], job.seconds)[0])
        os.close(descriptor)
        if not in_time:
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        _end_what_is_left()
        printed = output.read_text(errors="replace")
        if not in_time:
            return Result(job.tests, [], output=f"{printed}\nnot done after {job.seconds} s\n")
        if not place.exists():
            return Result(job.tests, [], output=f"{printed}\nthe process died\n")
        return Result(**{**json.loads(place.read_text()), "output": printed})


def _be_the_child(job: Job, place: Path, output: Path) -> None:
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    status = 1
    if job.patience is not None:
        os.environ["DISTNET_PATIENCE"] = str(job.patience)
    if job.is_pure:
        os.environ["DISTNET_NATIVE"] = "0"
    try:
        result = (run_unit if job.are_unit else run_pytest)(job.tests)
        place.write_text(json.dumps(asdict(result)))
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


def _end_what_is_left() -> None:
    """End what tests have left: as their parents are dead, they are children of this process."""
    while True:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        if not children:
            return
        for child in map(int, children):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child, 0)


def main() -> int:
    """Run jobs until there are no more."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # A mutant can have the size and the second of what it replaces, but hardly its hash.
    for name in COMPILED:
        compileall.compile_dir(
            name, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )
    for name in PRELOADED:
        importlib.import_module(name)
    # Nobody reads what Hypothesis would shrink.
    settings.register_profile(
        "first-failure",
        phases=(Phase.explicit, Phase.generate),
        report_multiple_bugs=False,
        derandomize=True,
        database=None,
        deadline=None,
    )
    settings.load_profile("first-failure")
    for line in sys.stdin:
        print(json.dumps(asdict(run(Job(**json.loads(line))))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
