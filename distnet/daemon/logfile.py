"""The file that twistd logs to: on a disk that is full, and once somebody has moved it away."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from twisted.logger import FileLogObserver, LogEvent, Logger, globalLogPublisher
from twisted.python.logfile import LogFile

from distnet.daemon.gap import encoded, gap

_log = Logger(namespace="distnet")


class WholeLines:
    """
    What twistd's observer writes to instead of its file: events there are whole, or not at all.

    Where there is no room for one it is dropped, and counted in the place where it is missing.

    @ivar file: twistd's.
    @ivar dropped: how many events were.
    """

    def __init__(self, file: Any, format_event: Callable[[LogEvent], str | None]) -> None:
        """
        @param format_event: makes an event text, as the observer does.
        """
        self.file = file
        self._format = format_event
        self.dropped = 0
        self._missing = 0
        self._why = ""

    def write(self, text: str | bytes) -> None:
        """Write an event, as text or encoded."""
        data = encoded(text) if isinstance(text, str) else text
        if (self._missing and not self._put(self._gap())) or not self._put(data):
            self._missing += 1
            self.dropped += 1
        else:
            self._missing = 0

    def flush(self) -> None:
        """Nothing is kept back."""

    def _gap(self) -> bytes:
        what = "lines of the log that are missing here ({why}): {lines}"
        return gap(self._format, what, why=self._why, lines=self._missing)

    def _put(self, data: bytes) -> bool:
        """Write all, or nothing and return False."""
        if self.file.shouldRotate():
            self.file.rotate()
        opened = self.file._file
        before = opened.tell()
        rest = data
        try:
            while rest:
                # LogFile's own method does not say how much of it there was room for.
                rest = rest[opened.write(rest) :]
        except OSError as error:
            self._why = error.strerror or str(error)
        else:
            self.file.size += len(data)
            return True
        # Of a device nothing can be taken back.
        with contextlib.suppress(OSError):
            opened.truncate(before)
            opened.seek(before)
        return False


def keep_lines_whole() -> None:
    """Have twistd's log written by L{WholeLines}, if it is a file."""
    for observer in _observers():
        if isinstance(observer._outFile, LogFile):
            observer._outFile = WholeLines(observer._outFile, observer.formatEvent)


def reopen() -> None:
    """
    Go on in the file that has the log's name now, which is made if there is none.

    If that cannot be, what is open stays open, and that is logged.
    """
    for observer in _observers():
        if not isinstance(observer._outFile, WholeLines):
            continue
        file = observer._outFile.file
        try:
            # LogFile closes the old one before it looks for the new one.
            os.close(os.open(file.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
            file.reopen()
        except OSError as error:
            _log.error(
                "received SIGHUP: {path} cannot be opened anew, and the log goes on where it was:"
                " {why}",
                path=file.path,
                why=error.strerror,
            )
            return
    _log.info("received SIGHUP: the log goes on in the file of that name")


def _observers() -> Iterator[Any]:
    # twistd keeps the one that it has made to itself; with --syslog or --logger it has another.
    for observer in globalLogPublisher._observers:
        if isinstance(observer, FileLogObserver):
            yield observer
