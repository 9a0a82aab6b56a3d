"""Stream connections as links of the router: TCP and unix written at once, TLS by Twisted."""

from __future__ import annotations

import select
import socket
import sys
from typing import Any, Final

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import Interface, implementer

from distnet import processes
from distnet.master.core.link import ILink, INative
from distnet.master.core.router import Router
from distnet.master.listener import NodeListener
from distnet.master.unread import UnreadWatch, unsent
from distnet.sockets.alive import Silence
from distnet.sockets.cutting import is_cutting
from distnet.sockets.peers import describe_peer, peer_address, peer_credentials
from distnet.sockets.unbuffered import Unbuffered
from distnet.text import KIB

CLOSE_SECONDS: Final = 0.2
"""How long a peer has to close its side after we have closed ours, before it is reset."""
CLOSE_TRIES: Final = 10
"""How many times longer it has if it has not even taken over all that was sent."""
HANDSHAKE_SECONDS: Final = 10
"""How long a TLS handshake may take."""

READ_SIZE: Final = 128 * KIB
"""
How much is read of a node at once: the more, the more there is for each of its receivers in one
write. A paused sender waits with that much, and the rest of a message. Memory for more than this is
had from the system, and given back to it, with every read.
"""


class _Link:
    """
    What all links share: who the peer is, whether it has read, and the end.

    @ivar native: its native half, or None.
    """

    native: INative | None = None

    def __init__(
        self, protocol: NodeProtocol, transport: Any, sock: socket.socket, peer: str
    ) -> None:
        self.peer = peer
        self.cuts = is_cutting(sock)
        self._protocol = protocol
        self._transport = transport
        self._socket = sock
        self._watch = protocol.watch
        self._unread, self.observable = protocol.watch.how_to_tell(
            sock, protocol.listener.acked_is_read
        )

    def was_closed_unread(self) -> bool:
        """
        Whether the peer closed its side before what was just sent to it came, so that its end, when
        that is read, does not show that it has read this.
        """
        looking = select.poll()
        looking.register(self._socket, select.POLLRDHUP)
        return bool(looking.poll(0) and self.unread())

    def unread(self) -> int | None:
        """What the operating system knows of the peer's queue."""
        return self._unread()

    def watch_unread(self, eager: bool) -> None:
        """Have the watch look, at growing intervals."""
        self._watch.watch(self, self._protocol.was_read, eager)

    def pause(self) -> None:
        """Have Twisted not read from the socket."""
        self._transport.pauseProducing()

    def resume(self) -> None:
        """Have Twisted read from the socket again."""
        self._transport.resumeProducing()

    def abort(self) -> None:
        """Reset the connection, and forget what it has not taken over."""
        self.let_go()
        self._transport.abortConnection()

    def ended(self) -> None:
        """The connection is over."""
        self.let_go()
        self._watch.forget(self)

    def let_go(self) -> None:
        """Have its native half, if there is one, end."""
        if self.native is not None:
            self.native.let_go()


@implementer(ILink)
class SocketLink(_Link, Unbuffered):
    """A TCP or unix connection that is written at once."""

    def __init__(self, protocol: NodeProtocol, transport: Any, peer: str) -> None:
        super().__init__(protocol, transport, transport.socket, peer)
        self._closing: Any = None
        self.write_to(transport)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Write it at once. If that fails, the connection ends."""
        try:
            return self.write(data)
        except ConnectionLost:
            self.abort()
            return 0

    def has_room(self) -> None:
        """The session goes on with what waits for the node."""
        self._protocol.writable()

    @property
    def connected(self) -> bool:
        """Whether it can still be read and written."""
        return bool(self._transport.connected) and not self._transport.disconnecting

    def fileno(self) -> int:
        """The descriptor of its socket."""
        return self._socket.fileno()

    def close(self) -> None:
        """
        Close it once all has been sent.

        On TCP our side is closed first; a peer that does not close its own soon is reset: a QEMU
        with C{reconnect} connects again after a reset, and does not notice less.
        """
        self.let_go()
        self._transport.unregisterProducer()
        if self._socket.family == socket.AF_UNIX:
            self._transport.loseConnection()
            return
        self._transport.loseWriteConnection()
        self._transport.resumeProducing()
        self._close_soon(CLOSE_TRIES)

    def ended(self) -> None:
        """The connection is over."""
        super().ended()
        if self._closing is not None and self._closing.active():
            self._closing.cancel()

    def _close_soon(self, tries: int) -> None:
        self._closing = self._protocol.clock.callLater(CLOSE_SECONDS, self._reset, tries)

    def _reset(self, tries: int) -> None:
        if tries and unsent(self._socket):
            self._close_soon(tries - 1)
        else:
            self.abort()


@implementer(ILink, IPushProducer)
class TLSLink(_Link):
    """A TLS connection. Twisted encrypts and buffers; what it has taken counts as written."""

    def __init__(self, protocol: NodeProtocol, transport: Any, peer: str) -> None:
        # Twisted's TLS transport wraps the protocol side; the socket is one further down.
        super().__init__(protocol, transport, transport.transport.socket, peer)
        self._full = False
        transport.registerProducer(self, True)

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Have Twisted encrypt it, unless its buffer is full."""
        if self._full:
            return 0
        self._transport.write(bytes(data))
        return len(data)

    def unread(self) -> int | None:
        """The same, once Twisted's buffer is empty."""
        return 1 if self._full else super().unread()

    def pauseProducing(self) -> None:
        """Twisted's buffer is full."""
        self._full = True

    def resumeProducing(self) -> None:
        """Twisted's buffer has emptied."""
        if self._full:
            self._full = False
            self._protocol.writable()

    def stopProducing(self) -> None:
        """The connection is over."""

    def close(self) -> None:
        """Have Twisted send what it has, and close."""
        self._transport.unregisterProducer()
        self._transport.loseConnection()


