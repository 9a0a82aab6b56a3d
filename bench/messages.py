"""Runs messages.c, which sends numbered messages through a router and counts what comes of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bench.compiled import LOAD
from bench.generator import BUSY, Generator, LoadError, ready

SOURCES = [
    LOAD / f"{name}.c" for name in ("messages", "nodes", "units", "streams", "trips", "program")
]
ENDLESS = 2**63


class Wire(StrEnum):
    """What is spoken with the router; C{DIRECT} is distnet's without one."""

    DISTNET = "distnet"
    NATS = "nats"
    DIRECT = "direct"


class How(StrEnum):
    """How messages are sent; see messages.c."""

    BATCHED = "batched"
    INTERLEAVED = "interleaved"
    SINGLE = "single"
    STALLED = "stalled"


class Reader(StrEnum):
    """How receivers read: as of a stream, as a QEMU reads for its guest, or as a kernel does."""

    STREAM = "stream"
    CHUNKS = "chunks"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where a router is reached.

    @ivar address: a port of 127.0.0.1, or the path of a unix socket.
    @ivar pid: of the process whose processor time is counted, if there is one.
    """

    wire: Wire
    address: str
    pid: int | None


NOWHERE = Place(Wire.DIRECT, "-", None)


@dataclass(frozen=True, slots=True)
class Streamed:
    """
    What became of the messages of many senders.

    @ivar sent: how many messages, to each receiver.
    @ivar delivered: how many of them came in order, as they were sent, to each receiver.
    @ivar late: how many came after later ones, or twice.
    @ivar damaged: how many were not as they were sent.
    @ivar misdelivered: how many came to another receiver, or with another source.
    @ivar closed: how many connections of receivers the router has ended.
    @ivar seconds: from the first message that was sent to the last one that came to the receivers
        that read all the time.
    @ivar sender_seconds: how long it took to send them.
    @ivar sender_cpu: seconds of processor time until then, of all senders together.
    @ivar receiver_cpu: the same of all receivers.
    @ivar router_cpu: the same of the router.
    @ivar split: how many messages a reader that is none of a stream has got in more than one read.
    """

    sent: tuple[int, ...]
    delivered: tuple[int, ...]
    late: int
    damaged: int
    misdelivered: int
    closed: int
    seconds: float
    sender_seconds: float
    sender_cpu: float
    receiver_cpu: float
    router_cpu: float
    split: int = 0

    @property
    def lost(self) -> int:
        """How many messages have not come in order and as they were sent."""
        return sum(self.sent) - sum(self.delivered)

    @property
    def wrong(self) -> int:
        """How many have come otherwise."""
        return self.late + self.damaged + self.misdelivered

    @property
    def busiest(self) -> float:
        """The share of a processor that senders or receivers used, whichever used more."""
        return max(self.sender_cpu / self.sender_seconds, self.receiver_cpu / self.seconds)

    @property
    def bound(self) -> bool:
        """Whether senders or receivers were busy all the time."""
        return self.busiest > BUSY


@dataclass(frozen=True, slots=True)
class Trips:
    """
    How long messages took there and back, one after the other.

    @ivar quantiles: what 0 to 1000 of 1000 did not exceed, nanoseconds.
    @ivar router_cpu: seconds of processor time.
    """

    quantiles: tuple[int, ...]
    router_cpu: float


def stream(
    place: Place,
    how: How,
    *,
    pairs: int,
    size: int,
    seconds: float,
    count: int = ENDLESS,
    reader: Reader = Reader.STREAM,
    still: float = 0,
    others: int = 0,
    settle: float = 0,
) -> Streamed:
    """
    Send messages of C{size} bytes of payload for C{seconds}.

    @param pairs: how many senders there are, and receivers.
    @param size: 0, or from 24 to 65536.
    @param count: how many messages a sender sends at most.
    @param reader: how all receivers read.
    @param still: seconds for which they do nothing, again and again, after reading for as long.
    @param others: how many more nodes are connected, and do nothing.
    @param settle: seconds between the last node's connection and the first message that counts.
    @raise LoadError: it cannot be done, or what comes cannot be made out.
    """
    options = [
        *(f"-m{how}", f"-p{pairs}", f"-s{size}", f"-t{seconds}", f"-n{count}"),
        *(f"-r{reader}", f"-d{still * 1000}", f"-x{others}"),
    ]
    result, used = _run(place, options, settle)
    for name in ("sent", "delivered"):
        result[name] = tuple(result[name])
    return Streamed(**result, router_cpu=used)


def round_trips(place: Place, *, size: int, count: int, core: int | None = None) -> Trips:
    """
    Send a message there and back, C{count} times.

    @param core: have both nodes on this processor.
    @raise LoadError: it cannot be done, or an answer is not what was sent.
    """
    options = ["-mping", f"-s{size}", f"-n{count}", *([] if core is None else [f"-c{core}"])]
    result, used = _run(place, options)
    return Trips(tuple(result["quantiles"]), used)


@contextlib.contextmanager
def idle_nodes(place: Place, number: int) -> Iterator[None]:
    """
    Nodes that are connected and do nothing. Raises L{LoadError} if not all can be, or some
    are not any more in the end.
    """
    with _ready(place, ["-midle", f"-p{number}"]) as generator:
        yield
        result, _ = generator.run()
    if result["alive"] != number:
        raise LoadError(f"{number - result['alive']} of {number} nodes were disconnected")


def _run(place: Place, options: Sequence[str], settle: float = 0) -> tuple[dict[str, Any], float]:
    """What it has counted, and the router's processor time."""
    with _ready(place, options) as generator:
        time.sleep(settle)
        return generator.run(place.pid)


def _ready(place: Place, options: Sequence[str]) -> contextlib.AbstractContextManager[Generator]:
    return ready(SOURCES, [*options, f"-w{place.wire}", place.address])
