"""L{distnet.master.core.router}: how it goes on after an earlier run, and how it stops."""

from __future__ import annotations

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.registry import IdPolicy
from distnet.master.core.session import Kind
from distnet.wire import FIRST_TOOL_ID, HEADER, encode_message
from tests.unit.master.core.kernels import SETTLE_SECONDS, Kernel, RouterTestCase


class ResumeTests(RouterTestCase):
    """A connection whose kernel read its id in an earlier run."""

    def setUp(self) -> None:
        super().setUp()
        self.start(pinned=(2,), max_payload=100, highest_id=9)
        self.router.mailboxes.append(2, encode_message(7, b"from before"), 1)
        self.elsewhere.add(-1, -19)
        self.resumed = self.connect(resume=True, pinned=2)

    def assert_implausible(self) -> None:
        """Its connection was closed, with a word on what to do."""
        self.assertEqual(self.resumed.link.ended, "abort")
        [event] = self.said("left")
        self.assertIn("reboot node 2", event[2])

    def test_no_id(self) -> None:
        """It is sent no id, and at once what waited for it."""
        self.assertEqual(self.resumed.read(), [(7, b"from before")])
        self.assertTrue(self.resumed.session.resumed)

    def test_plausible(self) -> None:
        """If its stream goes on at the start of a message, it is a node as before."""
        for dest in (0, 2, 9):
            self.resumed.send(dest, b"hello")
        self.assertEqual(self.resumed.session.received.messages, 3)
        self.assertIsNone(self.resumed.link.ended)

    def test_quit(self) -> None:
        """Quit is a plausible beginning."""
        self.resumed.write(b"quit")
        self.assertEqual(self.resumed.link.ended, "close")

    def test_impossible_dest(self) -> None:
        """A first message to an id that nobody can have closes it and is not delivered."""
        self.resumed.send(10, b"")
        self.assert_implausible()

    def test_tool(self) -> None:
        """It may still be answering a tool that has gone with the earlier run."""
        self.resumed.send(FIRST_TOOL_ID + 3, b"answer")
        self.assertIsNone(self.resumed.link.ended)
        self.assertEqual(self.undelivered(Reason.NO_SUCH_ID).messages, 1)

    def test_impossible_header(self) -> None:
        """A first header to such an id closes it, before the payload that it announces has come."""
        self.resumed.write(HEADER.pack(1000, 50))
        self.assert_implausible()

    def test_impossible_length(self) -> None:
        """A first length over the limit closes it."""
        self.resumed.write(HEADER.pack(0, 101))
        self.assert_implausible()

    def test_header_in_pieces(self) -> None:
        """A header is judged when it is whole."""
        for byte in HEADER.pack(1000, 50)[:7]:
            self.resumed.write(bytes([byte]))
        self.assertIsNone(self.resumed.link.ended)
        self.resumed.write(b"\x00")
        self.assert_implausible()

    def test_only_the_first(self) -> None:
        """After a plausible message an impossible dest is refused and no more."""
        self.resumed.send(9, b"hello")
        self.resumed.send(10, b"hello")
        self.assertIsNone(self.resumed.link.ended)
        self.assertEqual(self.undelivered(Reason.NO_SUCH_ID).messages, 1)

    def test_error_after_the_first(self) -> None:
        """A plausible message is delivered even if what comes with it ends the connection."""
        other = self.kernel()
        self.resumed.write(encode_message(0, b"hello") + HEADER.pack(0, 101))
        self.assertEqual(other.read(), [(2, b"hello")])
        [event] = self.said("left")
        self.assertNotIn("reboot", event[2])

    def test_others_are_not_judged(self) -> None:
        """A new connection may begin with a dest that nobody can have."""
        kernel = self.kernel()
        kernel.send(10, b"hello")
        self.assertIsNone(kernel.link.ended)


