"""distnet as a process of twistd: errors at the start in one line, exit status 0 after SIGTERM."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from twisted.application.service import MultiService
from twisted.logger import Logger

from distnet.errors import StartupError

_log = Logger(namespace="distnet")


class Daemon(MultiService):
    """The services of one twistd command, and what they need of their process."""

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._stopping = False

    def privilegedStartService(self) -> None:
        """Start what needs privileges."""
        with self._one_line_errors():
            super().privilegedStartService()

    def startService(self) -> None:
        """Start; a connection is a file descriptor, so allow as many as the machine lets us."""
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        with self._one_line_errors():
            super().startService()
        self._reactor.callWhenRunning(self._exit_with_status_0)

    def _exit_with_status_0(self) -> None:
        # twistd lets a SIGTERM kill it once all has been stopped in good order, which looks like a
        # failure to whoever waits for it.
        signal.signal(signal.SIGTERM, self._terminated)

    def _terminated(self, number: int, frame: object) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.callFromThread(self._stop)

    def _stop(self) -> None:
        _log.info("received SIGTERM, stopping")
        self._reactor.stop()

    @contextlib.contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        try:
            yield
        except StartupError as error:
            if _goes_nowhere(sys.stderr.fileno()):
                _log.critical("{why}", why=error)
            sys.excepthook = _say_in_one_line
            raise


def _goes_nowhere(descriptor: int) -> bool:
    return os.fstat(descriptor).st_rdev == Path(os.devnull).stat().st_rdev


def _say_in_one_line(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, StartupError):
        print(f"distnet: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)
