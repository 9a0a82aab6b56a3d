"""Runs frames.c, which sends numbered frames through a switch and counts what becomes of them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compiled import compiled, first_line
from bench.processes import cpu_seconds

SOURCE = Path(__file__).with_name("frames.c")
NO_SWITCH = "-"
BUSY = 0.9
"""Of a processor: a process that has more to do than this holds others up."""


class FramesError(RuntimeError):
    """The program has failed; the message is one line."""


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
    @ivar trips: of round trips, how many frames have come back; the median in seconds, and what
        99 % of them did not exceed.
    """

    sent: int
    seconds: float
    cpu: float
    receivers: tuple[Receiver, ...]
    switch_cpu: float
    trips: tuple[int, float, float] | None

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
    def bound(self) -> bool:
        """Whether sender or receivers were busy all the time."""
        busy = [self.cpu / self.seconds]
        busy += [each.cpu / each.seconds for each in self.receivers if each.seconds]
        return max(busy) > BUSY


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
) -> Traffic:
    """
    Send C{count} frames of C{size} bytes through a switch, or with none.

    @param pid: the switch, whose processor time is counted.
    @param dead: how many ports there are besides that do not read.
    @param window: let no more frames be under way at once, if not 0.
    @param echo: have the receiver send each frame back, and wait for it.
    @raise FramesError: it cannot be done.
    @raise CompileError: nor can the program be made.
    """
    flags = ["-b"] * broadcast + ["-e"] * echo
    numbers = [f"-s{size}", f"-n{count}", f"-r{receivers}", f"-d{dead}", f"-w{window}"]
    with subprocess.Popen(
        [compiled(SOURCE, "-pthread"), *flags, *numbers, directory],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        ready = process.stdout.readline()
        before = _used(pid)
        if ready:
            process.stdin.write("\n")
            process.stdin.flush()
        result = process.stdout.readline()
        used = _used(pid) - before
        if not result or process.wait():
            raise FramesError(first_line(process.stderr.read()) or "frames has ended")
    return _parse(json.loads(result), used)


def _used(pid: int | None) -> float:
    return 0.0 if pid is None else cpu_seconds(pid)


def _parse(result: dict[str, Any], used: float) -> Traffic:
    return Traffic(
        sent=result["sent"],
        seconds=result["seconds"],
        cpu=result["cpu"],
        receivers=tuple(Receiver(**each) for each in result["receivers"]),
        switch_cpu=used,
        trips=(result["answered"], result["p50"], result["p99"]) if "p50" in result else None,
    )
