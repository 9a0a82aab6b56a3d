"""Tables of what is here beside another checkout: is it slower than it was?"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from bench.records import ABSENT, Names, Record, as_table, cell, median, ratio

MORE, LESS = "more", "less"
"""What is better of a figure."""


def subject_at(name: str, commit: str) -> str:
    """The name of one of ours as another checkout has it."""
    return f"{name} at {commit}"


def comparison(
    records: Sequence[Record], figures: Mapping[str, str], names: Names, commit: str
) -> str:
    """
    Two Markdown tables: a line for each figure of each case, with what is here, what is there, and
    the first divided by the other; and the median, the least, and the most of these ratios.

    @param figures: those to compare, and whether L{MORE} or L{LESS} of it is better.
    @param names: with and without native code, each of which is compared if it was measured.
    @param commit: that of the other checkout.
    """
    measured = {record.subject for record in records}
    pairs = [
        (name, subject_at(name, commit)) for name in (names.ours, names.pure) if name in measured
    ]
    head = ["figure", "case"]
    for pair in pairs:
        head += [*pair, "now / before"]
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)]]
    summary = [["ratios of", "better", "median", "least", "most", "cases"]]
    summary.append(["---", "---", "--:", "--:", "--:", "--:"])
    for figure, better in figures.items():
        cases = dict.fromkeys(each.case for each in records if figure in each.measured.figures)
        ratios: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
        for case in cases:
            cells = []
            for pair in pairs:
                found = ratio(records, case, pair, figure)
                ratios[pair] += [] if found is None else [found]
                cells += [cell(median(records, case, subject, figure)) for subject in pair]
                cells.append(ABSENT if found is None else f"{found:.3f}")
            lines.append([figure, case, *cells])
        for pair, values in ratios.items():
            if values:
                three = (statistics.median(values), min(values), max(values))
                shown = [f"{each:.3f}" for each in three]
                summary.append([f"{figure}, {pair[0]}", better, *shown, str(len(values))])
    return f"{as_table(lines)}\n\n{as_table(summary)}"
