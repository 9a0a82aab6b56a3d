"""C{python -m tests.long [--count N] [--seed N] [RUN]...}: the long runs.

The exit status is 1 if anything fails. What fails is said with the seed and the step, and the same
seed does the same again.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.long.crowd import CrowdSteps
from tests.long.gateway import GatewaySteps
from tests.long.run import Steps, run
from tests.long.sans_io import SansIo
from tests.long.sockets import SocketSteps

RUNS: dict[str, tuple[Callable[[random.Random], AbstractContextManager[Steps]], int, str]] = {
    "sans-io": (SansIo, 1_000_000, "requests, console lines and frames, without sockets"),
    "sockets": (SocketSteps, 100_000, "clients, consoles and frames at a running switch"),
    "gateway": (GatewaySteps, 100_000, "one guest's frames at a gateway, with others' streams"),
    "crowd": (CrowdSteps, 200, "256 guests at a gateway"),
}


def _say(line: str) -> None:
    print(line, flush=True)


def main(arguments: list[str]) -> int:
    """Do the named runs, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.long", description=__doc__)
    counts = [steps for _, steps, _ in RUNS.values()]
    parser.add_argument("--count", type=int, help=f"steps of each run {counts}")
    parser.add_argument("--seed", type=int, help="of what is random [another each time]")
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"{', '.join(RUNS)} [all]")
    options = parser.parse_args(arguments)
    for name in options.runs:
        if name not in RUNS:
            parser.error(f"{name!r} is not one of {', '.join(RUNS)}")
    if options.count is not None and options.count < 1:
        parser.error(f"--count {options.count} is not at least 1")
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    report = []
    failed = 0
    for name in options.runs or RUNS:
        make, usual, what = RUNS[name]
        count = options.count or usual
        _say(f"{name}: {what}: {count} steps with seed {seed}")
        try:
            report.append(f"{name}: passed, seed {seed}: {run(name, make, count, seed, _say)}")
        except AssertionError as error:
            failed += 1
            traceback.print_exc()
            report.append(f"{name}: FAILED: {error}")
    _say("\n" + "\n".join(report))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
