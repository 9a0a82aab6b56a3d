"""The master as a service: listeners, connections, state and control around the router."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from distnet import __version__
from distnet.address import Address, TlsAddress
from distnet.daemon.clock import Dates
from distnet.divert import Divert
from distnet.errors import Refused
from distnet.master import status
from distnet.master.core.events import IObserver
from distnet.master.core.limits import Limits
from distnet.master.core.registry import IdPolicy
from distnet.master.core.router import Router
from distnet.master.core.session import Kind, Session
from distnet.master.links import INodes, NodeProtocol
from distnet.master.listener import NodeListener
from distnet.master.log import NodeLog, UnreadIdLog
from distnet.master.native import PATIENCE_SECONDS, NativeRouter
from distnet.master.restart import keep, restore
from distnet.master.state import Recorder, StateFile
from distnet.master.status import (
    AbsentStatus,
    CountersStatus,
    MailboxStatus,
    MasterStatus,
    NodeStatus,
)
from distnet.master.unread import UnreadWatch
from distnet.observers import broadcast
from distnet.once import Once
from distnet.qemu import guest_arguments
from distnet.sockets.alive import DEAD_SECONDS, Silence
from distnet.sockets.listen import address_of, listen, stop_listening
from distnet.sockets.native import Way
from distnet.sockets.quiet import QuietFactory
from distnet.sockets.unaccepted import RESET, Unaccepted

_log = Logger(namespace="distnet")

_LOOK_SECONDS: Final = 0.02


@implementer(INodes)
class MasterService(Service):
    """
    Gives every kernel that connects an id, and routes messages between ids.

    @ivar router: the master without its sockets.
    @ivar divert: who needs all messages to go by Python.
    @ivar listeners: where it listens.
    @ivar started: when, as the reactor counts seconds; None before.
    """

    def __init__(
        self,
        reactor: Any,
        listeners: Sequence[NodeListener],
        limits: Limits,
        policy: IdPolicy = IdPolicy.SEQUENTIAL,
        *,
        state: StateFile | None = None,
        tls: Any = None,
        grace_seconds: float = 2.0,
        observers: Sequence[object] = (),
        patience_seconds: float = PATIENCE_SECONDS,
        late_listeners: Callable[[], Sequence[NodeListener]] = tuple,
    ) -> None:
        """
        @param late_listeners: listeners that are known only when the service starts.
        """
        self.listeners = listeners
        self.started: float | None = None
        self._late_listeners = late_listeners
        self._reactor = reactor
        self._state = state
        self._tls = tls
        self._grace_seconds = grace_seconds
        self._ports: list[tuple[NodeListener, IListeningPort]] = []
        self._protocols: set[NodeProtocol] = set()
        self._watch = UnreadWatch(reactor)
        self._silence = Silence(reactor)
        self._resumable: dict[int, str] = {}
        self._refusals_said: dict[NodeListener, Once] = {}
        self._unaccepted = Unaccepted(reactor, "listeners for kernels")
        self._stopping = False
        self._date = Dates(reactor.seconds)
        self._last_settled = status.LastSettled(self._date)
        everybody: list[Any] = [
            NodeLog(reactor),
            UnreadIdLog(reactor),
            self._last_settled,
            *observers,
        ]
        self._way = Way(
            "messages are routed", lambda: NativeRouter(reactor, limits, patience_seconds)
        )
        if self._way.native is not None:
            everybody.append(self._way.native)
        self._recorder = Recorder(state, policy, reactor) if state is not None else None
        if self._recorder is not None:
            everybody.append(self._recorder)
        self.divert = Divert(self._way.native.divert if self._way.native is not None else None)
        self.router = Router(
            limits,
            broadcast(IObserver, *everybody),
            reactor,
            policy,
            [listener.node for listener in listeners if listener.node is not None],
            divert=self.divert,
        )
        if self._way.native is not None:
            self._way.native.router = self.router

    # Start

    def privilegedStartService(self) -> None:
        """Listen at TCP ports, while there may be privileges. Raises L{StartupError}."""
        self._listen(listener for listener in self.listeners if listener.path is None)

    def startService(self) -> None:
        """
        Listen at unix sockets, remember, and begin. Raises L{StartupError}.

        These not before twistd has given up its privileges: so they belong to whom the master runs
        as, who can connect to them, and remove them in the end.
        """
        self._listen(listener for listener in self.listeners if listener.path is not None)
        self._listen(self._late_listeners())
        # As users have named them, whichever was opened first.
        self._ports.sort(key=self._position)
        super().startService()
        self.started = self._reactor.seconds()
        if self._state is not None:
            remembered = self._state.open()
            self._resumable = remembered.resumable
            restore(self.router, remembered)
            self._state.start()
        self._way.start()
        for listener, port in self._ports:
            self._say_where(listener, port)

    def _listen(self, listeners: Iterable[NodeListener]) -> None:
        for listener in listeners:
            factory: Any = self.make_factory(listener)
            if listener.tls:
                factory = TLSMemoryBIOFactory(self._tls, False, factory, self._reactor)
                factory.noisy = False
            self._ports.append((listener, listen(self._reactor, listener, factory)))

    def _position(self, opened: tuple[NodeListener, IListeningPort]) -> int:
        known = opened[0] in self.listeners
        return self.listeners.index(opened[0]) if known else len(self.listeners)

    def _say_where(self, listener: NodeListener, port: IListeningPort) -> None:
        address = address_of(listener, port)
        _log.info("listening at {address} for {whom}", address=address, whom=listener.whom)
        if listener.kind is not Kind.TOOL and not isinstance(address, TlsAddress):
            _log.info("    QEMU: {arguments}", arguments=shlex.join(guest_arguments(address)))

    def addresses(self) -> list[tuple[NodeListener, Address]]:
        """Where it listens now."""
        return [(listener, address_of(listener, port)) for listener, port in self._ports]

    # What it says of itself

    def status(self) -> MasterStatus:
        """Everything: how it was started, its nodes, what waits, and the counters."""
        return self._status(tuple(self.each_node()), tuple(self.each_mailbox()))

    def told(self) -> dict[str, Any]:
        """
        What L{status} says, by the names of its fields, as the control interface tells it: nodes
        and mailboxes, of which there may be thousands, are made one by one when they are needed.
        """
        few = self._status((), ())
        each = {"nodes": self.each_node(), "mailboxes": self.each_mailbox()}
        return {one.name: getattr(few, one.name) for one in fields(few)} | each

    def _status(
        self, nodes: tuple[NodeStatus, ...], mailboxes: tuple[MailboxStatus, ...]
    ) -> MasterStatus:
        listeners = tuple(status.of_listener(*where) for where in self.addresses())
        started = 0.0 if self.started is None else self._date(self.started)
        return status.of_master(
            self._counted(),
            __version__,
            started,
            listeners,
            nodes=nodes,
            mailboxes=mailboxes,
        )

    def each_node(self) -> Iterator[NodeStatus]:
        """All connected nodes, by id, each made when it is asked for."""
        return status.of_nodes(self._counted(), self._date)

    def each_mailbox(self) -> Iterator[MailboxStatus]:
        """What waits for ids, connected or not, each made when it is asked for."""
        return status.of_mailboxes(self.router)

    def node(self, node: int) -> NodeStatus | AbsentStatus:
        """The node with an id, or what can be said of an id that no node has."""
        return status.of_node(self._counted(), node, self._last_settled, self._date)

    def counters(self) -> CountersStatus:
        """Totals since the master started."""
        return status.of_counters(self._counted().counters)

    def _counted(self) -> Router:
        """The router, with what native code has counted in its counters."""
        self._way.count()
        return self.router

    def native_nodes(self) -> tuple[int, int]:
        """How many nodes are written by native code, and how many are read by it."""
        return self._way.native.nodes if self._way.native is not None else (0, 0)

    # Connections

    def make_factory(self, listener: NodeListener) -> QuietFactory:
        """What makes the protocols of a listener's connections."""
        return QuietFactory(
            lambda: NodeProtocol(
                self, self.router, listener, self._reactor, self._watch, silence=self._silence
            ),
            f"listener for {listener.whom}",
        )

    def connected(self, protocol: NodeProtocol) -> None:
        """Make a connection that has a link a node, and greet it; or refuse it."""
        link = protocol.link
        assert link is not None
        listener = protocol.listener
        self._protocols.add(protocol)
        try:
            kind = Kind.KERNEL if link.cuts else listener.kind
            session = self.router.connect(link, pinned=listener.node, kind=kind)
        except Refused as refusal:
            if self._refusals_said.setdefault(listener, Once()).say(str(refusal)) is not None:
                _log.warn(
                    "a connection from {peer} is refused: {why}; said once",
                    peer=link.peer,
                    why=refusal,
                )
            link.abort()
            return
        self._refusals_said.pop(listener, None)
        protocol.session = session
        if self._state is None or session.kind is Kind.TOOL:
            self._begin(protocol, session, resume=False)
            return
        link.pause()
        session.process = protocol.process
        resume = (
            session.process is not None
            and self._resumable.pop(session.node, None) == session.process
        )
        recorded = self._state.given(session.node, session.pinned, session.process, resume)
        recorded.addCallbacks(
            lambda _: self._begin(protocol, session, resume),
            lambda failure: self._not_recorded(session, failure),
        )

    def _begin(self, protocol: NodeProtocol, session: Session, resume: bool) -> None:
        if session.gone:
            return
        if resume:
            self.router.resume(session)
        else:
            self.router.greet(session)
            if protocol.link is not None and not session.gone:
                protocol.closed_early = protocol.link.was_closed_unread()
        if self._state is not None and not self._stopping:
            session.link.resume()
        protocol.start()

    def _not_recorded(self, session: Session, failure: Failure) -> None:
        session.link.abort()
        self.router.lost(session, f"error: its id cannot be recorded: {failure.getErrorMessage()}")

    def vanished(self, protocol: NodeProtocol) -> None:
        """A connection was over before it could be a node."""
        self._unaccepted.failed(RESET)

    def died(self, protocol: NodeProtocol) -> None:
        """The machine at the other end does not answer any more: its node is lost."""
        if protocol.session is not None:
            why = f"error: its machine has not answered for {DEAD_SECONDS} s"
            self.router.disconnect(protocol.session, why)

    def disconnect(self, node: int) -> bool:
        """
        End the connection of a node; of its id and what waits for it becomes what becomes of them
        whenever a connection is lost.

        @return: whether there was one.
        """
        session = self.router.sessions.get(node)
        if session is None:
            return False
        self.router.disconnect(session, "disconnected by 'distnet disconnect'")
        return True

    def ended(self, protocol: NodeProtocol, reason: Failure) -> None:
        """A connection is over, and its node, if it was one, with it."""
        self._protocols.discard(protocol)
        session = protocol.session
        if session is None:
            return
        if not reason.check(ConnectionDone):
            self.router.lost(session, "error: connection reset")
            return
        if not session.settled and session.link.observable and not protocol.closed_early:
            # Who closes with something unread resets the connection, tcp(7), unix(7).
            self.router.was_read(session)
        self.router.lost(session, "closed")

    # Stop

    def stopService(self) -> Deferred[None]:
        """Deliver what can be delivered within the grace, keep or count the rest, and close."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._stopping = True
        if self._recorder is not None:
            self._recorder.stopping = True
        for listener, port in self._ports:
            await stop_listening(port, listener.description)
        router = self.router
        self._way.stop()
        router.stop()
        await self._wait(lambda: not any(router.undrained()))
        await keep(self._state, router, router.take_mail())
        # Messages that were begun, and what is on its way: a reset would lose it.
        await self._wait(
            lambda: (
                not (any(router.undrained()) or any(each.is_sending for each in self._protocols))
            )
        )
        for protocol in list(self._protocols):
            if protocol.session is not None:
                router.lost(protocol.session, "the master stops")
            if protocol.link is not None:
                protocol.link.close()
        await self._wait(lambda: not self._protocols)
        for protocol in list(self._protocols):
            if protocol.link is not None:
                protocol.link.abort()
        if self._state is not None:
            await self._state.close()
        self._watch.close()

    async def _wait(self, done: Any) -> None:
        deadline = self._reactor.seconds() + self._grace_seconds
        while not done() and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, _LOOK_SECONDS)
