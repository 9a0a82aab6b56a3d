"""What a master's log says of its nodes."""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger

from distnet.guestnet import GUEST_MASTER
from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import Episode
from distnet.master.core.session import Kind, Session

UNREAD_SECONDS: Final = 30.0
"""How long a kernel may be connected without having read its id before that is said."""

_log = Logger(namespace="distnet")


class NodeLog:
    """What a kernel developer reads while booting: a line for each thing that happens once."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def connected(self, session: Session) -> None:
        """A node has got its id: where it is connected from."""
        _log.info("{who}: connected from {peer}", who=_who(session), peer=session.link.peer)

    def settled(self, session: Session, by: str) -> None:
        """A node has read its id: how that is known, and how long it took."""
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
        """A node has sent its first message: whom it is for."""
        _log.info("{who}: first message, to {dest}", who=_who(session), dest=dest)

    def left(self, session: Session, why: str, discarded: Tally) -> None:
        """A node has left: why, what it sent and got, and what was lost."""
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
        """What a node had begun to send is lost: how much had come."""
        _log.warn(
            "{who}: its connection ended inside a message; {size} bytes of it discarded",
            who=_who(session),
            size=size,
        )

    def cut(self, session: Session, cut: Tally) -> None:
        """What was being written to a node is lost in part: how much did not go out."""
        _log.warn(
            "{who}: its connection ended inside a message to it, {size} bytes before its end",
            who=_who(session),
            size=cut.bytes,
        )

    def refused(self, session: Session, dest: int, reason: Reason) -> None:
        """A node sends to an id that cannot be reached: a mistake in the kernel, most often."""
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
        """The first message that did not fit: whose it was, and what waits already."""
        _log.warn(
            "node {dest}: a message from node {source} finds no room ({reason}):"
            " {waiting} wait already",
            dest=episode.dest,
            source=episode.source,
            reason=episode.reason,
            waiting=str(episode.waiting),
        )

    def dropping(self, episode: Episode) -> None:
        """There will be a gap in what a node gets from now on."""
        _log.warn(
            "node {dest}: new messages for it are dropped until what waits has drained ({reason})",
            dest=episode.dest,
            reason=episode.reason,
        )

    def relieved(self, episode: Episode) -> None:
        """The gap ends here: how long it was, and what is missing."""
        _log.info(
            "node {dest}: there is room again after {seconds:.1f} s; {dropped} dropped",
            dest=episode.dest,
            seconds=self._clock.seconds() - episode.since,
            dropped=str(episode.dropped),
        )


class UnreadIdLog:
    """
    Says, once for a connection, that a kernel has not read its id for long, and what that may be.

    QEMU does not take the id before its guest connects, so that it stays where it is seen to be
    unread: on unix sockets, and on TCP on this machine. It is looked for once. What nobody can see
    is not said: over TLS, from another machine, and of a guest that has connected within its QEMU,
    which then takes the id whether the guest reads it or not.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._looks: dict[Session, Any] = {}

    def connected(self, session: Session) -> None:
        """It has some time to read its id."""
        if session.kind is Kind.KERNEL and session.link.observable:
            self._looks[session] = self._clock.callLater(UNREAD_SECONDS, self._look, session)

    def settled(self, session: Session, by: str) -> None:
        """It has read its id."""
        self._forget(session)

    def left(self, session: Session, why: str, discarded: Tally) -> None:
        """It will not read its id."""
        self._forget(session)

    def _forget(self, session: Session) -> None:
        look = self._looks.pop(session, None)
        if look is not None:
            look.cancel()

    def _look(self, session: Session) -> None:
        del self._looks[session]
        # Nobody may have been told that it has read it: there may be no messages for it.
        if session.link.unread():
            _log.info(
                "{who}: connected for {seconds:.0f} s, and has not read its id: it has not booted"
                " yet, stands in a debugger, or does not connect to {master}. A zCore with IP=1"
                " cannot, for it has that address itself: start it with another IP=",
                who=_who(session),
                seconds=self._clock.seconds() - session.since,
                master=GUEST_MASTER,
            )


def _who(session: Session) -> str:
    return f"{'tool' if session.kind is Kind.TOOL else 'node'} {session.node}"
