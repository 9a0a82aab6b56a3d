"""SIGHUP of a process with a terminal: that has been closed, or the ssh that it came by is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable


def hangup_is_ignored() -> bool:
    """Whether nothing is to happen at SIGHUP: C{nohup} starts programs so."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def at_hangup(handler: Callable[[int, object], object]) -> bool:
    """
    Have SIGHUP handled, unless L{hangup_is_ignored}.

    @return: whether it is handled.
    """
    if hangup_is_ignored():
        return False
    signal.signal(signal.SIGHUP, handler)
    return True
