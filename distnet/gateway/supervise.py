"""A gateway as a child process of the switch: started again when it ends, gone when that stops."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.gateway import libslirp
from distnet.gateway.cli import CONSOLE_DESCRIPTOR, forwards_of
from distnet.gateway.hostforward import check_forwards
from distnet.gateway.restarts import Restarts
from distnet.processes import signal_name
from distnet.sockets.quiet import QuietFactory

STOP_SECONDS: Final = 5.0
"""How long it has to end, until it is killed."""
MAX_LINE: Final = 4096

_log = Logger(namespace="distnet")


class GatewayProcess(Service):
    """
    Keeps a gateway running.

    A standard input that ends tells it that the switch has ended, should that be killed; the
    switch's console is at a descriptor of its own. So neither leaves a file anywhere.
    """

    def __init__(
        self, reactor: Any, words: Sequence[str], make_console: Callable[[], Protocol]
    ) -> None:
        """
        @param words: what follows C{distnet gateway}.
        @param make_console: makes one end of a connection to the console.
        """
        self._reactor = reactor
        self._forwards = forwards_of(words)
        self._words = [
            sys.executable, "-m", "distnet.cli", "gateway", "--supervised", *words
        ]  # fmt: skip
        self._console = QuietFactory(make_console)
        self._restarts = Restarts(reactor, "gateway: it", self._start)
        self._process: Any = None
        self._kill: Any = None
        self._ended: Deferred[None] | None = None

    def startService(self) -> None:
        """
        Start it when the reactor runs.

        Raises StartupError without a usable libslirp, or if a port to forward is not to be had.
        """
        super().startService()
        libslirp.load()
        check_forwards(self._forwards)
        # Not before the reactor runs: it is what notices that a process ends.
        self._reactor.callWhenRunning(self._start)

    def stopService(self) -> Deferred[None] | None:
        """End the gateway, and start it no more; fires when it has ended."""
        super().stopService()
        self._restarts.stop()
        if self._process is None:
            return None
        self._ended = Deferred()
        self._signal(signal.SIGTERM)
        self._kill = self._reactor.callLater(STOP_SECONDS, self._signal, signal.SIGKILL)
        return self._ended

    def _start(self) -> None:
        if not self.running:
            return
        self._restarts.begun()
        try:
            ours, its = socket.socketpair()
            with ours, its:
                self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, self._console)
                self._process = self._reactor.spawnProcess(
                    _Lines(self._has_ended),
                    self._words[0],
                    self._words,
                    env=None,
                    childFDs={0: "w", 1: "r", 2: "r", CONSOLE_DESCRIPTOR: its.fileno()},
                )
        except OSError as error:
            # No descriptor, process or memory is left, or it may not be run: that may pass.
            self._restarts.later("cannot be started", error.strerror or str(error))

    def _signal(self, number: int) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessExitedAlready):
                self._process.signalProcess(number)

    def _has_ended(self, why: str) -> None:
        self._process = None
        if self._kill is not None and self._kill.active():
            self._kill.cancel()
        if self._ended is not None:
            self._ended.callback(None)
            return
        self._restarts.later("has ended", why)


class _Lines(ProcessProtocol):
    """Puts what the process says into our log."""

    def __init__(self, ended: Callable[[str], None]) -> None:
        self._ended = ended
        self._rest: dict[int, bytes] = {}

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, rest = (self._rest.get(childFD, b"") + data).split(b"\n")
        for line in lines:
            self._say(line)
        self._rest[childFD] = rest[:MAX_LINE]

    def processEnded(self, reason: Failure) -> None:
        for rest in self._rest.values():
            self._say(rest)
        value: Any = reason.value
        if value.signal is not None:
            self._ended(f"by {signal_name(value.signal)}")
        else:
            self._ended(f"status {value.exitCode}")

    def _say(self, line: bytes) -> None:
        if line.strip():
            _log.info("gateway: {line}", line=line.decode(errors="replace"))
