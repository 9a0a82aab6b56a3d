"""Frames over TCP and unix streams: where QEMU's C{-netdev stream} plugs into the switch."""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from distnet.address import Address
from distnet.sockets.alive import DEAD_SECONDS, Silence
from distnet.sockets.descriptor import Retry, grow_send_buffer
from distnet.sockets.listen import (
    Listener,
    absolute_description,
    address_of,
    check_description,
    listen,
    stop_listening,
)
from distnet.sockets.peers import describe_peer, peer_credentials, peer_groups
from distnet.sockets.quiet import QuietFactory
from distnet.sockets.refusals import Refusals
from distnet.sockets.unaccepted import RESET, Unaccepted
from distnet.sockets.unbuffered import Unbuffered
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.errors import BridgeError
from distnet.switch.core.link import IFrameLink
from distnet.switch.core.records import Endpoint
from distnet.switch.core.streamwire import StreamFrames, encode_frame
from distnet.switch.plugs.descriptor import FRAMES_AT_ONCE

_log = Logger(namespace="distnet")


@dataclass(frozen=True, slots=True)
class StreamListener:
    """
    Where to listen for streams of frames.

    @ivar description: a Twisted endpoint description, complete.
    @ivar port: the number of the port of whoever connects there, or None for the first free one.
    """

    description: str
    port: int | None = None


def parse_stream(reactor: Any, text: str) -> StreamListener:
    """
    Where C{ENDPOINT} or C{N=ENDPOINT} says to listen; opens nothing.

    @raise ValueError: it says nothing of the kind; in one line.
    """
    parts = re.fullmatch(r"(?:([0-9]{1,9})=)?(.*)", text, re.DOTALL)
    assert parts is not None
    description = absolute_description(check_description(reactor, parts[2]))
    return StreamListener(description, int(parts[1]) if parts[1] else None)


