"""What a master's log says of its nodes."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import IObserver
from distnet.master.core.limits import Limits
from distnet.master.core.router import Router
from distnet.master.core.session import Kind, Session
from distnet.master.log import UNREAD_SECONDS, NodeLog, UnreadIdLog
from distnet.observers import broadcast
from distnet.testing import FakeLink
from distnet.wire import encode_message


class LogTestCase(SynchronousTestCase):
    """What is logged."""

    def setUp(self) -> None:
        """Collect it."""
        self.clock = Clock()
        self.events: list[dict[str, Any]] = []
        noted = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(noted)
        self.addCleanup(globalLogPublisher.removeObserver, noted)

    def said(self) -> str:
        """The one line that was logged since this was last asked."""
        (event,) = self.events
        self.events.clear()
        self.level = event["log_level"]
        line = formatEvent(event)
        self.assertNotIn("\n", line)
        return line


class NodeLogTests(LogTestCase):
    """Tests for C{NodeLog}."""

    def setUp(self) -> None:
        """Have a session that began at 0, ten seconds ago."""
        super().setUp()
        self.log = NodeLog(self.clock)
        self.session = Session(3, FakeLink("tcp 127.0.0.1:5"), 0.0)
        self.clock.advance(10)

    def test_all_events(self) -> None:
        """Every event has a line."""
        self.assertTrue(verifyObject(IObserver, self.log, tentative=True))

    def test_a_life(self) -> None:
        """A node has one line each for connected, settled, first message, left."""
        self.log.connected(self.session)
        self.assertEqual(self.said(), "node 3: connected from tcp 127.0.0.1:5")
        self.log.settled(self.session, "its queue")
        self.assertEqual(
            self.said(), "node 3: settled after 10.00 s: it has read its id, as its queue shows"
        )
        self.log.first_message(self.session, 5)
        self.assertEqual(self.said(), "node 3: first message, to 5")
        self.session.received.add(2, 1040)
        self.log.left(self.session, "quit", Tally())
        self.assertEqual(
            self.said(),
            "node 3: left (quit) after 10.0 s; sent 2 messages (1.0 kB), got 0 messages (0 B)",
        )
        self.assertEqual(self.level, LogLevel.info)

    def test_a_life_with_losses(self) -> None:
        """The line of a node that leaves says what was lost from it and for it."""
        self.session.undelivered.add(1, 520)
        self.log.left(self.session, "closed", Tally(2, 48))
        self.assertTrue(
            self.said().endswith(
                "; of what it sent, 1 message (520 B) could not be delivered"
                "; 2 messages (48 B) that waited for it discarded"
            )
        )

    def test_tools_are_called_so(self) -> None:
        """A tool is not called a node."""
        self.log.connected(Session(2**31, FakeLink(), 0.0, kind=Kind.TOOL))
        self.assertEqual(self.said(), "tool 2147483648: connected from test")

    def test_resumed(self) -> None:
        """A node that was resumed is not said to have read an id now."""
        self.session.resumed = True
        self.log.settled(self.session, "an earlier run")
        self.assertEqual(self.said(), "node 3: resumed, without a new id")

    def test_warnings(self) -> None:
        """What a kernel developer has to look at is a warning, and names the node."""
        self.log.truncated(self.session, 5)
        self.assertIn("node 3: its connection ended inside a message; 5 bytes", self.said())
        self.log.cut(self.session, Tally(1, 100))
        self.assertIn("node 3: its connection ended inside a message to it, 100 bytes", self.said())
        for reason, why in (
            (Reason.GONE, "which has left and will not come back"),
            (Reason.NO_SUCH_ID, "which no node has or can get"),
        ):
            self.log.refused(self.session, 9, reason)
            self.assertIn(f"node 3: sends to 9, {why}", self.said())
            self.assertEqual(self.level, LogLevel.warn)


class UnreadIdLogTests(LogTestCase):
    """Tests for C{UnreadIdLog}, below a router."""

    def setUp(self) -> None:
        """Have a router that tells it what happens."""
        super().setUp()
        observer = broadcast(IObserver, UnreadIdLog(self.clock))
        self.router = Router(Limits(), observer, self.clock)

    def connect(self, kind: Kind = Kind.KERNEL, *, observable: bool = True) -> FakeLink:
        """A node that has been told its id."""
        link = FakeLink(observable=observable)
        self.router.greet(self.router.connect(link, kind=kind))
        return link

    def session(self, node: int = 0) -> Session:
        """The session of a node that is connected."""
        return self.router.sessions[node]

    def pass_over(self) -> None:
        """Much time passes; nothing is said, and nothing is left to be done."""
        self.clock.advance(10 * UNREAD_SECONDS)
        self.assertEqual(self.events, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_not_read(self) -> None:
        """Of a node that has not read its id one line says so, once, with what it may be."""
        self.connect()
        self.clock.advance(UNREAD_SECONDS - 1)
        self.assertEqual(self.events, [])
        self.clock.advance(1)
        said = self.said()
        self.assertTrue(said.startswith("node 0: connected for 30 s, and has not read its id: "))
        for cause in ("not booted yet", "in a debugger", "10.0.2.16:1234", "IP=1"):
            self.assertIn(cause, said)
        self.pass_over()

    def test_read(self) -> None:
        """Of a node that has read its id nothing is said, though it sends nothing."""
        self.connect().read()
        self.pass_over()

    def test_settled(self) -> None:
        """Of a node that has sent something nothing is said, whatever it has not read since."""
        link = self.connect()
        self.router.received(self.session(), encode_message(0, b"sixteen bytes of"))
        self.assertTrue(link.unread())
        self.pass_over()

    def test_gone(self) -> None:
        """Of a node that has left nothing is said."""
        self.connect()
        self.router.lost(self.session(), "closed")
        self.pass_over()

    def test_resumed(self) -> None:
        """A node that goes on without a new id has none to read."""
        link = FakeLink()
        self.router.resume(self.router.connect(link))
        link.send(b"something")
        self.pass_over()

    def test_not_seen(self) -> None:
        """Where it is not seen what a node has read nothing is said."""
        self.connect(observable=False)
        link = self.connect()
        link.knows_unread = False
        self.pass_over()

    def test_tools(self) -> None:
        """A tool is no kernel."""
        self.connect(Kind.TOOL)
        self.pass_over()
