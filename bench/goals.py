"""What is to be reached, and a table of what was: small enough for a README."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.records import ABSENT, Names, Record, as_table, cell, median, ratio


@dataclass(frozen=True, slots=True)
class Goal:
    """
    What the ratio of a figure, ours to theirs, is to be.

    @ivar ratio: with native code.
    @ivar least: not less than C{ratio}; otherwise not more.
    @ivar pure: the same without native code; None if there is no such goal.
    @ivar absolute: it is our figure itself that is to be so, not the ratio.
    """

    case: str
    figure: str
    ratio: float
    least: bool = True
    pure: float | None = None
    absolute: bool = False

    def is_met(self, ours: float, theirs: float, wanted: float) -> bool:
        """Whether a figure is as wanted. Where theirs is 0, ours must be 0 too if it is a cost."""
        bound = wanted if self.absolute else wanted * theirs
        return ours >= bound if self.least else ours <= bound

    def sign(self, wanted: float) -> str:
        """For people."""
        return f"{'≥' if self.least else '≤'} {wanted:g}"


def goals_table(
    records: Sequence[Record], goals: Sequence[Goal], names: Names, beside: Sequence[str] = ()
) -> str:
    """
    A Markdown table, a line for each goal of which ours and theirs were measured.

    A figure that may be the load generator's is marked, see L{bench.records.BOUND}.

    @param beside: more subjects, only to look at.
    """
    head = [
        "case",
        "figure",
        names.ours,
        names.theirs,
        "ratio",
        "goal",
        names.pure,
        "ratio",
        "goal",
        *beside,
    ]
    rule = ["---", "---", "--:", "--:", "--:", "---", "--:", "--:", "---"]
    lines = [head, [*rule, *["--:"] * len(beside)]]
    for goal in goals:
        ours, pure, theirs = (
            median(records, goal.case, subject, goal.figure)
            for subject in (names.ours, names.pure, names.theirs)
        )
        if ours is None or theirs is None:
            continue
        line = [goal.case, goal.figure, cell(ours), cell(theirs)]
        line += _judged(records, goal, names.ours, names.theirs, goal.ratio)
        line += [cell(pure), *_judged(records, goal, names.pure, names.theirs, goal.pure)]
        line += [cell(median(records, goal.case, each, goal.figure)) for each in beside]
        lines.append(line)
    return as_table(lines)


def _judged(
    records: Sequence[Record], goal: Goal, subject: str, theirs: str, wanted: float | None
) -> list[str]:
    """The ratio, and the goal with whether it is met."""
    found = ratio(records, goal.case, (subject, theirs), goal.figure)
    shown = ABSENT if found is None or goal.absolute else f"{found:.3g}"
    figures = [median(records, goal.case, each, goal.figure) for each in (subject, theirs)]
    ours, other = (each and each[0] for each in figures)
    if wanted is None or ours is None or other is None:
        return [shown, ABSENT]
    verdict = "met" if goal.is_met(ours, other, wanted) else "not met"
    return [shown, f"{goal.sign(wanted)}: {verdict}"]
