"""Descriptors that do not block: what the kernel holds for them, and the names of their errors."""

from __future__ import annotations

import errno
import socket
from typing import Final

SEND_BUFFER: Final = 512 * 1024
"""
Bytes of SO_SNDBUF of a socket that frames are sent to: what may wait there for its reader.

For frames of 1500 bytes in datagrams on unix sockets that is 456, where the default holds 93. Such
a socket is connected, and so is its reader's, so that the kernel limits what waits by the sender's
SO_SNDBUF and not by max_dgram_qlen, and SO_RCVBUF means nothing. (A reader that is not connected
has max_dgram_qlen too, unix(7), often 10 datagrams.) A unix stream would hold 90 such frames; TCP
would grow to megabytes, all of which a slow reader must read before what is sent to it now.
"""

_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33


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
