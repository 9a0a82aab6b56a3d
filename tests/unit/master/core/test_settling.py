"""L{distnet.master.core.settling}: the id comes alone, and nothing follows before it was read."""

from __future__ import annotations

from distnet.master.core.counters import Reason
from distnet.master.core.registry import IdPolicy, Standing
from distnet.testing import FakeLink
from tests.unit.master.core.kernels import SETTLE_SECONDS, RouterTestCase


class HeldTests(RouterTestCase):
    """What is sent to a node that has not read its id."""

    def test_id_alone(self) -> None:
        """The id is all that is sent, whatever has waited for it and whatever comes then."""
        sender = self.kernel()
        sender.send(1, b"early")
        kernel = self.connect()
        sender.send(1, b"late")
        self.clock.advance(60)
        self.assertEqual(bytes(kernel.link.sent), b"1")

    def test_first_byte(self) -> None:
        """The first byte of a node proves that it has read its id, and all comes in order."""
        sender = self.kernel()
        sender.send(1, b"early")
        kernel = self.connect()
        sender.send(1, b"late")
        kernel.link.read()
        kernel.write(b"\x00")
        self.assertTrue(kernel.session.settled)
        self.assertEqual(kernel.session.settled_by, "its first byte")
        self.assertEqual(kernel.read_all(), [(0, b"early"), (0, b"late")])

    def test_first_byte_cuts_the_settle_time_short(self) -> None:
        """A byte in the settle time settles at once, and the time that is over changes nothing."""
        sender, kernel = self.kernel(), self.connect()
        sender.send(1, b"hello")
        kernel.read_bytes()
        self.clock.advance(SETTLE_SECONDS / 2)
        kernel.write(b"\x00")
        self.assertEqual(kernel.read(), [(0, b"hello")])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual([event[1] for event in self.said("settled")], [0, 1])

    def test_queue_and_settle_time(self) -> None:
        """When the id has left the peer's queue, the settle time passes before anything comes."""
        sender = self.kernel()
        kernel = self.connect()
        sender.send(1, b"hello")
        self.assertEqual(kernel.read_bytes(), b"1")
        self.clock.advance(SETTLE_SECONDS - 0.001)
        self.assertEqual(bytes(kernel.link.sent), b"")
        self.assertEqual(kernel.session.state, "unsettled")
        self.clock.advance(0.001)
        self.assertEqual(kernel.read(), [(0, b"hello")])
        self.assertEqual(kernel.session.state, "settled")
        self.assertEqual(kernel.session.settled_by, "its queue")

    def test_late_reader(self) -> None:
        """A connection whose kernel comes a minute later gets a clean id, and then its messages."""
        sender = self.kernel()
        kernel = self.connect()
        sender.send(1, b"hello")
        self.clock.advance(60)
        self.assertEqual(kernel.read_bytes(), b"1")
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(kernel.read(), [(0, b"hello")])

    def test_only_receives(self) -> None:
        """A node that never sends gets all that is sent to it, from first to last."""
        sender, kernel = self.kernel(), self.connect()
        kernel.link.read()
        sender.send(1, b"first")
        kernel.has_read()
        self.clock.advance(SETTLE_SECONDS)
        sender.send(1, b"second")
        self.assertEqual(kernel.read_all(), [(0, b"first"), (0, b"second")])
        self.assertEqual(kernel.session.received.messages, 0)

    def test_not_observable(self) -> None:
        """Where nobody can see the queue only the first byte settles, however long it takes."""
        sender = self.kernel()
        kernel = self.connect(FakeLink(observable=False))
        sender.send(1, b"hello")
        self.clock.advance(3600)
        self.assertEqual(kernel.read_bytes(), b"1")
        self.assertEqual(kernel.link.watches, [])
        self.clock.advance(3600)
        self.assertEqual(bytes(kernel.link.sent), b"")
        kernel.write(b"\x00")
        self.assertEqual(kernel.read(), [(0, b"hello")])

    def test_writable_is_no_proof(self) -> None:
        """A link that takes more bytes says nothing of whether the id was read."""
        sender = self.kernel()
        link = FakeLink()
        link.capacity = 0
        kernel = self.connect(link)
        sender.send(1, b"hello")
        kernel.take(None)
        self.assertEqual(bytes(link.sent), b"")
        kernel.write(b"\x00")
        self.assertEqual(kernel.read(), [(0, b"hello")])

    def test_ends_in_the_settle_time(self) -> None:
        """A connection that ends in the settle time settles nothing any more."""
        sender, kernel = self.kernel(), self.connect()
        sender.send(1, b"hello")
        kernel.read_bytes()
        kernel.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(kernel.session.settled)

    def test_ends_before_the_greeting(self) -> None:
        """A connection can end before its id was sent, while that is being recorded."""
        session = self.router.connect(FakeLink())
        self.router.lost(session, "closed")
        self.assertEqual(self.connect().node, session.node)


