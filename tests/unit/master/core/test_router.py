"""L{distnet.master.core.router}: where messages go, and what is said of those that go nowhere."""

from __future__ import annotations

from distnet.errors import NodeBusy, NoFreeId
from distnet.master.core.counters import Reason, Tally
from distnet.master.core.registry import IdPolicy
from distnet.master.core.session import Kind
from distnet.testing import FakeLink
from distnet.wire import FIRST_TOOL_ID, HEADER, encode_message
from tests.unit.master.core.kernels import RouterTestCase


class DeliveryTests(RouterTestCase):
    """What arrives."""

    def test_readdressed(self) -> None:
        """A message arrives with its sender's id in place of its dest."""
        sender, receiver = self.kernel(), self.kernel()
        sender.send(1, b"hello")
        self.assertEqual(bytes(receiver.link.sent), encode_message(0, b"hello"))
        self.assertEqual(receiver.read(), [(sender.node, b"hello")])

    def test_oneself(self) -> None:
        """A message to oneself arrives."""
        kernel = self.kernel()
        kernel.send(0, b"note")
        self.assertEqual(kernel.read(), [(0, b"note")])

    def test_broadcast_before_the_others(self) -> None:
        """Messages to ids that are not there yet wait for them, in order."""
        first = self.kernel()
        for payload in (b"a", b"b"):
            for dest in range(3):
                first.send(dest, payload)
        for _ in (1, 2):
            self.assertEqual(self.kernel().read_all(), [(0, b"a"), (0, b"b")])
        self.assertEqual(first.read_all(), [(0, b"a"), (0, b"b")])

    def test_mixed_dests_in_one_read(self) -> None:
        """Messages to several ids that come in one read go to each in order."""
        sender, one, two = self.kernel(), self.kernel(), self.kernel()
        stream = [(1, b"a"), (2, b"b"), (1, b"c"), (1, b"d"), (2, b"e")]
        sender.write(b"".join(encode_message(*entry) for entry in stream))
        self.assertEqual(one.read_all(), [(0, b"a"), (0, b"c"), (0, b"d")])
        self.assertEqual(two.read_all(), [(0, b"b"), (0, b"e")])

    def test_half_a_message(self) -> None:
        """A message that comes in pieces delays nobody else's, and arrives when it is whole."""
        slow, other, receiver = self.kernel(), self.kernel(), self.kernel()
        data = encode_message(2, b"slow")
        slow.write(data[:5])
        other.send(2, b"quick")
        self.assertEqual(receiver.read(), [(1, b"quick")])
        slow.write(data[5:])
        self.assertEqual(receiver.read(), [(0, b"slow")])

    def test_no_room_on_the_link_delays_nobody(self) -> None:
        """A node that does not read does not keep messages from others."""
        sender, stuck, other = self.kernel(), self.kernel(), self.kernel()
        stuck.take(0)
        sender.send(1, b"x")
        sender.send(2, b"y")
        self.assertEqual(other.read(), [(0, b"y")])

    def test_counted_once(self) -> None:
        """Each message is counted once for its sender, its receiver and in all."""
        sender, receiver = self.kernel(), self.kernel()
        sender.send(1, b"12345678", b"1234")
        receiver.read_all()
        tally = Tally(2, 28)
        self.assertEqual(sender.session.received, tally)
        self.assertEqual(receiver.session.delivered, tally)
        self.assertEqual(self.router.counters.received, tally)
        self.assertEqual(self.router.counters.delivered, tally)

    def test_first_message_is_said_once(self) -> None:
        """The first message of each node is said, no other."""
        kernel = self.kernel()
        kernel.send(0, b"a", b"b")
        kernel.send(0, b"c")
        self.assertEqual(self.said("first_message"), [("first_message", 0, 0)])


