"""The plots of the routers: throughput by size and by number of nodes, and times of round trips."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.contestants import CONTESTANTS
from bench.plots import Axis, Points, drawing
from bench.records import Record, median
from bench.routercases import QUANTILE, RATE

_BATCHED = re.compile(r"batched, (\d+) pairs?, (\d+) bytes")
SIZE_PAIRS = 8
NODES_SIZE = 64


def plots(records: Sequence[Record]) -> dict[str, str]:
    """SVG documents by the names of their files; without those for which nothing was measured."""
    shapes = {
        record.case: (int(found[1]), int(found[2]))
        for record in records
        if (found := _BATCHED.fullmatch(record.case))
    }
    sizes = {case: size for case, (pairs, size) in shapes.items() if pairs == SIZE_PAIRS}
    nodes = {case: 2 * pairs for case, (pairs, size) in shapes.items() if size == NODES_SIZE}
    drawn = {
        "routers-size.svg": _rates(
            records, sizes, f"{SIZE_PAIRS} pairs, batched", "bytes of payload in a message"
        ),
        "routers-nodes.svg": _rates(
            records, nodes, f"{NODES_SIZE} bytes, batched", "nodes, half of them senders"
        ),
    }
    for name, case in {
        "routers-latency-pinned.svg": "round trip, one processor",
        "routers-latency.svg": "round trip, free",
    }.items():
        drawn[name] = _latencies(records, case)
    return {name: each for name, each in drawn.items() if each}


def _rates(records: Sequence[Record], cases: dict[str, int], title: str, label: str) -> str:
    curves: dict[str, Points] = {}
    for contestant in CONTESTANTS:
        points = [
            (value, found[0])
            for case, value in cases.items()
            if (found := median(records, case, contestant.name, RATE))
        ]
        if points:
            curves[contestant.name] = points
    if not curves:
        return ""
    across = Axis(label, ticks=sorted(set(cases.values())))
    return drawing(title, across, Axis("messages delivered per second"), curves)


def _latencies(records: Sequence[Record], case: str) -> str:
    """Of the last round of each."""
    curves: dict[str, Points] = {}
    for record in records:
        if record.case == case:
            # Not the highest: one that waited while the machine did something else.
            curves[record.subject] = [
                (at / 10, record.measured.counts[QUANTILE.format(at)] / 1000)
                for at in range(0, 1000, 5)
            ]
    if not curves:
        return ""
    return drawing(case, Axis("% of the round trips took", False), Axis("at most µs"), curves)
