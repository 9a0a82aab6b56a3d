"""L{distnet.master.core.congestion}: who sends to a full mailbox is paused in turn, briefly."""

from __future__ import annotations

from distnet.master.core.counters import Reason, Tally
from tests.unit.master.core.congested import PAUSE, PER_ID, CongestionTestCase
from tests.unit.master.core.kernels import message


class PauseTests(CongestionTestCase):
    """Pausing the sender."""

    def test_exactly_the_limit(self) -> None:
        """A mailbox takes as many bytes as its limit, and nobody is paused."""
        self.send(50, 50)
        self.assertEqual(self.waiting(), PER_ID)
        self.assert_running(self.sender)
        self.assertEqual(self.episodes(), [])

    def test_one_more(self) -> None:
        """With one byte more its sender is paused, and what fits is kept."""
        for size in (50, 40, 11):
            self.send(size)
        self.assertEqual(self.waiting(), 90)
        self.assert_paused(self.sender)
        self.assertEqual(self.said("congested"), [("congested", 1, 0, Reason.MAILBOX_FULL)])

    def test_goes_on_in_order(self) -> None:
        """When there is room the sender goes on where it was, in order, and nothing is lost."""
        self.sender.send(1, *(bytes([n]) * 22 for n in range(8)))
        self.assert_paused(self.sender)
        self.sender.send(1, b"and then")
        self.slow.take(None)
        expected = [(0, bytes([n]) * 22) for n in range(8)] + [(0, b"and then")]
        self.assertEqual(self.slow.read_all(), expected)
        self.assert_running(self.sender)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.episodes(), ["congested", "relieved"])

    def test_in_order_past_others(self) -> None:
        """Messages to one node go on in order, also with messages to others between them."""
        self.kernel()
        self.send(50, 50)
        self.sender.write(message(1, 50, b"a") + message(1, 50, b"b"))
        self.sender.write(message(2, 50, b"-"))
        self.sender.write(message(1, 50, b"c"))
        payloads = []
        for room in (50, 50, None):
            self.slow.take(room)
            payloads += [payload[:1] for _, payload in self.slow.read_all()]
        self.assertEqual(payloads, [b"x", b"x", b"a", b"b", b"c"])

    def test_other_dests_wait_with_it(self) -> None:
        """A paused sender's messages to others wait too, since it is not read any more."""
        third = self.kernel()
        self.send(50, 50, 50)
        self.sender.send(2, b"later")
        self.assertEqual(third.read(), [])
        self.slow.take(None)
        self.assertEqual(third.read(), [(0, b"later")])

    def test_not_longer(self) -> None:
        """A pause ends after the pause seconds, not before, and the rest is dropped."""
        self.send(50, 50, 50)
        self.clock.advance(PAUSE - 0.001)
        self.assert_paused(self.sender)
        self.clock.advance(0.001)
        self.assert_running(self.sender)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(1, 50))
        self.assertEqual(self.sender.session.undelivered, Tally(1, 50))
        self.assertEqual(self.episodes(), ["congested", "dropping"])

    def test_not_longer_though_little_by_little(self) -> None:
        """A sender that was not read in between has one pause, though a little fits at times."""
        self.send(*[50] * 20)
        for _ in range(7):
            self.clock.advance(PAUSE / 8)
            self.slow.take(50)
            self.assert_paused(self.sender)
        self.clock.advance(PAUSE / 8)
        self.assert_running(self.sender)

    def test_a_pause_of_its_own_each_time(self) -> None:
        """A sender that was read in between may be paused as long again."""
        for _ in range(3):
            self.send(50, 50, 50)
            self.clock.advance(PAUSE - 0.001)
            self.assert_paused(self.sender)
            self.slow.take(None)
            self.assert_running(self.sender)
            self.slow.take(0)

    def test_never(self) -> None:
        """With 0 pause seconds nobody is paused: what does not fit is dropped at once."""
        self.start(pause_seconds=0)
        self.send(50, 50, 50)
        self.assert_running(self.sender)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(1, 50))

    def test_for_ever(self) -> None:
        """With inf a sender waits as long as it takes, and nothing is dropped."""
        self.start(pause_seconds=float("inf"))
        self.send(50, 50, 50)
        self.clock.advance(1e6)
        self.assert_paused(self.sender)
        self.slow.take(None)
        self.assert_running(self.sender)
        self.assertEqual(len(self.slow.read_all()), 3)

    def test_never_for_an_absent_id(self) -> None:
        """Nobody is paused for an id that is not there: it is dropped, and counted."""
        self.send(50, 50, 50, dest=2)
        self.assert_running(self.sender)
        self.assertEqual(self.waiting(2), PER_ID)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(1, 50))

    def test_never_for_an_unsettled_id(self) -> None:
        """Nobody is paused for a node that has not read its id."""
        self.connect()
        self.send(50, 50, 50, dest=2)
        self.assert_running(self.sender)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(1, 50))

    def test_oneself(self) -> None:
        """A node that fills its own mailbox is paused for itself, not for ever, and can drain."""
        self.send(50, 50, 50, sender=self.slow)
        self.assert_paused(self.slow)
        self.slow.take(None)
        self.assert_running(self.slow)
        self.assertEqual(len(self.slow.read_all()), 3)
        self.slow.take(0)
        self.send(50, 50, 50, sender=self.slow)
        self.clock.advance(PAUSE)
        self.assert_running(self.slow)

    def test_each_other(self) -> None:
        """Two nodes that wait for each other wait no longer than the pause seconds."""
        self.sender.take(0)
        self.send(50, 50, 50)
        self.send(50, 50, 50, dest=0, sender=self.slow)
        self.assert_paused(self.sender)
        self.assert_paused(self.slow, dest=0)
        self.clock.advance(PAUSE)
        self.assert_running(self.sender)
        self.assert_running(self.slow)


