"""Those who are refused, in the log."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet.sockets.refusals import QUIET_SECONDS, Refusals


class RefusalsTests(SynchronousTestCase):
    """Tests for C{Refusals}."""

    def setUp(self) -> None:
        """Nobody was refused."""
        self.clock = Clock()
        self.refusals = Refusals(self.clock, "a guest")

    def said(self, *whys: str) -> list[str]:
        """What is logged when somebody is refused for each of these reasons."""
        with capturedLogs() as events:
            for number, why in enumerate(whys):
                self.refusals.refuse(why, f"guest {number}")
        return [str(formatEvent(event)) for event in events]

    def test_no_reason_hides_another(self) -> None:
        """Of 26 who are refused for 20 reasons, the log has a line for each reason."""
        whys = [f"reason {number % 20}" for number in range(26)]
        self.assertEqual(
            self.said(*whys),
            [f"a guest is refused: guest {number}: reason {number}" for number in range(20)],
        )
        self.assertEqual(self.refusals.count, 26)

    def test_what_was_sent_does_not_fill_the_log(self) -> None:
        """Reasons of one kind are one, whatever those who are refused have put into them."""
        with capturedLogs() as events:
            for number in range(9):
                self.refusals.refuse(f"no {number}", kind="a number")
        self.assertEqual([formatEvent(event) for event in events], ["a guest is refused: no 0"])
        self.assertEqual(self.refusals.count, 9)

    def test_the_log_is_not_filled(self) -> None:
        """A reason is logged once in a while, with how many there were."""
        self.assertEqual(self.said("why", "why", "why"), ["a guest is refused: guest 0: why"])
        self.clock.advance(QUIET_SECONDS)
        self.assertEqual(
            self.said("why"),
            ["a guest is refused: guest 0: why (2 more were since the last one that is logged)"],
        )

    def test_made_up_reasons(self) -> None:
        """Who makes up reasons cannot fill the log either."""
        self.assertEqual(len(self.said(*map(str, range(10_000)))), 32)
        self.assertEqual(self.refusals.count, 10_000)
