"""The plots of the routers: throughput by size and by number of nodes, and times of round trips."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.curves import figures, subjects_of, times
from bench.records import Record
from bench.routercases import RATE
from bench.routercontestants import CONTESTANTS, PACED_CONTESTANTS
from bench.trips import FREE, ONE_PROCESSOR

_BATCHED = re.compile(r"batched, (\d+) pairs?, (\d+) bytes")
SIZE_PAIRS = 8
NODES_SIZE = 64
DELIVERED = "messages delivered per second"
SUBJECTS = [contestant.name for contestant in CONTESTANTS]


def plots(records: Sequence[Record]) -> dict[str, str]:
    """SVG documents by the names of their files; without those for which nothing was measured."""
    nodes = {
        case: 2 * pairs for case, (pairs, size) in _shapes(records).items() if size == NODES_SIZE
    }
    subjects = subjects_of(records, SUBJECTS)
    drawn = {
        "routers-size.svg": _by_size(records, subjects),
        "routers-nodes.svg": figures(
            records, nodes, figure=RATE,
            title=f"Messages of {NODES_SIZE} bytes, batched",
            labels=("nodes, half of them senders", DELIVERED), subjects=subjects,
        ),
        "routers-latency-pinned.svg": times(
            records, ONE_PROCESSOR, "A message there and back, on one processor", subjects
        ),
        "routers-latency.svg": times(records, FREE, "A message there and back", subjects),
    }  # fmt: skip
    return {name: each for name, each in drawn.items() if each}


def paced_plots(records: Sequence[Record]) -> dict[str, str]:
    """The same of routers as they are started."""
    subjects = subjects_of(records, [contestant.name for contestant in PACED_CONTESTANTS])
    drawn = {
        "paced-size.svg": _by_size(records, subjects),
        "paced-latency.svg": times(records, FREE, "A message there and back", subjects),
    }
    return {name: each for name, each in drawn.items() if each}


def _shapes(records: Sequence[Record]) -> dict[str, tuple[int, int]]:
    """Pairs and size of each case of batches."""
    return {
        record.case: (int(found[1]), int(found[2]))
        for record in records
        if (found := _BATCHED.fullmatch(record.case))
    }


def _by_size(records: Sequence[Record], subjects: Sequence[str]) -> str:
    """Throughput by the size of messages; there is no place for empty ones on such an axis."""
    sizes = {
        case: size
        for case, (pairs, size) in _shapes(records).items()
        if pairs == SIZE_PAIRS and size
    }
    return figures(
        records, sizes, figure=RATE,
        title=f"Messages of {SIZE_PAIRS} senders, batched",
        labels=("bytes of payload in a message", DELIVERED), subjects=subjects,
    )  # fmt: skip
