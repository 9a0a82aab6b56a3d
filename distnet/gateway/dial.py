"""Connections to the master, without waiting for them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Final

from distnet.address import TcpAddress, UnixAddress
from distnet.gateway.loop import Loop, Timer
from distnet.sockets.alive import keep_alive
from distnet.sockets.cutting import name_cutting

CONNECT_SECONDS: Final = 5.0
"""How long a connection may take."""


class Dial:
    """A connection that is being made, until it is or fails."""

    def __init__(
        self,
        loop: Loop,
        address: TcpAddress | UnixAddress,
        connected: Callable[[socket.socket, bool], None],
        failed: Callable[[str], None],
        *,
        cuts: bool,
    ) -> None:
        """
        @param address: its host, if it has one, is an IP address.
        @param connected: called with the socket, which does not block, and whether the master will
            know that it cuts; not before this returns.
        @param failed: called with the reason, in the place of that.
        @param cuts: have it know, on a unix socket.
        """
        self._loop = loop
        self._address = address
        self._connected = connected
        self._failed = failed
        self._cuts = cuts and isinstance(address, UnixAddress)
        self._socket: socket.socket | None = None
        self._timer: Timer = loop.call_later(0, self._start)

    def cancel(self) -> None:
        """Nobody wants it any more; harmless once it is made or has failed."""
        self._timer.cancel()
        sock, self._socket = self._socket, None
        if sock is not None:
            self._loop.remove_writer(sock.fileno())
            sock.close()

    def _start(self) -> None:
        address = self._address
        where: Any
        try:
            if isinstance(address, UnixAddress):
                sock = socket.socket(socket.AF_UNIX)
                where = address.path
            else:
                sock = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
                where = (address.host, address.port)
            self._socket = sock
            sock.setblocking(False)
            self._cuts = self._cuts and name_cutting(sock)
            number = sock.connect_ex(where)
        except OSError as error:
            # No descriptor is left, or no such address can be.
            self._fail(error.strerror or str(error))
            return
        if number == errno.EINPROGRESS:
            self._loop.add_writer(sock.fileno(), self._writable)
            self._timer = self._loop.call_later(CONNECT_SECONDS, self._fail, None)
        else:
            self._over(number)

    def _writable(self) -> None:
        assert self._socket is not None
        self._over(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _over(self, number: int) -> None:
        sock = self._socket
        assert sock is not None
        if number:
            self._fail(os.strerror(number))
            return
        self._loop.remove_writer(sock.fileno())
        self._timer.cancel()
        self._socket = None
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            keep_alive(sock)
        self._connected(sock, self._cuts)

    def _fail(self, why: str | None) -> None:
        self.cancel()
        address = self._address
        self._failed(f"{address} does not answer" if why is None else f"{address}: {why}")
