"""How much is done for anybody who asks, in a second. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MOST_ASKERS: Final = 1024
"""How many are told apart; the one that asked nothing for longest is forgotten first."""


class _Bucket:
    """A token bucket: it has so many a second, and at most a second's worth."""

    __slots__ = ("_left", "_rate", "_then")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = self._left = rate
        self._then = now

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self._left = min(self._rate, self._left + (now - self._then) * self._rate)
        self._then = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Budget:
    """
    Lets each asker have so much of something in a second, and all together so much.

    One that makes up names for itself can use up what is for all; that costs others their turn for
    as long as it lasts, and nobody the time that is for other things.
    """

    def __init__(self, each: float, all_together: float, seconds: Callable[[], float]) -> None:
        """
        @param each: how often in a second for one asker.
        @param all_together: how often in a second for all.
        @param seconds: a clock that only goes forward.
        """
        self._each = each
        self._seconds = seconds
        self._all = _Bucket(all_together, seconds())
        self._askers: dict[bytes, _Bucket] = {}

    def allows(self, asker: bytes) -> bool:
        """Whether it may be done once more, now. If so, it counts as done."""
        now = self._seconds()
        bucket = self._askers.pop(asker, None) or _Bucket(self._each, now)
        if len(self._askers) >= MOST_ASKERS:
            del self._askers[next(iter(self._askers))]
        self._askers[asker] = bucket
        return bucket.take(now) and self._all.take(now)