class RefusalTests(RouterTestCase):
    """Ids that cannot be reached."""

    def test_highest(self) -> None:
        """What is sent to the highest id waits, above it is refused, counted and said once."""
        self.start(highest_id=9)
        sender = self.kernel()
        sender.send(9, b"waits")
        sender.send(10, b"no", b"no")
        sender.send(10, b"no")
        self.assertEqual(self.router.mailboxes.waiting_for(9), Tally(1, 13))
        self.assertEqual(self.undelivered(Reason.NO_SUCH_ID), Tally(3, 30))
        self.assertEqual(sender.session.undelivered, Tally(3, 30))
        self.assertEqual(self.said("refused"), [("refused", 0, 10, Reason.NO_SUCH_ID)])

    def test_no_node_above(self) -> None:
        """No node gets an id above the highest."""
        self.start(highest_id=0)
        self.connect()
        self.assertRaises(NoFreeId, self.connect)

    def test_gone(self) -> None:
        """What is sent to an id that has left is refused, and said once by each sender."""
        one, two, left = self.kernel(), self.kernel(), self.kernel()
        left.leave()
        for sender in (one, two, one):
            sender.send(2, b"late")
        self.assertEqual(self.undelivered(Reason.GONE), Tally(3, 36))
        self.assertEqual([event[1:3] for event in self.said("refused")], [(0, 2), (1, 2)])

    def test_said_of_so_many(self) -> None:
        """A node that sends to ever other ids is counted for all, but said only of the first."""
        self.start(highest_id=0)
        sender = self.kernel()
        for dest in range(1, 1001):
            sender.send(dest, b"")
        self.assertEqual(self.undelivered(Reason.NO_SUCH_ID).messages, 1000)
        self.assertEqual(len(self.said("refused")), 64)

    def test_tools(self) -> None:
        """A tool has an id from 2**31, can be answered while it is there, and takes no kernel's."""
        tool, kernel = self.kernel(kind=Kind.TOOL), self.kernel()
        self.assertEqual((tool.node, kernel.node), (FIRST_TOOL_ID, 0))
        tool.send(0, b"ping")
        self.assertEqual(kernel.read(), [(FIRST_TOOL_ID, b"ping")])
        kernel.send(tool.node, b"pong")
        self.assertEqual(tool.read(), [(0, b"pong")])
        tool.leave()
        kernel.send(tool.node, b"late")
        self.assertEqual(self.undelivered(Reason.NO_SUCH_ID), Tally(1, 12))

    def test_one_that_cuts(self) -> None:
        """Who cuts a stream itself is not paced, as a tool is not."""
        link = FakeLink()
        link.cuts = True
        self.assertIsNone(self.router.connect(link).outbox.segment)
        self.assertEqual(self.router.connect(FakeLink()).outbox.segment, 1460)

    def test_mail_of_a_tool(self) -> None:
        """What waited for a tool is not for the next tool, even if the first read nothing."""
        kernel, tool = self.kernel(), self.connect(kind=Kind.TOOL)
        kernel.send(tool.node, b"for it alone")
        tool.leave()
        self.assertEqual(self.undelivered(Reason.LEFT), Tally(1, 20))
        self.assertEqual(self.kernel(kind=Kind.TOOL).read(), [])


class BadPeerTests(RouterTestCase):
    """What ends one connection and no other."""

    def setUp(self) -> None:
        super().setUp()
        self.start(max_payload=100)
        self.bad, self.good, self.receiver = self.kernel(), self.kernel(), self.kernel()

    def assert_others_go_on(self) -> None:
        """The connection of the bad one is over, and others still exchange messages."""
        self.assertTrue(self.bad.session.gone)
        self.receiver.read_all()
        self.good.send(2, b"still here")
        self.assertEqual(self.receiver.read(), [(1, b"still here")])
        self.assertIsNone(self.good.link.ended)
        self.assertIsNone(self.receiver.link.ended)

    def left(self) -> str:
        """Why the bad one left."""
        [event] = self.said("left")
        self.assertEqual(event[1], self.bad.node)
        return str(event[2])

    def test_quit(self) -> None:
        """Quit ends the session in good order, after what was sent before and nothing after."""
        self.bad.write(encode_message(2, b"before") + b"quit" + encode_message(2, b"after"))
        self.assertEqual(self.receiver.read_all(), [(0, b"before")])
        self.assertEqual(self.bad.link.ended, "close")
        self.assertEqual(self.left(), "quit")
        self.assert_others_go_on()

    def test_quit_in_four_bytes(self) -> None:
        """Quit is known by its four bytes alone, however they come."""
        for byte in (b"q", b"u", b"i"):
            self.bad.write(byte)
            self.assertFalse(self.bad.session.gone)
        self.bad.write(b"t")
        self.assert_others_go_on()

    def test_half_a_header(self) -> None:
        """Half a header at the end is discarded, counted and said."""
        self.bad.write(encode_message(2, b"whole") + b"\x02\x00\x00")
        self.bad.leave()
        self.assertEqual(self.undelivered(Reason.TRUNCATED), Tally(1, 3))
        self.assertEqual(self.said("truncated"), [("truncated", 0, 3)])
        self.assertEqual(self.receiver.read_all(), [(0, b"whole")])
        self.assert_others_go_on()

    def test_half_a_payload(self) -> None:
        """Half a payload at the end is discarded and counted, with its header."""
        self.bad.write(encode_message(2, b"whole")[:-1])
        self.bad.leave()
        self.assertEqual(self.undelivered(Reason.TRUNCATED), Tally(1, 12))
        self.assertEqual(self.receiver.read_all(), [])
        self.assert_others_go_on()

    def test_largest(self) -> None:
        """A payload of exactly the limit arrives."""
        self.bad.send(2, bytes(100))
        self.assertEqual(self.receiver.read(), [(0, bytes(100))])
        self.bad.leave()

    def test_oversize(self) -> None:
        """A length of one more ends that connection, at once and with a reason."""
        self.bad.write(encode_message(2, b"before") + HEADER.pack(2, 101))
        self.assertEqual(self.bad.link.ended, "abort")
        self.assertEqual(self.receiver.read_all(), [(0, b"before")])
        self.assertIn("101 bytes", self.left())
        self.assert_others_go_on()

    def test_said_once(self) -> None:
        """What comes after the end, and a second end, change nothing."""
        self.bad.leave("error: reset")
        self.bad.send(2, b"late")
        self.bad.leave("closed")
        self.assertEqual(self.left(), "error: reset")
        self.assertEqual(self.receiver.read_all(), [])
        self.assert_others_go_on()

    def test_cut(self) -> None:
        """What was written in part when a connection ended is counted, and never sent again."""
        self.start(policy=IdPolicy.LOWEST, segment=None)
        sender, first = self.kernel(), self.kernel()
        first.take(10)
        sender.send(1, b"cut in two", b"waits")
        first.leave()
        self.assertEqual(self.undelivered(Reason.CUT), Tally(1, 8))
        self.assertEqual(self.undelivered(Reason.LEFT), Tally(1, 13))
        self.assertEqual(self.said("cut"), [("cut", 1, Tally(1, 8))])
        self.assertEqual(self.kernel().read_all(), [])

    def test_left_behind(self) -> None:
        """What waited for a node that left is discarded, and said with its leaving."""
        self.receiver.take(0)
        self.good.send(2, b"unread")
        self.receiver.leave()
        self.assertEqual(self.said("left"), [("left", 2, "closed", Tally(1, 14))])
        self.assertEqual(self.undelivered(Reason.LEFT), Tally(1, 14))


