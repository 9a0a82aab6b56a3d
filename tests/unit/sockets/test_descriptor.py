"""Descriptors that do not block, without a reactor."""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.sockets.descriptor import (
    SEND_BUFFER,
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


class ErrorNameTests(SynchronousTestCase):
    """How errors are counted."""

    def test_names(self) -> None:
        """By their name, or by their number, or by the fact that there is none."""
        numbers: list[Any] = [errno.ENOBUFS, 9999, None]
        names = [error_name(OSError(number, "why")) for number in numbers]
        self.assertEqual(names, ["ENOBUFS", "9999", "None"])
