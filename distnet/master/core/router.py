"""The master without its sockets: who is connected, and what becomes of what they send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from distnet.divert import Divert
from distnet.errors import ImplausibleResume, NodeBusy
from distnet.master.core.counters import Reason, Tally
from distnet.master.core.delivery import Delivery
from distnet.master.core.events import IObserver
from distnet.master.core.limits import Limits
from distnet.master.core.link import ILink
from distnet.master.core.mailbox import Mail
from distnet.master.core.outbox import Outbox
from distnet.master.core.registry import IdPolicy, Registry, Standing
from distnet.master.core.session import Kind, Session
from distnet.master.core.settling import Settling
from distnet.wire import (
    FIRST_TOOL_ID,
    MAX_ID,
    Run,
    Splitter,
    encode_id,
)

_TOOLS_OF_EARLIER_RUNS = range(FIRST_TOOL_ID, FIRST_TOOL_ID + 2**16)
"""Whom a resumed node may still be answering."""


class Router:
    """
    The master without its sockets.

    @ivar sessions: the nodes that are connected, by id.
    @ivar delivery: where runs go, and what can be put around that.
    @ivar mailboxes: what waits.
    @ivar congestion: who waits at a limit, and what is dropped there.
    @ivar counters: totals.
    """

    def __init__(
        self,
        limits: Limits,
        observer: IObserver,
        clock: Any,
        policy: IdPolicy = IdPolicy.SEQUENTIAL,
        pinned: Iterable[int] = (),
        *,
        divert: Divert | None = None,
    ) -> None:
        """
        @param divert: held while there is a wrapper.
        """
        self.limits = limits
        self.registry = Registry(policy, 0, limits.highest_id, pinned)
        self.tools = Registry(IdPolicy.SEQUENTIAL, FIRST_TOOL_ID, MAX_ID)
        self.sessions: dict[int, Session] = {}
        self.delivery = Delivery(
            limits,
            self.registry,
            self.sessions,
            observer,
            clock,
            go_on=self._go_on,
            disconnect=self._disconnect,
            divert=Divert() if divert is None else divert,
        )
        self.mailboxes = self.delivery.mailboxes
        self.congestion = self.delivery.congestion
        self.counters = self.delivery.counters
        self._observer = observer
        self._clock = clock

    # Connections

    def connect(
        self, link: ILink, *, pinned: int | None = None, kind: Kind = Kind.KERNEL
    ) -> Session:
        """
        Make a connection a node; nothing is sent to it before L{greet} or L{resume}.

        @param pinned: the id that belongs to the listener it came to.
        @param kind: what it is.
        @raise NoFreeId: every id is taken.
        @raise NodeBusy: the pinned node is connected already.
        """
        if pinned is not None:
            node = self._connect_pinned(pinned, link)
        else:
            node = self._registry(kind).allocate()
        session = Session(node, link, self._clock.seconds(), kind=kind, pinned=pinned is not None)
        session.splitter = Splitter(node, self.limits.max_payload)
        session.outbox = Outbox(
            node,
            link,
            self.mailboxes,
            None if kind is Kind.TOOL or link.cuts else self.limits.segment,
            (session.delivered, self.counters.delivered),
        )
        session.settling = Settling(
            link, self._clock, self.limits.settle_seconds, partial(self._settled, session)
        )
        self.sessions[node] = session
        self._observer.connected(session)
        return session

    def _connect_pinned(self, node: int, link: ILink) -> int:
        first = self.sessions.get(node)
        if first is not None:
            if not self.limits.replace_pinned:
                raise NodeBusy(
                    f"node {node} is connected already, from {first.link.peer}"
                    f" (--second-connection replace lets a new connection replace it)"
                )
            first.link.abort()
            self.lost(first, f"replaced by {link.peer}")
        self.registry.allocate_pinned(node)
        return node

    def _registry(self, kind: Kind) -> Registry:
        """Where nodes of a kind have their ids from."""
        return self.tools if kind is Kind.TOOL else self.registry

    def greet(self, session: Session) -> None:
        """Tell a new node its id, and nothing else until it has read that."""
        session.link.send(encode_id(session.node))
        session.settling.greeted(self.mailboxes.get(session.node) is not None)

    def resume(self, session: Session) -> None:
        """Go on with a node that has read its id in an earlier run of the master."""
        session.resumed = True
        self._settled(session, "an earlier run")

    def lost(self, session: Session, why: str) -> None:
        """A connection has ended, or is as good as ended; once said, said for good."""
        if session.gone:
            return
        session.gone = True
        node = session.node
        del self.sessions[node]
        session.settling.ended()
        self.congestion.forget_sender(session)
        while session.runs:
            self.delivery.deliver(session, session.runs.popleft(), False)
        self._truncated(session)
        self._registry(session.kind).release(node, session.has_read)
        discarded = self._empty_mailbox(session)
        self._observer.left(session, why, discarded)
        self.congestion.dest_left(node)

    def _truncated(self, session: Session) -> None:
        size = session.splitter.incomplete
        if size:
            self.delivery.undelivered(session, Reason.TRUNCATED, 1, size)
            self._observer.truncated(session, size)

    def _empty_mailbox(self, session: Session) -> Tally:
        """
        What a node leaves behind that has read its id is discarded, unless it is pinned and that is
        kept.

        What waits for a node that has not read its id is for whoever gets the id next, but for
        tools: nobody can send to a tool that is not connected.
        """
        node = session.node
        cut = self.mailboxes.drop_cut(node)
        if cut.messages:
            self.counters.undelivered[Reason.CUT].add(cut.messages, cut.bytes)
            self._observer.cut(session, cut)
        stays = session.pinned and (self.limits.keep_pinned or self.delivery.stopping)
        if stays or not (session.has_read or session.kind is Kind.TOOL):
            return Tally()
        discarded = self.mailboxes.clear(node)
        self.counters.undelivered[Reason.LEFT].add(discarded.messages, discarded.bytes)
        return discarded

    # What links say

    def received(self, session: Session, data: bytes) -> None:
        """Bytes have come from a node."""
        if session.gone:
            return
        self._cut(session, data)
        if session.paused_for is None:
            self._route(session)

    def take_back(self, session: Session, data: bytes) -> None:
        """Bytes have come from a node: deliver them before what comes next, or once it is lost."""
        if data and not session.gone:
            self._cut(session, data)

    def _cut(self, session: Session, data: bytes) -> None:
        if not session.settled:
            session.settling.first_byte()
        runs = session.splitter.feed(data)
        if session.resumed and not session.received.messages:
            self._check_resumed(session, runs)
        for run in runs:
            if not session.received.messages:
                self._observer.first_message(session, run.dest)
            session.received.add(run.count, len(run.data))
            self.counters.received.add(run.count, len(run.data))
        session.runs.extend(runs)

    def filled(self, session: Session, begun: bytes, written: int) -> None:
        """A link was written to past the router, and takes no more; see L{Outbox.filled}."""
        session.outbox.filled(begun, written)

    def writable(self, session: Session) -> None:
        """A link takes more bytes."""
        if not session.gone:
            session.outbox.writable()
            self._drained(session)

    def was_read(self, session: Session) -> None:
        """A peer has read all that it was sent."""
        if session.gone:
            return
        if session.settled:
            session.outbox.was_read()
            self._drained(session)
        else:
            session.settling.id_was_taken()

    def look(self, session: Session) -> None:
        """Somebody asks for a node: see whether it has read its id, though nothing waits for it."""
        if not session.settled and session.link.observable and session.link.unread() == 0:
            self.was_read(session)

    # Messages

    def _route(self, session: Session) -> None:
        """Deliver what a session has sent, until a full mailbox pauses it."""
        runs, delivery = session.runs, self.delivery
        while runs:
            rest = delivery.deliver(session, runs.popleft(), True)
            if rest is not None:
                runs.appendleft(rest)
                return
        if session.gone:
            return
        if session.splitter.quit:
            session.link.close()
            self.lost(session, "quit")
        elif session.splitter.error is not None:
            session.link.abort()
            self.lost(session, f"error: {session.splitter.error}")

    def _check_resumed(self, session: Session, runs: list[Run]) -> None:
        """Close a resumed connection whose stream does not go on at the start of a message."""
        splitter = session.splitter
        dest = runs[0].dest if runs else splitter.next_dest
        impossible = (
            dest is not None
            and dest not in self.sessions
            and dest not in _TOOLS_OF_EARLIER_RUNS
            and self.delivery.refusal(dest) is Reason.NO_SUCH_ID
        )
        if impossible or (splitter.error is not None and not runs):
            splitter.error = ImplausibleResume(
                f"its stream does not go on at the start of a message: reboot node {session.node}"
            )
            runs.clear()

    # Nodes that have settled, drained, or are too slow

    def _settled(self, session: Session, by: str) -> None:
        session.settled = True
        session.settled_by = by
        session.settled_at = self._clock.seconds()
        self._observer.settled(session, by)
        session.outbox.pump()
        self._drained(session)

    def _drained(self, session: Session) -> None:
        """The mailbox of a node is emptier than it was."""
        if self.congestion:
            self.congestion.drained(session.node)

    def _go_on(self, session: Session) -> None:
        """A paused session need not wait any longer."""
        self._route(session)
        if session.paused_for is None and not session.gone and not self.delivery.stopping:
            session.pause_ends = None
            session.link.resume()

    def disconnect(self, session: Session, why: str) -> None:
        """End the connection of a node that is connected."""
        session.link.abort()
        self.lost(session, why)

    def _disconnect(self, node: int) -> None:
        """Disconnect a node that is too slow."""
        session = self.sessions.get(node)
        if session is not None:
            self.disconnect(session, "error: too slow, and --overflow is disconnect")

    # The end

    def stop(self) -> None:
        """Read no more; what waits for settled nodes goes on being delivered."""
        self.delivery.stopping = True
        for session in list(self.sessions.values()):
            session.link.pause()
        self.congestion.stop()

    def undrained(self) -> Iterator[Session]:
        """The settled nodes for which messages wait."""
        return (s for s in self.sessions.values() if s.settled and self.mailboxes.get(s.node))

    def give_mail(self, mail: Iterable[Mail]) -> Tally:
        """
        Put what an earlier run of the master kept into mailboxes, before anybody connects.

        @return: what was for ids that can not be had any more; it is discarded and counted.
        """
        unwanted = Tally()
        for node, data, messages in mail:
            refusal = self.delivery.refusal(node)
            if refusal is None:
                self.mailboxes.append(node, data, messages)
            else:
                self.counters.undelivered[refusal].add(messages, len(data))
                unwanted.add(messages, len(data))
        return unwanted

    def take_mail(self) -> list[Mail]:
        """Remove and return all that waits, but the rest of messages that were written in part."""
        return self.mailboxes.take_unbegun()

    def is_awaited(self, node: int) -> bool:
        """Whether what waits for an id can still be delivered when all connections have ended."""
        if self.registry.standing(node) is Standing.IMPOSSIBLE:
            return False
        session = self.sessions.get(node)
        if session is None or not session.has_read or session.pinned:
            return True
        return self.registry.policy is IdPolicy.LOWEST