class FairnessTests(CongestionTestCase):
    """Several senders for one slow receiver."""

    def test_turns(self) -> None:
        """Who has waited longest goes on first; who waits again does so behind the others."""
        self.send(50, 50)
        for sender in (self.sender, self.kernel(), self.kernel()):
            self.send(50, 50, 50, sender=sender)
        came = []
        for _ in range(8):
            self.slow.take(50)
            came += [source for source, _ in self.slow.read()]
        self.assertEqual(came, [0, 0, 0, 2, 3, 0, 2, 3])

    def test_small_goes_past_large(self) -> None:
        """A message that fits need not wait for another sender's that does not."""
        other = self.kernel()
        self.send(50, 50)
        self.send(50)
        self.send(20, sender=other)
        self.slow.take(30)
        self.assert_paused(self.sender)
        self.assert_running(other)

    def test_one_patience_ends_all_pauses(self) -> None:
        """When one sender has waited enough, dropping begins and nobody waits any longer."""
        other = self.kernel()
        self.send(50, 50, 50)
        self.clock.advance(PAUSE / 2)
        self.send(50, sender=other)
        self.clock.advance(PAUSE / 2)
        self.assert_running(self.sender)
        self.assert_running(other)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(2, 100))
        self.assertEqual(self.episodes(), ["congested", "dropping"])

    def test_memory_of_others(self) -> None:
        """Who waits for memory goes on when any node has read, not only the one that is full."""
        self.start(max_waiting=150, pause_seconds=float("inf"))
        third = self.kernel()
        third.take(0)
        self.send(50, 50, dest=2)
        self.send(30, 30)
        self.assert_paused(self.sender)
        self.assertEqual(self.said("congested")[0][3], Reason.MEMORY_FULL)
        third.take(None)
        self.assert_running(self.sender)
        self.assertEqual(self.waiting(), 60)

    def test_memory_of_who_left(self) -> None:
        """Who waits for memory goes on when the node whose mail held it has left."""
        self.start(max_waiting=150, pause_seconds=float("inf"))
        third = self.kernel()
        third.take(0)
        self.send(50, 50, dest=2)
        self.send(30, 30)
        third.leave()
        self.assert_running(self.sender)
