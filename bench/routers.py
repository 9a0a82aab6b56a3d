"""Our master and nats-server side by side: throughput, processor time, round trips, idle nodes.

C{python -m bench.routers [--rounds N] [--seconds S] [--cases WORDS] [--quick] [--json FILE]
[--plots DIRECTORY]}: each case is run with a fresh router, ours and theirs in turn; what is shown
are medians. Our master has its defaults, with limits, mailboxes and counters, but for
C{--pace stream}, as the nodes here read on until a message is whole. nats-server has its defaults,
and one subject for each receiver. "C relay" is relay.c, the least that carries the same messages;
"no router" are senders that are connected to their receivers over TCP.

Senders and receivers, two processes of one thread each, share the machine's processors with the
router: where they need most of one, the router may do better than is shown.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.compiled import CompileError
from bench.contestants import CONTESTANTS, NATS, NOTHING, OURS, OURS_UNIX, RELAY, THEIRS
from bench.messages import ENDLESS, MessagesError
from bench.records import BOUND, Record, table
from bench.routercases import Amount, Case, cases, goals_table
from bench.routerplots import plots
from bench.switches import conditions

TOOLS = {"gcc": "gcc", "taskset": "util-linux"}
"""Programs that are needed, and the Debian packages that have them."""
QUICK = Amount(seconds=0.5, trips=5_000, idle=1_000)


def run(chosen: Sequence[Case], rounds: int, failures: list[str]) -> Iterator[Record]:
    """
    Measure cases, with one contestant after the other in each round.

    @param failures: what fails is added, in a line each, and the next one measured.
    """
    for case in chosen:
        for number in range(1, rounds + 1):
            for contestant in case.contestants:
                print(f"{case.name}, {contestant.name}, round {number}", file=sys.stderr)
                try:
                    measured = case.measure(contestant)
                except MessagesError as error:
                    failures.append(f"{case.name}, {contestant.name}: {error}")
                else:
                    yield Record(case.name, contestant.name, number, measured)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.routers")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="(3; 1 if quick)")
    parser.add_argument("--quick", action="store_true",
                        help="only the cases that goals are about, and little of each")  # fmt: skip
    parser.add_argument("--seconds", type=float, metavar="S", help="of sending (1.5)")
    parser.add_argument("--count", type=_positive, default=ENDLESS, metavar="N",
                        help="messages that a sender sends at most")  # fmt: skip
    parser.add_argument("--trips", type=_positive, metavar="N", help="round trips (20000)")
    parser.add_argument("--idle", type=_positive, metavar="N", help="idle nodes (10000)")
    parser.add_argument("--cases", action="append", default=[], metavar="WORDS",
                        help="those with these words in their name; may be repeated")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="draw plots there, as SVG")
    return parser.parse_args(words)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _amount(options: argparse.Namespace) -> Amount:
    amount = QUICK if options.quick else Amount()
    given = {name: getattr(options, name) for name in ("seconds", "trips", "idle", "count")}
    return dataclasses.replace(
        amount, **{name: value for name, value in given.items() if value is not None}
    )


def main(words: Sequence[str]) -> None:
    """Measure, and print a table."""
    options = parse(words)
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            sys.exit(f"no program {tool!r}: apt-get install {package}")
    if NATS is None:
        sys.exit("no program 'nats-server': apt-get install nats-server")
    # Routers inherit it, and hold a descriptor for each node.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    every = cases(_amount(options), quick=options.quick)
    words = options.cases
    chosen = [case for case in every if not words or any(each in case.name for each in words)]
    if not chosen:
        sys.exit(f"no such case; there are: {'; '.join(case.name for case in every)}")
    rounds = options.rounds or (1 if options.quick else 3)
    before = conditions()
    failures: list[str] = []
    try:
        records = list(run(chosen, rounds, failures))
    except CompileError as error:
        sys.exit(str(error))
    after = conditions()
    print(f"Medians of {rounds} rounds; before: {before}; after: {after}\n")
    others = [each.name for each in CONTESTANTS if each not in {OURS, THEIRS}]
    print(table(records, (OURS.name, THEIRS.name), others, [OURS_UNIX.name, RELAY.name]))
    if any(record.measured.bound and record.subject != NOTHING.name for record in records):
        print(f"\n{BOUND} senders or receivers were busy all the time: the router may do better.")
    print(f"\n{goals_table(records)}")
    if options.plots is not None:
        options.plots.mkdir(parents=True, exist_ok=True)
        for name, drawing in plots(records).items():
            (options.plots / name).write_text(drawing)
    if options.json is not None:
        described = {"before": before, "after": after, "records": _described(records)}
        options.json.write_text(json.dumps(described, indent=1) + "\n")
    if failures:
        sys.exit("\n".join(failures))


def _described(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(record) for record in records]


if __name__ == "__main__":
    main(sys.argv[1:])
