"""Carries out what is to be measured: contestants in turn, again and again, whatever fails."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.checkout import Checkout
from bench.compiled import CompileError, first_line
from bench.contest import Case
from bench.generator import LoadError
from bench.records import Names, Record


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a case with one contestant. @ivar round: from 1."""

    case: Case[Any]
    contestant: Any
    round: int

    @property
    def what(self) -> tuple[str, str]:
        """Which case of whom, by their names."""
        return self.case.name, self.contestant.name

    def __str__(self) -> str:
        return f"{self.case.name}; {self.contestant.name}, round {self.round}"


class Role(StrEnum):
    """What a contestant is in a contest."""

    OURS = "ours"
    PURE = "pure"
    THEIRS = "theirs"
    OTHERS = "others"


Lineup = Callable[[Case[Any]], Iterable[Any]]
"""Says which contestants are measured in a case."""


def everybody(case: Case[Any]) -> Iterable[Any]:
    """The L{Lineup} of all that a case has."""
    return case.contestants


def lineup(names: Names, only: Collection[Role], checkout: Checkout | None) -> Lineup:
    """
    Which contestants are measured.

    @param only: those that have one of these roles; all if there are none.
    @param checkout: where there is one, each of ours is followed by that checkout's.
    """
    roles = {names.ours: Role.OURS, names.pure: Role.PURE, names.theirs: Role.THEIRS}

    def lined_up(case: Case[Any]) -> Iterator[Any]:
        for contestant in case.contestants:
            role = roles.get(contestant.name, Role.OTHERS)
            if not only or role in only:
                yield contestant
                if checkout and role in {Role.OURS, Role.PURE}:
                    yield contestant.at(checkout)

    return lined_up


def plan(
    cases: Sequence[Case[Any]], rounds: int, once: Sequence[str], whom: Lineup = everybody
) -> list[Run]:
    """
    What to measure: all cases with their contestants, and again.

    So what disturbs the machine for a while disturbs one round of everybody, and no median.

    @param once: the names of contestants that are measured in the first round only.
    """
    return [
        Run(case, contestant, number)
        for number in range(1, rounds + 1)
        for case in cases
        for contestant in whom(case)
        if number == 1 or contestant.name not in once
    ]


class Progress:
    """
    Says what is going on, and how long it will yet take.

    @param runs: all that are to come.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ahead = list(runs)
        self._all = len(self._ahead)
        self._say = say
        self._clock = clock
        self._began = clock()
        self._took: dict[tuple[str, str], float] = {}

    def begin(self, run: Run) -> None:
        """The next run begins."""
        self._run_began = self._clock()
        done = self._all - len(self._ahead)
        left = f", {_minutes(self._left())} to go" if self._took else ""
        elapsed = _minutes(self._run_began - self._began)
        self._say(f"[{done + 1}/{self._all}, {elapsed}{left}] {run}")

    def end(self, run: Run) -> None:
        """It has ended."""
        self._ahead.remove(run)
        self._took[run.what] = self._clock() - self._run_began

    def _left(self) -> float:
        """Seconds; what has not been measured yet takes as long as others do."""
        usual = sum(self._took.values()) / len(self._took)
        return sum(self._took.get(run.what, usual) for run in self._ahead)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def measured(runs: Iterable[Run], progress: Progress, failures: list[str]) -> Iterator[Record]:
    """
    Measure, one run after the other.

    @param failures: what fails is added, in a line each, and the next one measured.
    @raise CompileError: nothing can be measured.
    """
    for run in runs:
        progress.begin(run)
        try:
            found = run.case.measure(run.contestant)
        except CompileError:
            raise
        except Exception as error:
            # Whatever it is: the others can be measured all the same.
            if not isinstance(error, LoadError):
                traceback.print_exc(file=sys.stderr)
            failures.append(f"{run}: {first_line(str(error)) or type(error).__name__}")
        else:
            yield Record(*run.what, run.round, found)
        progress.end(run)
