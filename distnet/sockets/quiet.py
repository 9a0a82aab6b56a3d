"""Factories that do not tell the log when they start and stop, as Twisted's do."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import ClientFactory, ServerFactory
from twisted.python.failure import Failure


def why_not_connected(error: Exception) -> str:
    """Why no connection was made, in a few words: L{QuietClientFactory} is told of it so."""
    number = getattr(error, "osError", None)
    return os.strerror(number) if isinstance(number, int) else str(error.__cause__ or error)


class QuietFactory(ServerFactory):
    """Makes a protocol for each connection that comes."""

    noisy = False

    def __init__(self, make: Callable[[], IProtocol], name: str = "listener") -> None:
        """
        @param name: what Twisted's log says it is, for each port: C{NAME starting on 1234}.
        """
        self._make = make
        self._name = name

    def logPrefix(self) -> str:
        """What the log of a port calls it."""
        return self._name

    def buildProtocol(self, addr: object) -> Any:
        """A connection has come."""
        return self._make()


class QuietClientFactory(ClientFactory):
    """Makes the protocol of one attempt to connect."""

    noisy = False

    def __init__(
        self, make: Callable[[], IProtocol], failed: Callable[[Exception], object]
    ) -> None:
        """
        @param failed: called if there is no connection, with the reason.
        """
        self._make = make
        self._failed = failed

    def buildProtocol(self, addr: object) -> Any:
        """There is a connection."""
        return self._make()

    def clientConnectionFailed(self, connector: object, reason: Failure) -> None:
        """No connection was made: tell why."""
        error: Any = reason.value
        self._failed(error)
