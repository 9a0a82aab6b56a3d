"""What the router tells to whoever wants to know: the events of nodes, and of full mailboxes."""

from __future__ import annotations

from dataclasses import dataclass, field

from zope.interface import Interface

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.session import Session


@dataclass(slots=True)
class Episode:
    """
    From the first message that did not fit into the mailbox of an id until that has drained.

    @ivar dest: the id.
    @ivar source: who sent that first message.
    @ivar reason: which limit it was.
    @ivar since: when, in seconds as the clock counts.
    @ivar waiting: what waited for the id then.
    @ivar dropping: new messages for the id are dropped.
    @ivar dropped: those that were.
    @ivar paused: the sessions that wait for room.
    """

    dest: int
    source: int
    reason: Reason
    since: float
    waiting: Tally
    dropping: bool = False
    dropped: Tally = field(default_factory=Tally)
    paused: list[Session] = field(default_factory=list)


class IObserver(Interface):
    """
    What happens to nodes, for the log, the state file and whoever comes. Never single messages.

    The router tells all of it to one object; L{distnet.observers.broadcast} makes that one of
    observers that have methods for what they want to know.
    """

    def connected(session: Session) -> None:
        """A connection has got an id; it is about to be told."""

    def settled(session: Session, by: str) -> None:
        """A node has read its id, as known C{by} its first byte, or what was observed."""

    def first_message(session: Session, dest: int) -> None:
        """A node has sent its first message."""

    def left(session: Session, why: str, discarded: Tally) -> None:
        """A connection has ended; C{discarded} is what waited for it and is lost."""

    def truncated(session: Session, size: int) -> None:
        """A connection ended inside a message of which C{size} bytes had come."""

    def cut(session: Session, cut: Tally) -> None:
        """A connection ended inside a message to it; C{cut} is what did not go out."""

    def refused(session: Session, dest: int, reason: Reason) -> None:
        """A node sends to an id that cannot be reached: said once for each node, id and reason."""

    def congested(episode: Episode) -> None:
        """A limit was reached for an id: said once, until all that waited for it has drained."""

    def dropping(episode: Episode) -> None:
        """Messages for that id are being dropped now: said once an episode."""

    def relieved(episode: Episode) -> None:
        """What waited for that id has drained, or it has left: the episode is over."""
