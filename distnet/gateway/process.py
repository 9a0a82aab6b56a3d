"""C{distnet gateway} as a process: its log, its end, and who holds it on a leash."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.logger import LogEvent, formatEvent, globalLogBeginner
from twisted.python.failure import Failure

from distnet.daemon.clock import use_monotonic
from distnet.daemon.hangup import at_hangup
from distnet.daemon.limits import allow_all_descriptors
from distnet.daemon.log import standard_output
from distnet.gateway.hostforward import check_forwards
from distnet.gateway.service import GatewayService, Settings


def run_gateway(settings: Settings, *, supervised: bool) -> None:
    """
    Run a gateway in this process, until SIGTERM, SIGINT, or SIGHUP: a closed terminal.

    @param supervised: another process puts what is said into its log, and has the other end of our
        standard input for as long as it lives.
    @raise StartupError: there is no usable libslirp here, or a port to forward is not to be had.
    """
    if not supervised:
        # Or else that was done; guests are not to be without the master for a port that is taken.
        check_forwards(settings.forwards)
    reactor: Any = _reactor
    use_monotonic(reactor)
    observer = standard_output(_line if supervised else None)
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
    if supervised:
        # That of a terminal, or of whoever means the switch, which ends us if it ends.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    else:
        at_hangup(lambda *_: reactor.callFromThread(_stop, reactor))
    # A guest's process costs two, and what is without one here serves nobody.
    allow_all_descriptors()
    service = GatewayService(reactor, settings)
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    if supervised:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        StandardIO(_Leash(reactor), stdout=nowhere)  # type: ignore[call-arg]
    reactor.run()


def _stop(reactor: Any) -> None:
    with contextlib.suppress(ReactorNotRunning):  # Another signal came before.
        reactor.stop()


def _line(event: LogEvent) -> str:
    # Whoever puts it into a log knows when that was.
    return f"{formatEvent(event)}\n"


class _Leash(Protocol):
    """Standard input: when it ends, whoever started us has ended, however that was."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._reactor.running:
            self._reactor.stop()
