"""Looks whether peers have read what they were sent; only while somebody wants to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

ROUND_SECONDS: Final = 0.05
"""How often links are looked at that nobody is in a hurry about."""
ROUND_SHARE: Final = 20
"""A round takes at most one part in so many of the time."""
EAGER_SECONDS: Final = 0.05
"""How long a link is looked at eagerly, before it joins the rounds."""
_SPIN_SECONDS: Final = 0.0002
_TIMER_SECONDS: Final = 0.001


class UnreadWatch:
    """
    Calls back once for each watched link, when its L{ILink.unread} is not above 0 any more.

    The operating system has no event for this, so it is polled. A link that holds messages up is
    polled at growing intervals, first at every turn of the reactor; links that stay unread share
    one round, which gets rarer as it gets longer, so that thousands of stopped kernels cost little.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._watched: dict[Any, Callable[[], None]] = {}
        self._eager: dict[Any, Any] = {}
        self._round: Any = None

    def watch(self, link: Any, was_read: Callable[[], None], eager: bool) -> None:
        """
        Call C{was_read} once, when the link's peer has read all; never from within this call.

        Asking twice is the same as asking once, but for C{eager}.
        """
        self._watched[link] = was_read
        if eager and link not in self._eager:
            self._look_soon(link, self._clock.seconds())
        elif not eager:
            self._begin_round(ROUND_SECONDS)

    def forget(self, link: Any) -> None:
        """Do not look at a link any more."""
        self._watched.pop(link, None)
        self._stop_looking_eagerly(link)
        if not self._watched and self._round is not None:
            self._round.cancel()
            self._round = None

    def _look_soon(self, link: Any, since: float) -> None:
        elapsed = self._clock.seconds() - since
        if elapsed >= EAGER_SECONDS:
            self._eager.pop(link, None)
            self._begin_round(ROUND_SECONDS)
            return
        delay = 0 if elapsed < _SPIN_SECONDS else max(elapsed / 2, _TIMER_SECONDS)
        self._eager[link] = self._clock.callLater(delay, self._look_eagerly, link, since)

    def _look_eagerly(self, link: Any, since: float) -> None:
        if not self._look(link):
            self._look_soon(link, since)

    def _begin_round(self, seconds: float) -> None:
        if self._round is None:
            self._round = self._clock.callLater(seconds, self._look_at_all)

    def _look_at_all(self) -> None:
        self._round = None
        began = self._clock.seconds()
        for link in [link for link in self._watched if link not in self._eager]:
            if link in self._watched:
                self._look(link)
        if any(link not in self._eager for link in self._watched):
            took = self._clock.seconds() - began
            self._begin_round(max(ROUND_SECONDS, took * ROUND_SHARE))

    def _look(self, link: Any) -> bool:
        if link.unread():
            return False
        was_read = self._watched.pop(link)
        self._stop_looking_eagerly(link)
        was_read()
        return True

    def _stop_looking_eagerly(self, link: Any) -> None:
        call = self._eager.pop(link, None)
        if call is not None and call.active():
            call.cancel()
