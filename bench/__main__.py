"""Measures the master beside the toy that it replaces and nats-server, the switch beside
vde_switch, and the gateway beside TCP that does without one.

C{python -m bench [paced] [routers] [switches] [gateway] [scale] [--quick] [--cases WORDS]
[--beside CHECKOUT] ...}:
every contestant in turn, with a fresh process for each run of a case, all cases again and again;
what is shown are medians. Tables, JSON and plots are written to a directory, how far it is to
standard error, and the goals to standard output. What fails is told of, and the rest measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.checkout import Checkout, CheckoutError, commit_command, opened
from bench.compiled import CompileError
from bench.contest import Amount, Contest
from bench.contests import CONTESTS
from bench.machine import load, machine, version
from bench.plan import Progress, Role, Run, lineup, measured, plan
from bench.records import Record
from bench.report import Report
from tests.daemons import ROOT

OUTPUT = Path("build/bench")
ROUNDS = 3
QUICK = Amount(
    seconds=0.5, trips=5_000, nodes=1_000, frames=20_000, tcp=1, ports=100, everything=False
)
AMOUNTS = {
    "seconds": (float, "S", "of sending messages"),
    "count": (int, "N", "messages that a sender sends at most"),
    "trips": (int, "N", "round trips"),
    "nodes": (int, "N", "idle nodes"),
    "frames": (int, "N", "frames in a run"),
    "tcp": (int, "S", "of TCP, and of idle ports"),
    "ports": (int, "N", "idle ports"),
}


def command_line() -> argparse.ArgumentParser:
    """All options."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    unusual = [name for name, contest in CONTESTS.items() if not contest.usual]
    parser.add_argument(
        "contests",
        nargs="*",
        metavar="CONTEST",
        help=f"{' or '.join(CONTESTS)} (all but {' and '.join(unusual)})",
    )
    parser.add_argument("--rounds", type=_positive(int), metavar="N",
                        help=f"({ROUNDS}; 1 if quick)")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
                        help="little of each case, and nothing that no goal is about")  # fmt: skip
    for name, (kind, unit, what) in AMOUNTS.items():
        parser.add_argument(f"--{name}", type=_positive(kind), metavar=unit, help=what)
    parser.add_argument("--cases", action="append", default=[], metavar="WORDS",
                        help="those with these words in their name; may be repeated")  # fmt: skip
    parser.add_argument("--only", action="append", default=[], choices=[*map(str, Role)],
                        help="these contestants; may be repeated")  # fmt: skip
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT",
                        help="another checkout of distnet, say the last release, with a .venv and"
                             " native code of its own: is this one slower?")  # fmt: skip
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIRECTORY",
                        help=f"({OUTPUT})")  # fmt: skip
    return parser


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = command_line()
    options = parser.parse_args(words)
    for name in options.contests:
        if name not in CONTESTS:
            parser.error(f"there is no contest {name!r}, only {' and '.join(CONTESTS)}")
    return options


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            found = kind(text)
        except ValueError:
            found = 0
        if not found > 0:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
        return found

    return number


def amount(options: argparse.Namespace) -> Amount:
    """How much to do."""
    given = {name: getattr(options, name) for name in AMOUNTS}
    chosen = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(QUICK if options.quick else Amount(), **chosen)


def planned(
    options: argparse.Namespace, rounds: int, checkout: Checkout | None = None
) -> dict[str, list[Run]]:
    """What to measure of each contest. Exits with a line that says what is missing."""
    found = {}
    every: list[str] = []
    for name, contest in CONTESTS.items():
        if name in options.contests or (contest.usual and not options.contests):
            cases = list(contest.cases(amount(options)))
            every += [case.name for case in cases]
            words = options.cases
            chosen = [case for case in cases if not words or _has(case.name, words)]
            whom = lineup(contest.names, options.only, checkout)
            if runs := plan(chosen, rounds, contest.others, whom):
                found[name] = runs
    if not found:
        sys.exit(f"no such case of such contestants; there are: {'; '.join(every)}")
    for name in found:
        for tool, package in CONTESTS[name].tools.items():
            if shutil.which(tool) is None:
                sys.exit(f"no program {tool!r}: apt-get install {package}")
    return found


def _has(name: str, words: Iterable[str]) -> bool:
    return any(each in name for each in words)


def compete(
    contest: Contest,
    runs: Sequence[Run],
    rounds: int,
    progress: Progress,
    output: Path,
    *,
    checkout: Checkout | None = None,
) -> Report:
    """
    Measure, and write what was measured, also if it is interrupted.

    @param checkout: another one that is measured too.
    @raise CompileError: nothing can be measured.
    """
    failures: list[str] = []
    records: list[Record] = []
    versions = [version(command) for command in contest.versions]
    if checkout:
        versions.append(f"now {version(commit_command(ROOT))}, before {checkout.commit}")
    print("; ".join(versions), file=sys.stderr, flush=True)
    before, began = load(), time.monotonic()
    try:
        for record in measured(runs, progress, failures):
            records.append(record)
    finally:
        if records or failures:
            report = Report(
                contest=contest.name,
                machine=machine(),
                versions=versions,
                load=(before, load()),
                rounds=rounds,
                seconds=time.monotonic() - began,
                records=records,
                failures=failures,
                before=checkout.commit if checkout else "",
            )
            report.write(contest, output)
    return report


def main(words: Sequence[str]) -> None:
    """Measure, and say what was reached."""
    options = parse(words)
    # Switches and routers inherit it, and hold a descriptor or two for each client.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    try:
        checkout = options.beside and opened(options.beside)
    except CheckoutError as error:
        sys.exit(str(error))
    chosen = planned(options, rounds, checkout)
    every = [run for runs in chosen.values() for run in runs]
    if os.geteuid() and "switches" in chosen:
        print("without root there are no cases of TCP", file=sys.stderr)
    progress = Progress(every, lambda text: print(text, file=sys.stderr, flush=True))
    failures: list[str] = []
    for name, runs in chosen.items():
        try:
            report = compete(
                CONTESTS[name], runs, rounds, progress, options.output, checkout=checkout
            )
        except CompileError as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            sys.exit(f"interrupted; what was measured is in {options.output}")
        failures += report.failures
        print(f"{report.markdown(CONTESTS[name]).partition('## All figures')[0]}", flush=True)
    print(f"All figures and the plots are in {options.output}.")
    if failures:
        sys.exit("\n".join(["What failed:", *failures]))


if __name__ == "__main__":
    main(sys.argv[1:])
