"""The gateway's plug, in a switch that is the test."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionAborted
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.plug import MOST_SECONDS, Plug
from distnet.vdewire import encode_reply
from tests.unit.gateway.reactors import Turning


class Transport(StringTransport):
    """A control connection."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self._protocol = protocol

    def abortConnection(self) -> None:
        """It ends at once."""
        self._protocol.connectionLost(Failure(ConnectionAborted()))

    loseConnection = abortConnection


class Switch(Turning):
    """A reactor that connects to a switch, which answers each request with port 7."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(str(path))
        self._path = path
        self.connected = 0

    def connectUNIX(self, path: str, factory: Any) -> None:
        """Connect."""
        self.connected += 1
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(Transport(protocol))
        protocol.dataReceived(encode_reply(os.fsencode(self._path)))


class PlugTests(SynchronousTestCase):
    """L{Plug}"""

    def setUp(self) -> None:
        """One that is plugged in."""
        # Its own is too long for a unix socket.
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.switch = Switch(Path(directory.name, "007.1"))
        self.addCleanup(self.switch.sock.close)
        self.seen: list[object] = []
        self.plug = Plug(
            self.switch,
            directory.name,
            0,
            received=self.received,
            plugged=lambda: self.seen.append("plugged"),
            unplugged=lambda: self.seen.append("unplugged"),
        )
        self.addCleanup(self.plug.stop)
        self.plug.start()

    def received(self, frames: list[bytes]) -> None:
        """Frames have come."""
        self.seen += frames

    def test_plugged_in(self) -> None:
        """It has the port that the switch gave it, and leaves no name."""
        self.assertEqual(self.plug.port, 7)
        self.plug.send(b"frame")
        self.assertEqual(self.switch.sock.recv(10), b"frame")
        self.assertEqual(self.seen, ["plugged"])

    def test_an_exception(self) -> None:
        """What goes wrong with its frames makes it plug in again, and deaf to none."""
        # As the reactor does then, after it has taken it out.
        self.switch.removeReader(self.plug)
        self.plug.connectionLost(Failure(ZeroDivisionError()))
        self.assertIsNone(self.plug.port)
        self.assertEqual(self.seen, ["plugged", "unplugged"])
        self.switch.advance(MOST_SECONDS)
        self.assertEqual(self.plug.port, 7)
        self.assertEqual(self.switch.readers, {self.plug})
        self.assertEqual(self.switch.connected, 2)

    def test_stopped(self) -> None:
        """One that was stopped does not plug in again."""
        self.plug.stop()
        self.plug.connectionLost(Failure(ZeroDivisionError()))
        self.switch.advance(2 * MOST_SECONDS)
        self.assertEqual(self.switch.connected, 1)
        self.assertEqual(self.switch.getDelayedCalls(), [])

    def test_without_a_switch(self) -> None:
        """What it has for a switch that is not there is counted."""
        self.plug.stop()
        self.plug.send(b"frame")
        self.assertEqual(self.plug.dropped, {"no switch": 1})
