"""Who is told what happens to nodes: the log, the state file, whoever comes."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger
from zope.interface import directlyProvides, implementer
from zope.interface.interface import InterfaceClass

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import Episode, IObserver
from distnet.master.core.session import Session

_log = Logger(namespace="distnet")


def broadcast(interface: InterfaceClass, *observers: object) -> Any:
    """An observer with this interface that tells all of these, in this order."""

    def tell(event: str) -> Any:
        def told(*what: object) -> None:
            for observer in observers:
                getattr(observer, event)(*what)

        return told

    everybody = type("Broadcast", (), {event: staticmethod(tell(event)) for event in interface})()
    directlyProvides(everybody, interface)
    return everybody


@implementer(IObserver)
class NodeLog:
    """What a kernel developer reads while booting: a line for each thing that happens once."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def connected(self, session: Session) -> None:
        """See L{IObserver}."""
        _log.info("{who}: connected from {peer}", who=_who(session), peer=session.link.peer)

    def settled(self, session: Session, by: str) -> None:
        """See L{IObserver}."""
        if session.resumed:
            _log.info("{who}: resumed, without a new id", who=_who(session))
        else:
            _log.info(
                "{who}: settled after {seconds:.2f} s: it has read its id, as {by} shows",
                who=_who(session),
                seconds=self._clock.seconds() - session.since,
                by=by,
            )

    def first_message(self, session: Session, dest: int) -> None:
        """See L{IObserver}."""
        _log.info("{who}: first message, to {dest}", who=_who(session), dest=dest)

    def left(self, session: Session, why: str, discarded: Tally) -> None:
        """See L{IObserver}."""
        notes = ""
        if session.undelivered.messages:
            notes += f"; of what it sent, {session.undelivered} could not be delivered"
        if discarded.messages:
            notes += f"; {discarded} that waited for it discarded"
        _log.info(
            "{who}: left ({why}) after {seconds:.1f} s; sent {sent}, got {got}{notes}",
            who=_who(session),
            why=why,
            seconds=self._clock.seconds() - session.since,
            sent=str(session.received),
            got=str(session.delivered),
            notes=notes,
        )

    def truncated(self, session: Session, size: int) -> None:
        """See L{IObserver}."""
        _log.warn(
            "{who}: its connection ended inside a message; {size} bytes of it discarded",
            who=_who(session),
            size=size,
        )

    def cut(self, session: Session, cut: Tally) -> None:
        """See L{IObserver}."""
        _log.warn(
            "{who}: its connection ended inside a message to it, {size} bytes before its end",
            who=_who(session),
            size=cut.bytes,
        )

    def refused(self, session: Session, dest: int, reason: Reason) -> None:
        """See L{IObserver}."""
        why = (
            "which has left and will not come back"
            if reason is Reason.GONE
            else "which no node has or can get"
        )
        _log.warn(
            "{who}: sends to {dest}, {why}: refused and counted ({reason}), said once",
            who=_who(session),
            dest=dest,
            why=why,
            reason=reason,
        )

    def congested(self, episode: Episode) -> None:
        """See L{IObserver}."""
        _log.warn(
            "node {dest}: a message from node {source} finds no room ({reason}):"
            " {waiting} wait already",
            dest=episode.dest,
            source=episode.source,
            reason=episode.reason,
            waiting=str(episode.waiting),
        )

    def dropping(self, episode: Episode) -> None:
        """See L{IObserver}."""
        _log.warn(
            "node {dest}: new messages for it are dropped until what waits has drained ({reason})",
            dest=episode.dest,
            reason=episode.reason,
        )

    def relieved(self, episode: Episode) -> None:
        """See L{IObserver}."""
        _log.info(
            "node {dest}: there is room again after {seconds:.1f} s; {dropped} dropped",
            dest=episode.dest,
            seconds=self._clock.seconds() - episode.since,
            dropped=str(episode.dropped),
        )


def _who(session: Session) -> str:
    return f"{'tool' if session.tool else 'node'} {session.node}"
