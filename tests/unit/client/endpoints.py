"""Endpoints and transports in memory, for tests of L{distnet.client.twisted}."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError as EndpointRefused
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer

from distnet.client.twisted import AsyncClient

T = TypeVar("T")


def run(coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Start a coroutine."""
    return Deferred.fromCoroutine(coroutine)


class MemoryTransport(StringTransportWithDisconnection):
    """
    A transport in memory that ends when it is told to, by either side.

    @ivar closes: losing the connection works; if not, only aborting does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.closes = True
        self.aborted = False

    def loseConnection(self) -> None:
        if self.closes:
            super().loseConnection()

    def abortConnection(self) -> None:
        self.aborted = self.closes = True
        self.loseConnection()


class MemoryTcpTransport(MemoryTransport):
    """
    The same as if it were TCP.

    @ivar no_delay: what was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.no_delay = False
        # As much of it as is asked for here.
        directlyProvides(self, ITCPTransport)

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    An endpoint whose connections are in memory.

    @ivar refuse: fail the attempts.
    @ivar hang: never answer them.
    @ivar kind: the transports' class.
    @ivar factory: of the newest attempt.
    @ivar cancelled: how many attempts were cancelled.
    @ivar links: protocol and transport of each connection that was made.
    """

    def __init__(self) -> None:
        self.refuse = False
        self.hang = False
        self.attempts = 0
        self.cancelled = 0
        self.kind = MemoryTransport
        self.factory: IProtocolFactory | None = None
        self.links: list[tuple[Any, MemoryTransport]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        self.factory = protocolFactory
        if self.refuse:
            return fail(EndpointRefused(111, "Connection refused"))
        connecting: Deferred[IProtocol] = Deferred(self.cancel)
        if self.hang:
            return connecting
        connecting.callback(self.make())
        return connecting

    def make(self) -> Any:
        """Make the connection that was asked for last; its protocol."""
        assert self.factory is not None
        protocol: Any = self.factory.buildProtocol(None)  # type: ignore[arg-type]
        transport = self.kind()
        transport.protocol = protocol
        self.links.append((protocol, transport))
        protocol.makeConnection(transport)
        return protocol

    def cancel(self, connecting: Deferred[IProtocol]) -> None:
        """An attempt is given up."""
        self.cancelled += 1

    def says(self, data: bytes) -> None:
        """The master of the newest connection writes this."""
        self.links[-1][0].dataReceived(data)

    def gone(self) -> None:
        """The master of the newest connection closes it."""
        transport = self.links[-1][1]
        transport.closes = True
        transport.loseConnection()

    @property
    def transport(self) -> MemoryTransport:
        """The client's side of the newest connection."""
        return self.links[-1][1]

    @property
    def producer(self) -> Any:
        """What the newest transport pauses when it is full."""
        return self.transport.producer

    @property
    def written(self) -> bytes:
        """What the client has written to the newest connection."""
        return bytes(self.transport.value())


class AsyncCase(SynchronousTestCase):
    """A client that is connected with id 5 when C{connected} is called."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint()

    def client(self, **options: Any) -> AsyncClient:
        """A client that is not connected."""
        return AsyncClient(self.endpoint, reactor=self.clock, **options)

    def connected(self, **options: Any) -> AsyncClient:
        """A client with id 5."""
        client = self.client(**options)
        connecting = run(client.connect())
        self.endpoint.says(b"5")
        self.assertEqual(self.successResultOf(connecting), 5)
        return client

    def fails(self, number: int, result: Deferred[Any]) -> OSError:
        """C{result} has failed with this errno."""
        error = self.failureResultOf(result, OSError).value
        assert isinstance(error, OSError)
        self.assertEqual(error.errno, number, str(error))
        return error
