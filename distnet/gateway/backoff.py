"""How long to wait until something is tried again. No I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """
    Seconds that double from one try to the next.

    @ivar first: seconds until the first try.
    @ivar most: the most seconds between two tries.
    """

    first: float
    most: float
    _next: float = 0

    def next(self) -> float:
        """Seconds until the next try."""
        seconds = self._next or self.first
        self._next = min(seconds * 2, self.most)
        return seconds

    def reset(self) -> None:
        """It has worked: the next wait is the first one again."""
        self._next = 0
