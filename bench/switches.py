"""Our switch and vde_switch side by side: throughput, loss, processor time, round trips.

C{python -m bench.switches [--rounds N] [--seconds N] [--frames N] [--only WORDS] [--json FILE]}:
each case is run with a fresh switch, ours and theirs in turn; what is shown are medians. "no
switch" is the same load on sockets that are connected to each other: what the kernel and the load
generator need for themselves.

The clients block when a switch does not take their frames, as those of libvdeplug do, and have
socket buffers of the default size. So where a sender is faster than the switch it waits, and what
is lost is lost by the switch on the way to a receiver.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.compiled import CompileError
from bench.frames import BUSY, FramesError, traffic
from bench.processes import context_switches, cpu_seconds
from bench.records import BOUND, Measured, Record, table
from bench.tcp import TcpError, transfer
from tests.switches import BROADCAST, RawClient, Switch, VdeSwitch, frame, mac, running

OURS, THEIRS, NOTHING = "distnet-vde", "vde_switch", "no switch"
SUBJECTS: dict[str, type[Switch] | None] = {OURS: Switch, THEIRS: VdeSwitch, NOTHING: None}
TOOLS = {"gcc": "gcc", "vde_switch": "vde2", "iperf3": "iperf3", "ip": "iproute2",
         "ping": "iputils-ping"}  # fmt: skip
"""Programs that are needed, and the Debian packages that have them."""
IDLE_PORTS = 8
WINDOW = 64
"""Frames: fewer than the 93 of 1500 bytes that a socket buffer of the default size holds."""
SLOW = "does not read in time"
"""What our switch logs when it loses frames for a port, as when a receiver is not given a processor
for longer than a pause lasts: counted, so that what is lost on a busy machine can be told."""
SETTLE_SECONDS = 1.0
"""Until a switch that has just been plugged into is idle."""


class Case(Protocol):
    """
    Something to measure.

    @ivar name: for people.
    @ivar without: whether there is something to measure without a switch.
    """

    @property
    def name(self) -> str:
        """See above."""

    @property
    def without(self) -> bool:
        """See above."""

    def measure(self, switch: Switch | None) -> Measured:
        """Measure it, once."""


@dataclass(frozen=True, slots=True)
class Tcp:
    """TCP between two hosts."""

    streams: int
    seconds: int
    without: bool = False

    @property
    def name(self) -> str:
        """See L{Case}."""
        return f"TCP, {self.streams} stream{'s' * (self.streams > 1)}"

    def measure(self, switch: Switch | None) -> Measured:
        """See L{Case}."""
        assert switch is not None
        pid = switch.process.pid
        got = transfer(switch.sock, pid, streams=self.streams, seconds=self.seconds)
        figures = {
            "Mbit/s": got.received * 8 / got.seconds / 1e6,
            "retransmits": got.retransmits,
            "dropped by a host's own tap": got.tap_drops,
            "switch's CPU, ms/MB": got.switch_cpu / got.received * 1e9,
            "switch's CPU, %": got.switch_cpu / got.seconds * 100,
        }
        return Measured(figures, bound=max(got.plugs_cpu) / got.seconds > BUSY)


@dataclass(frozen=True, slots=True)
class Frames:
    """One sender, and receivers that do nothing but read."""

    size: int
    count: int
    receivers: int = 1
    dead: int = 0
    window: int = 0
    broadcast: bool = False
    without: bool = True

    @property
    def name(self) -> str:
        """See L{Case}."""
        if not self.broadcast:
            return f"{self.size} bytes" + f", {self.window} under way" * bool(self.window)
        return f"broadcast to {self.receivers}" + f" and {self.dead} dead" * bool(self.dead)

    def measure(self, switch: Switch | None) -> Measured:
        """See L{Case}."""
        got = traffic(
            *_place(switch), size=self.size, count=self.count, receivers=self.receivers,
            dead=self.dead, window=self.window, broadcast=self.broadcast,
        )  # fmt: skip
        counts = {
            "sent": got.sent,
            "receivers": self.receivers,
            "delivered": got.delivered,
            "lost": got.lost,
        }
        figures = {
            "delivered/s": got.delivered / got.took,
            "lost": got.lost,
            "lost, %": got.lost / (got.delivered + got.lost) * 100,
            "wrong": got.wrong,
        }
        if switch is not None:
            counts["slow"] = switch.log().count(SLOW)
            figures["switch's CPU, µs/frame in"] = got.switch_cpu / got.sent * 1e6
            figures["switch's CPU, µs/delivery"] = got.switch_cpu / max(1, got.delivered) * 1e6
            figures["switch's CPU, %"] = got.switch_cpu / got.took * 100
        return Measured(figures, counts, got.bound)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A frame there and back, then the next one."""

    count: int
    size: int = 64
    name: str = "round trip"
    without: bool = True

    def measure(self, switch: Switch | None) -> Measured:
        """See L{Case}."""
        got = traffic(*_place(switch), size=self.size, count=self.count, echo=True)
        assert got.trips is not None
        answered, p50, p99 = got.trips
        lost = got.sent - answered
        counts = {"sent": got.sent, "receivers": 1, "delivered": answered, "lost": lost}
        figures = {"p50, µs": p50 * 1e6, "p99, µs": p99 * 1e6, "lost": lost}
        if switch is not None:
            figures["switch's CPU, µs/frame in"] = got.switch_cpu / (2 * got.sent) * 1e6
        return Measured(figures, counts)


