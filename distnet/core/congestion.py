"""What happens at a limit: senders are paused, then messages dropped, until there is room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distnet.core.counters import Reason, Tally
from distnet.core.events import Episode, IObserver
from distnet.core.limits import Limits, Overflow
from distnet.core.session import Session
from distnet.core.wire import first_size


class Congestion:
    """
    The episodes that are going on, by id.

    A paused guest is a frozen virtual machine and two of them can wait for each other, so a pause
    is short and its end is certain; whatever cannot be delivered then is dropped, and dropped
    until the mailbox is empty, so that a stream has one gap and not a thousand.
    """

    def __init__(
        self,
        limits: Limits,
        observer: IObserver,
        clock: Any,
        go_on: Callable[[Session], None],
        disconnect: Callable[[int], None],
    ) -> None:
        self._limits = limits
        self._observer = observer
        self._clock = clock
        self._go_on = go_on
        self._disconnect = disconnect
        self._episodes: dict[int, Episode] = {}

    def __iter__(self) -> Any:
        return iter(self._episodes.values())

    def is_congested(self, dest: int) -> bool:
        """An episode goes on for this id."""
        return dest in self._episodes

    def is_dropping(self, dest: int) -> bool:
        """New messages for this id are dropped."""
        episode = self._episodes.get(dest)
        return episode is not None and episode.dropping

    def reason(self, dest: int) -> Reason:
        """Which limit began the episode of this id."""
        return self._episodes[dest].reason

    def begin(self, source: Session, dest: int, reason: Reason, waiting: Tally) -> None:
        """A message did not fit."""
        if dest not in self._episodes:
            episode = Episode(dest, source.node, reason, self._clock.seconds(), waiting)
            self._episodes[dest] = episode
            self._observer.congested(episode)

    def pause(self, source: Session, dest: int) -> bool:
        """Pause a sender until there is room, but not too long; say whether that was done."""
        episode = self._episodes[dest]
        seconds = self._limits.pause_seconds
        if episode.dropping or not seconds:
            return False
        source.paused_for = dest
        episode.paused.append(source)
        if seconds != float("inf"):
            source.pause_timer = self._clock.callLater(seconds, self._paused_enough, episode)
        source.link.pause()
        return True

    def dropped(self, dest: int, messages: int, size: int) -> None:
        """Messages for this id were dropped."""
        episode = self._episodes[dest]
        episode.dropped.add(messages, size)
        if not episode.dropping:
            episode.dropping = True
            self._observer.dropping(episode)

    def drained(self, dest: int, room: int, empty: bool) -> None:
        """The mailbox of this id is emptier: there is C{room} for so many bytes."""
        episode = self._episodes[dest]
        waiting = [s for s in episode.paused if first_size(s.runs[0].data) <= room]
        if empty:
            self.relieve(dest)
        self._release(episode, waiting)

    def relieve(self, dest: int) -> None:
        """The episode is over."""
        self._observer.relieved(self._episodes.pop(dest))

    def dest_left(self, dest: int, empty: bool) -> None:
        """The node with this id has left: nobody need wait for it."""
        episode = self._episodes.get(dest)
        if episode is not None:
            if empty:
                self.relieve(dest)
            self._release(episode, list(episode.paused))

    def forget_sender(self, session: Session) -> None:
        """A sender has left; if it was paused, it is no more."""
        if session.paused_for is not None:
            episode = self._episodes.get(session.paused_for)
            self._unpause(session, episode)

    def stop(self) -> None:
        """Nobody is paused any more: what does not fit is dropped."""
        for episode in list(self._episodes.values()):
            self._release(episode, list(episode.paused))

    def _paused_enough(self, episode: Episode) -> None:
        if self._limits.overflow is Overflow.DISCONNECT:
            self._disconnect(episode.dest)
            return
        episode.dropping = True
        self._observer.dropping(episode)
        self._release(episode, list(episode.paused))

    def _release(self, episode: Episode, sessions: list[Session]) -> None:
        for session in sessions:
            if session.paused_for == episode.dest:
                self._unpause(session, episode)
                self._go_on(session)

    def _unpause(self, session: Session, episode: Episode | None) -> None:
        session.paused_for = None
        if episode is not None and session in episode.paused:
            episode.paused.remove(session)
        if session.pause_timer is not None:
            if session.pause_timer.active():
                session.pause_timer.cancel()
            session.pause_timer = None
