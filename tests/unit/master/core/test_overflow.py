"""L{distnet.master.core.congestion}: what cannot wait any longer makes one gap, said once."""

from __future__ import annotations

from typing import Any

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.limits import Overflow
from distnet.master.core.registry import IdPolicy
from tests.unit.master.core.congested import PAUSE, RESERVE, CongestionTestCase
from tests.unit.master.core.kernels import message


class DropTests(CongestionTestCase):
    """Dropping the newest."""

    def fill(self) -> None:
        """Fill the mailbox and wait until dropping has begun."""
        self.send(50, 50, 50)
        self.clock.advance(PAUSE)
        self.assertEqual(self.episodes(), ["congested", "dropping"])

    def test_until_drained(self) -> None:
        """Once dropped, all is dropped until the mailbox is empty, even what would fit."""
        self.fill()
        self.slow.take(60)
        self.send(10)
        self.assert_running(self.sender)
        self.assertEqual(self.waiting(), 40)
        self.slow.take(39)
        self.send(10)
        self.assertEqual(self.waiting(), 1)
        self.slow.take(1)
        self.send(10)
        self.assertEqual(self.waiting(), 10)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(3, 70))

    def test_said_once(self) -> None:
        """Congested, dropping and relieved are said once an episode, with what was dropped."""
        self.fill()
        for _ in range(5):
            self.send(10, 10)
        self.slow.take(None)
        self.assertEqual(self.episodes(), ["congested", "dropping", "relieved"])
        self.assertEqual(self.said("relieved"), [("relieved", 1, Tally(11, 150))])
        self.slow.take(0)
        self.fill_again()

    def fill_again(self) -> None:
        """A second episode is said as the first was."""
        self.observer.events.clear()
        self.fill()

    def test_other_receivers_are_not_concerned(self) -> None:
        """While messages for one id are dropped, all others get theirs."""
        third = self.kernel()
        self.fill()
        self.send(50, dest=2)
        self.assertEqual(len(third.read()), 1)

    def test_absent(self) -> None:
        """What waits for an absent id has one gap at its end, until the node has come and read."""
        for size in (50, 40, 50, 10):
            self.send(size, dest=2)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(2, 60))
        late = self.kernel()
        self.assertEqual([len(payload) for _, payload in late.read_all()], [42, 32])
        self.assertEqual(self.episodes(), ["congested", "dropping", "relieved"])
        self.send(10, dest=2)
        self.assertEqual(len(late.read_all()), 1)

    def test_memory(self) -> None:
        """Absent ids share what memory there is; settled ones have their reserve."""
        self.start(max_waiting=120)
        third = self.kernel()
        third.take(0)
        self.send(50, 50, dest=7)
        self.send(20, dest=8)
        self.send(1 + 8, dest=9)
        self.assertEqual(self.undelivered(Reason.MEMORY_FULL), Tally(1, 9))
        self.assertEqual(self.said("congested"), [("congested", 9, 0, Reason.MEMORY_FULL)])
        self.send(50, dest=2)
        self.assertEqual(self.waiting(2), RESERVE)
        self.assert_running(self.sender)
        self.send(9, dest=2)
        self.assert_paused(self.sender, dest=2)

    def test_memory_again(self) -> None:
        """An id for which nothing waits is relieved by the first message that fits again."""
        self.start(max_waiting=100)
        self.send(50, 50, dest=7)
        self.send(20, dest=8)
        seventh = [self.kernel() for _ in range(6)][-1]
        seventh.read_all()
        self.send(20, dest=8)
        self.assertEqual(self.waiting(8), 20)
        self.assertEqual(self.said("relieved"), [("relieved", 8, Tally(1, 20))])

    def test_nothing_reordered(self) -> None:
        """A message that was begun goes on before all that came later, dropped or not."""
        self.slow.take(5)
        self.sender.send(1, b"a" * 42, b"b" * 42, b"c" * 42)
        self.clock.advance(PAUSE)
        self.slow.take(None)
        self.sender.send(1, b"d")
        self.assertEqual([payload[:1] for _, payload in self.slow.read_all()], [b"a", b"b", b"d"])


