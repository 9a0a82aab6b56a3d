"""What the router is told when something else reads and writes its nodes' sockets for a while."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer
from zope.interface.verify import verifyObject

from distnet.master.core.counters import Tally
from distnet.master.core.link import INative
from distnet.wire import encode_message
from tests.unit.master.core.kernels import RouterTestCase, message


@implementer(INative)
class FakeNative:
    """
    The native half of a node.

    @ivar told: what it was told, in order.
    """

    reads = False

    def __init__(self) -> None:
        self.told: list[str] = []

    def open(self) -> None:
        """Note that the node may be written to."""
        self.told.append("open")

    def close(self) -> None:
        """Note that the node must not be written to."""
        self.told.append("close")

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
