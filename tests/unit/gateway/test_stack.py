"""When libslirp has its turn. It is not itself here."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import stack
from distnet.gateway.stack import LATEST_SECONDS, QUIET_SECONDS, ROUNDS, Stack
from distnet.guestnet import PLAN
from tests.unit.gateway.loops import ClockLoop

TICK = 0.5


class Network:
    """
    What is in the place of libslirp.

    @ivar asked: the descriptors that it waits for, with events.
    @ivar timeout: how long it waits.
    @ivar polled: what it was told, in order.
    """

    def __init__(self, *_: object, **to: Any) -> None:
        self.asked: dict[int, int] = {}
        self.timeout: float | None = TICK
        self.polled: list[dict[int, int]] = []
        self.closes = to["descriptor_closes"]

    def fill(self) -> tuple[dict[int, int], float | None]:
        """What it waits for."""
        return dict(self.asked), self.timeout

    def poll(self, ready: dict[int, int]) -> None:
        """What has come."""
        self.polled.append(ready)

    def close(self) -> None:
        """It is not needed any more."""


class StackTests(SynchronousTestCase):
    """L{Stack}"""

    def setUp(self) -> None:
        """One that has begun."""
        self.patch(stack, "Network", Network)
        self.loop = ClockLoop()
        options: Any = {"nat": False, "clock_ns": None, "send": None, "say": None, "failed": None}
        self.stack = Stack(self.loop, PLAN, **options)  # type: ignore[arg-type]
        self.stack.begin()
        self.addCleanup(self.stack.close)
        self.network: Any = self.stack.network

    def turns(self, seconds: float) -> int:
        """How often it has its turn in some time."""
        before = self.stack.turns
        self.loop.clock.pump([TICK / 5] * round(seconds / TICK * 5))
        return self.stack.turns - before

    def pipe(self) -> tuple[int, int]:
        """A descriptor to read, and one to write."""
        ends = os.pipe()
        for end in ends:
            self.addCleanup(os.close, end)
        return ends

    def test_its_timers(self) -> None:
        """It has its turn when it wants to, as long as something has happened lately."""
        self.stack.turn()
        self.assertIn(self.turns(QUIET_SECONDS), range(15, 22))

    def test_quiet(self) -> None:
        """After a silence its timers are late, by as much as that has lasted."""
        self.stack.turn()
        self.turns(QUIET_SECONDS + TICK)
        self.assertLessEqual(self.turns(7 * QUIET_SECONDS), 4)
        self.assertIn(self.turns(20 * LATEST_SECONDS), range(19, 22))

    def test_not_quiet_any_more(self) -> None:
        """As soon as anything happens they are on time again."""
        self.stack.turn()
        self.turns(20 * LATEST_SECONDS)
        self.stack.turn()
        self.assertIn(self.turns(QUIET_SECONDS), range(15, 22))

    def test_no_timers(self) -> None:
        """Without any it has its turn when something happens, and only then."""
        self.stack.turn()
        self.network.timeout = None
        self.stack.turn()
        self.assertEqual(self.turns(QUIET_SECONDS), 0)

    def test_many_turns(self) -> None:
        """However many turns there are, one timer is kept."""
        for _ in range(1000):
            self.stack.turn()
            self.loop.clock.advance(TICK / 1e6)
        self.assertEqual(len(self.loop.clock.getDelayedCalls()), 1)
        self.network.timeout = TICK / 10
        self.stack.turn()
        self.assertGreaterEqual(self.turns(TICK), 1)

    def test_descriptors(self) -> None:
        """It is told what has come of that which it waits for, and nothing else."""
        reading, writing = self.pipe()
        self.network.asked = {reading: 1}
        self.stack.turn()
        self.assertEqual(self.network.polled, [{}])
        os.write(writing, b"data")
        self.network.polled.clear()
        self.stack.turn()
        self.assertEqual(self.network.polled, [{reading: 1}] * ROUNDS)
        self.network.asked = {writing: 2}
        self.network.polled.clear()
        self.stack.turn()
        self.assertEqual(self.network.polled[0], {writing: 2})
        self.network.asked = {}
        self.network.polled.clear()
        self.stack.turn()
        self.assertEqual(self.network.polled, [{}])

    def test_one_that_closes(self) -> None:
        """One that is closed is not waited for; its number may be another's then."""
        reading, _ = self.pipe()
        self.network.asked = {reading: 1}
        self.stack.turn()
        self.network.closes(reading)
        other, writing = self.pipe()
        os.write(writing, b"data")
        os.dup2(other, reading)
        self.network.polled.clear()
        self.stack.turn()
        self.assertEqual(self.network.polled[0], {reading: 1})

    def test_within_itself(self) -> None:
        """What it sends may have it called again: that is not another turn."""
        self.network.poll = lambda ready: self.stack.turn()
        self.stack.turn()
        self.assertEqual(self.stack.turns, 1)
