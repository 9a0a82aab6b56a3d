"""The plots of the routers: throughput by size and by number of nodes, and times of round trips."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.curves import figures, subjects_of, times
from bench.records import Record
from bench.routercases import RATE
from bench.routercontestants import CONTESTANTS
from bench.trips import FREE, ONE_PROCESSOR

_BATCHED = re.compile(r"batched, (\d+) pairs?, (\d+) bytes")
SIZE_PAIRS = 8
NODES_SIZE = 64
SUBJECTS = [contestant.name for contestant in CONTESTANTS]


def plots(records: Sequence[Record]) -> dict[str, str]:
    """SVG documents by the names of their files; without those for which nothing was measured."""
    shapes = {
        record.case: (int(found[1]), int(found[2]))
        for record in records
        if (found := _BATCHED.fullmatch(record.case))
    }
    sizes = {case: size for case, (pairs, size) in shapes.items() if pairs == SIZE_PAIRS}
    nodes = {case: 2 * pairs for case, (pairs, size) in shapes.items() if size == NODES_SIZE}
    subjects = subjects_of(records, SUBJECTS)
    rate = "messages delivered per second"
    drawn = {
        "routers-size.svg": figures(
            records, sizes, figure=RATE,
            title=f"Messages of {SIZE_PAIRS} senders, batched",
            labels=("bytes of payload in a message", rate), subjects=subjects,
        ),
        "routers-nodes.svg": figures(
            records, nodes, figure=RATE,
            title=f"Messages of {NODES_SIZE} bytes, batched",
            labels=("nodes, half of them senders", rate), subjects=subjects,
        ),
        "routers-latency-pinned.svg": times(
            records, ONE_PROCESSOR, "A message there and back, on one processor", subjects
        ),
        "routers-latency.svg": times(records, FREE, "A message there and back", subjects),
    }  # fmt: skip
    return {name: each for name, each in drawn.items() if each}
