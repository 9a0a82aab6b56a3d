"""What is measured of routers, and what is to be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.compared import LESS, MORE
from bench.contest import Amount, Case
from bench.goals import Goal
from bench.messages import How, Reader, Streamed, round_trips, stream
from bench.records import Measured
from bench.routercontestants import (
    CONTESTANTS,
    NOTHING,
    OURS,
    PURE,
    THEIRS,
    Contestant,
    first_answer,
    started,
)
from bench.trips import CORE, FREE, ONE_PROCESSOR, P50, figures_of
from distnet.wire import HEADER

RATE, CPU = "messages/s", "router's CPU, µs/message"
SPLIT = "split"
SEGMENT = 1460
"""Bytes of a message that fits into one segment of a guest's, see docs/master.md."""
USUAL_SIZE = 64
OTHERS_RATE = "others, messages/s"


@dataclass(frozen=True, slots=True)
class Stream:
    """
    Senders that send as much as the router takes, and as many receivers.

    @ivar whom: contestants, of which the one without a router cannot interleave.
    """

    how: How
    pairs: int
    size: int
    amount: Amount
    whom: Sequence[Contestant] = CONTESTANTS

    @property
    def name(self) -> str:
        """How messages are sent, by how many pairs, and their size."""
        return stream_name(self.how, self.pairs, self.size)

    @property
    def contestants(self) -> Sequence[Contestant]:
        """Those that can do it."""
        interleaved = self.how is How.INTERLEAVED
        return [each for each in self.whom if each is not NOTHING or not interleaved]

    def measure(self, contestant: Contestant) -> Measured:
        """Send for a while: the rate, what was lost, and what that cost."""
        small = self.size + HEADER.size <= SEGMENT
        reader = contestant.reader if small else Reader.STREAM
        with started(contestant) as place:
            got = stream(
                place, self.how, pairs=self.pairs, size=self.size,
                seconds=self.amount.seconds, reader=reader,
                count=count_of(contestant, self.amount, self.pairs),
            )  # fmt: skip
        return measured_of(got, reader, router=contestant is not NOTHING)


