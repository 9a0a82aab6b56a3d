"""
The status of a master as plain records: what it says of itself, at the moment it is asked.

Sizes are in bytes, headers included; times in seconds since the epoch. The control interface tells
these records as JSON, key for field: new fields may come, those that are there stay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from distnet.address import Address
from distnet.daemon.clock import Date
from distnet.master.core.counters import Counters, Reason, Tally
from distnet.master.core.limits import Limits
from distnet.master.core.registry import IdPolicy
from distnet.master.core.router import Router
from distnet.master.core.session import Kind, Session
from distnet.master.listener import NodeListener


@dataclass(frozen=True, slots=True)
class Amount:
    """Messages, and their bytes."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """
    A node that is connected.

    @ivar kind: what it is.
    @ivar state: C{unsettled}, C{settled} or C{paused}.
    @ivar pinned: the id belongs to the listener that it came to.
    @ivar peer: where it is connected from, as the log says it.
    @ivar since: when it connected.
    @ivar settled_at: when it had read its id, and C{settled_by} how that was known; None before.
    @ivar paused_for: the id whose full mailbox it waits for, or None.
    @ivar received: what it has sent.
    @ivar delivered: what was handed to the operating system for it.
    @ivar undelivered: of what it has sent, what could not be delivered.
    @ivar waiting: what waits for it.
    """

    id: int
    kind: Kind
    state: str
    pinned: bool
    peer: str
    since: float
    settled_at: float | None
    settled_by: str | None
    paused_for: int | None
    received: Amount
    delivered: Amount
    undelivered: Amount
    waiting: Amount


@dataclass(frozen=True, slots=True)
class AbsentStatus:
    """
    An id that no node has.

    @ivar state: C{expected}, C{gone} or C{impossible}.
    @ivar settled_at: when the last node with this id had read it, if the id is pinned; None if none
        has, or of an id that is not pinned.
    """

    id: int
    state: str
    settled_at: float | None = None


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """
    What waits for an id.

    @ivar connected: a node with this id is connected.
    @ivar dropping: new messages for it are dropped until what waits has drained.
    """

    id: int
    waiting: Amount
    connected: bool
    dropping: bool


@dataclass(frozen=True, slots=True)
class CountersStatus:
    """
    Totals since the master started.

    @ivar received: messages that nodes sent, whole.
    @ivar delivered: messages handed to the operating system, whole.
    @ivar undelivered: the rest but what waits, by reason; each reason is there.
    """

    received: Amount
    delivered: Amount
    undelivered: Mapping[Reason, Amount]


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """
    Where the master listens.

    @ivar address: as L{distnet.address} writes it.
    @ivar node: whoever connects there is this node, or None.
    @ivar tools: whoever connects there is a tool, but for relays.
    @ivar tls: connections are encrypted.
    @ivar relays: a gateway's relays that cut a stream into segments themselves are kernels there.
    """

    address: str
    node: int | None
    tools: bool
    tls: bool
    relays: bool


@dataclass(frozen=True, slots=True)
class MasterStatus:
    """
    Everything.

    @ivar distnet: the version.
    @ivar started: when it started, or 0.0 if it has not.
    @ivar ids: how it gives out ids.
    @ivar waiting: bytes that wait in all mailboxes together.
    """

    distnet: str
    pid: int
    started: float
    ids: IdPolicy
    listeners: tuple[ListenerStatus, ...]
    limits: Limits
    nodes: tuple[NodeStatus, ...]
    mailboxes: tuple[MailboxStatus, ...]
    waiting: int
    counters: CountersStatus


def _amount(tally: Tally) -> Amount:
    return Amount(tally.messages, tally.bytes)


def _of_session(router: Router, session: Session, date: Date) -> NodeStatus:
    router.look(session)
    return NodeStatus(
        id=session.node,
        kind=session.kind,
        state=session.state,
        pinned=session.pinned,
        peer=session.link.peer,
        since=date(session.since),
        settled_at=None if session.settled_at is None else date(session.settled_at),
        settled_by=session.settled_by,
        paused_for=session.paused_for,
        received=_amount(session.received),
        delivered=_amount(session.delivered),
        undelivered=_amount(session.undelivered),
        waiting=_amount(router.mailboxes.all_waiting_for(session.node)),
    )


class LastSettled:
    """
    Remembers when pinned nodes have read their ids, for those who look when one has left again.

    @ivar at: the times, by id.
    """

    def __init__(self, date: Date) -> None:
        self._date = date
        self.at: dict[int, float] = {}

    def settled(self, session: Session, by: str) -> None:
        """It has read its id; whoever comes with a pinned id later does so anew."""
        if session.pinned and session.settled_at is not None:
            self.at[session.node] = self._date(session.settled_at)


def of_node(router: Router, node: int, last: LastSettled, date: Date) -> NodeStatus | AbsentStatus:
    """Any id. If its node is not settled, being asked for may settle it."""
    session = router.sessions.get(node)
    if session is None:
        return AbsentStatus(node, router.registry.standing(node).name.lower(), last.at.get(node))
    return _of_session(router, session, date)


def of_nodes(router: Router, date: Date) -> Iterator[NodeStatus]:
    """
    All connected nodes, by id, each as it is when it is asked for, if it is connected still. Being
    asked for may settle those that are not settled.
    """
    for node in sorted(router.sessions):
        session = router.sessions.get(node)
        if session is not None:
            yield _of_session(router, session, date)


def of_mailboxes(router: Router) -> Iterator[MailboxStatus]:
    """
    All ids that something waits for, connected or not, in their order; each as it is when it is
    asked for, if something waits still.
    """
    mailboxes = router.mailboxes
    for node in sorted({*mailboxes, *mailboxes.native}):
        waiting = mailboxes.all_waiting_for(node)
        if waiting.messages:
            yield MailboxStatus(
                id=node,
                waiting=_amount(waiting),
                connected=node in router.sessions,
                dropping=router.congestion.is_dropping(node),
            )


def of_counters(counters: Counters) -> CountersStatus:
    """What the master has counted of all nodes together."""
    return CountersStatus(
        received=_amount(counters.received),
        delivered=_amount(counters.delivered),
        undelivered={reason: _amount(tally) for reason, tally in counters.undelivered.items()},
    )


def of_listener(listener: NodeListener, address: Address) -> ListenerStatus:
    """One listener, with where it listens now."""
    is_for_tools = listener.kind is Kind.TOOL
    return ListenerStatus(
        str(address), listener.node, is_for_tools, listener.tls, relays=is_for_tools
    )


def of_master(
    router: Router,
    version: str,
    started: float,
    listeners: tuple[ListenerStatus, ...],
    *,
    nodes: tuple[NodeStatus, ...],
    mailboxes: tuple[MailboxStatus, ...],
) -> MasterStatus:
    """Everything, of a master in this process; C{started} is a date."""
    return MasterStatus(
        distnet=version,
        pid=os.getpid(),
        started=started,
        ids=router.registry.policy,
        listeners=listeners,
        limits=router.limits,
        nodes=nodes,
        mailboxes=mailboxes,
        waiting=router.mailboxes.waiting
        + sum(each.bytes for each in router.mailboxes.native.values()),
        counters=of_counters(router.counters),
    )
