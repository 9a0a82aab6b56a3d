"""
Datagrams that are frames, as QEMU's C{-netdev dgram} sends and takes them, plugged into the switch.

Whoever sends something to where this listens is plugged in, and gets its frames at the address that
it sent from. There is no connection, so nobody says goodbye: a peer is unplugged when the operating
system says that nobody is there any more, and not because it is silent. Only when there is no free
port for somebody else are all peers sent something, so that it says so, and one on UDP that was
silent for long gives way.

What unix sockets and UDP have in common is here; each has a module of its own.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable
from math import inf
from typing import Any, Final, Protocol

from twisted.application.service import Service
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.errors import PeerError, StartupError
from distnet.sockets.descriptor import Descriptor
from distnet.sockets.listen import ADVICE
from distnet.sockets.refusals import Refusals
from distnet.sockets.taken import Place
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.errors import BridgeError
from distnet.switch.core.records import Endpoint
from distnet.switch.plugs.descriptor import FRAMES_AT_ONCE, Errors, FrameSocket

USE: Final = "use unix:PATH, unix:PATH:mode=660, udp:PORT, udp:HOST:PORT or udp:[v6]:PORT"
"""What C{--dgram} takes."""

GONE: Final = frozenset(
    {errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE, errno.ENOENT}
)
"""Errors that say that nobody is there any more."""
PROBE: Final = bytes.fromhex("020000000000 020000000000 88b5") + bytes(46)
"""
A frame that asks whether somebody is there. No guest takes it: it is for an address that nobody
has, and of a type that is for experiments (IEEE 802).
"""
PROBE_SECONDS: Final = 1.0
"""How long nobody is asked again after all were there."""
_ADVICE: Final = ADVICE | {
    errno.EADDRINUSE: "; another switch, or something else, listens there:"
    " stop it, or choose another port",
    errno.EACCES: "; a UDP port below 1024 needs the privilege for as long as the switch"
    " runs, which twistd's --uid gives up: choose another port",
}

_log = Logger(namespace="distnet")


class DgramListener(Protocol):
    """
    Where to listen for datagrams, as users type it; opens nothing.

    @ivar place: what that takes of this machine, or None if it may be any.
    """

    @property
    def place(self) -> Place | None: ...

    def service(self, reactor: Any, bridge: Bridge, errors: Errors) -> DgramService:
        """What listens there once it is started."""


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
        self.peers: dict[Any, DgramPeer] = {}
        self.refusals = Refusals(reactor, "a sender of datagrams")
        self._socket: Any = None
        self._paused: set[DgramPeer] = set()
        self._all_there = -inf

    def startService(self) -> None:
        """
        Listen. Raises L{StartupError}.

        Not before twistd has given up its privileges: a unix socket so belongs to whom the switch
        runs as, and the sockets that peers on UDP get later must be bound to the same port.
        """
        try:
            self._socket = self._listen()
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, "")
            raise StartupError(
                f"cannot listen at {self.where()}: {error.strerror}{advice}"
            ) from None
        super().startService()
        self.want_to_read(True)
        self.bridge.make_room.append(self.make_room)
        _log.info("listening at {place} for QEMU's -netdev dgram", place=self.where())

    def stopService(self) -> None:
        """Unplug everybody, and listen no more."""
        super().stopService()
        with contextlib.suppress(ValueError):
            self.bridge.make_room.remove(self.make_room)
        for peer in list(self.peers.values()):
            peer.ended()
        sock, self._socket = self._socket, None
        if sock is not None:
            self.want_to_read(False)
            self._close(sock)

    # What the two kinds do differently

    def where(self) -> str:
        """Where it listens, or is to listen, as users type it."""
        raise NotImplementedError

    def _listen(self) -> socket.socket:
        """A bound socket that does not block. Raises OSError, L{StartupError}."""
        raise NotImplementedError

    def _close(self, sock: socket.socket) -> None:
        """Close what L{_listen} has made."""
        sock.close()

    def _name(self, address: Any) -> str:
        """The address of a peer as users type it."""
        raise NotImplementedError

    def _meet(self, address: Any) -> tuple[DgramPeer, int | None]:
        """A peer that was not known, and its user. Raises OSError, L{Unanswerable}."""
        raise NotImplementedError

    def _strays(self, peer: DgramPeer) -> Iterable[tuple[bytes, Any]]:
        """Datagrams, and where they are from, that came at the socket of a peer and are not its."""
        return ()

    def _give_way(self) -> DgramPeer | None:
        """The peer that is to be unplugged for another, though it may be there."""
        return None

    # What the bridge asks

    def make_room(self) -> bool:
        """There is no free port: unplug who is not there any more. Whether anybody was."""
        now = self.reactor.seconds()
        if 0 <= now - self._all_there < PROBE_SECONDS:
            return False
        leaving = [peer for peer in self.peers.values() if peer.is_gone()]
        if not leaving and (silent := self._give_way()) is not None:
            _log.info("{who} was silent for long, and gives way", who=silent.description)
            leaving = [silent]
        for peer in leaving:
            peer.ended()
        if not leaving:
            self._all_there = now
        return bool(leaving)

    # What peers tell

    def forget(self, peer: DgramPeer) -> None:
        """A peer is closed."""
        if self.peers.get(peer.address) is peer:
            del self.peers[peer.address]
        self.resume(peer)

    def pause(self, peer: DgramPeer) -> None:
        """A peer is paused: read nothing where it, and others, send to."""
        self._paused.add(peer)
        self.want_to_read(False)

    def resume(self, peer: DgramPeer) -> None:
        """A peer may be read: so may all, unless another is paused."""
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
            self.refusals.refuse(str(error.strerror), self._name(address))
        except (Unanswerable, BridgeError) as error:
            self.refusals.refuse(str(error))
        else:
            self.bridge.received(peer.endpoint, frame)
            for stray, source in self._strays(peer):
                self._arrived(stray, source)
            # After what came here before there was a socket of its own.
            self.reactor.callLater(0, peer.begin)

    def _plug(self, address: Any) -> DgramPeer:
        peer, user = self._meet(address)
        try:
            endpoint = self.bridge.attach(peer, user=user, description=peer.description)
        except BridgeError:
            peer.close()
            raise
        self.peers[address] = peer
        peer.start(endpoint)
        return peer


class DgramPeer(FrameSocket):
    """One that sends to us, as an endpoint: a socket that is connected to it."""

    module = "dgram"
    empty_is_the_end = False

    def __init__(
        self, service: DgramService, sock: socket.socket, address: Any, description: str
    ) -> None:
        super().__init__(service, sock, description)
        self.address = address
        self._service = service
        self._leaving: Any = None

    @property
    def endpoint(self) -> Endpoint:
        """What the bridge knows it as."""
        assert self._endpoint is not None
        return self._endpoint

    def begin(self) -> None:
        """Read what it sends to its own socket, if that is where it comes."""

    def is_gone(self) -> bool:
        """Whether nobody is there any more, as far as sending something tells."""
        try:
            self._transmit(PROBE)
        except OSError as error:
            return error.errno in GONE
        return False

    def close(self) -> None:
        """Close its socket. If it sends more, it is plugged in again."""
        if self.release():
            self._service.forget(self)
            if self._leaving is not None:
                self._leaving.cancel()

    def ended(self) -> None:
        """A peer is not there any more: unplug and close it."""
        if self._endpoint is not None:
            self._bridge.detach(self._endpoint)
        self.close()

    def leave(self) -> None:
        """A peer is not there any more. The bridge may be sending just now, and is told soon."""
        if self._leaving is None:
            self._leaving = self._reactor.callLater(0, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        self.ended()
