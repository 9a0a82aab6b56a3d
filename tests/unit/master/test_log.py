"""What a master's log says of its nodes."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import IObserver
from distnet.master.core.session import Kind, Session
from distnet.master.log import NodeLog
from distnet.testing import FakeLink


class NodeLogTests(SynchronousTestCase):
    """Tests for C{NodeLog}."""

    def setUp(self) -> None:
        """Collect what is logged from a session that began at 0, ten seconds ago."""
        self.clock = Clock()
        self.log = NodeLog(self.clock)
        self.session = Session(3, FakeLink("tcp 127.0.0.1:5"), 0.0)
        self.clock.advance(10)
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