def count_of(contestant: Contestant, amount: Amount, pairs: int) -> int:
    """How many messages each of so many senders sends at most."""
    return min(amount.count, max(1, contestant.most // pairs))


def measured_of(got: Streamed, reader: Reader, *, router: bool = True) -> Measured:
    """
    What is shown of a stream.

    @param router: whether there was one.
    """
    delivered = sum(got.delivered)
    figures = {RATE: delivered / got.seconds, "generator's CPU, %": got.busiest * 100}
    if router:
        figures[CPU] = got.router_cpu / max(1, delivered) * 1e6
        figures["router's CPU, %"] = got.router_cpu / got.seconds * 100
    figures["lost or wrong"] = got.lost + got.wrong
    if reader is not Reader.STREAM:
        figures[SPLIT] = got.split
    counts = {
        "sent": sum(got.sent), "delivered": delivered, "lost": got.lost, "late": got.late,
        "damaged": got.damaged, "misdelivered": got.misdelivered, "closed": got.closed,
    }  # fmt: skip
    return Measured(figures, counts, got.bound)


def stream_name(how: How, pairs: int, size: int) -> str:
    """The name of a case of streams, which goals name too."""
    manner = "one per write" if how is How.SINGLE else how
    return f"{manner}, {pairs} pair{'s' * (pairs > 1)}, {size} bytes"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A message there and back, then the next one."""

    pinned: bool
    amount: Amount
    size: int = USUAL_SIZE
    contestants: Sequence[Contestant] = CONTESTANTS

    @property
    def name(self) -> str:
        """Whether all is on one processor, and the size if it is not the usual one."""
        way = ONE_PROCESSOR if self.pinned else FREE
        return way if self.size == USUAL_SIZE else f"{way}, {self.size} bytes"

    def measure(self, contestant: Contestant) -> Measured:
        """Send messages there and back: how long each took."""
        core = CORE if self.pinned else None
        with started(contestant, core) as place:
            got = round_trips(place, size=self.size, count=self.amount.trips, core=core)
        figures = figures_of(got.quantiles)
        if contestant is not NOTHING:
            figures[CPU] = got.router_cpu / (2 * self.amount.trips) * 1e6
        return Measured(figures, {"sent": self.amount.trips}, quantiles=got.quantiles)


@dataclass(frozen=True, slots=True)
class Stalled:
    """One receiver of eight does not read until all others are done."""

    amount: Amount
    name: str = "one receiver of 8 stops reading, 1024 bytes"
    contestants: Sequence[Contestant] = CONTESTANTS[:-1]

    def measure(self, contestant: Contestant) -> Measured:
        """Send for a while, twice: with and without the one that does not read."""
        seconds = 2 * self.amount.seconds
        with started(contestant) as place:
            without, got = (
                stream(place, how, pairs=8, size=1024, seconds=seconds, count=self.amount.count)
                for how in (How.BATCHED, How.STALLED)
            )
        figures = {
            OTHERS_RATE: sum(got.delivered[1:]) / got.seconds,
            "others if it reads, messages/s": sum(without.delivered[1:]) / without.seconds,
            "others, lost": sum(got.sent[1:]) - sum(got.delivered[1:]),
            "for it, messages sent": got.sent[0],
            "for it, lost": got.sent[0] - got.delivered[0],
            "it was disconnected": got.closed,
            "wrong": got.wrong,
        }
        counts = {"sent": sum(got.sent), "delivered": sum(got.delivered), "lost": got.lost}
        return Measured(figures, counts, got.bound)


@dataclass(frozen=True, slots=True)
class Start:
    """How long it takes until a client has an answer."""

    name: str = "start"
    contestants: Sequence[Contestant] = (OURS, PURE, THEIRS)

    def measure(self, contestant: Contestant) -> Measured:
        """Start it: the time until the first answer, and its memory."""
        seconds, used = first_answer(contestant)
        return Measured({"until the first answer, ms": seconds * 1000, "memory, MB": used / 1e6})


def cases(amount: Amount) -> list[Case[Contestant]]:
    """All cases."""
    named = {
        How.BATCHED: ([(1, 64), (8, 64), (64, 64)], [(1, 1024), (8, 1024), (64, 1024)]),
        How.INTERLEAVED: ([(64, 64)], [(64, 1024)]),
        How.SINGLE: ([(1, 64), (8, 64)], [(1, 1024), (8, 1024)]),
    }
    streams = [
        Stream(how, *shape, amount)
        for how, shapes in named.items()
        for each in shapes
        for shape in each
    ]
    # For the plots.
    streams += [Stream(How.BATCHED, 8, size, amount) for size in (32, 256, 4096, 16384)]
    streams += [Stream(How.BATCHED, pairs, 64, amount) for pairs in (2, 24, 256)]
    if not amount.everything:
        aimed = {goal.case for goal in GOALS}
        streams = [case for case in streams if case.name in aimed]
    return [
        *streams,
        RoundTrip(True, amount),
        RoundTrip(False, amount),
        Stalled(amount),
        Start(),
    ]


PURE_RATE = 0.6
"""What is to be reached of their throughput without native code."""
GOALS = (
    Goal(stream_name(How.BATCHED, 8, 64), RATE, 5.0, pure=PURE_RATE),
    Goal(stream_name(How.INTERLEAVED, 64, 64), RATE, 3.0, pure=PURE_RATE),
    Goal(stream_name(How.BATCHED, 1, 1024), RATE, 1.5, pure=PURE_RATE),
    Goal(stream_name(How.BATCHED, 8, 1024), RATE, 1.5, pure=PURE_RATE),
    Goal(stream_name(How.BATCHED, 64, 1024), RATE, 1.5, pure=PURE_RATE),
    Goal(stream_name(How.SINGLE, 1, 64), RATE, 1.0, pure=PURE_RATE),
    Goal(stream_name(How.SINGLE, 1, 64), CPU, 1.0, least=False),
    Goal(stream_name(How.SINGLE, 8, 64), RATE, 1.0, pure=PURE_RATE),
    Goal(stream_name(How.SINGLE, 8, 64), CPU, 1.0, least=False),
    Goal(RoundTrip(True, Amount()).name, P50, 0.8, least=False),
)
COMPARED = {RATE: MORE, OTHERS_RATE: MORE, CPU: LESS, P50: LESS}
