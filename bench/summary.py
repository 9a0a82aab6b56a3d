"""What README shows of a benchmark, from its JSON.

C{python -m bench.summary build/bench/*.json [--plots docs]} prints the tables of goals, and
draws the plots that README shows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.contests import CONTESTS
from bench.report import Report

SHOWN = (
    "paced-size.svg",
    "routers-size.svg",
    "routers-latency-pinned.svg",
    "switches-size.svg",
    "switches-ports.svg",
)


def main(words: Sequence[str]) -> None:
    """Read, print, draw."""
    parser = argparse.ArgumentParser(prog="python -m bench.summary")
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="FILE", help="JSON of python -m bench"
    )
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY",
                        help="draw there what README shows")  # fmt: skip
    options = parser.parse_args(words)
    for path in options.files:
        try:
            report = Report.read(path)
            contest = CONTESTS[report.contest]
        except (OSError, ValueError, KeyError) as error:
            sys.exit(f"{path}: {error}")
        print(f"{report.summary(contest)}\n{report.conditions()}\n")
        for name, drawing in contest.plots(report.records).items():
            if options.plots and name in SHOWN:
                (options.plots / name).write_text(drawing)


if __name__ == "__main__":
    main(sys.argv[1:])
