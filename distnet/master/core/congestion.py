"""What happens at a limit: senders are paused, then messages dropped, until there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import Episode, IObserver
from distnet.master.core.limits import Limits, Overflow
from distnet.master.core.mailbox import Mailboxes
from distnet.master.core.session import Session
from distnet.wire import first_size


class Congestion:
    """
    The episodes that are going on, by id.

    A paused guest is a frozen virtual machine and two of them can wait for each other, so a pause
    is short and its end is certain; whatever cannot be delivered then is dropped, and dropped
    until the mailbox is empty, so that a stream has one gap and not a thousand.

    @param go_on: called with a session that need not wait any longer.
    @param disconnect: called with the id of a node that is too slow.
    """

    def __init__(
        self,
        limits: Limits,
        mailboxes: Mailboxes,
        observer: IObserver,
        clock: Any,
        *,
        go_on: Callable[[Session], None],
        disconnect: Callable[[int], None],
    ) -> None:
        self._limits = limits
        self._mailboxes = mailboxes
        self._observer = observer
        self._clock = clock
        self._go_on = go_on
        self._disconnect = disconnect
        self._episodes: dict[int, Episode] = {}
        self._pausing: dict[int, Episode] = {}

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._episodes.values())

    def __bool__(self) -> bool:
        return bool(self._episodes)

    def is_dropping(self, dest: int) -> bool:
        """New messages for this id are dropped."""
        episode = self._episodes.get(dest)
        return episode is not None and episode.dropping

    def reason(self, dest: int) -> Reason:
        """Which limit began the episode of this id."""
        return self._episodes[dest].reason

    def begin(self, source: Session, dest: int, reason: Reason, waiting: Tally) -> None:
        """A message did not fit: an episode begins, unless one goes on for its dest."""
        if dest not in self._episodes:
            episode = Episode(dest, source.node, reason, self._clock.seconds(), waiting)
            self._episodes[dest] = episode
            self._observer.congested(episode)

    def pause(self, source: Session, dest: int) -> bool:
        """
        Pause a sender until there is room, but not too long; say whether that was done.

        A sender that goes from one pause into the next without having been read in between has
        one pause: its guest stands still all the while.
        """
        episode = self._episodes[dest]
        seconds = self._limits.pause_seconds
        if episode.dropping or not seconds:
            return False
        now = self._clock.seconds()
        if source.pause_ends is None:
            source.pause_ends = now + seconds
            source.link.pause()
        source.paused_for = dest
        episode.paused.append(source)
        self._pausing[dest] = episode
        if seconds != float("inf"):
            left = max(0.0, source.pause_ends - now)
            source.pause_timer = self._clock.callLater(left, self._paused_enough, episode)
        return True

    def dropped(self, dest: int, messages: int, size: int) -> None:
        """
        Messages for this id were dropped, and so will be all others until it has drained.

        Not yet if somebody is paused for it: then these are what a sender that has left could not
        wait with, and those who are still there can.
        """
        episode = self._episodes[dest]
        episode.dropped.add(messages, size)
        if not episode.paused:
            self._begin_dropping(episode)

    def drained(self, dest: int) -> None:
        """The mailbox of this id is emptier, and so is the memory that all share."""
        self._release_fitting()
        episode = self._episodes.get(dest)
        if episode is not None and not episode.paused and self._mailboxes.get(dest) is None:
            self.relieve(dest)

    def relieve(self, dest: int) -> None:
        """The episode of this id is over: end it, and say so."""
        self._observer.relieved(self._episodes.pop(dest))

    def dest_left(self, dest: int) -> None:
        """The node with this id has left: nobody need wait for it."""
        episode = self._episodes.get(dest)
        if episode is not None:
            waited = self._unpause_all(episode)
            if self._mailboxes.get(dest) is None:
                self.relieve(dest)
            self._let_go_on(waited)
        self._release_fitting()

    def forget_sender(self, session: Session) -> None:
        """A sender has left; if it was paused, it is no more."""
        if session.paused_for is not None:
            self._unpause(session)

    def stop(self) -> None:
        """Nobody is paused any more: what does not fit is dropped."""
        for episode in list(self._pausing.values()):
            self._let_go_on(self._unpause_all(episode))

    def _paused_enough(self, episode: Episode) -> None:
        if self._limits.overflow is Overflow.DISCONNECT:
            self._disconnect(episode.dest)
            return
        self._begin_dropping(episode)
        self._let_go_on(self._unpause_all(episode))

    def _begin_dropping(self, episode: Episode) -> None:
        if not episode.dropping:
            episode.dropping = True
            self._observer.dropping(episode)

    def _release_fitting(self) -> None:
        """
        Let those go on for whose next message there is room.

        One after the other, as each may take the room of the next; who has to wait again does so
        behind those that have waited all along.
        """
        for episode in list(self._pausing.values()):
            for session in list(episode.paused):
                if session.paused_for != episode.dest:
                    continue
                room, _ = self._mailboxes.room(episode.dest, settled=True)
                if first_size(session.runs[0].data) <= room:
                    self._unpause(session)
                    self._go_on(session)

    def _let_go_on(self, sessions: list[Session]) -> None:
        for session in sessions:
            self._go_on(session)

    def _unpause_all(self, episode: Episode) -> list[Session]:
        sessions = list(episode.paused)
        for session in sessions:
            self._unpause(session)
        return sessions

    def _unpause(self, session: Session) -> None:
        assert session.paused_for is not None
        episode = self._pausing[session.paused_for]
        episode.paused.remove(session)
        if not episode.paused:
            del self._pausing[episode.dest]
        session.paused_for = None
        if session.pause_timer is not None:
            if session.pause_timer.active():
                session.pause_timer.cancel()
            session.pause_timer = None