@dataclass(frozen=True, slots=True)
class Idle:
    """Ports that are plugged in, of which the switch knows the addresses, and do nothing."""

    seconds: int
    name: str = f"idle, {IDLE_PORTS} ports"
    without: bool = False

    def measure(self, switch: Switch | None) -> Measured:
        """See L{Case}."""
        assert switch is not None
        pid = switch.process.pid
        with contextlib.ExitStack() as stack:
            clients = [
                stack.enter_context(RawClient(switch.sock).plug()) for _ in range(IDLE_PORTS)
            ]
            for number, client in enumerate(clients):
                client.send(frame(BROADCAST, mac(number)))
                for other in clients:
                    if other is not client:
                        other.receive()
            time.sleep(SETTLE_SECONDS)
            before = cpu_seconds(pid), context_switches(pid)
            began = time.monotonic()
            time.sleep(self.seconds)
            took = time.monotonic() - began
            after = cpu_seconds(pid), context_switches(pid)
        figures = {
            "switch's CPU, ms/s": (after[0] - before[0]) / took * 1000,
            "context switches/s": (after[1] - before[1]) / took,
        }
        return Measured(figures)


def _place(switch: Switch | None) -> tuple[Any, ...]:
    return () if switch is None else (switch.sock, switch.process.pid)


@contextlib.contextmanager
def started(kind: type[Switch] | None) -> Iterator[Switch | None]:
    """A fresh switch with its defaults, or none."""
    if kind is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as name, running(kind(Path(name))) as switch:
        yield switch


def cases(frames: int, seconds: int) -> list[Case]:
    """All cases, with C{frames} frames of 64 bytes in one run and fewer where they cost more."""
    some = max(1, frames // 10)
    broadcast = Frames(64, some, receivers=7, broadcast=True)
    # TCP needs network namespaces.
    tcp = [Tcp(1, seconds), Tcp(4, seconds)] if os.geteuid() == 0 else []
    return [
        *tcp,
        Frames(64, frames),
        Frames(1500, frames),
        # What both switches lose nothing of: the same work for both.
        Frames(64, frames, window=WINDOW),
        Frames(1500, frames, window=WINDOW),
        broadcast,
        dataclasses.replace(broadcast, dead=1, without=False),
        RoundTrip(some),
        Idle(seconds),
    ]


def run(chosen: Sequence[Case], rounds: int) -> Iterator[Record]:
    """Measure cases, with one subject after the other in each round."""
    for case in chosen:
        for number in range(1, rounds + 1):
            for subject, kind in SUBJECTS.items():
                if kind is not None or case.without:
                    print(f"{case.name}, {subject}, round {number}", file=sys.stderr)
                    with started(kind) as switch:
                        yield Record(case.name, subject, number, case.measure(switch))


def conditions() -> str:
    """What else there is to know of a measurement."""
    load = " ".join(f"{each:.2f}" for each in os.getloadavg())
    return f"{os.cpu_count()} processors, Linux {platform.release()}, load average {load}"


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.switches")
    parser.add_argument("--rounds", type=_positive, default=3, metavar="N")
    parser.add_argument("--seconds", type=_positive, default=5, metavar="N",
                        help="of TCP and of idleness (5)")  # fmt: skip
    parser.add_argument("--frames", type=_positive, default=500_000, metavar="N",
                        help="in a run; a tenth of it for broadcasts and round trips")  # fmt: skip
    parser.add_argument("--only", action="append", default=[], metavar="WORDS",
                        help="cases with these words in their name; may be repeated")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser.parse_args(words)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def main(words: Sequence[str]) -> None:
    """Measure, and print a table."""
    options = parse(words)
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            sys.exit(f"no program {tool!r}: apt-get install {package}")
    if os.geteuid():
        print("without root there are no cases of TCP", file=sys.stderr)
    every = cases(options.frames, options.seconds)
    chosen = [case for case in every if not options.only or _has(case.name, options.only)]
    if not chosen:
        sys.exit(f"no such case; there are: {'; '.join(case.name for case in every)}")
    before = conditions()
    try:
        records = list(run(chosen, options.rounds))
    except (CompileError, FramesError, TcpError) as error:
        sys.exit(str(error))
    after = conditions()
    print(f"Medians of {options.rounds} rounds; before: {before}; after: {after}\n")
    print(table(records, (OURS, THEIRS), [NOTHING]))
    if any(record.measured.bound and record.subject != NOTHING for record in records):
        print(f"\n{BOUND} sender or receivers were busy all the time: the switch may do better.")
    if options.json is not None:
        described = {"before": before, "after": after, "records": _described(records)}
        options.json.write_text(json.dumps(described, indent=1) + "\n")


def _has(name: str, words: Sequence[str]) -> bool:
    return any(each in name for each in words)


def _described(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(record) for record in records]


if __name__ == "__main__":
    main(sys.argv[1:])
