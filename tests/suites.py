"""Runs all suites of tests, one after the other, and says how long each took.

C{python -m tests.suites [NAME...]}. With DISTNET_NO_SKIPS set, a skipped test is a failure, and so
is a suite that was left out.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from distnet._native import SWITCH, NotNative, load_bridge, load_router

ROOT = Path(__file__).parent.parent
_BIN = Path(sys.executable).parent
_STREAM = {"DISTNET_PACE": "stream"}
"""See L{tests.masters}: only at that pace a master routes by native code."""


@dataclass(frozen=True, slots=True)
class Suite:
    """
    Tests that are run by one command.

    @ivar environment: the variables that it has, besides those that there are.
    @ivar native: whether it is about native code, and is left out where that does not run.
    """

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    native: bool = False


def _integration(*names: str) -> list[str]:
    files = [f"tests/integration/test_{name}.py" for name in names]
    return [sys.executable, "-m", "pytest", *(files or ["tests/integration"])]


# Of the tests that send messages through a master, and frames through a switch, those that are
# not made of waiting.
_MESSAGES = ("delivery", "client", "client_tls", "aio", "stop", "state", "remote")
_FRAMES = ("frame_stream", "dgram", "vde_clients", "tap_interface", "gateway_frames")

SUITES: dict[str, Suite] = {
    "unit": Suite([str(_BIN / "trial"), "--temp-directory=_trial_temp", "tests.unit"]),
    "mutations": Suite([sys.executable, "-m", "tests.mutations"]),
    "integration": Suite(_integration()),
    # A switch is native anyway.
    "native": Suite(_integration(*_MESSAGES, "control"), _STREAM, native=True),
    "pure": Suite(_integration(*_MESSAGES, *_FRAMES), {**_STREAM, SWITCH: "0"}),
    "guest": Suite([sys.executable, "-m", "pytest", "tests/guest"]),
}


def why_not_native() -> str | None:
    """Why native code does not run here, or None if it does."""
    try:
        load_router()
        load_bridge()
    except NotNative as why:
        return str(why)
    return None


def run(suite: Suite) -> tuple[bool, float, int]:
    """
    Run a suite and show what it prints.

    @return: whether it passed, how many seconds it took, how many tests it skipped.
    """
    began = time.monotonic()
    skipped = 0
    with subprocess.Popen(
        suite.command,
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            **suite.environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            found = re.search(r"(?:skips=(\d+))|(?:\b(\d+) skipped)", line)
            if found:
                skipped = int(found[1] or found[2])
    return process.returncode == 0, time.monotonic() - began, skipped


def main(names: list[str]) -> int:
    """Run the named suites, or all."""
    # A shell ignores it in what it runs in the background, and with that what is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    failed: list[str] = []
    left_out: list[str] = []
    report = []
    strict = bool(os.environ.get("DISTNET_NO_SKIPS"))
    for name in names or list(SUITES):
        suite = SUITES[name]
        why = why_not_native() if suite.native else None
        if why is not None:
            report.append(f"{name:12} left out, as there is no native code: {why}")
            (failed if strict else left_out).append(name)
            continue
        print(f"\n=== {name}", flush=True)
        passed, seconds, skipped = run(suite)
        if skipped and strict:
            passed = False
        if not passed:
            failed.append(name)
        note = f", {skipped} skipped" if skipped else ""
        report.append(f"{name:12} {seconds:7.1f} s  {'passed' if passed else 'FAILED'}{note}")
    print("\n" + "\n".join(report))
    passed_count = len(report) - len(failed) - len(left_out)
    print(f"suites: {passed_count} passed, {len(failed)} failed, {len(left_out)} left out")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
