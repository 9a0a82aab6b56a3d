"""How what a router costs grows with the nodes that are connected, and with those that talk."""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.compared import LESS
from bench.contest import Amount, Case
from bench.goals import Goal
from bench.messages import How, idle_nodes, stream
from bench.processes import context_switches, cpu_seconds, memory
from bench.records import Measured
from bench.routercases import CPU, RATE, count_of, stream_name
from bench.routercontestants import (
    PACED,
    PACED_PURE,
    PACED_UNIX,
    THEIRS,
    TOY,
    Contestant,
    started,
)

CONNECTED = (2, 64, 1_000, 10_000)
TALKING = (2, 8, 64)
TOY_MOST = 1_000
"""Nodes with server.py, which looks at all of them for each message: with ten times as many the
rest would have to wait for a minute."""
STREAMS = ((How.BATCHED, 1024), (How.SINGLE, 64))
SETTLE_SECONDS = 2.0
"""Until a router to which nodes have connected is idle."""
SPARE_FILES = 200
TICKS_PER_SECOND = 100
MEMORY, CONNECTING = "memory, kB/node", "connecting, router's CPU, ms/node"
IDLE, TICKS = "router's CPU, ms/s", "router's CPU, ticks"
CONTESTANTS = (PACED, PACED_PURE, THEIRS, PACED_UNIX, TOY)


def _contestants(connected: int) -> list[Contestant]:
    return [each for each in CONTESTANTS if each is not TOY or connected <= TOY_MOST]


@dataclass(frozen=True, slots=True)
class Talk:
    """Some of the nodes that are connected send, and as many receive."""

    connected: int
    talking: int
    amount: Amount

    @property
    def name(self) -> str:
        """How many there are of each."""
        return talk_name(self.connected, self.talking)

    @property
    def contestants(self) -> Sequence[Contestant]:
        """Those that can do it in time."""
        return _contestants(self.connected)

    def measure(self, contestant: Contestant) -> Measured:
        """Send for a while, in batches and then one by one: rate and cost."""
        figures: dict[str, float] = {}
        counts = {"sent": 0, "delivered": 0, "lost": 0}
        pairs, bound = self.talking // 2, False
        for how, size in STREAMS:
            with started(contestant) as place:
                got = stream(
                    place, how, pairs=pairs, size=size, seconds=self.amount.seconds / 2,
                    count=count_of(contestant, self.amount, pairs),
                    others=self.connected - self.talking, settle=SETTLE_SECONDS,
                )  # fmt: skip
            delivered = sum(got.delivered)
            figures[figure_of(how, size, RATE)] = delivered / got.seconds
            figures[figure_of(how, size, CPU)] = got.router_cpu / max(1, delivered) * 1e6
            counts["sent"] += sum(got.sent)
            counts["delivered"] += delivered
            counts["lost"] += got.lost
            bound |= got.bound
        return Measured({**figures, "lost": counts["lost"]}, counts, bound)


def talk_name(connected: int, talking: int) -> str:
    """The name of a case, which plots know too."""
    return f"{connected:,} nodes, of which {talking} talk"


def figure_of(how: How, size: int, figure: str) -> str:
    """The name of a figure of some stream."""
    return f"{stream_name(how, 1, size).replace(', 1 pair', '')}: {figure}"


@dataclass(frozen=True, slots=True)
class Idle:
    """Nodes that are connected, and do nothing."""

    number: int
    amount: Amount

    @property
    def name(self) -> str:
        """How many nodes there are."""
        return idle_name(self.number)

    @property
    def contestants(self) -> Sequence[Contestant]:
        """Those that can do it in time."""
        return _contestants(self.number)

    def measure(self, contestant: Contestant) -> Measured:
        """Connect the nodes and wait: memory and CPU of each."""
        seconds = 2 * self.amount.seconds
        with started(contestant) as place:
            pid = place.pid
            assert pid is not None
            empty, cpu, began = memory(pid), cpu_seconds(pid), time.monotonic()
            with idle_nodes(place, self.number):
                connecting = time.monotonic() - began
                time.sleep(SETTLE_SECONDS)
                connected = cpu_seconds(pid) - cpu
                before = cpu_seconds(pid), context_switches(pid)
                began = time.monotonic()
                time.sleep(seconds)
                took = time.monotonic() - began
                after = cpu_seconds(pid), context_switches(pid)
                full = memory(pid)
        used = after[0] - before[0]
        figures = {
            MEMORY: (full - empty) / self.number / 1000,
            IDLE: used / took * 1000,
            TICKS: int(used * TICKS_PER_SECOND),
            "context switches/s": (after[1] - before[1]) / took,
            "connecting, ms/node": connecting / self.number * 1000,
            CONNECTING: connected / self.number * 1000,
        }
        return Measured(figures, {"nodes": self.number})


def idle_name(number: int) -> str:
    """The name of a case, which goals name too."""
    return f"{number:,} idle nodes"


def most_nodes(amount: Amount) -> int:
    """How many nodes there are at most: fewer where the limit of open files is lower."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    fit = amount.nodes if most == resource.RLIM_INFINITY else most - SPARE_FILES
    return min(amount.nodes, fit)


def cases(amount: Amount) -> list[Case[Contestant]]:
    """All cases: with as many nodes as are wanted at most, and some smaller numbers."""
    most = most_nodes(amount)
    numbers = [number for number in CONNECTED if number < most] + [most]
    return [
        *(
            Talk(number, talking, amount)
            for number in numbers
            for talking in TALKING
            if talking <= number
        ),
        *(Idle(number, amount) for number in numbers[1:]),
    ]


GOALS = tuple(
    Goal(idle_name(number), TICKS, 0, least=False, pure=0, absolute=True)
    for number in CONNECTED[1:]
)
COMPARED = {figure_of(how, size, CPU): LESS for how, size in STREAMS}
SHOWN = (*COMPARED, MEMORY, CONNECTING, TICKS)
