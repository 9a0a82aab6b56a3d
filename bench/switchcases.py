"""What is measured of switches, and what is to be reached.

The clients block when a switch does not take their frames, as those of libvdeplug do, and have
socket buffers of the default size. So where a sender is faster than the switch it waits, and what
is lost is lost by the switch on the way to a receiver.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.compared import LESS, MORE
from bench.contest import Amount, Case
from bench.frames import idle_ports, traffic
from bench.generator import BUSY
from bench.goals import Goal
from bench.processes import context_switches, cpu_seconds, memory
from bench.records import Measured
from bench.switchcontestants import CONTESTANTS, SWITCHES, Contestant, started
from bench.tcp import transfer
from bench.trips import CORE, FREE, ONE_PROCESSOR, P50, figures_of
from tests.switches import Switch

WINDOW = 64
"""Frames: fewer than the 93 of 1500 bytes that a socket buffer of the default size holds."""
RECEIVERS = 7
"""Of a broadcast, where nothing else is said."""
MOST_RECEIVERS = 30
"""With the 32 ports that there are by themselves: nobody is given number 0, and one sends."""
FEW_PORTS = 8
MORE_PORTS = 2
"""Besides idle ones, for a round trip."""
SLOW = "does not read in time"
"""What our switch logs when it loses frames for a port, as when a receiver is not given a processor
for longer than a pause lasts: counted, so that what is lost on a busy machine can be told."""
SETTLE_SECONDS = 1.0
"""Until a switch that has just been plugged into is idle."""
RATE, CPU = "delivered/s", "switch's CPU, µs/delivery"
CPU_IN = "switch's CPU, µs/frame in"
TCP_RATE, TCP_CPU = "Mbit/s", "switch's CPU, ms/MB"


@dataclass(frozen=True, slots=True)
class Tcp:
    """TCP between two hosts."""

    streams: int
    amount: Amount
    contestants: Sequence[Contestant] = SWITCHES

    @property
    def name(self) -> str:
        """How many streams there are."""
        return f"TCP, {self.streams} stream{'s' * (self.streams > 1)}"

    def measure(self, contestant: Contestant) -> Measured:
        """Transfer for a while: the rate, and what that cost."""
        with started(contestant) as switch:
            assert switch is not None
            pid = switch.process.pid
            got = transfer(switch.sock, pid, streams=self.streams, seconds=self.amount.tcp)
        busiest = max(got.plugs_cpu) / got.seconds
        figures = {
            TCP_RATE: got.received * 8 / got.seconds / 1e6,
            "retransmits": got.retransmits,
            "dropped by a host's own tap": got.tap_drops,
            TCP_CPU: got.switch_cpu / got.received * 1e9,
            "switch's CPU, %": got.switch_cpu / got.seconds * 100,
        }
        figures["vde_plug2tap's CPU, %"] = busiest * 100
        return Measured(figures, bound=busiest > BUSY)


@dataclass(frozen=True, slots=True)
class Frames:
    """One sender, and receivers that do nothing but read."""

    size: int
    count: int
    receivers: int = 1
    dead: int = 0
    window: int = 0
    broadcast: bool = False
    contestants: Sequence[Contestant] = CONTESTANTS

    @property
    def name(self) -> str:
        """The size of frames, or how many get each, and what is special."""
        if not self.broadcast:
            return f"{self.size} bytes" + f", {self.window} under way" * bool(self.window)
        return f"broadcast to {self.receivers}" + f" and {self.dead} dead" * bool(self.dead)

    def measure(self, contestant: Contestant) -> Measured:
        """Send all frames: the rate, what was lost, and what that cost."""
        with started(contestant) as switch:
            got = traffic(
                *_place(switch), size=self.size, count=self.count, receivers=self.receivers,
                dead=self.dead, window=self.window, broadcast=self.broadcast,
            )  # fmt: skip
            slow = switch.log().count(SLOW) if switch else 0
        counts = {
            "sent": got.sent, "receivers": self.receivers, "delivered": got.delivered,
            "lost": got.lost, "slow": slow,
        }  # fmt: skip
        figures = {
            RATE: got.delivered / got.took,
            "lost, %": got.lost / (got.delivered + got.lost) * 100,
            "lost": got.lost,
            "wrong": got.wrong,
            "generator's CPU, %": got.busiest * 100,
        }
        if switch is not None:
            figures[CPU_IN] = got.switch_cpu / got.sent * 1e6
            figures[CPU] = got.switch_cpu / max(1, got.delivered) * 1e6
            figures["switch's CPU, %"] = got.switch_cpu / got.took * 100
        return Measured(figures, counts, got.bound)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A frame there and back, then the next one."""

    pinned: bool
    amount: Amount
    size: int = 64
    contestants: Sequence[Contestant] = CONTESTANTS

    @property
    def name(self) -> str:
        """Whether all is on one processor."""
        return ONE_PROCESSOR if self.pinned else FREE

    def measure(self, contestant: Contestant) -> Measured:
        """Send frames there and back: how long each took."""
        core = CORE if self.pinned else None
        count = self.amount.trips
        with started(contestant, core=core) as switch:
            got = traffic(*_place(switch), size=self.size, count=count, echo=True, core=core)
        lost = got.sent - got.answered
        counts = {"sent": got.sent, "receivers": 1, "delivered": got.answered, "lost": lost}
        figures = {**figures_of(got.quantiles), "lost": lost}
        if switch is not None:
            figures[CPU_IN] = got.switch_cpu / (2 * got.sent) * 1e6
        return Measured(figures, counts, quantiles=got.quantiles)


