"""Spans by a clock that nobody sets, and dates."""

from __future__ import annotations

import time

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.daemon.clock import Dates, use_monotonic


class MonotonicTests(SynchronousTestCase):
    """Tests for C{use_monotonic}, on a reactor of its own."""

    def test_timers(self) -> None:
        """Timers run by the monotonic clock, also those that were set before."""
        reactor = EPollReactor()
        self.addCleanup(reactor.removeAll)
        called: list[str] = []
        early = reactor.callLater(3600, called.append, "early")
        soon = reactor.callLater(0, called.append, "soon")
        use_monotonic(reactor)
        use_monotonic(reactor)
        late = reactor.callLater(3600, called.append, "late")
        reactor.iterate()
        self.assertEqual((called, soon.active()), (["soon"], False))
        for call in (early, late):
            left = call.getTime() - time.monotonic()
            self.assertTrue(3000 < left <= 3600, left)
            call.reset(1800)
            left = call.getTime() - time.monotonic()
            self.assertTrue(1200 < left <= 1800, left)
            call.cancel()


class DatesTests(SynchronousTestCase):
    """Tests for C{Dates}."""

    def setUp(self) -> None:
        """One clock counts from 5, the other one from the epoch, when it is 1000."""
        self.clock, self.wall = Clock(), Clock()
        self.clock.advance(5)
        self.wall.advance(1000)
        self.date = Dates(self.clock.seconds, self.wall.seconds)

    def test_the_same_date(self) -> None:
        """A moment has the same date whenever one asks, though the clocks drift a little."""
        self.assertEqual(self.date(5), 1000)
        for _ in range(9):
            self.clock.advance(60)
            self.wall.advance(60.001)
            self.assertEqual((self.date(5), self.date(65)), (1000, 1060))

    def test_a_clock_that_was_set(self) -> None:
        """When the wall clock was set, the moment is as long ago as it is."""
        self.clock.advance(60)
        self.wall.rightNow = 200
        self.assertEqual((self.date(5), self.date(65)), (140, 200))
