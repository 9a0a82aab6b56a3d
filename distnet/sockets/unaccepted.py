"""Connections that come and are none: reset before they were accepted, or without a descriptor."""

from __future__ import annotations

from typing import Any, Final, cast

from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from distnet.once import Once
from distnet.text import MORE_DESCRIPTORS

QUIET_SECONDS: Final = 10.0
"""How long nothing more is logged of connections that fail for the same reason."""
RESET: Final = "ECONNRESET"
"""The peer has ended a connection before we could look at it."""

_ABOUT: Final = {
    "EMFILE": f": this process has no descriptor left; {MORE_DESCRIPTORS}",
    RESET: ": whoever connected has ended that at once",
}

_log = Logger(namespace="distnet")


class Unaccepted:
    """Tells the log of connections that could not be accepted: how many, once in a while."""

    def __init__(self, reactor: Any, whom: str) -> None:
        """
        @param whom: whose connections they are, for the log.
        """
        self._reactor = reactor
        self._whom = whom
        self._once = Once(seconds=reactor.seconds, again=QUIET_SECONDS)
        self._counts: dict[str, int] = {}
        self._later: Any = None

    def failed(self, error: str) -> None:
        """One more was not, because of an error that has this name in C{errno.h}."""
        self._counts[error] = self._counts.get(error, 0) + 1
        if self._later is None:
            # Once all that have come are counted.
            self._later = self._reactor.callLater(0, self._say)

    def noticed(self, event: dict[str, Any]) -> None:
        """One of the events with which Twisted tells of them: a line or two for each."""
        if "acceptError" in event:
            self.failed(event["acceptError"])
        elif "address" in event:
            # Accepted and closed, by a descriptor that it has in reserve for that.
            self.failed("EMFILE")

    def _say(self) -> None:
        self._later = None
        for error in list(self._counts):
            if self._once.say(error) is not None:
                count = self._counts.pop(error)
                _log.warn(
                    "{whom}: {count} {connections} could not be accepted ({error}){about}",
                    whom=self._whom,
                    count=count,
                    connections="connection" if count == 1 else "connections",
                    error=error,
                    about=_ABOUT.get(error, ""),
                )


def tell_of_unaccepted(reactor: Any, port: IListeningPort) -> None:
    """Have a port of Twisted's tell the log as we do of connections that it cannot accept."""
    if hasattr(port, "_logger"):
        whom = Unaccepted(reactor, port.factory.logPrefix())  # type: ignore[attr-defined]
        port._logger = Logger(namespace="distnet", observer=cast(Any, whom.noticed))
