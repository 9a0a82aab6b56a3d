"""Those who are refused, in the log."""

from __future__ import annotations

from string import ascii_lowercase

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
        whys = [f"reason {ascii_lowercase[number % 20]}" for number in range(26)]
        self.assertEqual(
            self.said(*whys),
            [f"a guest is refused: guest {number}: {whys[number]}" for number in range(20)],
        )
        self.assertEqual(self.refusals.count, 26)

    def test_what_is_made_up(self) -> None:
        """Whoever is refused cannot fill the log with numbers and paths of his own."""
        whys = [f"version {n} at {n:#010x}, its socket /tmp/{n}x is not there" for n in range(9)]
        self.assertEqual(self.said(*whys), [f"a guest is refused: guest 0: {whys[0]}"])
        whys = [f"the socket {name} is not there" for name in ("@a", "@b?c")]
        self.assertEqual(self.said(*whys), [f"a guest is refused: guest 0: {whys[0]}"])

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
        self.assertEqual(len(self.said(*map(chr, range(ord("一"), ord("一") + 10_000)))), 32)
        self.assertEqual(self.refusals.count, 10_000)
