"""How much is done for anybody who asks."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.budget import MOST_ASKERS, Budget


class BudgetTests(SynchronousTestCase):
    """Two in a second for each, four for all."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.budget = Budget(2, 4, self.clock.seconds)

    def count(self, asker: bytes, times: int = 10) -> int:
        """How often it is allowed."""
        return sum(self.budget.allows(asker) for _ in range(times))

    def test_one_asker(self) -> None:
        """It gets its share of each second, and no more after a pause."""
        self.assertEqual(self.count(b"a"), 2)
        self.clock.advance(0.5)
        self.assertEqual(self.count(b"a"), 1)
        self.clock.advance(100)
        self.assertEqual(self.count(b"a"), 2)

    def test_others(self) -> None:
        """What one asks in vain takes nothing from others."""
        self.count(b"a")
        self.assertEqual(self.count(b"b"), 2)

    def test_all(self) -> None:
        """All together get no more than there is for all."""
        self.assertEqual([self.count(bytes([each])) for each in range(4)], [2, 2, 0, 0])
        self.clock.advance(1)
        self.assertEqual(self.count(b"another"), 2)

    def test_made_up_names(self) -> None:
        """Any number of askers can come; none is kept for ever."""
        for number in range(MOST_ASKERS * 2):
            self.budget.allows(number.to_bytes(6))
        self.assertEqual(len(self.budget._askers), MOST_ASKERS)
