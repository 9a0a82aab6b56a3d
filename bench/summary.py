"""What the documentation shows of benchmarks, from their JSON.

C{python -m bench.summary build/bench/*.json [--plots docs] [--into docs/speed.md README.md ...]}
prints the tables of goals, draws the plots that are shown, and puts the tables in the place of
those that stand between C{<!-- bench: NAME -->} and C{<!-- bench end -->} in some files. NAME is
a contest, or C{brief}: a table of few figures of all contests, which must all be there.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.contests import CONTESTS
from bench.gatewaycases import RATE as MEGABYTES
from bench.records import ABSENT, as_table, cell, median, ratio
from bench.report import Report
from bench.routercases import RATE
from bench.switchcases import RATE as FRAMES
from bench.trips import FREE, P50

SHOWN = (
    "paced-size.svg",
    "routers-size.svg",
    "routers-latency-pinned.svg",
    "switches-size.svg",
    "switches-ports.svg",
)
BRIEF = (
    ("paced", "batched, 8 pairs, 64 bytes", RATE, "64-byte messages, batched, a second"),
    ("paced", "batched, 8 pairs, 1024 bytes", RATE, "1 KiB messages, batched, a second"),
    ("paced", FREE, P50, "a message there and back, µs"),
    ("routers", "batched, 8 pairs, 64 bytes", RATE, "`--pace stream`: 64-byte messages, batched"),
    ("switches", "64 bytes", FRAMES, "the switch: 64-byte frames a second"),
    (
        "gateway",
        "guest to master, default pace",
        MEGABYTES,
        "from a guest through its gateway, MB/s",
    ),
)
"""Contest, case, figure, and what that is for people."""
_PLACE = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- bench end -->)", re.DOTALL)


def brief(reports: Mapping[str, Report]) -> str:
    """A table of few figures, with whom ours is beside; nothing if a contest is missing."""
    if any(name not in reports for name, *_ in BRIEF):
        return ""
    lines = [["", "distnet", "beside it", "ratio"], ["---", "--:", "--:", "--:"]]
    for name, case, figure, what in BRIEF:
        records, names = reports[name].records, CONTESTS[name].names
        ours, theirs = (median(records, case, each, figure) for each in (names.ours, names.theirs))
        quotient = ratio(records, case, (names.ours, names.theirs), figure)
        shown = ABSENT if quotient is None else f"{quotient:.3g}"
        lines.append([what, cell(ours), f"{cell(theirs)}, {names.theirs}", shown])
    return as_table(lines)


def put(text: str, tables: Mapping[str, str]) -> str:
    """A document with these tables in the place of its own; others stay as they are."""

    def placed(found: re.Match[str]) -> str:
        table = tables.get(found[2])
        return f"{found[1]}{table}\n{found[3]}" if table else found[0]

    return _PLACE.sub(placed, text)


def main(words: Sequence[str]) -> None:
    """Read, print, draw, write."""
    parser = argparse.ArgumentParser(prog="python -m bench.summary")
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="JSON of python -m bench"
    )
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY",
                        help="draw there what is shown")  # fmt: skip
    parser.add_argument("--into", type=Path, nargs="+", default=[], metavar="FILE",
                        help="documents that have places for the tables")  # fmt: skip
    options = parser.parse_args(words)
    reports, tables = {}, {}
    for path in options.files:
        try:
            report = Report.read(path)
            contest = CONTESTS[report.contest]
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"{path}: {error}")
        reports[contest.name] = report
        tables[contest.name] = f"{report.shown(contest)}\n{report.conditions()}"
        print(f"{tables[contest.name]}\n")
        for name, drawing in contest.plots(report.records).items():
            if options.plots and name in SHOWN:
                (options.plots / name).write_text(drawing)
    tables["brief"] = brief(reports)
    for path in options.into:
        path.write_text(put(path.read_text(), tables))


if __name__ == "__main__":
    main(sys.argv[1:])
