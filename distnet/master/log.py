"""What a master's log says of its nodes."""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import Episode
from distnet.master.core.session import Kind, Session

_log = Logger(namespace="distnet")


class NodeLog:
    """What a kernel developer reads while booting: a line for each thing that happens once."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def connected(self, session: Session) -> None:
        """A node got its id."""
        _log.info("{who}: connected from {peer}", who=_who(session), peer=session.link.peer)

    def settled(self, session: Session, by: str) -> None:
        """Say how it was known, and how long it took."""
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
        """From now on it is known to be at work."""
        _log.info("{who}: first message, to {dest}", who=_who(session), dest=dest)

    def left(self, session: Session, why: str, discarded: Tally) -> None:
        """Its last line, with what it sent and got, and what was lost."""
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
        """What it had begun to send is lost."""
        _log.warn(
            "{who}: its connection ended inside a message; {size} bytes of it discarded",
            who=_who(session),
            size=size,
        )

    def cut(self, session: Session, cut: Tally) -> None:
        """What was being written to it is lost in part."""
        _log.warn(
            "{who}: its connection ended inside a message to it, {size} bytes before its end",
            who=_who(session),
            size=cut.bytes,
        )

    def refused(self, session: Session, dest: int, reason: Reason) -> None:
        """A mistake in the kernel, most often."""
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
        """The first one that did not fit."""
        _log.warn(
            "node {dest}: a message from node {source} finds no room ({reason}):"
            " {waiting} wait already",
            dest=episode.dest,
            source=episode.source,
            reason=episode.reason,
            waiting=str(episode.waiting),
        )

    def dropping(self, episode: Episode) -> None:
        """From now on there will be a gap in what it gets."""
        _log.warn(
            "node {dest}: new messages for it are dropped until what waits has drained ({reason})",
            dest=episode.dest,
            reason=episode.reason,
        )

    def relieved(self, episode: Episode) -> None:
        """The end of that gap, with what is missing."""
        _log.info(
            "node {dest}: there is room again after {seconds:.1f} s; {dropped} dropped",
            dest=episode.dest,
            seconds=self._clock.seconds() - episode.since,
            dropped=str(episode.dropped),
        )


def _who(session: Session) -> str:
    return f"{'tool' if session.kind is Kind.TOOL else 'node'} {session.node}"
