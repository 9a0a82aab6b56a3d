"""Where a message goes: straight to a settled node, into a mailbox, or nowhere for a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from distnet.divert import Divert
from distnet.errors import ImplausibleResume, NodeBusy
from distnet.master.core.congestion import Congestion
from distnet.master.core.counters import Counters, Reason, Tally
from distnet.master.core.events import IObserver
from distnet.master.core.lifecycle import Settling, make_lifecycle
from distnet.master.core.limits import Limits, Overflow
from distnet.master.core.link import ILink
from distnet.master.core.mailbox import Mail, Mailboxes
from distnet.master.core.outbox import Outbox
from distnet.master.core.registry import IdPolicy, Registry, Standing
from distnet.master.core.session import Kind, Session
from distnet.seam import Seam
from distnet.wire import (
    FIRST_TOOL_ID,
    MAX_ID,
    Run,
    Splitter,
    encode_id,
    whole_messages,
)

_TOOLS_OF_EARLIER_RUNS = range(FIRST_TOOL_ID, FIRST_TOOL_ID + 2**16)
"""Whom a resumed node may still be answering."""


Deliver = Callable[[Session, Run, bool], Run | None]
"""
What delivers a run: to be called with the session that sent it, the run, and whether its sender may
be paused. It returns what the sender has to wait with, being paused now, or None.
"""


class Router:
    """
    The master without its sockets.

    @ivar sessions: the nodes that are connected, by id.
    @ivar counters: totals.
    @ivar deliver: what every run goes to; see L{wrap}.
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
        self.mailboxes = Mailboxes(limits)
        self.counters = Counters()
        self.congestion = Congestion(
            limits,
            self.mailboxes,
            observer,
            clock,
            go_on=self._go_on,
            disconnect=self._disconnect,
        )
        self._observer = observer
        self._clock = clock
        self._stopping = False
        self.deliver: Deliver = self._deliver
        if divert is None:
            divert = Divert()
        self._seam = Seam[Deliver](self._deliver_late, self._deliver_by, divert)

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
            None if kind is Kind.TOOL else self.limits.segment,
            (session.delivered, self.counters.delivered),
        )
        session.lifecycle = make_lifecycle(
            Settling(link, self._clock, self.limits.settle_seconds, partial(self._settled, session))
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
        session.lifecycle.id_sent(self.mailboxes.get(session.node) is not None)

    def resume(self, session: Session) -> None:
        """Go on with a node that has read its id in an earlier run of the master."""
        session.resumed = True
        session.lifecycle.resumed()

    def lost(self, session: Session, why: str) -> None:
        """A connection has ended, or is as good as ended; once said, said for good."""
        if session.gone:
            return
        session.gone = True
        node = session.node
        del self.sessions[node]
        session.lifecycle.ended()
        self.congestion.forget_sender(session)
        while session.runs:
            self.deliver(session, session.runs.popleft(), False)
        self._truncated(session)
        self._registry(session.kind).release(node, session.settled)
        discarded = self._empty_mailbox(session)
        self._observer.left(session, why, discarded)
        self.congestion.dest_left(node)

    def _truncated(self, session: Session) -> None:
        size = session.splitter.incomplete
        if size:
            self._undelivered(session, Reason.TRUNCATED, 1, size)
            self._observer.truncated(session, size)

    def _empty_mailbox(self, session: Session) -> Tally:
        """
        What a settled node leaves behind is discarded, unless it is pinned and that is kept.

        What waits for a node that has not read its id is for whoever gets the id next, but for
        tools: nobody can send to a tool that is not connected.
        """
        node = session.node
        cut = self.mailboxes.drop_cut(node)
        if cut.messages:
            self.counters.undelivered[Reason.CUT].add(cut.messages, cut.bytes)
            self._observer.cut(session, cut)
        stays = session.pinned and (self.limits.keep_pinned or self._stopping)
        if stays or not (session.settled or session.kind is Kind.TOOL):
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
            session.lifecycle.first_byte()
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
        if session.settled and not session.gone:
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
            session.lifecycle.id_was_taken()

    def look(self, session: Session) -> None:
        """Somebody asks for a node: see whether it has read its id, though nothing waits for it."""
        if not session.settled and session.link.observable and session.link.unread() == 0:
            self.was_read(session)

    # Messages

    def _route(self, session: Session) -> None:
        """Deliver what a session has sent, until a full mailbox pauses it."""
        runs = session.runs
        while runs:
            rest = self.deliver(session, runs.popleft(), True)
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

    def _deliver(self, source: Session, run: Run, may_pause: bool = True) -> Run | None:
        """
        Do what is to be done with a run.

        @return: what its sender has to wait with, being paused now; or None.
        """
        dest = self.sessions.get(run.dest)
        if dest is None:
            refusal = self._refusal(run.dest)
            if refusal is not None:
                self._refuse(source, run, refusal)
                return None
        elif dest.settled:
            size, count = dest.outbox.push(run.data, run.count)
            if size == len(run.data):
                return None
            if size:
                run = Run(run.dest, run.data[size:], run.count - count)
        return self._keep(source, dest, run, may_pause)

    def wrap(self, wrapper: Callable[[Deliver], Deliver]) -> Callable[[], None]:
        """
        Put something around what delivers runs: a capture, faults, a bandwidth.

        It is called with every run between decision and writing: the dest is connected, or what is
        sent to it waits for it. What is refused does not come by. The runs of a source come in the
        order in which it sent them, those that it has left behind too. What it is put around,
        C{deliver}, it calls for each run

          - now, and returns what that returns. If that is a rest, which is the end of the run, the
            source is paused, and the rest comes by again once that is over, as a run;
          - or later, with C{may_pause} False, so that there is no rest: what does not fit is
            dropped, and counted. By then the source may be paused, or may have left. So may the
            dest: then the run waits for the id, or is refused, or is for the node that has it now;
          - or not at all: then it says so to L{discard};
          - or several times: then it says so to L{doubled}, once for each time but the first.

        So every message that was received is counted as delivered or by a reason, or waits, or is
        still with the wrapper, which has to part with it before the master stops. Messages are
        passed on whole, in whatever order: a message that was written in part is finished before
        any other. While there is a wrapper, all messages go by Python.

        @param wrapper: called once, with C{deliver}; it returns what is to be called with each run.
        @return: what takes it away again; what it still has it can deliver even then.
        """
        return self._seam.wrap(wrapper)

    def discard(self, source: Session, run: Run, reason: Reason) -> None:
        """A wrapper does not pass a run on. A new reason for that is a new L{Reason}."""
        self._undelivered(source, reason, run.count, len(run.data))

    def doubled(self, source: Session, run: Run) -> None:
        """A wrapper passes a run on once more than it came: that counts as if it came once more."""
        source.received.add(run.count, len(run.data))
        self.counters.received.add(run.count, len(run.data))

    def _deliver_by(self, wrapped: Deliver | None) -> None:
        """Give what can be delivered to wrappers; or, without any, do both as one."""
        if wrapped is None:
            self.deliver = self._deliver
            return

        def decide(source: Session, run: Run, may_pause: bool) -> Run | None:
            refusal = None if run.dest in self.sessions else self._refusal(run.dest)
            if refusal is None:
                return wrapped(source, run, may_pause)
            self._refuse(source, run, refusal)
            return None

        self.deliver = decide

    def _deliver_late(self, source: Session, run: Run, may_pause: bool) -> Run | None:
        """Deliver at any time: who has left, or is paused already, cannot be paused for this."""
        may_pause = may_pause and source.paused_for is None and not source.gone
        return self._deliver(source, run, may_pause)

    def _keep(self, source: Session, dest: Session | None, run: Run, may_pause: bool) -> Run | None:
        """Put a run into the mailbox of its dest, as far as the limits allow."""
        settled = dest is not None and dest.settled
        if self.congestion.is_dropping(run.dest) and self.mailboxes.get(run.dest) is not None:
            self._drop(source, run, self.congestion.reason(run.dest))
            return None
        room, reason = self.mailboxes.room(run.dest, settled)
        size, count = len(run.data), run.count
        if size > room:
            size, count = whole_messages(run.data, 0, room)
        if count:
            self._put(dest, run.dest, run.data if count == run.count else run.data[:size], count)
            if count == run.count:
                if self.congestion.is_dropping(run.dest):
                    self.congestion.relieve(run.dest)
                return None
        rest = Run(run.dest, run.data[size:], run.count - count)
        waiting = self.mailboxes.waiting_for(run.dest)
        self.congestion.begin(source, run.dest, reason, waiting)
        if settled and may_pause and not self._stopping:
            if self.congestion.pause(source, run.dest):
                return rest
            if self.limits.overflow is Overflow.DISCONNECT:
                self._disconnect(run.dest)
                return self._deliver(source, rest)
        self._drop(source, rest, reason)
        return None

    def _put(self, dest: Session | None, node: int, data: bytes | bytearray, count: int) -> None:
        self.mailboxes.append(node, data, count)
        if dest is None:
            return
        if dest.settled:
            dest.outbox.pump()
        else:
            dest.lifecycle.mail_waits()

    def _drop(self, source: Session, run: Run, reason: Reason) -> None:
        self.congestion.dropped(run.dest, run.count, len(run.data))
        self._undelivered(source, reason, run.count, len(run.data))

    def _refusal(self, dest: int) -> Reason | None:
        """Why messages to an id that nobody has cannot wait for it, or None if they can."""
        standing = self.registry.standing(dest)
        if standing is Standing.GONE:
            return Reason.GONE
        return Reason.NO_SUCH_ID if standing is Standing.IMPOSSIBLE else None

    def _refuse(self, source: Session, run: Run, reason: Reason) -> None:
        self._undelivered(source, reason, run.count, len(run.data))
        if source.refusals_said.say((run.dest, reason)) is not None:
            self._observer.refused(source, run.dest, reason)

    def _undelivered(self, source: Session, reason: Reason, messages: int, size: int) -> None:
        source.undelivered.add(messages, size)
        self.counters.undelivered[reason].add(messages, size)

    def _check_resumed(self, session: Session, runs: list[Run]) -> None:
        """Close a resumed connection whose stream does not go on at the start of a message."""
        splitter = session.splitter
        dest = runs[0].dest if runs else splitter.next_dest
        impossible = (
            dest is not None
            and dest not in self.sessions
            and dest not in _TOOLS_OF_EARLIER_RUNS
            and self._refusal(dest) is Reason.NO_SUCH_ID
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
        if session.paused_for is None and not session.gone and not self._stopping:
            session.pause_ends = None
            session.link.resume()

    def _disconnect(self, node: int) -> None:
        """Disconnect a node that is too slow."""
        session = self.sessions.get(node)
        if session is not None:
            session.link.abort()
            self.lost(session, "error: too slow, and --overflow is disconnect")

    # The end

    def stop(self) -> None:
        """Read no more; what waits for settled nodes goes on being delivered."""
        self._stopping = True
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
            refusal = self._refusal(node)
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
        if session is None or not session.settled or session.pinned:
            return True
        return self.registry.policy is IdPolicy.LOWEST
