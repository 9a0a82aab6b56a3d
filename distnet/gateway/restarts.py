"""Starting a process again that has ended, or could not be started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

from distnet.gateway.backoff import Backoff

FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 10.0
"""How long until it is started again; doubled each time that it did not run for longer."""

_log = Logger(namespace="distnet")


class Restarts:
    """Those of one process, later and later as long as it does not stay."""

    def __init__(self, reactor: Any, who: str, start: Callable[[], object]) -> None:
        """
        @param who: what the log calls it.
        @param start: starts it, and calls L{begun} at once.
        """
        self._reactor = reactor
        self._who = who
        self._start = start
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._began = 0.0
        self._later: Any = None

    def begun(self) -> None:
        """It is being started."""
        self._later = None
        self._began = self._reactor.seconds()

    def later(self, what: str, why: str) -> None:
        """Start it again in a while, and say so. C{what}: what has happened to it."""
        if self._reactor.seconds() - self._began > MOST_SECONDS:
            self._backoff.reset()
        seconds = self._backoff.next()
        _log.error(
            "{who} {what} ({why}), and is started again in {seconds:g} s",
            who=self._who,
            what=what,
            why=why,
            seconds=seconds,
        )
        self._later = self._reactor.callLater(seconds, self._start)

    def stop(self) -> None:
        """Do not start it again, if it would have been."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
