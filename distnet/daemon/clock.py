"""
Two kinds of time: spans are measured by a clock that nobody sets, dates are told by the wall clock.

Twisted's reactors measure by the wall clock. That is set: by NTP, when a laptop resumes, by hand.
Set back by an hour, every timer stands still for an hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

Date = Callable[[float], float]
"""When, in seconds since the epoch, the moment was or is that a clock calls so."""

TOLERANCE_SECONDS: Final = 1.0
"""By how much two clocks may differ from how they differed, before one of them was set."""


def use_monotonic(reactor: Any) -> None:
    """
    Have a reactor's timers, and its C{seconds}, run by the monotonic clock from now on.

    To be called before anybody asks it for the time; timers that are set already are kept.
    """
    if reactor.seconds is time.monotonic:
        return
    ahead = time.monotonic() - reactor.seconds()
    for call in reactor.getDelayedCalls():
        call.time += ahead
        call.seconds = time.monotonic
    reactor.seconds = time.monotonic


class Dates:
    """
    Dates of moments that another clock has measured.

    The same moment has the same date whenever one asks, unless a clock was set meanwhile: then it
    has the date that makes it as long ago as it is.
    """

    def __init__(self, seconds: Callable[[], float], wall: Callable[[], float] = time.time) -> None:
        """
        @param seconds: the clock that has measured them.
        @param wall: what tells the date of now.
        """
        self._seconds = seconds
        self._wall = wall
        self._ahead = self._difference()

    def __call__(self, moment: float) -> float:
        """The date of a moment, in seconds since the epoch."""
        difference = self._difference()
        if abs(difference - self._ahead) > TOLERANCE_SECONDS:
            self._ahead = difference
        return moment + self._ahead

    def _difference(self) -> float:
        return self._wall() - self._seconds()
