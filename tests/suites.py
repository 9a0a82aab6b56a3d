"""
Runs suites of tests, one after the other, and says how long each took.

C{python -m tests.suites [--all] [NAME...]}: those of a pull request, or all, or the named ones.
With DISTNET_NO_SKIPS set, a skipped test is a failure, and so is a suite that was left out.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

from distnet._native import SWITCH, NotNative, load_bridge, load_guest, load_router

ROOT = Path(__file__).parent.parent
_STREAM = {"DISTNET_PACE": "stream"}
"""See L{tests.masters}: only at that pace a master routes by native code."""


@dataclass(frozen=True, slots=True)
class Suite:
    """
    Tests that are run by one command.

    @ivar module: what of Python runs them; unless it is none of pytest's, it takes C{--junitxml}.
    @ivar words: the words after it.
    @ivar environment: the variables that it has, besides those that there are.
    @ivar native: whether it is about native code, and is left out where that does not run.
    @ivar reports: whether it writes a report of its tests.
    @ivar when_passed: the words that it has as well when each suite before it, of all that there
        are, has passed or cannot be run here.
    """

    module: str
    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    native: bool = False
    reports: bool = True
    when_passed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """
    A run of a suite.

    @ivar passed: whether all of its tests did that were not skipped.
    @ivar tests: how many there were, or None if nobody said.
    @ivar skipped: how many of them were skipped.
    """

    passed: bool
    seconds: float
    tests: int | None = None
    skipped: int = 0


# Tests wait for daemons a quarter of the time, so that three at once keep two processors busy.
# Those of a file stay together, for what they share. Guests and units wait for nothing.
_TWO = "--numprocesses=2"
_AT_ONCE = ("--numprocesses=3", "--dist=loadfile")
_BUSY = (_TWO, "--dist=loadfile")


def _files(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/test_{name}.py" for name in names)


# "native" and "pure" run some files of "integration" once more, on purpose: what a client sees must
# be the same however messages and frames are moved. A file belongs to them if its daemons have
# clients that send messages or frames, and if waiting does not take most of its time. Files about
# the command line, a cluster or the console would only say the same again, and those that compare
# Python with native code in one process are in "integration" alone.
_MESSAGES = ("delivery", "client", "client_tls", "aio", "stop", "state", "remote")
_FRAMES = ("frame_stream", "dgram", "vde_clients", "tap_interface", "gateway_frames")
_GUESTS = ("gateway_reach", "gateway_flows", "gateway_isolation")
_BENCH = _files("bench", "bench_routers", "bench_gateway")
_FUZZ = _files("fuzz")
_PURE = _files(*_MESSAGES, *_FRAMES, *_GUESTS)

SHORT: dict[str, Suite] = {
    "unit": Suite("pytest", ("tests/unit", *_BUSY)),
    "integration": Suite(
        "pytest",
        ("tests/integration", *(f"--ignore={file}" for file in (*_BENCH, *_FUZZ)), *_AT_ONCE),
    ),
    # Masters that route by native code. A switch does what it can by native code anyway, so its
    # files are not here, but "control" is: what is counted natively is told by it.
    "native": Suite("pytest", (*_files(*_MESSAGES, "control"), *_AT_ONCE), _STREAM, native=True),
    "guest": Suite("pytest", ("tests/guest", *_BUSY)),
}
"""What a pull request needs."""

SUITES: dict[str, Suite] = {
    **SHORT,
    "bench": Suite("pytest", _BENCH),
    # For what only a change to the C code can break.
    "fuzz": Suite("pytest", (*_FUZZ, _TWO), native=True),
    "pure": Suite("pytest", (*_PURE, *_AT_ONCE), {**_STREAM, SWITCH: "0"}),
    "mutations": Suite("tests.mutations", ("--all",), when_passed=("--tested",)),
    "long": Suite("tests.long", reports=False),
}


def why_not_native() -> str | None:
    """Why native code does not run here, or None if it does."""
    try:
        load_router()
        load_bridge()
        load_guest()
    except NotNative as why:
        return str(why)
    return None


def suites_before(name: str) -> set[str]:
    """The suites that run before this one when all do."""
    return set(takewhile(lambda each: each != name, SUITES))


def run(suite: Suite, *more: str) -> Run:
    """Run a suite, with C{more} words, and show what it prints."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="distnet-suite-") as directory:
        report = Path(directory) / "report.xml"
        ended = subprocess.run(
            [
                *(sys.executable, "-m", suite.module, *suite.words, *more),
                *([f"--junitxml={report}"] if suite.reports else []),
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "PYTHONUNBUFFERED": "1",
                **suite.environment,
            },
            check=False,
        )
        tests, skipped = counted(report)
    return Run(ended.returncode == 0, time.monotonic() - began, tests, skipped)


def counted(report: Path) -> tuple[int | None, int]:
    """How many tests a report in JUnit's XML has, if it is there, and how many were skipped."""
    if not report.exists():
        return None, 0
    root = ElementTree.parse(report).getroot()
    suites = list(root.iter("testsuite"))
    tests, skipped = (sum(int(each.get(name, "0")) for each in suites)
                      for name in ("tests", "skipped"))  # fmt: skip
    return tests, skipped


def _line(name: str, run: Run, passed: bool) -> str:
    tests = "" if run.tests is None else f", {run.tests} tests"
    skipped = f", {run.skipped} skipped" if run.skipped else ""
    return f"{name:12} {run.seconds:7.1f} s  {'passed' if passed else 'FAILED'}{tests}{skipped}"


def main(words: list[str]) -> int:
    """Run the suites that are asked for."""
    # A shell ignores it in what it runs in the background, and with that what is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="tests.suites", description=__doc__)
    parser.add_argument("--all", action="store_true", help="all suites")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}")
    options = parser.parse_args(words)
    if unknown := set(options.names) - SUITES.keys():
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    failed: list[str] = []
    left_out: list[str] = []
    fine: set[str] = set()
    report = []
    began = time.monotonic()
    strict = bool(os.environ.get("DISTNET_NO_SKIPS"))
    names = options.names or list(SUITES if options.all else SHORT)
    for name in names:
        suite = SUITES[name]
        why = why_not_native() if suite.native else None
        if why is not None:
            report.append(f"{name:12} left out, as there is no native code: {why}")
            (failed if strict else left_out).append(name)
            fine.add(name)
            continue
        print(f"\n=== {name}", flush=True)
        ran = run(suite, *(suite.when_passed if fine >= suites_before(name) else ()))
        passed = ran.passed and not (ran.skipped and strict)
        if passed:
            fine.add(name)
        else:
            failed.append(name)
        report.append(_line(name, ran, passed))
    print("\n" + "\n".join(report))
    print(f"{'all':12} {time.monotonic() - began:7.1f} s")
    passed_count = len(report) - len(failed) - len(left_out)
    print(f"suites: {passed_count} passed, {len(failed)} failed, {len(left_out)} left out")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
