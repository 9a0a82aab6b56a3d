"""A reactor that nobody can connect to, for what becomes of the files of its unix sockets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, execute
from twisted.internet.interfaces import IListeningPort
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer


@implementer(IListeningPort)
class ListeningPort:
    """
    A unix socket that is listened at: a file, which can be given a mode and a group.

    @ivar path: where.
    @ivar mode: as it was asked for.
    """

    def __init__(self, path: str, mode: int) -> None:
        self.path = path
        self.mode = mode

    def startListening(self) -> None:
        """Raises OSError if its directory is not there."""
        Path(self.path).touch()

    def stopListening(self) -> Deferred[Any]:
        """Remove it. As with Twisted's own, the Deferred fails if somebody has done that."""
        return execute(Path(self.path).unlink)

    def getHost(self) -> UNIXAddress:
        """Its address."""
        return UNIXAddress(self.path)


class ListeningReactor(MemoryReactorClock):
    """
    @ivar listening: what it has listened at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.listening: list[ListeningPort] = []

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: Any = False
    ) -> Any:
        """Listen at a path, where there is a file from now on."""
        port = ListeningPort(address, mode)
        port.startListening()
        self.listening.append(port)
        return port
