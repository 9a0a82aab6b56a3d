"""The connection to a switch's management console, for as long as there is one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.gateway.backoff import Backoff
from distnet.gateway.whereabouts import Whereabouts
from distnet.once import Once
from distnet.sockets.quiet import QuietClientFactory, why_not_connected

FIRST_SECONDS: Final = 0.05
MOST_SECONDS: Final = 1.0

_log = Logger(namespace="distnet")


class Management:
    """
    Keeps L{Whereabouts} informed.

    @ivar whereabouts: where guests are.
    """

    def __init__(
        self, reactor: Any, where: str | int, gone: Callable[[bytes, int | None], None]
    ) -> None:
        """
        @param where: the path of the switch's management socket, or a descriptor that is connected
            to a console; which is not connected to again.
        @param gone: as L{Whereabouts.gone}.
        """
        self.whereabouts = Whereabouts(self._ask, gone)
        self._reactor = reactor
        self._where = where
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._console: Any = None
        self._later: Any = None
        self._said = Once()
        self._stopped = False

    def start(self) -> None:
        """Connect, as soon as there is a switch."""
        self._later = None
        factory = QuietClientFactory(lambda: _Protocol(self), self._failed)
        if isinstance(self._where, int):
            self._reactor.adoptStreamConnection(self._where, socket.AF_UNIX, factory)
            os.close(self._where)
        else:
            self._reactor.connectUNIX(self._where, factory)

    def stop(self) -> None:
        """Leave the console, for good."""
        self._stopped = True
        if self._later is not None:
            self._later.cancel()
        if self._console is not None:
            self._console.loseConnection()

    def connected(self, console: Any) -> None:
        """There is a console."""
        self._console = console
        self._backoff.reset()
        self._said.forget()
        self.whereabouts.connected()

    def lost(self, why: str = "it has closed the connection") -> None:
        """There is no console, or not any more."""
        if self._console is not None:
            self._console = None
            self.whereabouts.disconnected()
        if self._stopped or isinstance(self._where, int):
            return
        if self._said.say(why) is not None:
            _log.warn(
                "no console of a switch at {path} ({why}): a guest that dies is not noticed until"
                " it is there",
                path=self._where,
                why=why,
            )
        self._later = self._reactor.callLater(self._backoff.next(), self.start)

    def _failed(self, error: Exception) -> None:
        self.lost(why_not_connected(error))

    def _ask(self, line: bytes) -> None:
        if self._console is not None:
            self._console.write(line)


class _Protocol(Protocol):
    def __init__(self, management: Management) -> None:
        self._management = management

    def connectionMade(self) -> None:
        self._management.connected(cast(Any, self.transport))

    def dataReceived(self, data: bytes) -> None:
        self._management.whereabouts.feed(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._management.lost()