@dataclass(frozen=True, slots=True)
class Idle:
    """Ports that are plugged in, of which the switch knows the addresses, and do nothing."""

    ports: int
    amount: Amount
    contestants: Sequence[Contestant] = SWITCHES

    @property
    def name(self) -> str:
        """How many ports there are."""
        return f"{self.ports:,} idle ports"

    def measure(self, contestant: Contestant) -> Measured:
        """Plug the ports in and wait: memory and CPU of each."""
        # Nobody is given number 0.
        with started(contestant, "--numports", str(1 + self.ports + MORE_PORTS)) as switch:
            assert switch is not None
            pid = switch.process.pid
            empty, cpu, began = memory(pid), cpu_seconds(pid), time.monotonic()
            with idle_ports(switch.sock, self.ports):
                plugging, plugged = time.monotonic() - began, cpu_seconds(pid) - cpu
                time.sleep(SETTLE_SECONDS)
                before, began = (cpu_seconds(pid), context_switches(pid)), time.monotonic()
                time.sleep(self.amount.tcp)
                after, took = (cpu_seconds(pid), context_switches(pid)), time.monotonic() - began
                full = memory(pid)
                count = max(1, self.amount.trips // 10)
                got = traffic(switch.sock, pid, size=64, count=count, echo=True)
        figures = {
            "memory, kB/port": (full - empty) / self.ports / 1000,
            "switch's CPU, ms/s": (after[0] - before[0]) / took * 1000,
            "context switches/s": (after[1] - before[1]) / took,
            "plugging in, ms/port": plugging / self.ports * 1000,
            "plugging in, switch's CPU, ms/port": plugged / self.ports * 1000,
            f"round trip of two more, {P50}": figures_of(got.quantiles)[P50],
        }
        return Measured(figures, {"ports": self.ports})


def _place(switch: Switch | None) -> tuple[Any, ...]:
    return () if switch is None else (switch.sock, switch.process.pid)


def cases(amount: Amount) -> list[Case[Contestant]]:
    """All cases, with fewer frames where they cost more. Without root there are none of TCP."""
    some = max(1, amount.frames // 10)
    broadcast = Frames(64, some, receivers=RECEIVERS, broadcast=True)
    tcp = [Tcp(1, amount), Tcp(4, amount)] if os.geteuid() == 0 else []
    frames = [
        Frames(64, amount.frames),
        Frames(1500, amount.frames),
        # What both switches lose nothing of: the same work for both.
        Frames(64, amount.frames, window=WINDOW),
        Frames(1500, amount.frames, window=WINDOW),
        broadcast,
        dataclasses.replace(broadcast, dead=1, contestants=SWITCHES),
    ]
    if amount.everything:
        half = max(1, amount.frames // 2)
        # For the plots.
        frames += [Frames(size, half, window=WINDOW) for size in (256, 512, 1024)]
        frames += [
            dataclasses.replace(broadcast, receivers=number, count=some * RECEIVERS // number)
            for number in (1, 3, 15, MOST_RECEIVERS)
        ]
    return [
        *tcp,
        *frames,
        RoundTrip(True, amount),
        RoundTrip(False, amount),
        Idle(FEW_PORTS, amount),
        Idle(amount.ports, amount),
    ]


PURE_RATE = 0.7
"""What is to be reached of their throughput without native code."""
GOALS = (
    Goal("TCP, 1 stream", TCP_RATE, 1.4, pure=PURE_RATE),
    Goal("TCP, 1 stream", "retransmits", 0.01, least=False),
    Goal("64 bytes", RATE, 1.1, pure=PURE_RATE),
    Goal("64 bytes", "lost, %", 0, least=False, absolute=True),
    Goal(f"broadcast to {RECEIVERS}", RATE, 1.38, pure=PURE_RATE),
    Goal(f"broadcast to {RECEIVERS} and 1 dead", RATE, 1.5, pure=PURE_RATE),
    Goal(f"64 bytes, {WINDOW} under way", CPU, 0.75, least=False),
    Goal(f"1500 bytes, {WINDOW} under way", CPU, 0.75, least=False),
)
COMPARED = {RATE: MORE, TCP_RATE: MORE, CPU: LESS, TCP_CPU: LESS, P50: LESS}
