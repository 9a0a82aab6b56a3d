"""Native code in the place of a reactor's epoll object, with a reactor that is not run."""

from __future__ import annotations

import select
import socket
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet._native import NotNative
from distnet.sockets.descriptor import Descriptor
from distnet.sockets.native import NativePath, Way, poller_of


class Known:
    """What native code is told."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}

    def knows(self, fd: int, events: int) -> None:
        """A descriptor is registered already."""
        self.known[fd] = events

    def register(self, fd: int, events: int) -> None:
        """As C{select.epoll} has it."""

    modify = unregister = register


class Path(NativePath):
    """A native path that counts how often it was asked to count."""

    counts = 0

    def count(self) -> None:
        """Bring counters up to date."""
        self.counts += 1


class SocketDescriptor(Descriptor):
    """A socket that the reactor waits for."""

    def __init__(self, reactor: Any, sock: socket.socket) -> None:
        super().__init__(reactor)
        self._socket = sock

    def fileno(self) -> int:
        """Of the socket."""
        return self._socket.fileno()


class Base(SynchronousTestCase):
    """A reactor of its own for each test."""

    def setUp(self) -> None:
        """With an epoll object."""
        self.reactor = EPollReactor()
        self.addCleanup(self.close)
        self.epoll = poller_of(self.reactor)

    def close(self) -> None:
        """Leave nothing open."""
        for waker in set(self.reactor._internalReaders):
            waker.connectionLost(None)
        self.epoll.close()


class NativePathTests(Base):
    """What stands in the place of a reactor's epoll object."""

    def test_in_its_place(self) -> None:
        """It stands there from start to stop, and stopping twice is the same."""
        path = Path(self.reactor, Known())
        for _ in range(2):
            path.start()
            self.assertIs(self.reactor._poller, path)
            path.stop()
            path.stop()
            self.assertIs(self.reactor._poller, self.epoll)

    def test_what_is_registered_already(self) -> None:
        """It is told of all that the reactor waits for already, and for which events."""
        known = Known()
        ones, others = socket.socketpair(), socket.socketpair()
        for sock in (*ones, *others):
            self.addCleanup(sock.close)
        reads, writes, both, _ = [SocketDescriptor(self.reactor, sock) for sock in (*ones, *others)]
        for each in (reads, both):
            each.want_to_read(True)
        for each in (writes, both):
            each.want_to_write(True)
        path = Path(self.reactor, known)
        path.start()
        path.stop()
        self.assertEqual(
            [known.known[each.fileno()] for each in (reads, writes, both)],
            [select.EPOLLIN, select.EPOLLOUT, select.EPOLLIN | select.EPOLLOUT],
        )

    def test_another_reactor(self) -> None:
        """A reactor without an epoll object of its own is refused, and so is one that is served."""
        with self.assertRaises(NotNative):
            poller_of(MemoryReactorClock())
        path = Path(self.reactor, Known())
        path.start()
        self.addCleanup(path.stop)
        with self.assertRaises(NotNative):
            poller_of(self.reactor)


class WayTests(Base):
    """By native code or by Python."""

    def said(self, way: Way[Path]) -> list[str]:
        """What is in the log when it is started."""
        with capturedLogs() as events:
            way.start()
        return [formatEvent(event) for event in events]

    def test_native(self) -> None:
        """Where native code runs it is started, asked for its counters, and stopped."""
        way = Way("frames are forwarded", lambda: Path(self.reactor, Known()))
        assert way.native is not None
        self.assertIsNone(way.why_not)
        self.assertEqual(self.said(way), ["frames are forwarded by native code"])
        self.assertIs(self.reactor._poller, way.native)
        way.count()
        self.assertEqual(way.native.counts, 1)
        way.stop()
        self.assertIs(self.reactor._poller, self.epoll)

    def test_why_not(self) -> None:
        """Where it does not run, the log says why, and there is nothing to start or to stop."""

        def make() -> Path:
            raise NotNative("it is Tuesday")

        way = Way("messages are routed", make)
        self.assertEqual((way.native, way.why_not), (None, "it is Tuesday"))
        self.assertEqual(
            self.said(way), ["messages are routed by Python, not by native code: it is Tuesday"]
        )
        way.count()
        way.stop()
        self.assertIs(self.reactor._poller, self.epoll)
