"""SIGHUP of a process with a terminal: that has been closed, or the ssh that it came by is lost."""

from __future__ import annotations

import signal
from collections.abc import Callable


def at_hangup(handler: Callable[[int, object], object]) -> bool:
    """
    Have SIGHUP handled, unless it is ignored: C{nohup} starts programs so.

    @return: whether it is handled.
    """
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return False
    signal.signal(signal.SIGHUP, handler)
    return True
