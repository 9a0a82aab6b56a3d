"""The kernel's six calls for Twisted programs: coroutines, on any client endpoint.

L{AsyncClient} holds the queues and outlives connections; one protocol per connection does the rest.
The same for programs without a reactor is L{distnet.client.blocking}.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from distnet.address import Address
from distnet.client.blocking import (
    DEFAULT_ADDRESS,
    DEFAULT_MAX_PAYLOAD,
    LINGER,
    QUIT_TIMEOUT,
    Bytes,
    outgoing,
)
from distnet.client.connection import Connection
from distnet.client.endpoints import TlsFiles, client_endpoint
from distnet.client.inbox import Inbox, again, fail
from distnet.once import Once
from distnet.sockets.quiet import QuietFactory
from distnet.wire import QUIT

DEFAULT_MAX_WAITING: Final = 2**20
"""Bytes received and not taken by L{AsyncClient.recv}, beyond which nothing more is read."""


@dataclass(eq=False, slots=True)
class _Unsent:
    """Bytes that wait for the transport to take them, and who waits for that."""

    data: bytes
    done: Deferred[int] = field(default_factory=Deferred)


@implementer(IStreamClientEndpoint)
@dataclass(frozen=True)
class _Noting:
    """An endpoint that tells why it could not connect; ClientService keeps that to itself."""

    endpoint: IStreamClientEndpoint
    note: Callable[[object], None]

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        connecting: Deferred[IProtocol] = self.endpoint.connect(protocolFactory)

        def note(failure: Failure) -> Failure:
            self.note(failure.getErrorMessage())
            return failure

        return connecting.addErrback(note)


class AsyncClient:
    """
    A node, as a kernel is one, for Twisted: coroutines, to be awaited or given to
    C{Deferred.fromCoroutine}, whose C{cancel} they respect.

    Backpressure goes both ways: C{send} waits while the transport is full, and while more than
    C{max_waiting} bytes are received and not taken, nothing more is read, so that the master waits.

    C{send} returns when its bytes are with a connection that lives. If the master goes while it
    waits, it raises ConnectionResetError and has sent nothing; with C{reconnect} it waits on, for
    the next connection. What a lost connection still had in its buffers is lost, as with every
    stream: only an answer proves arrival.

    With C{reconnect} the client connects again whenever the master is gone. Each connection is a
    new node with a new id: see C{on_id} and C{when_connected}. C{recv} returns what came whole over
    the connections in order.

    Errors are OSErrors with the kernel's numbers; what an endpoint raises in C{connect} is its own.
    """

    _log = Logger()

    def __init__(
        self,
        address: str | Address | IStreamClientEndpoint = DEFAULT_ADDRESS,
        *,
        reactor: Any,
        tls: TlsFiles | None = None,
        server_hostname: str | None = None,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        max_waiting: int = DEFAULT_MAX_WAITING,
        reconnect: bool = False,
        retry_policy: Callable[[int], float] | None = None,
        on_id: Callable[[int], object] | None = None,
    ) -> None:
        """
        @param address: where the master is (see L{distnet.address.parse}), or a client endpoint.
        @param reactor: IReactorTime, and what the endpoint of an address needs.
        @param tls: for a C{tls:} address, and only then.
        @param server_hostname: the name that the certificate must be for, if not the address's.
        @param max_payload: bytes in a message, either way.
        @param max_waiting: bytes received and not taken, beyond which the master waits.
        @param reconnect: connect again whenever the master is gone.
        @param retry_policy: seconds before the nth attempt to do so, as for ClientService.
        @param on_id: called with each new id, before anything is sent or received with it.
        Raises what L{client_endpoint} raises.
        """
        if IStreamClientEndpoint.providedBy(address):
            self._endpoint = address
        else:
            self._endpoint = client_endpoint(reactor, address, tls, server_hostname)
        self.max_payload: Final = max_payload
        self._reactor = reactor
        self._reconnect = reconnect
        self._retry_policy = retry_policy or backoffPolicy()
        self._on_id = on_id
        self._service: ClientService | None = None
        self._connection: Connection | None = None
        self._end: OSError | None = _not_connected()
        self._failed_attempts = 0
        self._said = Once()
        self._inbox = Inbox(max_waiting, self._read_on)
        self._unsent: deque[_Unsent] = deque()
        self._id_watchers: deque[Deferred[int]] = deque()

    # The calls

    async def connect(self, timeout: float | None = None) -> int:
        """
        Connect and return the id. After C{disconnect()}, or when the master is gone, it may be
        called again. With C{reconnect} this waits until there is a master.

        @param timeout: seconds; None waits as long as it takes.
        Raises OSError: EISCONN if connected, TimeoutError, ConnectionAbortedError if the master
        closes without giving an id, EPROTO if what it gives is not one; and what the endpoint does.
        """
        if self._end is None or self._connection is not None or self._service is not None:
            raise OSError(errno.EISCONN, "already connected, disconnect first")
        self._inbox.forget()
        self._end = None
        connecting = Deferred.fromCoroutine(self._connect())
        if timeout is not None:
            connecting.addTimeout(timeout, self._reactor)
        try:
            return await connecting
        except Exception as error:
            await self._finish(_not_connected())
            if isinstance(error, DeferredTimeout):
                raise TimeoutError(errno.ETIMEDOUT, "no master gave an id in time") from error
            raise

    async def _connect(self) -> int:
        factory = QuietFactory(lambda: Connection(self))
        if self._reconnect:
            self._service = ClientService(
                _Noting(self._endpoint, self._note),
                factory,
                # To ClientService a connection without an id is a success.
                retryPolicy=lambda failed: self._retry_policy(failed + self._failed_attempts),
                clock=self._reactor,
            )
            self._service.startService()
        else:
            await self._endpoint.connect(factory)
        return await self.when_connected()

    def getid(self) -> int:
        """The id of the connection that there is now. Raises OSError(ENOTCONN)."""
        if self._connection is None or self._connection.id is None:
            raise _not_connected()
        return self._connection.id

    @property
    def id(self) -> int:
        """The id of the connection that there is now, as L{getid} says it and raises."""
        return self.getid()

    async def when_connected(self) -> int:
        """The id, at once or when the next connection has one. Raises OSError as L{recv} does."""
        if self._connection is not None and self._connection.id is not None:
            return self._connection.id
        self._check_open()
        watcher: Deferred[int] = Deferred(self._id_watchers.remove)
        self._id_watchers.append(watcher)
        return await watcher

    async def send(self, dest: int, data: Bytes) -> int:
        """
        Send C{data} to the node C{dest}, after what others are waiting to send.

        @return: C{len(data) + 8}, the size of the message.
        Raises OSError and sends nothing: ENOTCONN, ENOBUFS if longer than C{max_payload},
        ConnectionResetError if the master is gone. L{LocalError} if C{dest} cannot be an id.
        """
        message = outgoing(dest, data, self.max_payload)
        self._check_open()
        return await self._write(message)

    async def recv(self) -> tuple[int, bytes]:
        """
        The next message as (source, data); those who wait are served in order.

        Raises OSError: ENOTCONN; when the master is gone and everything that came whole is taken,
        ConnectionResetError; EPROTO if it sent a message longer than C{max_payload}.
        """
        message = self._inbox.take()
        if message is not None:
            return message
        self._check_open()
        return await self._inbox.wait()

    async def disconnect(self, timeout: float = QUIT_TIMEOUT) -> int:
        """
        Write C{quit}, after what others are waiting to send, and close. What has been received and
        not taken is thrown away; whoever waits in C{recv} gets ENOTCONN.

        The master is given L{LINGER} seconds to close first: closing a socket with unread bytes in
        it would reset the connection, and the last messages with it.

        @param timeout: seconds for writing.
        @return: 4, the bytes written; 0 if C{reconnect} was between two connections.
        Raises OSError: ENOTCONN, TimeoutError, ConnectionResetError; it is disconnected anyway.
        """
        end, self._end = self._end, _not_connected()
        self._inbox.forget()
        if end is not None:
            raise again(end)
        self._inbox.fail(self._end)
        connection = self._connection
        written = 0
        try:
            if connection is not None and connection.id is not None:
                written = await self._write(QUIT).addTimeout(timeout, self._reactor)
                for give_up in (connection.close, connection.abort):
                    if await connection.wait_lost(self._reactor, LINGER):
                        break
                    give_up()
        except DeferredTimeout as error:
            raise TimeoutError(errno.ETIMEDOUT, "the master took too long") from error
        finally:
            await self._finish(self._end)
        return written

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            await self.disconnect()

    def __aiter__(self) -> Self:
        """Messages until C{disconnect()}. Raises OSError: ENOTCONN, and as L{recv} on the way."""
        if self._inbox.is_empty():
            self._check_open()
        return self

    async def __anext__(self) -> tuple[int, bytes]:
        try:
            return await self.recv()
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                raise StopAsyncIteration from None
            raise

    # What a connection tells

    def made(self, connection: Connection) -> None:
        self._connection = connection
        if self._end is not None:
            connection.abort()

    def opened(self, connection: Connection, node: int) -> None:
        self._failed_attempts = 0
        self._said.forget()
        if not self._inbox.reading:
            connection.read_on(False)
        if self._on_id is not None:
            try:
                self._on_id(node)
            except Exception:
                self._log.failure("on_id failed for id {node}", node=node)
        watchers, self._id_watchers = self._id_watchers, deque()
        for watcher in watchers:
            watcher.callback(node)
        self.pump()

    def received(self, messages: list[tuple[int, bytes]]) -> None:
        if self._end is None:
            self._inbox.put(messages)

    def closed(self, connection: Connection, error: OSError) -> None:
        self._connection = None
        if connection.id is None:
            self._failed_attempts += 1
        if self._end is None and self._reconnect:
            self._note(error)
            return
        if self._end is None:
            self._end = error
        self._fail_all(error)

    def pump(self) -> None:
        """Write what waits, as far as the transport takes it."""
        while self._unsent:
            connection = self._connection
            if connection is None or connection.id is None or not connection.writable:
                break
            unsent = self._unsent.popleft()
            connection.write(unsent.data)
            unsent.done.callback(len(unsent.data))

    # What the calls share

    def _check_open(self) -> None:
        if self._end is not None:
            raise again(self._end)

    def _write(self, data: bytes) -> Deferred[int]:
        unsent = _Unsent(data, Deferred(lambda _: self._unsent.remove(unsent)))
        self._unsent.append(unsent)
        self.pump()
        return unsent.done

    def _read_on(self, reading: bool) -> None:
        if self._connection is not None:
            self._connection.read_on(reading)

    def _note(self, reason: object) -> None:
        """Say why there is no connection: each reason once, until there is one again."""
        if self._end is None and self._said.say(str(reason)) is not None:
            self._log.warn("no master: {reason}; trying again", reason=reason)

    def _fail_all(self, error: OSError) -> None:
        """Tell all who wait for messages, an id or room that it is over, and why."""
        self._inbox.fail(error)
        fail(self._id_watchers, error)
        unsent, self._unsent = self._unsent, deque()
        fail(deque(each.done for each in unsent), error)

    async def _finish(self, error: OSError) -> None:
        """Leave nothing behind: no connection, no attempt at one, nobody who waits."""
        self._end = error
        connection = self._connection
        service, self._service = self._service, None
        stopped = None if service is None else service.stopService()
        if connection is not None:
            connection.abort()
            await connection.wait_lost(self._reactor, LINGER)
        if stopped is not None:
            await stopped
        self._fail_all(error)


def _not_connected() -> OSError:
    return OSError(errno.ENOTCONN, "not connected to a master")
