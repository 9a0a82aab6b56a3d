"""
Connections of TCP whose other machine has died without a word: lost its power, or its cable.

What is sent there is repeated, and what is not answered is asked about: by the system's own
settings for more than two hours before anybody is told.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from distnet.sockets.peers import on_same_machine

IDLE_SECONDS: Final = 30
"""After how long without a sound the other machine is asked whether it is there."""
INTERVAL_SECONDS: Final = 10
"""How long it has to answer, each time that it is asked."""
TRIES: Final = 3
"""How often it is asked: L{DEAD_SECONDS} after the last sound it is dead."""
DEAD_SECONDS: Final = IDLE_SECONDS + TRIES * INTERVAL_SECONDS
LOOK_SECONDS: Final = 10.0
"""How often connections are looked at that the operating system asks nothing about."""

# linux/tcp.h, struct tcp_info: retransmissions and probes without an answer, and how many
# milliseconds ago the last answer came.
_TCP_INFO: Final = struct.Struct("=xxBB52xI")


def keep_alive(sock: socket.socket) -> None:
    """
    Have an idle connection end when the other machine has not answered for L{DEAD_SECONDS}.

    Not by TCP_USER_TIMEOUT: that would end it too when a machine answers, but nobody there reads, a
    kernel that stands in a debugger, say.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, TRIES)


def silent_for(sock: socket.socket) -> float:
    """
    For how many seconds the other machine has not answered what it was sent, as the operating
    system sees it; 0 if nothing waits for its answer.
    """
    information = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    retransmits, probes, answered = _TCP_INFO.unpack(information)
    return answered / 1000 if retransmits or probes else 0.0


class Silence:
    """
    Tells of connections whose other machine has not answered for too long what it was sent.

    While something is under way the operating system repeats that for a quarter of an hour, and
    asks about nothing. So these are looked at, once in a while. While there are none, nothing is
    done.
    """

    def __init__(self, clock: Any, dead_seconds: float = DEAD_SECONDS) -> None:
        """
        @param dead_seconds: how long is too long.
        """
        self._clock = clock
        self._dead_seconds = dead_seconds
        self._watched: dict[socket.socket, Callable[[], object]] = {}
        # A machine that answers may be asked just now, after it was not asked for long.
        self._suspected: set[socket.socket] = set()
        self._look_later: Any = None

    def watch(self, sock: socket.socket, dead: Callable[[], object]) -> None:
        """
        Have a connection of TCP end if the other machine dies: by the operating system, or by
        C{dead}, which is called once. Raises OSError if it has ended already.
        """
        keep_alive(sock)
        if not on_same_machine(sock.getsockname(), sock.getpeername()):
            self._watched[sock] = dead
            self._look_soon()

    def forget(self, sock: socket.socket) -> None:
        """The connection is over, or nobody wants to know any more."""
        self._watched.pop(sock, None)
        self._suspected.discard(sock)
        if not self._watched and self._look_later is not None:
            self._look_later.cancel()
            self._look_later = None

    def _look_soon(self) -> None:
        if self._look_later is None and self._watched:
            self._look_later = self._clock.callLater(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._look_later = None
        suspected, self._suspected = self._suspected, set()
        for sock in list(self._watched):
            if sock.fileno() < 0 or silent_for(sock) < self._dead_seconds:
                continue
            if sock not in suspected:
                self._suspected.add(sock)
            elif (dead := self._watched.pop(sock, None)) is not None:
                dead()
        self._look_soon()
