"""The plots of the switches: throughput by size and by number of ports, and round trips."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.curves import figures, subjects_of, times
from bench.records import Record
from bench.switchcases import RATE, WINDOW
from bench.switchcontestants import CONTESTANTS
from bench.trips import FREE, ONE_PROCESSOR

_WINDOWED = re.compile(rf"(\d+) bytes, {WINDOW} under way")
_BROADCAST = re.compile(r"broadcast to (\d+)")
SUBJECTS = [contestant.name for contestant in CONTESTANTS]


def plots(records: Sequence[Record]) -> dict[str, str]:
    """SVG documents by the names of their files; without those for which nothing was measured."""
    subjects = subjects_of(records, SUBJECTS)
    rate = "frames delivered per second"
    drawn = {
        "switches-size.svg": figures(
            records, _cases(records, _WINDOWED), figure=RATE,
            title=f"Frames from one port to another, {WINDOW} under way",
            labels=("bytes in a frame", rate), subjects=subjects,
        ),
        "switches-ports.svg": figures(
            records, _cases(records, _BROADCAST), figure=RATE,
            title="Broadcasts of 64 bytes",
            labels=("ports that receive", rate), subjects=subjects,
        ),
        "switches-latency-pinned.svg": times(
            records, ONE_PROCESSOR, "A frame there and back, on one processor", subjects
        ),
        "switches-latency.svg": times(records, FREE, "A frame there and back", subjects),
    }  # fmt: skip
    return {name: each for name, each in drawn.items() if each}


def _cases(records: Sequence[Record], pattern: re.Pattern[str]) -> dict[str, float]:
    """The cases that have such names, and the number in them."""
    return {
        record.case: int(found[1])
        for record in records
        if (found := pattern.fullmatch(record.case))
    }
