"""One connection of an L{distnet.client.twisted.AsyncClient}, which outlives it."""

from __future__ import annotations

import errno
import socket
import typing
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IPushProducer, ITCPTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from distnet.client.blocking import greeted
from distnet.sockets.alive import keep_alive
from distnet.wire import MAX_ID_DIGITS, Messages


class Owner(typing.Protocol):
    """Whom a connection tells what happens."""

    @property
    def max_payload(self) -> int:
        """Bytes in a message, at most."""

    def made(self, connection: Connection) -> None:
        """A connection is made, and has no id yet."""

    def opened(self, connection: Connection, node: int) -> None:
        """A connection has its id."""

    def received(self, messages: list[tuple[int, bytes]]) -> None:
        """Messages have come."""

    def closed(self, connection: Connection, error: OSError) -> None:
        """A connection has ended, and why; nothing more is told of it."""

    def pump(self) -> None:
        """The connection takes bytes again."""


def _socket_of(transport: Any) -> socket.socket | None:
    """The socket of a transport of TCP, or of TLS over it; None if it has none."""
    sock = getattr(transport, "socket", None)
    return sock if isinstance(sock, socket.socket) else None


@implementer(IPushProducer)
class Connection(Protocol):
    """
    One connection: reads the id, cuts what follows into messages, and tells its client of both.

    @ivar writable: whether the transport takes bytes.
    """

    def __init__(self, client: Owner) -> None:
        self._client = client
        self._incoming = Messages(client.max_payload)
        self._losers: list[Deferred[None]] = []
        self._error: OSError | None = None
        self._lost = False
        self.id: int | None = None
        self.writable = True

    @property
    def _wire(self) -> Any:
        # A transport of which more is asked than ITransport promises.
        return self.transport

    def connectionMade(self) -> None:
        # In older Twisted unix sockets say that they are TCP's.
        if ITCPTransport.providedBy(self.transport) and not isinstance(
            self._wire.getHost(), UNIXAddress
        ):
            self._wire.setTcpNoDelay(True)
            if (sock := _socket_of(self._wire)) is not None:
                keep_alive(sock)
        self._wire.registerProducer(self, True)
        self._client.made(self)

    def dataReceived(self, data: bytes) -> None:
        if self._lost or self._error is not None:
            return
        if self.id is None:
            # As a kernel does: the first read, of at most 10 bytes, is the id.
            try:
                self.id = greeted(data[:MAX_ID_DIGITS])
            except OSError as error:
                self.fail(error)
                return
            self._client.opened(self, self.id)
            data = data[MAX_ID_DIGITS:]
        self._client.received(self._incoming.feed(data))
        if self._incoming.error is not None:
            self.fail(OSError(errno.EPROTO, str(self._incoming.error)))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self.writable = False
        if self._error is None:
            number = errno.ECONNABORTED if self.id is None else errno.ECONNRESET
            self._error = OSError(number, f"the master is gone: {reason.getErrorMessage()}")
            self._error.__cause__ = reason.value
        self._client.closed(self, self._error)
        losers, self._losers = self._losers, []
        for loser in losers:
            loser.callback(None)

    def pauseProducing(self) -> None:
        self.writable = False

    def resumeProducing(self) -> None:
        self.writable = True
        self._client.pump()

    def stopProducing(self) -> None:
        self.writable = False

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport."""
        self._wire.write(data)

    def read_on(self, reading: bool) -> None:
        """Read from the socket, or leave what comes there."""
        if self._lost:
            return
        if reading:
            self._wire.resumeProducing()
        else:
            self._wire.pauseProducing()

    def fail(self, error: OSError) -> None:
        """End it because of C{error}."""
        self._error = error
        self.abort()

    def abort(self) -> None:
        """End it now, whatever is unsent."""
        if not self._lost:
            self._wire.abortConnection()

    def close(self) -> None:
        """End it when what is unsent is written."""
        if not self._lost:
            self.writable = False
            # A registered producer would keep a TLS connection open.
            self._wire.unregisterProducer()
            self._wire.loseConnection()

    async def wait_lost(self, reactor: Any, timeout: float) -> bool:
        """Whether the connection ends within C{timeout} seconds."""
        if self._lost:
            return True
        loser: Deferred[None] = Deferred(self._losers.remove)
        self._losers.append(loser)
        try:
            await loser.addTimeout(timeout, reactor)
        except DeferredTimeout:
            return False
        return True