class PinnedTests(RouterTestCase):
    """Listeners that belong to one node."""

    def test_same_id_again(self) -> None:
        """Whoever connects there has that id, every time, and nobody else does."""
        self.start(pinned=(0, 2))
        self.assertEqual([self.connect().node, self.connect().node], [1, 3])
        for _ in range(2):
            kernel = self.kernel(pinned=2)
            self.assertEqual(kernel.node, 2)
            kernel.leave()

    def test_waits_for_the_next(self) -> None:
        """What is sent while it is away waits for its return."""
        self.start(pinned=(2,))
        sender = self.kernel()
        self.kernel(pinned=2).leave()
        sender.send(2, b"hello")
        self.assertEqual(self.kernel(pinned=2).read(), [(0, b"hello")])

    def test_discarded(self) -> None:
        """What waited when it left is discarded."""
        self.assert_after_leaving(keep=False, expected=[])

    def test_kept(self) -> None:
        """Or kept, by an option; never what was written in part."""
        self.assert_after_leaving(keep=True, expected=[(0, b"kept")])

    def assert_after_leaving(self, keep: bool, expected: list[tuple[int, bytes]]) -> None:
        """Leave one message half written and one waiting, and look what the next holder gets."""
        self.start(pinned=(2,), keep_pinned=keep, segment=None)
        sender, first = self.kernel(), self.kernel(pinned=2)
        first.take(9)
        sender.send(2, b"half", b"kept")
        first.leave()
        self.assertEqual(self.undelivered(Reason.CUT), Tally(1, 3))
        self.assertEqual(self.kernel(pinned=2).read_all(), expected)

    def test_second_is_refused(self) -> None:
        """A second connection while the first lives is refused, and disturbs nothing."""
        self.start(pinned=(2,))
        first = self.kernel(pinned=2)
        self.assertRaises(NodeBusy, self.connect, pinned=2)
        self.assertIsNone(first.link.ended)
        first.send(2, b"to oneself")
        self.assertEqual(first.read(), [(2, b"to oneself")])

    def test_second_replaces(self) -> None:
        """Or it replaces the first, by an option, and has the id to itself."""
        self.start(pinned=(2,), replace_pinned=True)
        first, sender = self.kernel(pinned=2), self.kernel()
        second = self.kernel(pinned=2)
        self.assertEqual(first.link.ended, "abort")
        self.assertEqual([event[1] for event in self.said("left")], [2])
        first.leave()
        sender.send(2, b"hello")
        self.assertEqual(second.read(), [(0, b"hello")])
