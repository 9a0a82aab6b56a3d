"""What was measured: records, their medians, and tables that compare subjects."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

ABSENT = "-"
BOUND = "*"
"""After a figure that may be the load generator's, not the subject's."""


@dataclass(frozen=True, slots=True)
class Measured:
    """
    What one run of a case gives.

    @ivar figures: by their names, which tell the unit.
    @ivar counts: what the figures are made of and no table shows.
    @ivar bound: whether the load generator was busy all the time, so that the subject may be
        better than the figures are.
    @ivar quantiles: of times, what 0 to 1000 of 1000 did not exceed, nanoseconds; empty if there
        are none.
    """

    figures: dict[str, float]
    counts: dict[str, int] = field(default_factory=dict)
    bound: bool = False
    quantiles: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """
    One run of a case.

    @ivar subject: what was measured.
    @ivar round: which run it was, from 1.
    """

    case: str
    subject: str
    round: int
    measured: Measured

    def only(self, figures: Sequence[str]) -> Record:
        """The same with no other figures than these."""
        chosen = {
            name: self.measured.figures[name] for name in figures if name in self.measured.figures
        }
        return replace(self, measured=replace(self.measured, figures=chosen))


@dataclass(frozen=True, slots=True)
class Names:
    """
    The subjects that are compared.

    @ivar pure: ours without native code.
    """

    ours: str
    pure: str
    theirs: str


def median(
    records: Iterable[Record], case: str, subject: str, figure: str
) -> tuple[float, bool] | None:
    """A figure, and whether some run was bound by the load generator; None if it was not taken."""
    found = [
        record.measured
        for record in records
        if record.case == case and record.subject == subject and figure in record.measured.figures
    ]
    if not found:
        return None
    value = statistics.median(measured.figures[figure] for measured in found)
    return value, any(measured.bound for measured in found)


def ratio(records: Iterable[Record], case: str, pair: tuple[str, str], figure: str) -> float | None:
    """The first subject's figure divided by the other's; None if that cannot be done."""
    records = list(records)
    first, other = (median(records, case, subject, figure) for subject in pair)
    return first[0] / other[0] if first and other and other[0] else None


def table(
    records: Sequence[Record],
    names: Names,
    others: Sequence[str] = (),
    unmarked: Sequence[str] = (),
) -> str:
    """
    A Markdown table, a line for each figure of each case.

    @param names: the subjects that are compared; each of ours is divided by theirs.
    @param others: more subjects, only to look at.
    @param unmarked: those of them in which there is nothing but the load generator, whose being
        busy says nothing.
    """
    rows: dict[tuple[str, str], None] = {}
    for record in records:
        rows.update(dict.fromkeys((record.case, name) for name in record.measured.figures))
    head = ["case", "figure", names.ours, names.pure, names.theirs, "ratio", "ratio, pure", *others]
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)]]
    for case, figure in rows:
        cells = []
        for subject in (names.ours, names.pure, names.theirs, *others):
            shown = cell(median(records, case, subject, figure))
            cells.append(shown.rstrip(BOUND) if subject in unmarked else shown)
        for place, subject in enumerate((names.ours, names.pure), 3):
            quotient = ratio(records, case, (subject, names.theirs), figure)
            cells.insert(place, ABSENT if quotient is None else f"{quotient:.2f}")
        lines.append([case, figure, *cells])
    return as_table(lines)


def as_table(lines: Sequence[Sequence[str]]) -> str:
    """Markdown of cells."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def cell(found: tuple[float, bool] | None) -> str:
    """A median and whether it is bound, for people."""
    if found is None:
        return ABSENT
    value, bound = found
    text = f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"
    return text + BOUND * bound
