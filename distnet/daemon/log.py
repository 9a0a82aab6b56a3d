"""The log of a process in the foreground: nothing ever waits for its reader."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final, TextIO

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    textFileLogObserver,
)
from zope.interface import implementer

from distnet.daemon.gap import encoded, gap
from distnet.daemon.outlet import Outlet

_OBSERVER: Final = "distnet.daemon.log.standard_output"


@implementer(ILogObserver)
class UnwaitingObserver:
    """
    Writes events by an L{Outlet}: while the reactor runs, nothing waits for the log's reader.

    Before and after that a line is out when it was logged, unless the reader stands still.
    """

    def __init__(
        self, reactor: Any, descriptor: int, format_event: Callable[[LogEvent], str | None]
    ) -> None:
        """
        @param format_event: makes an event text, whole lines of it, or nothing.
        """
        self._format = format_event
        self._outlet = Outlet(descriptor, self._gap)
        reactor.callWhenRunning(self._outlet.hurry)
        reactor.addSystemEventTrigger("after", "shutdown", self._outlet.be_patient)

    def __call__(self, event: LogEvent) -> None:
        text = self._format(event)
        if text:
            self._outlet.write(encoded(text))

    def _gap(self, lines: int) -> bytes:
        what = "lines of the log that are missing here, since it was not read in time: {lines}"
        return gap(self._format, what, lines=lines)


def standard_output(
    format_event: Callable[[LogEvent], str | None] | None = None,
) -> UnwaitingObserver:
    """The observer for standard output, in twistd's format unless another is given."""
    return _standard(sys.stdout, format_event)


def standard_error() -> UnwaitingObserver:
    """The observer for standard error, of a command whose standard output is for its answers."""
    return _standard(sys.stderr)


def _standard(
    file: TextIO | None, format_event: Callable[[LogEvent], str | None] | None = None
) -> UnwaitingObserver:
    from twisted.internet import reactor

    # Whoever has closed it does not want to know.
    descriptor = os.open(os.devnull, os.O_WRONLY) if file is None else file.fileno()
    usual = textFileLogObserver(file or io.StringIO()).formatEvent
    return UnwaitingObserver(reactor, descriptor, format_event or usual)


def use_in_twistd(options: MutableMapping[str, Any]) -> None:
    """Have twistd log so, by its own options, if it would log to standard output."""
    asked = options.get("syslog") or options.get("logger")
    if options.get("nodaemon") and options.get("logfile") in (None, "", "-") and not asked:
        options["logger"] = _OBSERVER


def use_in_twist(options: MutableMapping[str, Any]) -> None:
    """Have twist log so, by its own options, where and in what format it would."""
    make_usual: Callable[[TextIO], FileLogObserver] = options["fileLogObserverFactory"]

    def make(file: TextIO) -> UnwaitingObserver:
        from twisted.internet import reactor

        return UnwaitingObserver(reactor, file.fileno(), make_usual(file).formatEvent)

    options["fileLogObserverFactory"] = make
