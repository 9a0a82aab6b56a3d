"""distnet as a process of twistd: errors at the start in one line, and what signals do."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from distnet.daemon.clock import use_monotonic
from distnet.daemon.hangup import at_hangup
from distnet.daemon.limits import allow_all_descriptors
from distnet.daemon.logfile import keep_lines_whole, reopen
from distnet.errors import StartupError

_log = Logger(namespace="distnet")

_STDERR: Final = 2
_UNDO_SECONDS: Final = 5.0
"""How long it may take to stop what a start that fails has begun."""
_TURN_SECONDS: Final = 0.01


class Daemon(MultiService):
    """
    The services of one command of C{twistd}, or of C{twist}, and what they need of their process.

    SIGTERM stops it in good order. So does SIGHUP, a closed terminal, in the foreground; in the
    background that has the log opened anew, for whoever has moved the file.
    """

    def __init__(self, reactor: Any, *, background: bool = False) -> None:
        """
        @param background: it has no terminal, and a file for its log.
        """
        super().__init__()
        use_monotonic(reactor)
        self._reactor = reactor
        self._background = background
        self._began = False
        self._stopping = False
        # Made before twistd becomes a daemon, and sends its own to where nobody reads.
        self._stderr = _duplicate(_STDERR)

    def privilegedStartService(self) -> None:
        """Start what needs privileges."""
        self._began = True
        keep_lines_whole()
        with self._one_line_errors():
            super().privilegedStartService()

    def startService(self) -> None:
        """Start, with as many descriptors as this process may have."""
        if not self._began:
            # twist keeps its privileges, and so has no step before it would drop them.
            self.privilegedStartService()
        self._obey_sighup()
        allow_all_descriptors()
        with self._one_line_errors():
            super().startService()
        self._let_go_of_stderr()
        self._reactor.callWhenRunning(self._exit_with_status_0)

    def _exit_with_status_0(self) -> None:
        # twistd lets a SIGTERM kill it once all has been stopped in good order, which looks like a
        # failure to whoever waits for it.
        signal.signal(signal.SIGTERM, self._terminated)
        # And while Python tidies up, it has given this handler up.
        atexit.register(signal.signal, signal.SIGTERM, signal.SIG_IGN)

    def _obey_sighup(self) -> None:
        # From before there is anything that would be left behind.
        if self._background:
            signal.signal(signal.SIGHUP, self._hung_up)
        elif not at_hangup(self._terminated):
            return
        atexit.register(signal.signal, signal.SIGHUP, signal.SIG_IGN)

    def _terminated(self, number: int, frame: object) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.callFromThread(self._stop, signal.Signals(number).name)

    def _hung_up(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(reopen)

    def _stop(self, why: str) -> None:
        _log.info("received {why}, stopping", why=why)
        with contextlib.suppress(ReactorNotRunning):  # A SIGINT came before.
            self._reactor.stop()

    @contextlib.contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except StartupError as error:
            # Of a daemon twistd says no more than 98 characters, and that in three lines.
            if self._stderr is not None:
                os.write(self._stderr, f"distnet: {error}\n".encode(errors="backslashreplace"))
            if _goes_nowhere(_STDERR):
                _log.critical("{why}", why=error)
            sys.excepthook = _say_no_more
            self._undo()
            raise
        except BaseException:
            self._let_go_of_stderr()
            raise

    def _undo(self) -> None:
        """Stop what was started in vain, which removes sockets and directories."""
        stopped = maybeDeferred(self.stopService)
        deadline = self._reactor.seconds() + _UNDO_SECONDS
        # The reactor does not run yet, and will not.
        while not stopped.called and self._reactor.seconds() < deadline:
            self._reactor.iterate(_TURN_SECONDS)

    def _let_go_of_stderr(self) -> None:
        if self._stderr is not None:
            os.close(self._stderr)
            self._stderr = None


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:
        return None


def _goes_nowhere(descriptor: int) -> bool:
    try:
        return os.fstat(descriptor).st_rdev == Path(os.devnull).stat().st_rdev
    except OSError:
        return True


def _say_no_more(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if not issubclass(kind, StartupError):
        sys.__excepthook__(kind, error, traceback)
