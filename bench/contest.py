"""What a benchmark is made of: contestants, cases to measure of them, and goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

from bench.checkout import Checkout
from bench.goals import Goal
from bench.messages import ENDLESS
from bench.records import Measured, Names, Record


class Contestant(Protocol):
    """Something to measure. @ivar name: for people."""

    @property
    def name(self) -> str:
        """What people read."""

    def at(self, checkout: Checkout) -> Self:
        """The same as another checkout of distnet has it; it must be one of ours."""


C = TypeVar("C", bound=Contestant)


class Case(Protocol[C]):
    """
    Something to measure of contestants.

    @ivar name: for people.
    @ivar contestants: of whom it can be measured.
    """

    @property
    def name(self) -> str:
        """What people read."""

    @property
    def contestants(self) -> Sequence[C]:
        """Of whom it can be measured."""

    def measure(self, contestant: C) -> Measured:
        """Measure it, once."""


@dataclass(frozen=True, slots=True)
class Amount:
    """
    How much is done in one run of a case.

    @ivar seconds: of sending messages.
    @ivar count: messages that a sender sends at most.
    @ivar trips: round trips of messages; of frames as many.
    @ivar nodes: idle ones.
    @ivar frames: in a run; fewer where they cost more.
    @ivar tcp: seconds of TCP, and of idleness.
    @ivar ports: idle ones.
    @ivar everything: whether to measure what no goal is about, too.
    """

    seconds: float = 1.0
    count: int = ENDLESS
    trips: int = 20_000
    nodes: int = 10_000
    frames: int = 300_000
    tcp: int = 4
    ports: int = 1_000
    everything: bool = True


@dataclass(frozen=True, slots=True)
class Contest:
    """
    Ours and theirs side by side.

    @ivar name: of its files.
    @ivar names: of ours, the same without native code, and theirs.
    @ivar others: names of those that are only looked at.
    @ivar unmarked: names of those in which there is nothing but the load generator.
    @ivar cases: what to measure.
    @ivar compared: figures to compare with those of another checkout, and whether more or less of
        them is better, see L{bench.compared.comparison}.
    @ivar plots: SVG documents of what was measured, by the names of their files.
    @ivar tools: programs that are needed, and the Debian packages that have them.
    @ivar versions: commands that print them.
    @ivar note: for the reader of the table.
    @ivar beside: names of those of the others that the table of goals has, too.
    @ivar shown: figures that documents show of all cases in the place of goals.
    @ivar usual: whether it is measured when no contest is named.
    """

    name: str
    title: str
    names: Names
    others: Sequence[str]
    unmarked: Sequence[str]
    cases: Callable[[Amount], Sequence[Case[Any]]]
    goals: Sequence[Goal]
    compared: Mapping[str, str]
    plots: Callable[[Sequence[Record]], Mapping[str, str]]
    tools: Mapping[str, str]
    versions: Sequence[Sequence[str]]
    note: str
    beside: Sequence[str] = ()
    shown: Sequence[str] = ()
    usual: bool = True
