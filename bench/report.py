"""What a run of a benchmark has given: kept as JSON, shown as Markdown and plots."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.compared import comparison, subject_at
from bench.contest import Contest
from bench.goals import goals_table
from bench.records import BOUND, Measured, Record, table


@dataclass(frozen=True, slots=True)
class Report:
    """
    All that there is to know of it.

    @ivar contest: its name.
    @ivar machine: what it ran on.
    @ivar versions: of the programs.
    @ivar load: the load averages before and afterwards.
    @ivar rounds: how often each case was measured.
    @ivar seconds: how long it took.
    @ivar failures: what failed, in a line each.
    @ivar before: the commit of another checkout that was measured too; nothing if none was.
    """

    contest: str
    machine: str
    versions: Sequence[str]
    load: Sequence[str]
    rounds: int
    seconds: float
    records: Sequence[Record]
    failures: Sequence[str]
    before: str = ""

    @classmethod
    def read(cls, path: Path) -> Self:
        """From its JSON. Raises OSError, ValueError: it is not there, or none of this version."""
        described = json.loads(path.read_text())
        try:
            records = [
                Record(**{**each, "measured": Measured(**each["measured"])})
                for each in described.pop("records")
            ]
            return cls(**described, records=records)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no report of a benchmark: {error}") from error

    def json(self) -> str:
        """The whole report as JSON, which L{read} reads."""
        return json.dumps(dataclasses.asdict(self)) + "\n"

    def conditions(self) -> str:
        """How it was measured, a Markdown paragraph."""
        before, after = self.load
        rounds = f"{self.rounds} round{'s' * (self.rounds > 1)}, {self.seconds / 60:.0f} min"
        return (
            f"Medians of {rounds} on {self.machine}; load average before {before}, afterwards"
            f" {after}. {'; '.join(self.versions)}."
        )

    def summary(self, contest: Contest) -> str:
        """The goals, as a Markdown table, and what its marks mean."""
        shown = goals_table(self.records, contest.goals, contest.names, contest.beside)
        return f"{shown}\n\n`{BOUND}`: {contest.note}\n" if BOUND in shown else f"{shown}\n"

    def shown(self, contest: Contest) -> str:
        """What documents show: some figures of all cases, or the goals."""
        if not contest.shown:
            return self.summary(contest)
        found = [record.only(contest.shown) for record in self.records]
        return f"{table(found, contest.names, contest.others, contest.unmarked)}\n"

    def markdown(self, contest: Contest) -> str:
        """The whole report as people read it."""
        parts = [f"# {contest.title}", self.conditions()]
        if any(record.subject == contest.names.theirs for record in self.records):
            parts += ["## Goals", self.summary(contest).strip()]
        if self.failures:
            parts += ["## What failed", "\n".join(f"- {each}" for each in self.failures)]
        others = list(contest.others)
        if self.before:
            compared = comparison(self.records, contest.compared, contest.names, self.before)
            parts += [f"## Now, and before at {self.before}", compared]
            names = contest.names
            measured = {record.subject for record in self.records}
            pair = (subject_at(name, self.before) for name in (names.ours, names.pure))
            others += [subject for subject in pair if subject in measured]
        full = table(self.records, contest.names, others, contest.unmarked)
        parts += ["## All figures", full, f"`{BOUND}`: {contest.note}"]
        parts += [f"![{name}]({name})" for name in contest.plots(self.records)]
        return "\n\n".join(parts) + "\n"

    def write(self, contest: Contest, directory: Path) -> None:
        """Write all of it to a directory, which is made."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{contest.name}.json").write_text(self.json())
        (directory / f"{contest.name}.md").write_text(self.markdown(contest))
        for name, drawing in contest.plots(self.records).items():
            (directory / name).write_text(drawing)