class StopTests(RouterTestCase):
    """SIGTERM, as far as messages are concerned."""

    def take_mail(self) -> list[tuple[int, bytes, int]]:
        """Take what waits, and remember it for the sums."""
        mail = self.router.take_mail()
        for _, data, count in mail:
            self.elsewhere.add(count, len(data))
        return mail

    def test_nothing_more_is_read(self) -> None:
        """All links are paused, and stay so."""
        kernels = [self.kernel(), self.connect()]
        self.router.stop()
        self.assertEqual([kernel.link.paused for kernel in kernels], [True, True])

    def test_goes_on_delivering(self) -> None:
        """What waits for settled nodes goes out as they read, and for those alone it is waited."""
        self.start(segment=None)
        sender, slow, deaf = self.kernel(), self.kernel(), self.connect()
        slow.take(3)
        sender.send(1, b"hello")
        sender.send(2, b"unread")
        self.router.stop()
        self.assertEqual([session.node for session in self.router.undrained()], [1])
        slow.take(None)
        self.assertEqual(slow.read(), [(0, b"hello")])
        self.assertEqual(list(self.router.undrained()), [])
        self.assertEqual(bytes(deaf.link.sent), b"2")

    def test_mail(self) -> None:
        """All that waits is handed over, by id and in order, but what was begun is finished."""
        self.start(segment=None)
        sender, slow = self.kernel(), self.kernel()
        slow.take(9)
        sender.send(1, b"begun", b"second")
        sender.send(3, b"absent")
        sender.send(2, b"absent too")
        sender.send(1, b"third")
        self.router.stop()
        self.assertEqual(
            self.take_mail(),
            [
                (1, encode_message(0, b"second") + encode_message(0, b"third"), 2),
                (2, encode_message(0, b"absent too"), 1),
                (3, encode_message(0, b"absent"), 1),
            ],
        )
        self.assertEqual([session.node for session in self.router.undrained()], [1])
        slow.take(None)
        self.assertEqual(slow.read(), [(0, b"begun")])
        self.assertEqual(self.router.mailboxes.waiting, 0)

    def test_paused_sender(self) -> None:
        """A paused sender waits no longer: what does not fit is dropped and said, and it stays."""
        self.start(max_waiting_per_id=30, reserve=30, segment=None, pause_seconds=float("inf"))
        sender, slow = self.kernel(), self.kernel()
        slow.take(0)
        sender.send(1, b"x" * 22, b"y" * 22)
        self.assertEqual(sender.session.paused_for, 1)
        self.router.stop()
        self.assertIsNone(sender.session.paused_for)
        self.assertTrue(sender.link.paused)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(1, 30))
        slow.take(None)
        self.assertEqual(slow.read(), [(0, b"x" * 22)])
        self.assertTrue(sender.link.paused)

    def test_nobody_is_paused_any_more(self) -> None:
        """What still comes after the stop and does not fit is dropped at once."""
        self.start(max_waiting_per_id=30, reserve=30, segment=None)
        sender, slow = self.kernel(), self.kernel()
        slow.take(0)
        self.router.stop()
        sender.send(1, b"x" * 22, b"y" * 22)
        self.assertIsNone(sender.session.paused_for)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pinned_mail_stays(self) -> None:
        """What comes for a pinned node when it has been closed is not discarded."""
        self.start(pinned=(1,))
        sender, pinned = self.kernel(), self.kernel(pinned=1)
        pinned.take(0)
        sender.send(1, b"hello")
        self.router.stop()
        pinned.leave("the master stops")
        self.assertEqual([entry[0] for entry in self.take_mail()], [1])

    def test_settles_still(self) -> None:
        """A node whose settle time ends in the grace still gets its messages."""
        sender, kernel = self.kernel(), self.connect()
        sender.send(1, b"hello")
        kernel.read_bytes()
        self.router.stop()
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(kernel.read(), [(0, b"hello")])


class AwaitedTests(RouterTestCase):
    """Whose messages are worth keeping for the next run."""

    def awaited(self, kernel: Kernel) -> bool:
        """Whether what waits for it can still be delivered."""
        return self.router.is_awaited(kernel.node)

    def test_sequential(self) -> None:
        """Absent and unsettled ids can come again, settled ones cannot."""
        self.assertTrue(self.awaited(self.connect()))
        self.assertFalse(self.awaited(self.kernel()))
        self.assertTrue(self.router.is_awaited(5))

    def test_pinned(self) -> None:
        """A pinned node can come again."""
        self.start(pinned=(3,))
        self.assertTrue(self.awaited(self.kernel(pinned=3)))

    def test_lowest(self) -> None:
        """Under lowest every id can."""
        self.start(policy=IdPolicy.LOWEST)
        self.assertTrue(self.awaited(self.kernel()))

    def test_tools(self) -> None:
        """A tool cannot."""
        self.assertFalse(self.awaited(self.connect(kind=Kind.TOOL)))
        self.assertFalse(self.router.is_awaited(FIRST_TOOL_ID + 9))
