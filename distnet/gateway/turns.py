"""What takes longer than others have time for: a little of it at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

AT_ONCE: Final = 8
"""How many frames have their turn before whatever else has come."""
MOST_WAITING: Final = 512
"""How many wait for theirs."""


class Turns:
    """Frames that wait for their turn, in the order in which they have come."""

    def __init__(self, reactor: Any, take: Callable[[bytes], object]) -> None:
        """
        @param take: called with each frame when it is its turn. It raises nothing.
        """
        self._reactor = reactor
        self._take = take
        self._waiting: deque[bytes] = deque()
        self._later: Any = None

    def add(self, frame: bytes) -> bool:
        """Have it taken soon. False if too many wait."""
        if len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting.append(frame)
        self._wait()
        return True

    def stop(self) -> None:
        """Forget those that wait."""
        self._waiting.clear()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _wait(self) -> None:
        if self._later is None:
            self._later = self._reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._later = None
        for _ in range(min(AT_ONCE, len(self._waiting))):
            self._take(self._waiting.popleft())
        if self._waiting:
            self._wait()
