"""
Datagrams that are frames, as QEMU's C{-netdev dgram} sends and takes them, plugged into the switch.

Whoever sends something to where this listens is plugged in, and gets its frames at the address that
it sent from. There is no connection, so nobody says goodbye: a peer is unplugged when the operating
system says that nobody is there any more, and not because it is silent.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.errors import PeerError, StartupError
from distnet.sockets.descriptor import Descriptor, grow_receive_buffer, grow_send_buffer
from distnet.sockets.listen import claim_path
from distnet.sockets.once import Refusals
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.errors import BridgeError
from distnet.switch.plugs.descriptor import FRAMES_AT_ONCE, Errors
from distnet.switch.plugs.dgrampeer import Peer, UdpPeer, UnixPeer
from distnet.switch.plugs.dgramplace import UdpPlace, UnixPlace, show_udp
from distnet.text import printable

RECEIVE_BUFFER: Final = 2 * 1024 * 1024
"""
Bytes of SO_RCVBUF for each UDP peer: about 1800 frames of 1500 bytes.

That is what a sender of 90,000 of them in a second sends while it is paused. The kernel doubles the
number, and counts 2304 bytes for such a frame.
"""

_log = Logger(namespace="distnet")


class Unanswerable(PeerError):
    """Nothing can be sent to where a datagram came from."""


class DgramService(Descriptor, Service):
    """
    Listens at one place, and plugs in who sends something there.

    @ivar peers: who is plugged in, by the address as the operating system gives it.
    @ivar errors: operations on sockets that failed.
    """

    prefix = "dgram"

    def __init__(self, reactor: Any, bridge: Bridge, errors: Errors) -> None:
        super().__init__(reactor)
        self.reactor = reactor
        self.bridge = bridge
        self.errors = errors
        self.peers: dict[Any, Peer] = {}
        self.refusals = Refusals(reactor, "a sender of datagrams")
        self._socket: Any = None
        self._paused: set[Peer] = set()

    def startService(self) -> None:
        """Listen. Raises L{StartupError}."""
        try:
            self._socket = self._listen()
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "")
            raise StartupError(
                f"cannot listen at {self.where()}: {error.strerror}{advice}"
            ) from None
        super().startService()
        self.want_to_read(True)
        _log.info("listening at {place} for QEMU's -netdev dgram", place=self.where())

    def stopService(self) -> None:
        """Unplug everybody, and listen no more."""
        super().stopService()
        for peer in list(self.peers.values()):
            peer.ended()
        sock, self._socket = self._socket, None
        if sock is not None:
            self.want_to_read(False)
            self._close(sock)

    # What the two kinds do differently

    def where(self) -> str:
        """Where it listens, or is to listen."""
        raise NotImplementedError

    def _listen(self) -> socket.socket:
        """A bound socket that does not block. Raises OSError, L{StartupError}."""
        raise NotImplementedError

    def _close(self, sock: socket.socket) -> None:
        """The end of that."""
        sock.close()

    def _meet(self, address: Any) -> tuple[Peer, int | None]:
        """A peer that was not known, and its user. Raises OSError, L{Unanswerable}."""
        raise NotImplementedError

    def _strays(self, peer: Peer) -> Iterable[tuple[bytes, Any]]:
        """Datagrams, and where they are from, that came at the socket of a peer and are not its."""
        return ()

    # What peers tell

    def forget(self, peer: Peer) -> None:
        """It is closed."""
        if self.peers.get(peer.address) is peer:
            del self.peers[peer.address]
        self.resume(peer)

    def pause(self, peer: Peer) -> None:
        """Do not read what it, and others, send to us all."""
        self._paused.add(peer)
        self.want_to_read(False)

    def resume(self, peer: Peer) -> None:
        """Read again, unless another is paused."""
        if peer in self._paused:
            self._paused.discard(peer)
            if not self._paused and self._socket is not None:
                self.want_to_read(True)

    # What the reactor calls

    def fileno(self) -> int:
        """Of the socket that all send to."""
        return -1 if self._socket is None else int(self._socket.fileno())

    def connectionLost(self, reason: Failure) -> None:
        """The operating system has given the socket up."""
        _log.error("{place}: {why}", place=self.where(), why=reason.getErrorMessage())

    def doRead(self) -> None:
        """Datagrams have come: take some, then it is the turn of others."""
        # One more, so that a longer one does not look like a frame that fits.
        most = self.bridge.limits.max_frame + 1
        for _ in range(FRAMES_AT_ONCE):
            try:
                frame, address = self._socket.recvfrom(most)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self.errors.count(error)
                break
            self._arrived(frame, address)
            if self._paused:
                break

    def _arrived(self, frame: bytes, address: Any) -> None:
        peer = self.peers.get(address)
        if peer is not None:
            self.bridge.received(peer.endpoint, frame)
            return
        try:
            peer = self._plug(address)
        except OSError as error:
            self.refusals.refuse(f"{_name(address)}: {error.strerror}")
        except (Unanswerable, BridgeError) as error:
            self.refusals.refuse(str(error))
        else:
            self.bridge.received(peer.endpoint, frame)
            for stray, source in self._strays(peer):
                self._arrived(stray, source)
            # After what came here before there was a socket of its own.
            self.reactor.callLater(0, peer.begin)

    def _plug(self, address: Any) -> Peer:
        peer, user = self._meet(address)
        try:
            endpoint = self.bridge.attach(peer, user=user, description=peer.description)
        except BridgeError:
            peer.close()
            raise
        self.peers[address] = peer
        peer.start(endpoint)
        return peer


class UnixDgramService(DgramService):
    """On a unix socket. Peers are known by the paths that they have bound theirs to."""

    def __init__(self, place: UnixPlace, reactor: Any, bridge: Bridge, errors: Errors) -> None:
        super().__init__(reactor, bridge, errors)
        self._place = place

    def where(self) -> str:
        """The path."""
        return str(self._place)

    def _listen(self) -> socket.socket:
        claim_path(self._place.path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            # Before there is a path that others could open.
            os.fchmod(sock.fileno(), 0)
            sock.bind(self._place.path)
            Path(self._place.path).chmod(self._place.mode)
        except OSError:
            sock.close()
            raise
        return sock

    def _close(self, sock: socket.socket) -> None:
        sock.close()
        Path(self._place.path).unlink(missing_ok=True)

    def _meet(self, address: Any) -> tuple[Peer, int | None]:
        if not address:
            raise Unanswerable("it has no address to answer to (QEMU's local.path)")
        if isinstance(address, str) and not address.startswith("/"):
            raise Unanswerable(f"its socket {address} is not an absolute path (QEMU's local.path)")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(address)
            grow_send_buffer(sock)
            user = Path(address).stat().st_uid if isinstance(address, str) else None
        except OSError:
            sock.close()
            raise
        return UnixPeer(self, sock, address, _name(address)), user


class UdpDgramService(DgramService):
    """On UDP. Peers are known by host and port."""

    def __init__(self, place: UdpPlace, reactor: Any, bridge: Bridge, errors: Errors) -> None:
        super().__init__(reactor, bridge, errors)
        self._place = place

    def where(self) -> str:
        """With the port that the kernel has chosen, if that was 0."""
        return str(self._place) if self._socket is None else show_udp(self._socket.getsockname())

    def _listen(self) -> socket.socket:
        sock = self._make_socket()
        try:
            sock.bind(self._place.address)
        except OSError:
            sock.close()
            raise
        return sock

    def _meet(self, address: Any) -> tuple[Peer, int | None]:
        sock = self._make_socket()
        # Not all the time, so that no other process can share our port.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(self._socket.getsockname())
            sock.connect(address)
            grow_send_buffer(sock)
        except OSError:
            sock.close()
            raise
        finally:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        return UdpPeer(self, sock, address, _name(address)), None

    def _strays(self, peer: Peer) -> Iterable[tuple[bytes, Any]]:
        """Of anybody: until the socket was connected, it was as good as the one all send to."""
        with socket.socket(fileno=os.dup(peer.fileno())) as sock:
            for _ in range(FRAMES_AT_ONCE):
                try:
                    yield sock.recvfrom(self.bridge.limits.max_frame + 1)
                except OSError:
                    return

    def _make_socket(self) -> socket.socket:
        sock = socket.socket(self._place.family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        if self._place.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        grow_receive_buffer(sock, RECEIVE_BUFFER)
        return sock


_ADVICE: Final = {
    errno.EADDRINUSE: "; another switch, or something else, listens there:"
    " stop it, or choose another port",
    errno.EACCES: "; ports below 1024 and foreign directories need the privilege",
    errno.EADDRNOTAVAIL: "; this machine does not have that address",
}


def dgram_service(
    reactor: Any, bridge: Bridge, place: UnixPlace | UdpPlace, errors: Errors
) -> DgramService:
    """The service that listens at a place."""
    if isinstance(place, UnixPlace):
        return UnixDgramService(place, reactor, bridge, errors)
    return UdpDgramService(place, reactor, bridge, errors)


def _name(address: Any) -> str:
    if isinstance(address, tuple):
        return show_udp(address)
    # An abstract one begins with a NUL, which is usually written so.
    path = os.fsencode(address).replace(b"\0", b"@")
    return f"unix:{printable(path)}"
