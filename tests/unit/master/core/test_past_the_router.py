"""What the router is told when something else reads and writes its nodes' sockets for a while."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from distnet.master.core.counters import Tally
from distnet.master.core.link import INative
from distnet.wire import encode_message, whole_messages
from tests.unit.master.core.kernels import RouterTestCase, message


@implementer(INative)
class FakeNative:
    """
    The native half of a node.

    @ivar told: what it was told, in order.
    @ivar room: for so many bytes that it has to write.
    @ivar taken: those that it has.
    """

    reads = False

    def __init__(self) -> None:
        self.told: list[str] = []
        self.room = 0
        self.taken = bytearray()

    def open(self) -> None:
        """Note that the node may be written to."""
        self.told.append("open")

    def close(self) -> None:
        """Note that the node must not be written to."""
        self.told.append("close")

    def push(self, data: bytes | bytearray | memoryview) -> tuple[int, int]:
        """Take as many whole messages as there is room for."""
        size, messages = whole_messages(bytes(data), 0, self.room)
        self.room -= size
        self.taken += data[:size]
        return size, messages

    def let_go(self) -> None:
        """Nobody calls this here."""
        raise NotImplementedError


class PastTheRouterTests(RouterTestCase):
    """L{Router.take_back}, L{Router.filled}, and L{Splitter.release}."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew, with two nodes that read whatever comes."""
        super().start(segment=None)
        self.sender, self.receiver = self.kernel(), self.kernel()

    def test_what_was_taken_back_comes_first(self) -> None:
        """What had come before goes out before what comes next, and counts once."""
        whole = message(1, 20, b"a") + message(1, 30, b"b")
        self.router.take_back(self.sender.session, whole[:-5])
        self.assertEqual(self.receiver.read(), [])
        self.sender.write(whole[-5:])
        self.assertEqual(self.receiver.read(), [(0, b"a" * 12), (0, b"b" * 22)])
        self.assertEqual(self.router.counters.received, Tally(2, 50))

    def test_what_was_taken_back_is_delivered_at_the_end(self) -> None:
        """If the connection ends before more comes, whole messages arrive and the rest counts."""
        self.router.take_back(self.sender.session, message(1, 20, b"a") + message(1, 30)[:9])
        self.sender.leave()
        self.assertEqual(self.receiver.read(), [(0, b"a" * 12)])
        self.assertEqual(self.said("truncated"), [("truncated", 0, 9)])

    def test_nothing_is_taken_back_from_who_is_gone(self) -> None:
        """After the end of a connection nothing more of it is delivered or counted."""
        self.sender.leave()
        self.router.take_back(self.sender.session, message(1, 20))
        self.assertEqual(self.receiver.read(), [])
        self.assertEqual(self.router.counters.received, Tally())

    def test_the_rest_of_a_begun_message(self) -> None:
        """What was begun elsewhere is finished first, once the link takes more."""
        begun = message(0, 40, b"b")
        # Whoever wrote its beginning has counted it.
        counters = self.router.counters
        counters.received.add(1, 40)
        counters.delivered.add(0, 15)
        self.router.filled(self.receiver.session, begun, 15)
        self.sender.send(1, b"after")
        self.assertEqual(self.receiver.link.read(), b"")
        self.assertEqual(self.router.mailboxes.waiting_for(1), Tally(2, 38))
        self.router.writable(self.receiver.session)
        self.assertEqual(self.receiver.link.read(), begun[15:] + encode_message(0, b"after"))
        self.assertEqual(counters.delivered, Tally(2, 53))

    def test_full_between_two_messages(self) -> None:
        """A link that takes no more is not written to before it does, with nothing begun either."""
        self.router.filled(self.receiver.session, b"", 0)
        self.sender.send(1, b"later")
        self.assertEqual(self.receiver.read(), [])
        self.router.writable(self.receiver.session)
        self.assertEqual(self.receiver.read(), [(0, b"later")])

    def test_told_when_it_may_write(self) -> None:
        """The native half is told when what is sent to its node has to wait, and when no more."""
        native = FakeNative()
        self.assertTrue(verifyObject(INative, native))
        self.receiver.session.outbox.attach(native)
        self.assertEqual(native.told, ["open"])
        self.sender.send(1, b"all of it goes out")
        self.router.writable(self.receiver.session)
        self.assertEqual(native.told, ["open"])
        self.receiver.take(25)
        self.sender.send(1, b"some of it", b"some of it")
        self.sender.send(1, b"nothing of it")
        self.assertEqual(native.told, ["open", "close"])
        # Not while there is still something that waits.
        self.receiver.take(5)
        self.assertEqual(set(native.told[1:]), {"close"})
        self.receiver.take(None)
        self.assertEqual(native.told[-1], "open")
        self.assertEqual(len(self.receiver.read()), 4)

    def test_attached_while_something_waits(self) -> None:
        """The native half of a node that takes no more is told once it does."""
        native = FakeNative()
        self.receiver.take(0)
        self.sender.send(1, b"later")
        self.receiver.session.outbox.attach(native)
        self.assertEqual(native.told, [])
        self.receiver.take(None)
        self.assertEqual(native.told, ["open"])
        self.receiver.read()

    def test_who_is_let_go_is_told_no_more(self) -> None:
        """Without its native half a node is written as any other is."""
        native = FakeNative()
        self.receiver.session.outbox.attach(native)
        self.receiver.session.outbox.attach(None)
        self.receiver.take(0)
        self.sender.send(1, b"later")
        self.receiver.take(None)
        self.assertEqual(native.told, ["open"])
        self.receiver.read()

    def test_a_begun_message_is_cut_by_the_end(self) -> None:
        """The connection's end leaves the rest of a begun message counted as cut."""
        self.router.counters.received.add(1, 40)
        self.router.counters.delivered.add(0, 15)
        self.router.filled(self.receiver.session, message(0, 40), 15)
        self.receiver.leave()
        self.assertEqual(self.said("cut"), [("cut", 1, Tally(1, 25))])

    def test_the_rest_is_released(self) -> None:
        """Who goes on elsewhere gets the bytes of an incomplete message, and no other."""
        whole = message(1, 30, b"b")
        self.sender.write(whole + whole[:11])
        self.assertEqual(self.sender.session.splitter.release(), whole[:11])
        self.assertEqual(self.sender.session.splitter.release(), b"")
        self.receiver.read()
        self.sender.write(whole)
        self.assertEqual(self.receiver.read(), [(0, b"b" * 22)])


