"""Descriptors that do not block: how the reactor waits for them, and what the kernel holds."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any, ClassVar, Final

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

SEND_BUFFER: Final = 512 * 1024
"""
Bytes of SO_SNDBUF of a socket that frames are sent to: what may wait there for its reader.

For frames of 1500 bytes in datagrams on unix sockets that is 456, where the default holds 93. Such
a socket is connected, and so is its reader's, so that the kernel limits what waits by the sender's
SO_SNDBUF and not by max_dgram_qlen, and SO_RCVBUF means nothing. (A reader that is not connected
has max_dgram_qlen too, unix(7), often 10 datagrams.) A unix stream would hold 90 such frames; TCP
would grow to megabytes, all of which a slow reader must read before what is sent to it now.
"""
RETRY_SECONDS: Final = 0.002
"""
How often a full descriptor is tried again, whatever poll(2) says of it.

That says of a socket that it can be written only when three quarters of the buffer have been read,
which for a reader of 10,000 frames in a second takes longer than anybody is paused.
"""
TRIES: Final = 50
"""After so many in vain a reader is taken to be dead, and poll(2) is waited for."""

_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33


class Retry:
    """
    Tries something that is full again, before poll(2) says that there is room.

    @ivar in_vain: how many tries in a row were; its owner sets it to 0 when something is taken.
    """

    __slots__ = ("_again", "_call", "_most", "_reactor", "in_vain")

    def __init__(self, reactor: Any, again: Callable[[], object], most: int | None = TRIES) -> None:
        """
        @param again: called to try again.
        @param most: how many tries in vain there can be in a row, or None for any number.
        """
        self.in_vain = 0
        self._again = again
        self._call: Any = None
        self._most = most
        self._reactor = reactor

    def soon(self) -> None:
        """It is full: try again in L{RETRY_SECONDS}, unless that has been in vain too often."""
        if self._call is None and (self._most is None or self.in_vain < self._most):
            self.in_vain += 1
            self._call = self._reactor.callLater(RETRY_SECONDS, self._try)

    def stop(self) -> None:
        """Do not try any more, until it is full again."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _try(self) -> None:
        self._call = None
        self._again()


@implementer(IReadWriteDescriptor)
class Descriptor:
    """
    A descriptor that does not block, as the reactor waits for it. A subclass says what it is.

    @cvar prefix: how the reactor names it in the log.
    """

    prefix: ClassVar[str]

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def want_to_read(self, wanted: bool) -> None:
        """Have L{doRead} called whenever there is something to read, or not any more."""
        if wanted:
            self._reactor.addReader(self)
        else:
            self._reactor.removeReader(self)

    def want_to_write(self, wanted: bool) -> None:
        """Have L{doWrite} called whenever there is room to write, or not any more."""
        if wanted:
            self._reactor.addWriter(self)
        else:
            self._reactor.removeWriter(self)

    # What the reactor calls

    def logPrefix(self) -> str:
        """How the reactor names it in the log."""
        return self.prefix

    def fileno(self) -> int:
        """The number of the descriptor, or -1 when it is closed."""
        raise NotImplementedError

    def doRead(self) -> None:
        """There is something to read, or the end of it."""
        raise NotImplementedError

    def doWrite(self) -> None:
        """There is room to write."""
        raise NotImplementedError

    def connectionLost(self, reason: Failure) -> None:
        """The operating system has given the descriptor up."""


class RetriedDescriptor(Descriptor):
    """A descriptor that is tried again when it is full, before poll(2) says that there is room."""

    def __init__(self, reactor: Any, most: int | None = TRIES) -> None:
        """
        @param most: how many tries in vain there can be in a row, or None for any number.
        """
        super().__init__(reactor)
        self.retry = Retry(reactor, self.doWrite, most)

    def wait_for_room(self) -> None:
        """It is full: have L{doWrite} called when there is room, or when there may be."""
        self.want_to_write(True)
        self.retry.soon()

    def stop_waiting(self) -> None:
        """There is nothing to write any more."""
        self.want_to_write(False)
        self.retry.stop()


def grow_send_buffer(sock: socket.socket) -> None:
    """Set SO_SNDBUF to L{SEND_BUFFER}; beyond net.core.wmem_max if there is the privilege."""
    _grow(sock, SEND_BUFFER, _SO_SNDBUFFORCE, socket.SO_SNDBUF)


def grow_receive_buffer(sock: socket.socket, size: int) -> None:
    """Set SO_RCVBUF to so many bytes; beyond net.core.rmem_max if there is the privilege."""
    _grow(sock, size, _SO_RCVBUFFORCE, socket.SO_RCVBUF)


def _grow(sock: socket.socket, size: int, forced: int, asked: int) -> None:
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, asked, size)


def error_name(error: OSError) -> str:
    """C{ENOBUFS} and so on, or a number that has no name."""
    return errno.errorcode.get(error.errno or 0, str(error.errno))