class INodes(Interface):
    """Who is told that connections begin and end."""

    def connected(protocol: NodeProtocol) -> None:
        """A connection has a link and wants to be a node."""

    def vanished(protocol: NodeProtocol) -> None:
        """A connection was over before it could have a link."""

    def died(protocol: NodeProtocol) -> None:
        """The machine at the other end does not answer any more."""

    def ended(protocol: NodeProtocol, reason: Failure) -> None:
        """A connection that had a link is over; it may never have become a node."""


@implementer(IHandshakeListener)
class NodeProtocol(Protocol):
    """
    One connection to a listener of the master.

    @ivar listener: the L{NodeListener} it came to.
    @ivar link: its link, once there is one: over TLS that takes a handshake.
    @ivar session: its session, once it is a node.
    @ivar closed_early: the peer had closed its side before its id came.
    """

    transport: Any
    link: SocketLink | TLSLink | None = None
    session: Any = None
    closed_early = False

    def __init__(
        self,
        nodes: INodes,
        router: Router,
        listener: NodeListener,
        clock: Any,
        watch: UnreadWatch,
        *,
        silence: Silence,
    ) -> None:
        self.listener = listener
        self.clock = clock
        self.watch = watch
        self._nodes = nodes
        self._router = router
        self._started = False
        self._early = bytearray()
        self._handshake: Any = None
        self._silence = silence
        self._watched_socket: socket.socket | None = None

    # What Twisted calls

    def connectionMade(self) -> None:
        """A connection has come."""
        if self.listener.tls:
            self._handshake = self.clock.callLater(
                HANDSHAKE_SECONDS, self.transport.abortConnection
            )
            return
        sock = self.transport.socket
        self.transport.bufferSize = READ_SIZE
        # What is written in part looks as if the peer took no more.
        self.transport.SEND_LIMIT = sys.maxsize
        if sock.family != socket.AF_UNIX:
            self.transport.setTcpNoDelay(True)
        try:
            self.link = SocketLink(self, self.transport, describe_peer(sock))
            self._stay_alive(sock)
        except OSError:
            self._vanished()
            return
        self._nodes.connected(self)

    def handshakeCompleted(self) -> None:
        """A TLS connection has come, and its certificate is one that we trust."""
        self._handshake.cancel()
        sock = self.transport.transport.socket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        subject = self.transport.getPeerCertificate().get_subject().commonName
        try:
            self.link = TLSLink(self, self.transport, f"tls {peer_address(sock)} CN={subject}")
            self._stay_alive(sock)
        except OSError:
            self._vanished()
            return
        self._nodes.connected(self)

    def _stay_alive(self, sock: socket.socket) -> None:
        """Have the connection end if the machine at the other end dies."""
        if sock.family != socket.AF_UNIX:
            self._silence.watch(sock, lambda: self._nodes.died(self))
            self._watched_socket = sock

    def _vanished(self) -> None:
        """The connection was reset before anything could be known of it."""
        self._nodes.vanished(self)
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Bytes have come, from now on or from before the node was greeted."""
        if self._started:
            if self.link is not None and self.link.native is not None and self.link.native.reads:
                # It ends, or else this would not come here.
                self.link.let_go()
            self._router.received(self.session, data)
        else:
            self._early += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over."""
        if self._handshake is not None and self._handshake.active():
            self._handshake.cancel()
        if self._watched_socket is not None:
            self._silence.forget(self._watched_socket)
        if self.link is not None:
            self.link.ended()
            self._nodes.ended(self, reason)

    # What the master and the link call

    @property
    def is_sending(self) -> bool:
        """Whether the machine of a TCP peer has not taken over all that was written."""
        session = self.session
        if session is None or session.gone or not session.settled or self.listener.tls:
            return False
        sock = self.transport.socket
        return sock.family != socket.AF_UNIX and bool(unsent(sock))

    @property
    def process(self) -> str | None:
        """Which process is connected to a pinned unix listener, so that it can be known again."""
        sock = self.transport.socket if not self.listener.tls else None
        if self.listener.node is None or sock is None or sock.family != socket.AF_UNIX:
            return None
        return processes.identity(peer_credentials(sock).pid)

    def start(self) -> None:
        """The node has been greeted: what it sends is messages from now on."""
        self._started = True
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self._router.received(self.session, early)

    def writable(self) -> None:
        """The link takes more bytes."""
        self._router.writable(self.session)

    def was_read(self) -> None:
        """The peer has read all that was sent to it."""
        self._router.was_read(self.session)