class FrameStreamService(Service):
    """
    Listens, and plugs in whoever connects.

    @ivar refusals: of those for whom there was no port.
    @ivar unaccepted: those who had gone already.
    @ivar silence: who watches for machines that have died.
    """

    def __init__(self, reactor: Any, bridge: Bridge, listeners: Sequence[StreamListener]) -> None:
        self.reactor = reactor
        self.bridge = bridge
        self.refusals = Refusals(reactor, "a stream")
        self.silence = Silence(reactor)
        self.unaccepted = Unaccepted(reactor, "listeners for -netdev stream")
        self._listeners = listeners
        self._ports: list[tuple[StreamListener, Listener, IListeningPort]] = []
        self._connections: set[FrameConnection] = set()

    def privilegedStartService(self) -> None:
        """Listen at TCP ports, while there may be privileges. Raises L{StartupError}."""
        self._listen(paths=False)

    def startService(self) -> None:
        """
        Listen at unix sockets, and say where it listens. Raises L{StartupError}.

        Not before twistd has given up its privileges: so they belong to whom the switch runs as,
        who can remove them in the end, and whose QEMUs may connect, as with C{--dgram} and VDE.
        """
        self._listen(paths=True)
        super().startService()
        # As users have named them, whichever was opened first.
        self._ports.sort(key=lambda opened: self._listeners.index(opened[0]))
        for listener, address in self.addresses():
            _log.info(
                "listening at {address} for -netdev stream{port}",
                address=address,
                port="" if listener.port is None else f", port {listener.port}",
            )
            _log.info(
                "    QEMU: distnet qemu-args --stream {address} prints its options", address=address
            )

    def addresses(self) -> list[tuple[StreamListener, Address]]:
        """Where it listens now."""
        return [(listener, address_of(where, port)) for listener, where, port in self._ports]

    def stopService(self) -> Deferred[None]:
        """Unplug everybody."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        ports, self._ports = self._ports, []
        for listener, _, port in ports:
            await stop_listening(port, listener.description)
        for connection in list(self._connections):
            connection.unplug()
        while self._connections:
            await deferLater(self.reactor, 0)

    def make_factory(self, port: int | None) -> QuietFactory:
        """What makes the protocols of connections that are for a port, or for any."""
        name = "listener for -netdev stream" + ("" if port is None else f", port {port}")
        return QuietFactory(lambda: FrameConnection(self, port), name)

    def _listen(self, *, paths: bool) -> None:
        for listener in self._listeners:
            where = Listener(listener.description)
            if (where.path is not None) == paths:
                port = listen(self.reactor, where, self.make_factory(listener.port))
                self._ports.append((listener, where, port))

    # What connections tell

    def connected(self, connection: FrameConnection) -> None:
        """Somebody has connected: remember the connection, to end it with the service."""
        self._connections.add(connection)

    def disconnected(self, connection: FrameConnection) -> None:
        """A connection is over: forget it."""
        self._connections.discard(connection)


@implementer(IFrameLink)
class FrameConnection(Unbuffered, Protocol):
    """
    One connection: an endpoint as long as it lasts. No time limit applies to it.

    What the socket took of a frame in part goes on before anything else; that is all that is ever
    kept here of what is sent.

    @ivar description: who is at the other end.
    @ivar module: what kind of link it is.
    """

    module = "stream"
    transport: Any

    def __init__(self, service: FrameStreamService, port: int | None) -> None:
        self.description = ""
        self._service = service
        self._bridge = service.bridge
        self._port = port
        self._endpoint: Endpoint | None = None
        self._frames = StreamFrames(service.bridge.limits.max_frame)
        self._paused = False
        self._turn: Any = None
        self._rest = b""
        self._refused = False
        # As with a datagram socket, poll(2) waits until most of the buffer has been read.
        self._retry = Retry(service.reactor, self.resumeProducing)

    # What Twisted calls

    def connectionMade(self) -> None:
        """Somebody has connected: plug in."""
        self._service.connected(self)
        sock = self._socket = self.transport.socket
        user, groups = None, []
        try:
            self.description = describe_peer(sock)
            if sock.family == socket.AF_UNIX:
                user, groups = peer_credentials(sock).uid, peer_groups(sock)
            else:
                self.transport.setTcpNoDelay(True)
                self._service.silence.watch(sock, self._died)
            grow_send_buffer(sock)
        except OSError:
            self._service.unaccepted.failed(RESET)
            self.transport.abortConnection()
            return
        self.write_to(self.transport)
        try:
            self._endpoint = self._bridge.attach(
                self,
                self._port,
                user=user,
                groups=groups,
                description=self.description,
                # As with VDE, so that the two never have the same.
                endpoint_number=sock.fileno(),
            )
        except BridgeError as error:
            self._service.refusals.refuse(str(error), self.description)
            self.unplug()

    def dataReceived(self, data: bytes) -> None:
        """Frames have come, or parts of them."""
        self._frames.feed(data)
        if not self._paused and self._turn is None:
            self._hand_over()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Unplug. What had come before is delivered, as far as that goes at once."""
        endpoint = self._endpoint
        if endpoint is not None:
            while (frame := self._frames.take()) is not None:
                self._bridge.received(endpoint, frame)
        self._detach()
        self._service.silence.forget(self._socket)
        self._service.disconnected(self)

    # What the bridge calls

    def send(self, frame: bytes) -> bool:
        """Write a frame now. One that was written in part is taken; its rest goes first."""
        if not self._rest:
            data = encode_frame(frame)
            try:
                written = self.write(data)
            except ConnectionLost:
                # Reading will end it, once all that it has sent was read.
                if self._endpoint is not None:
                    self._bridge.send_failed(self._endpoint, frame)
                return True
            if written == len(data):
                self._retry.in_vain = 0
                return True
            self._retry.soon()
            if written:
                self._rest = data[written:]
                return True
        self._refused = True
        return False

    def pause(self) -> None:
        """Read no more; what has come stays here until it is called for."""
        self._paused = True
        self.transport.pauseProducing()

    def resume(self) -> None:
        """Hand over what is here, then read again."""
        self._paused = False
        if self._frames.waiting:
            self._hand_over_later()
        elif self._endpoint is not None and self._turn is None:
            self.transport.resumeProducing()

    def close(self) -> None:
        """The bridge has ended the endpoint: end the connection."""
        self._endpoint = None
        self.unplug()

    # What comes

    def _hand_over(self) -> None:
        """Hand some frames to the bridge, as far as it takes them; then it is others' turn."""
        take, received, endpoint = self._frames.take, self._bridge.received, self._endpoint
        if endpoint is None:
            return
        for _ in range(FRAMES_AT_ONCE):
            frame = take()
            if frame is None:
                break
            if not received(endpoint, frame):
                # What is left is kept here until it is called for.
                return
        error = self._frames.error
        if error is not None:
            _log.warn(
                "port {port} ({who}): {why}; the connection is closed",
                port=endpoint.port.number,
                who=self.description,
                why=error,
            )
            self.unplug()
        elif self._frames.waiting:
            self.transport.pauseProducing()
            self._hand_over_later()

    def _hand_over_later(self) -> None:
        if self._turn is None:
            self._turn = self._service.reactor.callLater(0, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        if self._paused or self._endpoint is None:
            return
        self._hand_over()
        if not self._paused and self._turn is None and self._endpoint is not None:
            self.transport.resumeProducing()

    # What goes out

    def has_room(self) -> None:
        """Write the rest of a frame; when nothing is left of it, tell the bridge of the room."""
        self._retry.stop()
        if self._rest:
            try:
                written = self.write(self._rest)
            except ConnectionLost:
                self.unplug()
                return
            if written:
                self._retry.in_vain = 0
            self._rest = self._rest[written:]
            if self._rest:
                self._retry.soon()
                return
        if self._refused and self._endpoint is not None:
            self._refused = False
            self._bridge.writable(self._endpoint)

    # The end

    def _died(self) -> None:
        _log.warn(
            "{who} has not answered for {seconds} s: its machine is dead, or not to be reached",
            who=self.description,
            seconds=DEAD_SECONDS,
        )
        self.unplug()

    def unplug(self) -> None:
        """End the endpoint and the connection."""
        self._detach()
        self.transport.abortConnection()

    def _detach(self) -> None:
        self._retry.stop()
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self._bridge.detach(endpoint)
