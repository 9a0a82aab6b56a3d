"""Runs messages.c, which sends numbered messages through a router and counts what comes of them."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.compiled import compiled, first_line
from bench.processes import cpu_seconds

SOURCE = Path(__file__).with_name("messages.c")
BUSY = 0.9
"""Of a processor: a process that has more to do than this holds others up."""
ENDLESS = 2**63


class MessagesError(RuntimeError):
    """The program has failed; the message is one line."""


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

    @ivar quantiles: the 0th to the 1000th of 1000, nanoseconds.
    @ivar router_cpu: seconds of processor time.
    """

    quantiles: tuple[int, ...]
    router_cpu: float


def stream(
    place: Place, how: How, *, pairs: int, size: int, seconds: float, count: int = ENDLESS
) -> Streamed:
    """
    Send messages of C{size} bytes of payload for C{seconds}.

    @param pairs: how many senders there are, and receivers.
    @param count: how many messages a sender sends at most.
    @raise MessagesError: it cannot be done, or what comes cannot be made out.
    """
    options = [f"-m{how}", f"-p{pairs}", f"-s{size}", f"-t{seconds}", f"-n{count}"]
    result, used = _run(place, options)
    for name in ("sent", "delivered"):
        result[name] = tuple(result[name])
    return Streamed(**result, router_cpu=used)


def round_trips(place: Place, *, size: int, count: int, core: int | None = None) -> Trips:
    """
    Send a message there and back, C{count} times.

    @param core: have both nodes on this processor.
    @raise MessagesError: it cannot be done, or an answer is not what was sent.
    """
    options = ["-mping", f"-s{size}", f"-n{count}", *([] if core is None else [f"-c{core}"])]
    result, used = _run(place, options)
    return Trips(tuple(result["quantiles"]), used)


@contextlib.contextmanager
def idle_nodes(place: Place, number: int) -> Iterator[None]:
    """
    Nodes that are connected and do nothing. Raises L{MessagesError} if not all can be, or some
    are not any more in the end.
    """
    with _started(place, ["-midle", f"-p{number}"]) as process:
        yield
        result = _finish(process)
    if result["alive"] != number:
        raise MessagesError(f"{number - result['alive']} of {number} nodes were disconnected")


def _run(place: Place, options: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The result, and the router's processor time."""
    with _started(place, options) as process:
        before = _used(place.pid)
        result = _finish(process)
        return result, _used(place.pid) - before


@contextlib.contextmanager
def _started(place: Place, options: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """The program, once it is ready."""
    with subprocess.Popen(
        [compiled(SOURCE), *options, f"-w{place.wire}", place.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise _failure(process)
            yield process
        finally:
            process.kill()


def _finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Let it begin, and wait for what it says."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    result = process.stdout.readline()
    if not result:
        raise _failure(process)
    found: dict[str, Any] = json.loads(result)
    return found


def _failure(process: subprocess.Popen[str]) -> MessagesError:
    assert process.stderr is not None
    return MessagesError(first_line(process.stderr.read()) or "messages has ended")


def _used(pid: int | None) -> float:
    return 0.0 if pid is None else cpu_seconds(pid)
