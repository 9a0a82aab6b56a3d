"""What stands in the log where lines of it are missing, and how its text becomes bytes."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.logger import LogEvent, LogLevel


def gap(format_event: Callable[[LogEvent], str | None], log_format: str, **values: object) -> bytes:
    """
    Say what is missing by an event of its own, in the format of the others.

    @param format_event: makes an event text, as the log's observer does.
    @param log_format: what is said.
    @param values: those that C{log_format} names.
    """
    event = {
        "log_format": log_format,
        "log_level": LogLevel.warn,
        "log_namespace": "distnet",
        "log_time": time.time(),
        **values,
    }
    return encoded(format_event(event) or "")


def encoded(text: str) -> bytes:
    """A log's text as UTF-8, whatever it holds."""
    return text.encode(errors="backslashreplace")