class DisconnectTests(CongestionTestCase):
    """C{--overflow disconnect}."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew with the other overflow."""
        super().start(*arguments, overflow=Overflow.DISCONNECT, **limits)

    def test_slow_receiver(self) -> None:
        """After the pause it is the slow receiver that is disconnected, not the sender."""
        self.send(50, 50, 50)
        self.clock.advance(PAUSE - 0.001)
        self.assertIsNone(self.slow.link.ended)
        self.clock.advance(0.001)
        self.assertEqual(self.slow.link.ended, "abort")
        self.assert_running(self.sender)
        self.assertEqual(self.undelivered(Reason.LEFT), Tally(2, 100))
        self.assertEqual(self.undelivered(Reason.GONE), Tally(1, 50))
        self.assertEqual(self.episodes(), ["congested", "relieved"])

    def test_without_a_pause(self) -> None:
        """With 0 pause seconds the slow receiver is disconnected at once."""
        self.start(pause_seconds=0)
        self.send(50, 50, 50)
        self.assertEqual(self.slow.link.ended, "abort")
        self.assert_running(self.sender)
        self.assertEqual(self.episodes(), ["congested", "relieved"])

    def test_oneself_without_a_pause(self) -> None:
        """A node that fills its own mailbox is disconnected; what it sent to others arrives."""
        self.start(pause_seconds=0)
        self.slow.write(message(0, 10) + message(1, 50) * 3 + message(0, 11) + b"quit")
        self.assertEqual(self.slow.link.ended, "abort")
        self.assertEqual([len(payload) for _, payload in self.sender.read_all()], [2, 3])

    def test_absent_is_dropped(self) -> None:
        """Nobody is disconnected for an id that is absent or unsettled."""
        unsettled = self.connect()
        for dest in (2, 3):
            self.send(50, 50, 50, dest=dest)
        self.assertIsNone(unsettled.link.ended)
        self.assertIsNone(self.sender.link.ended)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(2, 100))


class LeavingTests(CongestionTestCase):
    """Who leaves in the middle of it."""

    def test_sender(self) -> None:
        """A paused sender that leaves leaves its messages in order, as far as there is room."""
        third = self.kernel()
        self.sender.write(message(1, 50) * 3 + message(2, 20))
        self.sender.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(1, 50))
        self.assertEqual(len(third.read()), 1)
        self.slow.take(None)
        self.assertEqual(len(self.slow.read_all()), 2)
        self.assertEqual(self.episodes()[-1], "relieved")

    def test_sender_does_not_end_the_patience_of_others(self) -> None:
        """What a leaving sender held is dropped, others still wait, and dropping is said once."""
        other = self.kernel()
        self.send(50, 50, 50)
        self.send(50, sender=other)
        self.sender.leave()
        self.assert_paused(other)
        self.assertEqual(self.episodes(), ["congested"])
        self.clock.advance(PAUSE)
        self.assert_running(other)
        self.assertEqual(self.episodes(), ["congested", "dropping"])

    def test_receiver(self) -> None:
        """When the receiver leaves its senders go on, and what they held is refused."""
        self.send(50, 50, 50)
        self.slow.leave()
        self.assert_running(self.sender)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.undelivered(Reason.LEFT), Tally(2, 100))
        self.assertEqual(self.undelivered(Reason.GONE), Tally(1, 50))
        self.assertEqual(self.episodes(), ["congested", "relieved"])

    def test_receiver_that_comes_back(self) -> None:
        """Under lowest what they held waits for the next holder, in order."""
        self.start(policy=IdPolicy.LOWEST)
        self.sender.send(1, b"a" * 42, b"b" * 42, b"c" * 42, b"d" * 42)
        self.slow.leave()
        self.assert_running(self.sender)
        again = self.kernel()
        self.assertEqual([payload[:1] for _, payload in again.read_all()], [b"c", b"d"])

    def test_pinned_receiver_that_is_kept(self) -> None:
        """For a pinned node whose mail is kept, full, what they held is dropped and said."""
        self.start(pinned=(5,), keep_pinned=True)
        pinned = self.kernel(pinned=5)
        pinned.take(0)
        self.send(50, 50, 50, dest=5)
        pinned.leave()
        self.assert_running(self.sender)
        self.assertEqual(self.episodes(), ["congested", "dropping"])
        self.assertEqual(len(self.kernel(pinned=5).read_all()), 2)
        self.assertEqual(self.episodes(), ["congested", "dropping", "relieved"])

    def test_receiver_replaced(self) -> None:
        """For a pinned node that is replaced, what they held goes to the new connection."""
        self.start(pinned=(5,), replace_pinned=True)
        pinned = self.kernel(pinned=5)
        pinned.take(0)
        self.sender.send(5, b"a" * 42, b"b" * 42, b"c" * 42)
        again = self.kernel(pinned=5)
        self.assert_running(self.sender)
        self.assertEqual([payload[:1] for _, payload in again.read_all()], [b"c"])

    def test_both(self) -> None:
        """A node that is paused for another and waited for by a third leaves no one waiting."""
        third = self.kernel()
        self.sender.take(0)
        self.send(50, 50, 50)
        self.send(50, 50, 50, dest=0, sender=third)
        self.sender.leave()
        self.assert_running(third)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_quit_while_paused(self) -> None:
        """A sender that quits while it is paused ends when what it sent before has gone."""
        self.sender.write(message(1, 50) * 3 + b"quit")
        self.assertIsNone(self.sender.link.ended)
        self.slow.take(None)
        self.assertEqual(self.sender.link.ended, "close")
        self.assertEqual(len(self.slow.read_all()), 3)
