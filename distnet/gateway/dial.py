"""Connections to the master, without waiting for them."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from distnet.address import TcpAddress, UnixAddress
from distnet.sockets.descriptor import Descriptor

CONNECT_SECONDS: Final = 5.0
"""How long a connection may take."""


async def dial(reactor: Any, address: TcpAddress | UnixAddress) -> socket.socket:
    """A connected socket that does not block. Raises OSError."""
    if isinstance(address, UnixAddress):
        sock = socket.socket(socket.AF_UNIX)
        where: Any = address.path
    else:
        family, where = await _resolve(reactor, address)
        sock = socket.socket(family)
    try:
        sock.setblocking(False)
        number = sock.connect_ex(where)
        if number == errno.EINPROGRESS:
            await _Connecting(reactor, sock).done.addTimeout(CONNECT_SECONDS, reactor)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


async def _resolve(reactor: Any, address: TcpAddress) -> tuple[int, Any]:
    if isIPAddress(address.host):
        return socket.AF_INET, (address.host, address.port)
    if isIPv6Address(address.host):
        return socket.AF_INET6, (address.host, address.port)
    found = await deferToThreadPool(
        reactor,
        reactor.getThreadPool(),
        socket.getaddrinfo,
        address.host,
        address.port,
        type=socket.SOCK_STREAM,
    )
    return found[0][0], found[0][4]


class _Connecting(Descriptor):
    """A socket that is being connected."""

    prefix = "dial"

    def __init__(self, reactor: Any, sock: socket.socket) -> None:
        super().__init__(reactor)
        self.done: Deferred[None] = Deferred(lambda _: self.want_to_write(False))
        self._socket = sock
        self.want_to_write(True)

    def fileno(self) -> int:
        return self._socket.fileno()

    def doWrite(self) -> None:
        self.want_to_write(False)
        self.done.callback(None)

    def connectionLost(self, reason: Failure) -> None:
        # SO_ERROR says why.
        self.doWrite()
