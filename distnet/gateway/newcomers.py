"""Guests that wait for a process, and what they have sent meanwhile. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

MOST_WAITING: Final = 512
"""Guests that wait until one can be started."""
WAITING_SECONDS: Final = 5.0
"""How long they do: one that is there has sent its SYN again by then, RFC 6298."""
MOST_FRAMES: Final = 4
"""The last of their frames, which they have then."""


@dataclass(slots=True)
class _Newcomer:
    """
    One of them.

    @ivar heard: when it was heard last.
    @ivar frames: the last that it has sent.
    """

    heard: float = 0.0
    frames: deque[bytes] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))


class Newcomers:
    """All of them, by their MAC addresses, in the order in which they were heard."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        """
        @param seconds: a clock that only goes forward.
        """
        self._seconds = seconds
        self._waiting: dict[bytes, _Newcomer] = {}

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._waiting)

    def heard(self, mac: bytes, frame: bytes) -> None:
        """One has sent a frame; if there are too many, who was not heard for longest has gone."""
        newcomer = self._waiting.pop(mac, None) or _Newcomer()
        newcomer.heard = self._seconds()
        newcomer.frames.append(frame)
        self._waiting[mac] = newcomer
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]

    def next(self) -> bytes | None:
        """
        Whose turn it is: who was heard last. None if nobody waits any more.

        Of a flood of guests that are none, others who come after it have their turn first.
        """
        since = self._seconds() - WAITING_SECONDS
        while self._waiting:
            mac = next(iter(self._waiting))
            if self._waiting[mac].heard > since:
                return next(reversed(self._waiting))
            del self._waiting[mac]
        return None

    def take(self, mac: bytes) -> tuple[bytes, ...]:
        """One need not wait any more, if it did: its frames."""
        newcomer = self._waiting.pop(mac, None)
        return () if newcomer is None else tuple(newcomer.frames)

    def clear(self) -> None:
        """Nobody waits any more."""
        self._waiting.clear()
