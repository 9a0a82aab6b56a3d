"""Where a run goes: straight to a settled node, into a mailbox, or nowhere for a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distnet.divert import Divert
from distnet.master.core.congestion import Congestion
from distnet.master.core.counters import Counters, Reason
from distnet.master.core.events import IObserver
from distnet.master.core.limits import Limits, Overflow
from distnet.master.core.mailbox import Mailboxes
from distnet.master.core.registry import Registry, Standing
from distnet.master.core.session import Session
from distnet.seam import Seam
from distnet.wire import Run, whole_messages

_MAX_REFUSALS_SAID = 64

Deliver = Callable[[Session, Run, bool], Run | None]
"""
What delivers a run: to be called with the session that sent it, the run, and whether its sender may
be paused. It returns what the sender has to wait with, being paused now, or None.
"""


class Delivery:
    """
    Writes runs to nodes, keeps what cannot be written, and counts what can be neither.

    @ivar deliver: what every run goes to; see L{wrap}.
    @ivar mailboxes: what waits.
    @ivar congestion: who waits at a limit, and what is dropped there.
    @ivar counters: totals.
    @ivar stopping: the master is stopping: nobody is paused any more.
    """

    def __init__(
        self,
        limits: Limits,
        registry: Registry,
        sessions: Mapping[int, Session],
        observer: IObserver,
        clock: Any,
        *,
        go_on: Callable[[Session], None],
        disconnect: Callable[[int], None],
        divert: Divert,
    ) -> None:
        """
        @param sessions: the nodes that are connected, by id.
        @param go_on: called with a session that need not wait any longer.
        @param disconnect: called with the id of a node that is too slow.
        @param divert: held while there is a wrapper.
        """
        self.mailboxes = Mailboxes(limits)
        self.counters = Counters()
        self.congestion = Congestion(
            limits, self.mailboxes, observer, clock, go_on=go_on, disconnect=disconnect
        )
        self.stopping = False
        self.deliver: Deliver = self._deliver
        self._seam = Seam[Deliver](self._deliver_late, self._deliver_by, divert)
        self._limits = limits
        self._registry = registry
        self._sessions = sessions
        self._observer = observer
        self._disconnect = disconnect

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
        self.undelivered(source, reason, run.count, len(run.data))

    def doubled(self, source: Session, run: Run) -> None:
        """A wrapper passes a run on once more than it came: that counts as if it came once more."""
        source.received.add(run.count, len(run.data))
        self.counters.received.add(run.count, len(run.data))

    def refusal(self, dest: int) -> Reason | None:
        """Why messages to an id that nobody has cannot wait for it, or None if they can."""
        standing = self._registry.standing(dest)
        if standing is Standing.GONE:
            return Reason.GONE
        return Reason.NO_SUCH_ID if standing is Standing.IMPOSSIBLE else None

    def undelivered(self, source: Session, reason: Reason, messages: int, size: int) -> None:
        """Count messages that a node sent and that are not delivered."""
        source.undelivered.add(messages, size)
        self.counters.undelivered[reason].add(messages, size)

    def _deliver(self, source: Session, run: Run, may_pause: bool = True) -> Run | None:
        """
        Do what is to be done with a run.

        @return: what its sender has to wait with, being paused now; or None.
        """
        dest = self._sessions.get(run.dest)
        if dest is None:
            refusal = self.refusal(run.dest)
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

    def _deliver_by(self, wrapped: Deliver | None) -> None:
        """Give what can be delivered to wrappers; or, without any, do both as one."""
        if wrapped is None:
            self.deliver = self._deliver
            return

        def decide(source: Session, run: Run, may_pause: bool) -> Run | None:
            refusal = None if run.dest in self._sessions else self.refusal(run.dest)
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
        if settled and may_pause and not self.stopping:
            if self.congestion.pause(source, run.dest):
                return rest
            if self._limits.overflow is Overflow.DISCONNECT:
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
            dest.settling.mail_waits()

    def _drop(self, source: Session, run: Run, reason: Reason) -> None:
        self.congestion.dropped(run.dest, run.count, len(run.data))
        self.undelivered(source, reason, run.count, len(run.data))

    def _refuse(self, source: Session, run: Run, reason: Reason) -> None:
        self.undelivered(source, reason, run.count, len(run.data))
        if source.refusals_said.say((run.dest, reason)) is not None:
            self._observer.refused(source, run.dest, reason)