class PacedTests(RouterTestCase):
    """A native half that keeps the pace of a node."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew, with a node that is written to natively."""
        super().start()
        self.sender, self.receiver = self.kernel(), self.kernel()
        self.native = FakeNative()
        self.outbox = self.receiver.session.outbox
        self.outbox.attach(self.native)

    def test_all_goes_by_it(self) -> None:
        """It takes what it has room for; the rest waits, and others have to until that has gone."""
        payloads = [bytes([number]) * (12 + 10 * number) for number in range(3)]
        self.native.room = 50
        self.sender.send(1, *payloads)
        self.assertEqual(self.native.told, ["open", "close"])
        self.assertEqual(self.router.mailboxes.waiting_for(1), Tally(1, 40))
        self.native.room = 100
        self.router.writable(self.receiver.session)
        self.assertEqual(self.native.told, ["open", "close", "open"])
        expected = b"".join(encode_message(0, payload) for payload in payloads)
        self.assertEqual(self.native.taken, expected)
        self.assertEqual(self.receiver.read(), [])
        self.router.counters.delivered.add(3, 90)

    def test_what_it_had_to_write_comes_first(self) -> None:
        """Let go of, what it has not written goes out before what waits, from the very byte on."""
        self.native.room = 50
        self.sender.send(1, b"a" * 12, b"b" * 22, b"c" * 32)
        self.router.counters.delivered.add(0, 5)
        self.receiver.link.sent += self.native.taken[:5]
        self.outbox.attach(None)
        self.outbox.take_back(bytes(self.native.taken), 5)
        self.assertEqual(self.router.mailboxes.waiting_for(1), Tally(3, 85))
        self.outbox.pump()
        self.assertEqual(self.receiver.read_all(), [(0, b"a" * 12), (0, b"b" * 22), (0, b"c" * 32)])
