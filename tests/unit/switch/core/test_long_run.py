"""The long run without sockets, for a short time: see C{python -m tests.long}."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from tests.long.run import run
from tests.long.sans_io import SansIo
from tests.long.vlans import History, Member

STEPS = 20_000


class LongRunTests(SynchronousTestCase):
    """Requests, console lines and frames, of a seed that is always the same."""

    def test_sans_io(self) -> None:
        """Nothing raises, no frame of a VLAN is seen in another, and the counters balance."""
        done = run("sans-io", SansIo, STEPS, 1)
        self.assertIn(f"{STEPS} steps", done)

    def test_repeatable(self) -> None:
        """The same seed does the same again, so that a failure can be repeated."""
        summaries = []
        for _ in range(2):
            steps = SansIo(Random(5))
            for _ in range(2500):
                steps.step()
            steps.end()
            summaries.append(steps.summary())
        self.assertEqual(summaries[0], summaries[1])

    def test_failure(self) -> None:
        """A failure says its step, and the command that does it again."""

        class Failing(SansIo):
            """Fails at its third step."""

            count = 0

            def step(self) -> None:
                """Count."""
                self.count += 1
                assert self.count < 3, "three"

        error = self.assertRaises(AssertionError, run, "sans-io", Failing, 10, 7)
        self.assertIn("step 3 with seed 7", str(error))
        self.assertIn("--seed 7 --count 3 sans-io", str(error))


class HistoryTests(SynchronousTestCase):
    """What the oracle allows, told by hand."""

    PLAIN = bytes(12) + b"\x88\xb5" + bytes(10)
    TAGGED = bytes(12) + b"\x81\0\0\5" + PLAIN[12:]

    def test_forms(self) -> None:
        """A frame is seen with a tag by tagged members, without by others, else by nobody."""
        members = {1: Member(5), 2: Member(5), 3: Member(0, frozenset({5})), 4: Member(0)}
        history = History(False, members)
        for target, data, allowed in (
            (2, self.PLAIN, True),
            (2, self.TAGGED, False),
            (3, self.TAGGED, True),
            (3, self.PLAIN, False),
            (4, self.PLAIN, False),
            (4, self.TAGGED, False),
            (1, self.PLAIN, False),
        ):
            self.assertEqual(history.allows(0, 1, target, self.PLAIN, data), allowed, target)

    def test_pass_through(self) -> None:
        """Another tag passes as it is, unless the switch is strict, or it would mislead."""
        members = {1: Member(0), 2: Member(0), 3: Member(0, frozenset({5}))}
        for strict, target, allowed in ((False, 2, True), (False, 3, False), (True, 2, False)):
            history = History(strict, members)
            seen = history.allows(0, 1, target, self.TAGGED, self.TAGGED)
            self.assertEqual(seen, allowed, (strict, target))

    def test_moments(self) -> None:
        """What was allowed only before a frame was sent is not allowed any more."""
        history = History(False, {1: Member(5), 2: Member(5)})
        history.change(2, Member(0))
        self.assertTrue(history.allows(0, 1, 2, self.PLAIN, self.PLAIN))
        self.assertFalse(history.allows(history.moment, 1, 2, self.PLAIN, self.PLAIN))