class PollTests(RouterTestCase):
    """When somebody looks at the queue."""

    def test_no_mail_no_polling(self) -> None:
        """Nobody looks whether an id was read while no message waits for it."""
        kernel = self.connect()
        self.clock.advance(60)
        self.assertEqual(kernel.link.watches, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_mail_comes(self) -> None:
        """With the first message somebody looks, without hurry."""
        sender, kernel = self.kernel(), self.connect()
        sender.send(1, b"hello")
        self.assertEqual(kernel.link.watches, [False])

    def test_mail_was_there(self) -> None:
        """If messages wait when a node connects, somebody looks from then on."""
        self.kernel().send(1, b"hello")
        self.assertEqual(self.connect().link.watches, [False])

    def test_settled(self) -> None:
        """Nobody looks on behalf of a lone message to a settled node."""
        sender, kernel = self.kernel(), self.kernel()
        sender.send(1, b"hello")
        self.assertEqual(kernel.link.watches, [])


class LookTests(RouterTestCase):
    """Somebody asks for a node that is silent and that nobody sends to."""

    def test_has_read(self) -> None:
        """It settles after the settle time if it has read its id, though nothing waits for it."""
        kernel = self.connect()
        kernel.link.read()
        self.router.look(kernel.session)
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(kernel.session.state, "settled")
        self.assertEqual((kernel.session.settled_by, kernel.link.watches), ("its queue", []))

    def test_has_not_read(self) -> None:
        """It stays as it is if it has not, and nobody looks again by himself."""
        kernel = self.connect()
        self.router.look(kernel.session)
        kernel.link.read()
        self.clock.advance(60)
        self.assertEqual((kernel.session.state, kernel.link.watches), ("unsettled", []))

    def test_nobody_knows(self) -> None:
        """Where it cannot be seen, and before the id was sent, asking changes nothing."""
        hidden = self.connect(FakeLink(observable=False))
        hidden.link.read()
        early = self.router.connect(FakeLink())
        for session in (hidden.session, early):
            self.router.look(session)
            self.clock.advance(60)
            self.assertEqual(session.state, "unsettled")


class IdsGoBackTests(RouterTestCase):
    """Ids of connections that end."""

    def test_probe(self) -> None:
        """A port probe burns no id."""
        self.connect().leave()
        self.assertEqual(self.connect().node, 0)

    def test_probe_that_read(self) -> None:
        """An id that was read is not given again, though its node had not settled yet."""
        sender, kernel = self.kernel(), self.connect()
        sender.send(1, b"hello")
        kernel.read_bytes()
        self.assertEqual((kernel.session.settled, kernel.session.has_read), (False, True))
        kernel.leave()
        self.assertEqual(self.connect().node, 2)
        self.assertIs(self.router.registry.standing(1), Standing.GONE)
        # What waited for it was for it alone.
        self.assertEqual(self.undelivered(Reason.LEFT).messages, 1)

    def test_it_is_known_at_the_end(self) -> None:
        """So it is if only its end shows that it had read its id, which is before that is over."""
        kernel = self.connect()
        kernel.link.read()
        self.router.was_read(kernel.session)
        kernel.leave()
        self.assertEqual(self.connect().node, 1)

    def test_nobody_knows_that_it_read(self) -> None:
        """An id goes back that was read, if nobody can know that."""
        kernel = self.connect()
        kernel.link.read()
        kernel.leave()
        self.assertEqual(self.connect().node, 0)

    def test_mail_stays(self) -> None:
        """What waited for an id that went back is for whoever gets it then."""
        sender, probe = self.kernel(), self.connect()
        sender.send(1, b"hello")
        probe.leave()
        kernel = self.kernel()
        self.assertEqual(kernel.node, 1)
        self.assertEqual(kernel.read(), [(0, b"hello")])

    def test_settled_is_gone(self) -> None:
        """A settled id is not given again, under sequential."""
        self.kernel().leave()
        self.assertEqual(self.connect().node, 1)
        self.assertIs(self.router.registry.standing(0), Standing.GONE)

    def test_lowest(self) -> None:
        """Under lowest it is, and what was sent meanwhile waits for the next holder."""
        self.start(policy=IdPolicy.LOWEST)
        first, sender = self.kernel(), self.kernel()
        first.leave()
        sender.send(0, b"for the next")
        second = self.kernel()
        self.assertEqual(second.node, 0)
        self.assertEqual(second.read(), [(1, b"for the next")])
