"""Fakes for tests of what is built on distnet: a link without a socket, an observer that notes."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from distnet.core.counters import Reason, Tally
from distnet.core.events import Episode, IObserver
from distnet.core.session import Session
from distnet.core.wire import Messages
from distnet.interfaces import ILink


@implementer(ILink)
class FakeLink:
    """
    A connection whose peer is the test.

    @ivar sent: what was handed over so far and not cleared.
    @ivar capacity: bytes that it takes before somebody calls L{read}; None for any number.
    @ivar observable: as of L{ILink}.
    @ivar knows_unread: whether L{unread} knows; where it does not it says None.
    @ivar watches: the C{eager} of each call of L{watch_unread}.
    @ivar watched: it is to say when its peer has read all.
    @ivar full: it took less than it was given, and is to say when it takes more.
    @ivar paused: reading from it is paused.
    @ivar ended: C{"close"} or C{"abort"} once that was called.
    """

    def __init__(self, peer: str = "test", observable: bool = True) -> None:
        self.peer = peer
        self.observable = observable
        self.knows_unread = True
        self.capacity: int | None = None
        self.sent = bytearray()
        self.sends: list[bytes] = []
        self.watches: list[bool] = []
        self.watched = False
        self.full = False
        self.paused = False
        self.ended: str | None = None
        self._unread = 0

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much as there is capacity for."""
        size = len(data)
        if self.capacity is not None:
            size = min(size, self.capacity)
            self.capacity -= size
            self.full = size < len(data)
        if size:
            self.sends.append(bytes(data[:size]))
        self.sent += data[:size]
        self._unread += size
        return size

    def unread(self) -> int | None:
        """What was sent since the last L{read}."""
        return self._unread if self.knows_unread else None

    def watch_unread(self, eager: bool) -> None:
        """Note it; the test calls C{Router.was_read} itself."""
        self.watches.append(eager)
        self.watched = True

    def pause(self) -> None:
        """Note it."""
        self.paused = True

    def resume(self) -> None:
        """Note it."""
        self.paused = False

    def close(self) -> None:
        """Note it."""
        self.ended = self.ended or "close"

    def abort(self) -> None:
        """Note it."""
        self.ended = self.ended or "abort"

    def read(self) -> bytes:
        """What the peer reads: all that was sent since it last did."""
        data = bytes(self.sent)
        self.sent.clear()
        self._unread = 0
        return data

    def messages(self) -> list[tuple[int, bytes]]:
        """L{read}, as messages. Raises AssertionError if there is a part of one."""
        splitter = Messages()
        messages = splitter.feed(self.read())
        assert not splitter.incomplete, f"{splitter.incomplete} bytes of an incomplete message"
        return messages


@implementer(IObserver)
class NotingObserver:
    """
    Notes what it is told.

    @ivar events: (name of the event, id it is about, what else was said).
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def names(self) -> list[str]:
        """The names of the events."""
        return [event[0] for event in self.events]

    def connected(self, session: Session) -> None:
        """See L{IObserver}."""
        self.events.append(("connected", session.node))

    def settled(self, session: Session, by: str) -> None:
        """See L{IObserver}."""
        self.events.append(("settled", session.node, by))

    def first_message(self, session: Session, dest: int) -> None:
        """See L{IObserver}."""
        self.events.append(("first_message", session.node, dest))

    def left(self, session: Session, why: str, discarded: Tally) -> None:
        """See L{IObserver}."""
        self.events.append(("left", session.node, why, discarded))

    def truncated(self, session: Session, size: int) -> None:
        """See L{IObserver}."""
        self.events.append(("truncated", session.node, size))

    def cut(self, session: Session, cut: Tally) -> None:
        """See L{IObserver}."""
        self.events.append(("cut", session.node, cut))

    def refused(self, session: Session, dest: int, reason: Reason) -> None:
        """See L{IObserver}."""
        self.events.append(("refused", session.node, dest, reason))

    def congested(self, episode: Episode) -> None:
        """See L{IObserver}."""
        self.events.append(("congested", episode.dest, episode.source, episode.reason))

    def dropping(self, episode: Episode) -> None:
        """See L{IObserver}."""
        self.events.append(("dropping", episode.dest))

    def relieved(self, episode: Episode) -> None:
        """See L{IObserver}."""
        self.events.append(("relieved", episode.dest, episode.dropped))
