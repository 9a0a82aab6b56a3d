"""The native path of a master: its usual messages do not reach Python, the rest does."""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger
from zope.interface import implementer

from distnet._native import NotNative, load_router
from distnet.master.core.counters import Tally
from distnet.master.core.limits import Limits
from distnet.master.core.link import INative
from distnet.master.core.router import Router
from distnet.master.core.session import Session
from distnet.master.links import SocketLink
from distnet.sockets.native import NativePath, poller_of
from distnet.wire import whole_messages

PATIENCE_SECONDS: Final = 0.1
"""
How long a node is not read when a node that it sends to takes no more just now; never longer than
a sender is paused at a limit. Only what is not taken within that time goes to a mailbox: a reader
that is merely slower than its sender is the usual case, and what was not sent need not be kept.
"""

_log = Logger(namespace="distnet")


@implementer(INative)
class NativeNode:
    """What reads and writes the socket of a node, as its link and its outbox know it."""

    def __init__(self, path: NativeRouter, native: Any, session: Session, link: SocketLink) -> None:
        self.session = session
        self.open = native.open
        self.close = native.close
        self.push = native.push
        self._path = path
        self._native = native
        self._link = link
        link.native = self
        session.outbox.attach(self)

    @property
    def reads(self) -> bool:
        """Whether the node is read natively."""
        return bool(self._native.reads)

    def read(self) -> None:
        """Read the node natively from now on."""
        self._native.read(self.session.splitter.release())

    def count(self) -> None:
        """Add what was counted natively to the session's and the router's counters."""
        received, received_bytes, delivered, delivered_bytes = self._native.counts()
        session, counters = self.session, self._path.router.counters
        for tally in (session.received, counters.received):
            tally.add(received, received_bytes)
        for tally in (session.delivered, counters.delivered):
            tally.add(delivered, delivered_bytes)
        data, written = self._native.unwritten()
        if data:
            messages = whole_messages(data, 0, len(data))[1]
            self._path.router.mailboxes.native[session.node] = Tally(messages, len(data) - written)
        else:
            self._path.router.mailboxes.native.pop(session.node, None)

    def let_go(self) -> None:
        """Read and write the node no more, and give the router what has come from it."""
        self._path.forget(self)
        self._link.native = None
        self.session.outbox.attach(None)
        data = self._native.detach()
        self.count()
        self._path.router.mailboxes.native.pop(self.session.node, None)
        self.session.outbox.take_back(*self._native.unwritten())
        if self._link.connected:
            self.session.outbox.pump()
        self._path.router.take_back(self.session, data)


class NativeRouter(NativePath):
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
        if limits.max_payload > native.LARGEST_PAYLOAD:
            raise NotNative(f"--max-payload is above {native.LARGEST_PAYLOAD}")
        epoll = poller_of(reactor).fileno()
        patience = min(patience, limits.pause_seconds)
        super().__init__(reactor, native.Router(epoll, limits.max_payload, patience))
        self._make_node = native.Node
        self._nodes: dict[Session, NativeNode] = {}
        # Whose state has changed so that they, or more of them, can be taken over.
        self._fresh: list[Session] = []
        self._diverted = False

    @property
    def nodes(self) -> tuple[int, int]:
        """How many nodes have a native half, and how many of them are read natively."""
        return len(self._nodes), sum(node.reads for node in self._nodes.values())

    def stop(self) -> None:
        """Serve none any more; deliver what has come from them."""
        self.divert(True)
        super().stop()

    def divert(self, diverted: bool) -> None:
        """
        Serve none from now on, and deliver what has come from them; or all again that can be, from
        the next turn of the reactor on.
        """
        self._diverted = diverted
        if not diverted:
            self._fresh = [session for session in self.router.sessions.values() if session.settled]
            return
        for node in list(self._nodes.values()):
            node.let_go()
            self._received(node.session, b"")

    def count(self) -> None:
        """Bring all counters up to date."""
        for node in self._nodes.values():
            node.count()

    def forget(self, node: NativeNode) -> None:
        """A node is not served any more."""
        self._nodes.pop(node.session, None)

    # What Twisted's reactor calls

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As of C{select.epoll}: events of descriptors that are not served here."""
        if self._fresh:
            self._take_over()
        events, fulls, givers, failed, roomy = self._native.poll(timeout)
        for node, begun, written in fulls:
            node.owner.link.filled()
            self.router.filled(node.owner, begun, written)
        for node in givers:
            session = node.owner
            data = node.take()
            # Nothing, if it was let go of meanwhile.
            if data:
                self._received(session, data)
        for node in failed:
            node.owner.link.abort()
        for node in roomy:
            self.router.writable(node.owner)
        return events

    def _received(self, session: Session, data: bytes) -> None:
        """Have the router deliver what has come; who sent what it fails at is disconnected."""
        try:
            self.router.received(session, data)
        except Exception:
            _log.failure("node {node} is disconnected", node=session.node)
            session.link.abort()

    def _take_over(self) -> None:
        fresh, self._fresh = self._fresh, []
        if self._diverted:
            return
        for session in fresh:
            link = session.link
            if session.gone or type(link) is not SocketLink or not link.connected:
                continue
            node = self._nodes.get(session)
            if node is None:
                try:
                    native = self._make_node(
                        self._native, session.node, link.fileno(), session,
                        session.outbox.segment or 0,
                    )  # fmt: skip
                except OSError:
                    # No memory for it; Python serves it as well.
                    continue
                node = self._nodes[session] = NativeNode(self, native, session, link)
            if session.received.messages and not node.reads and not session.splitter.ended:
                node.read()

    # Events of the router

    def settled(self, session: Session, by: str) -> None:
        """A node can be a dest; not before what waits for it has been written."""
        self._fresh.append(session)

    def first_message(self, session: Session, dest: int) -> None:
        """A node can be a source."""
        self._fresh.append(session)
