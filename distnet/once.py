"""What happens again and again, and is to be said once, or once in a while. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import inf
from typing import Final

MOST_REASONS: Final = 32
"""How many reasons are told apart where nothing else is said: some are what a peer made up."""


class _Memory:
    """
    What is known of one thing that was said.

    @ivar quiet_until: when it may be said again.
    @ivar unsaid: how often it has happened since it was said.
    """

    __slots__ = ("quiet_until", "unsaid")

    def __init__(self) -> None:
        self.quiet_until = -inf
        self.unsaid = 0


class Once:
    """
    Tells of what happens whether it is to be said: not if the same was said already, or just now.

    What is the same is told by a key, such as the reason, so that no reason hides another. How many
    of them are told apart is limited: those beyond share what is left of the limit, one memory.
    """

    __slots__ = ("_again", "_most", "_others", "_said", "_seconds")

    def __init__(
        self,
        most: int = MOST_REASONS,
        *,
        seconds: Callable[[], float] | None = None,
        again: float = inf,
    ) -> None:
        """
        @param most: how many different things can have been said at any time; at least 1.
        @param seconds: the time; none is needed if nothing is said again.
        @param again: after so many seconds the same is said again.
        """
        self._most = most
        self._seconds = seconds
        self._again = again
        # In the order in which they were said.
        self._said: dict[Hashable, _Memory] = {}
        self._others = _Memory()

    def say(self, key: Hashable) -> int | None:
        """
        Something has happened.

        @return: how often it has happened since it was last said, this time not counted, if it is
            to be said now; None if not.
        """
        now = 0.0 if self._seconds is None else self._seconds()
        memory = self._said.get(key) or self._made(key, now)
        if now < memory.quiet_until:
            memory.unsaid += 1
            return None
        unsaid, memory.unsaid = memory.unsaid, 0
        memory.quiet_until = now + self._again
        if memory is not self._others:
            self._said[key] = self._said.pop(key)
        return unsaid

    def forget(self) -> None:
        """What all of it was about is over: the same is news again."""
        self._said.clear()
        self._others = _Memory()

    def _made(self, key: Hashable, now: float) -> _Memory:
        """The memory of something new."""
        if len(self._said) >= self._most - 1:
            oldest = next(iter(self._said), None)
            if oldest is None or now < self._said[oldest].quiet_until:
                return self._others
            self._others.unsaid += self._said.pop(oldest).unsaid
        made = self._said[key] = _Memory()
        return made
