"""Descriptors that do not block, as a reactor in memory waits for them."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.sockets.descriptor import (
    RETRY_SECONDS,
    SEND_BUFFER,
    TRIES,
    Descriptor,
    RetriedDescriptor,
    Retry,
    error_name,
    grow_receive_buffer,
    grow_send_buffer,
)


class UnprivilegedSocket(socket.socket):
    """A socket whose buffers are grown by somebody without the privilege to go beyond limits."""

    def setsockopt(self, level: int, option: int, value: Any) -> None:  # type: ignore[override]
        """As the kernel does for such a process."""
        if option not in {socket.SO_SNDBUF, socket.SO_RCVBUF}:
            raise PermissionError(errno.EPERM, "not permitted")
        super().setsockopt(level, option, value)


class BufferTests(SynchronousTestCase):
    """Buffers in the kernel, which counts twice what it is asked for (socket(7))."""

    def test_grown(self) -> None:
        """Both buffers are grown."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            grow_send_buffer(sock)
            grow_receive_buffer(sock, 65536)
            self.assertGreater(sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF), before)
            self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 2 * 65536)

    def test_without_the_privilege(self) -> None:
        """Without the privilege the kernel's limits hold, and nothing fails."""
        with UnprivilegedSocket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            grow_send_buffer(sock)
            grow_receive_buffer(sock, 65536)
            grown = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            self.assertLessEqual(grown, 2 * SEND_BUFFER)
            self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 2 * 65536)


class RetryTests(SynchronousTestCase):
    """Something full, and when it is tried again."""

    def setUp(self) -> None:
        """It is always full."""
        self.clock = Clock()
        self.tried = 0

    def full(self) -> None:
        """It is tried, and is full."""
        self.tried += 1
        self.retry.soon()

    def test_tried_again(self) -> None:
        """Something full is tried again soon, once however often it was said to be full."""
        self.retry = Retry(self.clock, self.full)
        self.retry.soon()
        self.retry.soon()
        self.assertEqual(self.tried, 0)
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.tried, 1)

    def test_in_vain(self) -> None:
        """After many tries in vain there are no more, until something was taken."""
        self.retry = Retry(self.clock, self.full)
        self.retry.soon()
        self.clock.pump([RETRY_SECONDS] * (2 * TRIES))
        self.assertEqual(self.tried, TRIES)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.retry.in_vain = 0
        self.retry.soon()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.tried, TRIES + 1)

    def test_without_a_limit(self) -> None:
        """One without a limit is tried for ever."""
        self.retry = Retry(self.clock, self.full, most=None)
        self.retry.soon()
        self.clock.pump([RETRY_SECONDS] * (2 * TRIES))
        self.assertEqual(self.tried, 2 * TRIES)

    def test_stopped(self) -> None:
        """What is stopped is not tried, until it is full again; stopping twice is the same."""
        self.retry = Retry(self.clock, self.full)
        self.retry.soon()
        self.retry.stop()
        self.retry.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.retry.soon()
        self.clock.advance(RETRY_SECONDS)
        self.assertEqual(self.tried, 1)


class Written(RetriedDescriptor):
    """A descriptor that is only written."""

    prefix = "written"

    def doWrite(self) -> None:
        """There is room."""
        self.stop_waiting()


class DescriptorTests(SynchronousTestCase):
    """What the reactor waits for."""

    def test_waited_for(self) -> None:
        """The reactor waits for what is wanted, as long as it is wanted."""
        reactor = MemoryReactorClock()
        descriptor = Descriptor(reactor)
        verifyObject(IReadWriteDescriptor, descriptor)
        descriptor.want_to_read(True)
        descriptor.want_to_write(True)
        waited = (reactor.getReaders(), reactor.getWriters())
        self.assertEqual(waited, ([descriptor], [descriptor]))
        descriptor.want_to_read(False)
        self.assertEqual((reactor.getReaders(), reactor.getWriters()), ([], [descriptor]))
        descriptor.want_to_write(False)
        self.assertEqual(reactor.getWriters(), [])

    def test_room(self) -> None:
        """A full one is waited for by poll and by time; whatever comes first ends both."""
        reactor = MemoryReactorClock()
        descriptor = Written(reactor)
        self.assertEqual(descriptor.logPrefix(), "written")
        for come in (descriptor.doWrite, lambda: reactor.advance(RETRY_SECONDS)):
            descriptor.wait_for_room()
            self.assertEqual(reactor.getWriters(), [descriptor])
            self.assertEqual(len(reactor.getDelayedCalls()), 1)
            come()
            self.assertEqual((reactor.getWriters(), reactor.getDelayedCalls()), ([], []))


class ErrorNameTests(SynchronousTestCase):
    """How errors are counted."""

    def test_names(self) -> None:
        """By their name, or by their number, or by the fact that there is none."""
        numbers: list[Any] = [errno.ENOBUFS, 9999, None]
        names = [error_name(OSError(number, "why")) for number in numbers]
        self.assertEqual(names, ["ENOBUFS", "9999", "None"])
