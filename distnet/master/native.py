"""The native path of a master: its usual messages do not reach Python, the rest does."""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger
from zope.interface import implementer

from distnet._native import NotNative, load_router
from distnet.master.core.limits import Limits
from distnet.master.core.router import Router
from distnet.master.core.session import Session
from distnet.master.links import IHot, SocketLink
from distnet.sockets.native import NativePath, poller_of

PATIENCE_SECONDS: Final = 0.1
"""
How long a node is not read when a node that it sends to takes no more just now; never longer than
a sender is paused at a limit. Only what is not taken within that time goes to a mailbox: a reader
that is merely slower than its sender is the usual case, and what was not sent need not be kept.
"""

_log = Logger(namespace="distnet")


@implementer(IHot)
class HotNode:
    """What a link knows of its node's native half. It is open while nothing waits for the node."""

    def __init__(self, path: HotRouter, native: Any, session: Session) -> None:
        self._path = path
        self._native = native
        self.session = session

    @property
    def reads(self) -> bool:
        """Whether the node is read natively."""
        return bool(self._native.reads)

    def read(self) -> None:
        """Read the node natively from now on."""
        self._native.read(self.session.splitter.release())

    def open(self) -> None:
        """See L{IHot}."""
        self._native.open()

    def close(self) -> None:
        """See L{IHot}."""
        self._native.close()

    def count(self) -> None:
        """Add what was counted natively to the session's and the router's counters."""
        received, received_bytes, delivered, delivered_bytes = self._native.counts()
        session, counters = self.session, self._path.router.counters
        for tally in (session.received, counters.received):
            tally.add(received, received_bytes)
        for tally in (session.delivered, counters.delivered):
            tally.add(delivered, delivered_bytes)

    def let_go(self) -> None:
        """See L{IHot}."""
        self._path.forget(self)
        data = self._native.detach()
        self.count()
        self._path.router.take_back(self.session, data)


class HotRouter(NativePath):
    """
    Takes over nodes that have settled, and then what they send after their first message.

    @ivar router: the router that it works for; to be set once.
    """

    router: Router

    def __init__(self, reactor: Any, limits: Limits, patience: float) -> None:
        """
        @param patience: see L{PATIENCE_SECONDS}.
        @raise NotNative: it cannot be used here.
        """
        native = load_router()
        if limits.segment is not None:
            raise NotNative("it is for --pace stream")
        if limits.max_payload > native.LARGEST_PAYLOAD:
            raise NotNative(f"--max-payload is above {native.LARGEST_PAYLOAD}")
        epoll = poller_of(reactor).fileno()
        patience = min(patience, limits.pause_seconds)
        super().__init__(reactor, native.Router(epoll, limits.max_payload, patience))
        self._make_node = native.Node
        self._nodes: dict[Session, HotNode] = {}
        self._fresh: list[Session] = []

    @property
    def nodes(self) -> tuple[int, int]:
        """How many nodes have a native half, and how many of them are read natively."""
        return len(self._nodes), sum(node.reads for node in self._nodes.values())

    def stop(self) -> None:
        """Serve none any more; deliver what has come from them."""
        for node in list(self._nodes.values()):
            node.let_go()
            self.router.received(node.session, b"")
        self._fresh.clear()
        super().stop()

    def count(self) -> None:
        """Bring all counters up to date."""
        for node in self._nodes.values():
            node.count()

    def forget(self, node: HotNode) -> None:
        """A node is not served any more."""
        self._nodes.pop(node.session, None)

    # What Twisted's reactor calls

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As of C{select.epoll}: events of descriptors that are not served here."""
        if self._fresh:
            self._take_over()
        events, fulls, givers, failed = self._native.poll(timeout)
        for node, begun, written in fulls:
            node.owner.link.filled()
            self.router.filled(node.owner, begun, written)
        for node in givers:
            session = node.owner
            data = node.take()
            # Nothing, if it was let go of meanwhile.
            if data:
                try:
                    self.router.received(session, data)
                except Exception:
                    _log.failure("node {node} is disconnected", node=session.node)
                    session.link.abort()
        for node in failed:
            node.owner.link.abort()
        return events

    def _take_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        for session in fresh:
            link = session.link
            if session.gone or type(link) is not SocketLink or not link.connected:
                continue
            hot: HotNode | None = self._nodes.get(session)
            if hot is None:
                try:
                    native = self._make_node(self._native, session.node, link.fileno(), session)
                except OSError:
                    # No memory for it; Python serves it as well.
                    continue
                hot = HotNode(self, native, session)
                self._nodes[session] = hot
                link.hot = hot
                if not link.is_full:
                    hot.open()
            if session.received.messages and not hot.reads and not session.splitter.ended:
                hot.read()

    # Events of the router

    def settled(self, session: Session, by: str) -> None:
        """A node can be a dest; not before what waits for it has been written."""
        self._fresh.append(session)

    def first_message(self, session: Session, dest: int) -> None:
        """A node can be a source."""
        self._fresh.append(session)
