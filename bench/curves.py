"""Curves of what was measured, one for each subject: figures of many cases, and times of one."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from bench.plots import Axis, Points, drawing
from bench.records import Record, median


def subjects_of(records: Iterable[Record], usual: Sequence[str]) -> list[str]:
    """Whose curves there are: the usual ones first, whose colours are always the same."""
    return list(dict.fromkeys([*usual, *(record.subject for record in records)]))


def figures(
    records: Sequence[Record],
    cases: Mapping[str, float],
    *,
    figure: str,
    title: str,
    labels: tuple[str, str],
    subjects: Sequence[str],
) -> str:
    """
    How a figure depends on something, as SVG; nothing if it was not measured.

    @param cases: that something in each case.
    @param labels: what it is, and what the figure is.
    """
    curves: dict[str, Points] = {
        subject: [
            (value, found[0])
            for case, value in cases.items()
            if (found := median(records, case, subject, figure)) and found[0] > 0
        ]
        for subject in subjects
    }
    if not any(curves.values()):
        return ""
    ticks = sorted({value for points in curves.values() for value, _ in points})
    return drawing(title, Axis(labels[0], ticks=ticks), Axis(labels[1]), curves)


SHARES = {1: "0", 2: "50 %", 10: "90 %", 100: "99 %", 1000: "99.9 %"}
"""Of round trips: the last ones have as much room as all the others."""
PLACES = [*range(0, 900, 10), *range(900, 1000)]
"""Not the highest: one that waited while the machine did something else."""


def times(records: Sequence[Record], case: str, title: str, subjects: Sequence[str]) -> str:
    """Which share of round trips took how long at most, as SVG; the medians of all rounds."""
    curves: dict[str, Points] = {}
    for subject in subjects:
        rounds = [
            record.measured.quantiles
            for record in records
            if record.case == case and record.subject == subject and record.measured.quantiles
        ]
        curves[subject] = [
            (1000 / (1000 - at), statistics.median(each[at] for each in rounds) / 1000)
            for at in PLACES
            if rounds
        ]
    if not any(curves.values()):
        return ""
    across = Axis("so many of the round trips took", True, list(SHARES), list(SHARES.values()))
    return drawing(title, across, Axis("at most µs"), curves)
