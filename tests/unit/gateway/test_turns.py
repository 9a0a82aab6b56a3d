"""Frames that wait for their turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.turns import AT_ONCE, MOST_WAITING, Turns


class Rounds:
    """A reactor: what is to be called at once is called in its next round, as by Twisted's."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def callLater(self, seconds: float, call: Callable[[], None]) -> Any:
        """Call it in the next round."""
        assert not seconds
        self.calls.append(call)
        return self

    def cancel(self) -> None:
        """Do not."""
        self.calls.clear()

    def turn(self) -> None:
        """One round."""
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class TurnsTests(SynchronousTestCase):
    """L{Turns}"""

    def setUp(self) -> None:
        """None waits."""
        self.rounds = Rounds()
        self.taken: list[bytes] = []
        self.turns = Turns(self.rounds, self.taken.append)

    def test_some_in_each_round(self) -> None:
        """So many are taken in a round, in their order; then there is nothing to be called."""
        frames = [b"%d" % number for number in range(2 * AT_ONCE + 3)]
        for frame in frames:
            self.assertTrue(self.turns.add(frame))
        for count in (0, AT_ONCE, 2 * AT_ONCE, len(frames)):
            self.assertEqual(self.taken, frames[:count])
            self.assertEqual(len(self.rounds.calls), count < len(frames))
            self.rounds.turn()
        self.turns.add(b"one more")
        self.rounds.turn()
        self.assertEqual(self.taken, [*frames, b"one more"])

    def test_so_many_wait(self) -> None:
        """Beyond a limit none is taken, until others have had their turn."""
        added = sum(self.turns.add(b"") for _ in range(MOST_WAITING + 5))
        self.assertEqual(added, MOST_WAITING)
        self.rounds.turn()
        self.assertTrue(self.turns.add(b""))

    def test_stopped(self) -> None:
        """Those that wait when it stops are forgotten."""
        self.turns.add(b"")
        self.turns.stop()
        self.assertEqual(self.rounds.calls, [])
        self.turns.stop()
        self.assertEqual(self.taken, [])
