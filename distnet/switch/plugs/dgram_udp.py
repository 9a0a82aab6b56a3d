"""Datagrams of UDP that are frames: where to listen, the service, and its peers."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from distnet.address import LOOPBACK, MAX_PORT
from distnet.sockets.descriptor import grow_receive_buffer, grow_send_buffer
from distnet.sockets.taken import Place
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.records import Endpoint
from distnet.switch.plugs.descriptor import FRAMES_AT_ONCE, Errors
from distnet.switch.plugs.dgram import GONE, USE, DgramPeer, DgramService
from distnet.text import host_port

RECEIVE_BUFFER: Final = 2 * 1024 * 1024
"""
Bytes of SO_RCVBUF for each UDP peer: about 1800 frames of 1500 bytes.

That is what a sender of 90,000 of them in a second sends while it is paused. The kernel doubles the
number, and counts 2304 bytes for such a frame.
"""

_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("9I")
_DROPS: Final = 8
"""C{SK_MEMINFO_DROPS} of linux/sock_diag.h."""


@dataclass(frozen=True, slots=True)
class UdpDgramListener:
    """
    A UDP port.

    @ivar family: of the address, as in L{socket}.
    @ivar address: as that family has it; it begins with the IP address and the port, 0 for any.
    """

    family: int
    address: tuple[Any, ...]

    @property
    def place(self) -> Place | None:
        """What it takes of this machine, unless that is any free port."""
        host, port = self.address[:2]
        return Place("udp", host, port) if port else None

    def __str__(self) -> str:
        return show_udp(self.address)

    def service(self, reactor: Any, bridge: Bridge, errors: Errors) -> DgramService:
        """What listens there once it is started."""
        return UdpDgramService(self, reactor, bridge, errors)


def show_udp(address: tuple[Any, ...]) -> str:
    """The address of a UDP socket as users type it."""
    host, port = address[:2]
    return f"udp:{host_port(host, port)}"


def parse_udp(text: str) -> UdpDgramListener:
    """C{udp:PORT} on loopback, C{udp:HOST:PORT}. Raises ValueError in one line."""
    rest = text.partition(":")[2]
    host, colon, port = rest.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT))) or (
        int(port) > MAX_PORT
    ):
        raise ValueError(f"{text!r}: {port!r} is not a port: {USE}")
    if not colon:
        host = LOOPBACK
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, like udp:[::1]:{port}")
    try:
        found = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, UnicodeError):
        raise ValueError(f"{text!r}: {host!r} is not an IP address: {USE}") from None
    family, _, _, _, address = found[0]
    return UdpDgramListener(family, address)


class UdpDgramService(DgramService):
    """Listens at a UDP port. Peers are known by host and port."""

    def __init__(
        self, listener: UdpDgramListener, reactor: Any, bridge: Bridge, errors: Errors
    ) -> None:
        super().__init__(reactor, bridge, errors)
        self._listener = listener

    def where(self) -> str:
        """With the port that the kernel has chosen, if that was 0."""
        return str(self._listener) if self._socket is None else show_udp(self._socket.getsockname())

    def _listen(self) -> socket.socket:
        sock = self._make_socket()
        try:
            sock.bind(self._listener.address)
        except OSError:
            sock.close()
            raise
        return sock

    def _name(self, address: Any) -> str:
        return show_udp(address)

    def _meet(self, address: Any) -> tuple[DgramPeer, int | None]:
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
        return UdpPeer(self, sock, address, self._name(address)), None

    def _strays(self, peer: DgramPeer) -> Iterable[tuple[bytes, Any]]:
        """Of anybody: until the socket was connected, it was as good as the one all send to."""
        with socket.socket(fileno=os.dup(peer.fileno())) as sock:
            for _ in range(FRAMES_AT_ONCE):
                try:
                    yield sock.recvfrom(self.bridge.limits.max_frame + 1)
                except OSError:
                    return

    def _give_way(self) -> DgramPeer | None:
        """
        The one that was silent for longest, if for so long that its addresses are forgotten.

        Of one on another machine that was switched off the operating system says nothing.
        """
        peers = (peer for peer in self.peers.values() if isinstance(peer, UdpPeer))
        longest = min(peers, key=lambda peer: peer.heard, default=None)
        since = self.reactor.seconds() - self.bridge.fdb.expire_seconds
        return longest if longest is not None and longest.heard <= since else None

    def _make_socket(self) -> socket.socket:
        sock = socket.socket(self._listener.family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        if self._listener.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        grow_receive_buffer(sock, RECEIVE_BUFFER)
        return sock


class UdpPeer(DgramPeer):
    """
    A peer on UDP. Its socket has our address, so that the kernel hands what it sends to that one.

    What the kernel had no room for there is counted at its port.

    @ivar heard: when something has last come from it, in seconds as the reactor counts.
    """

    heard = 0.0
    _dropped = 0

    def start(self, endpoint: Endpoint) -> None:
        """It is plugged in; what came before is not read yet."""
        self._endpoint = endpoint
        self.heard = self._reactor.seconds()

    def begin(self) -> None:
        """Read it from now on."""
        if self._open and not self._paused:
            self.want_to_read(True)

    def doRead(self) -> None:
        """Frames have come: take some, and count what the kernel had no room for."""
        self.heard = self._reactor.seconds()
        super().doRead()
        if self._open:
            self._count_dropped()

    def is_gone(self) -> bool:
        """The answer of its machine comes later, but of this one at once."""
        return (
            super().is_gone() or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in GONE
        )

    def unreadable(self, error: OSError) -> None:
        """What was sent to it before may have come back."""
        super().unreadable(error)
        if error.errno in GONE:
            self.ended()

    def refused(self, error: OSError, frame: bytes) -> bool:
        """A frame is refused; if that says that nobody is there any more, it is unplugged soon."""
        if error.errno in GONE:
            self.leave()
        return super().refused(error, frame)

    def _count_dropped(self) -> None:
        answer = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        dropped = _MEMINFO.unpack(answer)[_DROPS]
        if dropped != self._dropped:
            # The kernel counts in 32 bits.
            self._bridge.overrun(self.endpoint, (dropped - self._dropped) % 2**32)
            self._dropped = dropped
