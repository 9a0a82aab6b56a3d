"""Runs frames.c, which sends numbered frames through a switch and counts what becomes of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.compiled import LOAD
from bench.generator import BUSY, LoadError, ready

SOURCES = [LOAD / "frames.c", LOAD / "program.c"]
FLAGS = ("-pthread",)
NO_SWITCH = "-"


@dataclass(frozen=True, slots=True)
class Receiver:
    """
    What one receiver has counted.

    @ivar delivered: how many of the numbers have come.
    @ivar duplicated: how many frames had a number that had come before.
    @ivar reordered: how many numbers came after higher ones.
    @ivar damaged: how many frames were not as they were sent.
    @ivar seconds: from the first frame that was sent to the last one that came.
    @ivar cpu: seconds of processor time.
    """

    delivered: int
    duplicated: int
    reordered: int
    damaged: int
    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Traffic:
    """
    What became of the frames of one sender.

    @ivar sent: how many frames it has sent, each of which should reach every receiver.
    @ivar seconds: how long it took to send them.
    @ivar cpu: seconds of the sender's processor time.
    @ivar switch_cpu: seconds of the switch's.
    @ivar answered: of round trips, how many frames have come back.
    @ivar quantiles: what 0 to 1000 of 1000 of these did not exceed, nanoseconds.
    """

    sent: int
    seconds: float
    cpu: float
    receivers: tuple[Receiver, ...]
    switch_cpu: float
    answered: int = 0
    quantiles: tuple[int, ...] = ()

    @property
    def delivered(self) -> int:
        """How many frames all receivers have got."""
        return sum(receiver.delivered for receiver in self.receivers)

    @property
    def lost(self) -> int:
        """How many they have not."""
        return self.sent * len(self.receivers) - self.delivered

    @property
    def wrong(self) -> int:
        """How many frames came twice, out of order, or not as they were sent."""
        return sum(each.duplicated + each.reordered + each.damaged for each in self.receivers)

    @property
    def took(self) -> float:
        """Seconds until all that was delivered had come."""
        return max(self.seconds, *(receiver.seconds for receiver in self.receivers))

    @property
    def busiest(self) -> float:
        """The share of a processor that the sender or a receiver used, whichever used most."""
        busy = [self.cpu / self.seconds]
        busy += [each.cpu / each.seconds for each in self.receivers if each.seconds]
        return max(busy)

    @property
    def bound(self) -> bool:
        """Whether sender or receivers were busy all the time."""
        return self.busiest > BUSY


def traffic(
    directory: str | os.PathLike[str] = NO_SWITCH,
    pid: int | None = None,
    *,
    size: int,
    count: int,
    receivers: int = 1,
    dead: int = 0,
    window: int = 0,
    broadcast: bool = False,
    echo: bool = False,
    core: int | None = None,
) -> Traffic:
    """
    Send C{count} frames of C{size} bytes through a switch, or with none.

    @param pid: the switch, whose processor time is counted.
    @param dead: how many ports there are besides that do not read.
    @param window: let no more frames be under way at once, if not 0.
    @param echo: have the receiver send each frame back, and wait for it.
    @param core: have sender and receivers on this processor.
    @raise LoadError: it cannot be done.
    @raise CompileError: nor can the program be made.
    """
    options = ["-b"] * broadcast + ["-e"] * echo + ([] if core is None else [f"-c{core}"])
    options += [f"-s{size}", f"-n{count}", f"-r{receivers}", f"-d{dead}", f"-w{window}"]
    with ready(SOURCES, [*options, str(directory)], FLAGS) as generator:
        return _parse(*generator.run(pid))


@contextlib.contextmanager
def idle_ports(directory: str | os.PathLike[str], number: int) -> Iterator[None]:
    """
    Ports that are plugged in, one after the other, of which the switch knows the addresses.
    Raises L{LoadError} if not all can be, or some are not any more in the end.
    """
    with ready(SOURCES, [f"-i{number}", str(directory)], FLAGS) as generator:
        yield
        result, _ = generator.run()
    if result["alive"] != number:
        raise LoadError(f"{number - result['alive']} of {number} ports were disconnected")


def _parse(result: dict[str, Any], used: float) -> Traffic:
    return Traffic(
        sent=result["sent"],
        seconds=result["seconds"],
        cpu=result["cpu"],
        receivers=tuple(Receiver(**each) for each in result["receivers"]),
        switch_cpu=used,
        answered=result.get("answered", 0),
        quantiles=tuple(result.get("quantiles", ())),
    )
