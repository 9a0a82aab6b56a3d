"""The file that twistd logs to, once somebody has moved it: logrotate, say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.logger import Logger, globalLogPublisher
from twisted.python.logfile import BaseLogFile

_log = Logger(namespace="distnet")


def reopen() -> None:
    """
    Go on in the file that has the log's name now, which is made if there is none.

    If that cannot be, what is open stays open, and that is logged.
    """
    for file in _files():
        try:
            # LogFile closes the old one before it looks for the new one.
            with open(file.path, "ab+"):
                pass
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


def _files() -> Iterator[Any]:
    # twistd keeps the observer that it has made to itself; with --syslog or --logger it has none.
    for observer in globalLogPublisher._observers:
        file = getattr(observer, "_outFile", None)
        if isinstance(file, BaseLogFile):
            yield file
