"""L{distnet.master.core.limits}: which limits make no sense together."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from distnet.master.core.limits import Limits
from distnet.text import GIB, MIB

LIMITS = Limits()


class LimitsTests(SynchronousTestCase):
    """What is refused, and at which number."""

    def assert_named(self, limits: Limits, option: str) -> None:
        """These limits are refused in one line that begins with the option."""
        problem = limits.problem() or ""
        self.assertTrue(problem.startswith(f"--{option} "), problem)
        self.assertNotIn("\n", problem)

    def test_defaults(self) -> None:
        """The defaults are what is documented, and fit together."""
        self.assertIsNone(LIMITS.problem())
        self.assertEqual(LIMITS.max_waiting_per_id, 64 * MIB)
        self.assertEqual(LIMITS.max_waiting, GIB)
        self.assertEqual(LIMITS.pause_seconds, 1.0)
        self.assertEqual(LIMITS.settle_seconds, 0.25)
        self.assertEqual(LIMITS.segment, 1460)
        self.assertEqual(LIMITS.overflow, "drop-newest")

    def test_reserve_holds_a_message(self) -> None:
        """The reserve has room for the largest message, header and all."""
        self.assertIsNone(replace(LIMITS, max_payload=1000, reserve=1008).problem())
        self.assert_named(replace(LIMITS, max_payload=1000, reserve=1007), "reserve")

    def test_waiting_holds_the_reserve(self) -> None:
        """No limit of waiting bytes is below the reserve."""
        reserve = LIMITS.reserve
        self.assertIsNone(replace(LIMITS, max_waiting_per_id=reserve).problem())
        self.assert_named(replace(LIMITS, max_waiting_per_id=reserve - 1), "max-waiting-per-id")
        self.assertIsNone(replace(LIMITS, max_waiting=reserve).problem())
        self.assert_named(replace(LIMITS, max_waiting=reserve - 1), "max-waiting")

    def test_highest_id(self) -> None:
        """The highest id is one that kernels, not tools, can have."""
        for highest in (0, 2**31 - 1):
            self.assertIsNone(replace(LIMITS, highest_id=highest).problem())
        for highest in (-1, 2**31):
            self.assert_named(replace(LIMITS, highest_id=highest), "highest-id")

    def test_payload(self) -> None:
        """A payload can be empty at the least."""
        self.assertIsNone(replace(LIMITS, max_payload=0).problem())
        self.assert_named(replace(LIMITS, max_payload=-1), "max-payload")

    def test_seconds(self) -> None:
        """A pause may last for ever, settling may not, and neither is negative or no number."""
        for pause in (0, 0.5, float("inf")):
            self.assertIsNone(replace(LIMITS, pause_seconds=pause).problem())
        for pause in (-1, float("nan")):
            self.assert_named(replace(LIMITS, pause_seconds=pause), "pause-seconds")
        self.assertIsNone(replace(LIMITS, settle_seconds=0).problem())
        for settle in (-1, float("inf"), float("nan")):
            self.assert_named(replace(LIMITS, settle_seconds=settle), "settle-seconds")
