"""How many bytes that were sent a peer has not read yet, where the operating system knows, and
when it has.

On a unix socket that is what SIOCOUTQ says of our own socket (unix(7), sockios.h). On TCP it says
only what the peer's machine has not acknowledged; but if that machine is this one, the peer's own
socket can be asked through sock_diag(7): for its receive queue, and for how much has come to it,
since what was read is acknowledged up to 40 ms later if the peer has sent something before.

No library is used for the latter: the one there is, pyroute2, can only list every socket of the
machine, which took 830 µs where the question for one takes 9.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from fcntl import ioctl
from typing import Any, Final

from distnet.sockets.peers import Address, on_same_machine

ROUND_SECONDS: Final = 0.05
"""How often links are looked at that nobody is in a hurry about."""
ROUND_SHARE: Final = 20
"""A round takes at most one part in so many of the time."""
EAGER_SECONDS: Final = 0.05
"""How long a link is looked at eagerly, before it joins the rounds."""
_SPIN_SECONDS: Final = 0.0002
_TIMER_SECONDS: Final = 0.001

_SIOCOUTQ = 0x5411

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_NLMSG_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")
_PORTS = struct.Struct("!HH")
_INTERFACE_AND_COOKIE = struct.Struct("=III")
_ALL_STATES = _ANY_COOKIE = 0xFFFFFFFF
_QUEUES_OFFSET = _NLMSG_HEADER.size + 4 + 48 + 4
_ATTRIBUTES_OFFSET = _NLMSG_HEADER.size + 72
_ATTRIBUTE = struct.Struct("=HH")
_INET_DIAG_INFO = 2
_WITH_TCP_INFO = 1 << (_INET_DIAG_INFO - 1)
# linux/tcp.h, struct tcp_info
_BYTES_ACKED = 120
_BYTES_RECEIVED = 128
_COUNT = struct.Struct("=Q")

Unread = Callable[[], int | None]


def _queue_of(answer: bytes) -> int:
    return int(struct.unpack_from("=I", answer, _QUEUES_OFFSET)[0])


def unsent(sock: socket.socket) -> int | None:
    """
    Bytes that the peer (unix), or the peer's machine (TCP), has not taken over yet.

    @return: None if the socket is closed.
    """
    if sock.fileno() < 0:
        return None
    answer = ioctl(sock.fileno(), _SIOCOUTQ, b"\0\0\0\0")
    return int(struct.unpack("=i", answer)[0])


def _acked(sock: socket.socket) -> int:
    """Bytes that the peer's machine has acknowledged since a TCP socket was connected."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED)
    return int(_COUNT.unpack_from(info, _BYTES_ACKED)[0]) if len(info) >= _BYTES_RECEIVED else -1


class SockDiag:
    """Asks the kernel for the receive queues of other TCP sockets of this machine."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None

    def receive_queue(self, family: int, local: Address, remote: Address) -> int | None:
        """
        Bytes that have come to a socket and that its owner has not read.

        @param family: AF_INET or AF_INET6.
        @param local: the address of that socket, and C{remote} of its peer: (host, port, ...).
        @return: the bytes, or None if there is no such socket here or the kernel does not tell.
        """
        answer = self._ask(family, local, remote, 0)
        return None if answer is None else _queue_of(answer)

    def received(self, family: int, local: Address, remote: Address) -> tuple[int, int] | None:
        """
        The same, and the bytes that have come to the socket since it was connected.

        @return: None too if the kernel is older than 4.1, which counts them (tcp(7), TCP_INFO).
        """
        answer = self._ask(family, local, remote, _WITH_TCP_INFO)
        if answer is None:
            return None
        at = _ATTRIBUTES_OFFSET
        while at + _ATTRIBUTE.size <= len(answer):
            size, kind = _ATTRIBUTE.unpack_from(answer, at)
            if kind == _INET_DIAG_INFO and size >= _BYTES_RECEIVED + 12:
                (count,) = _COUNT.unpack_from(answer, at + _ATTRIBUTE.size + _BYTES_RECEIVED)
                return _queue_of(answer), count
            at += max(size + 3 & ~3, _ATTRIBUTE.size)
        return None

    def _ask(self, family: int, local: Address, remote: Address, more: int) -> bytes | None:
        sock_id = (
            _PORTS.pack(local[1], remote[1])
            + socket.inet_pton(family, local[0]).ljust(16, b"\0")
            + socket.inet_pton(family, remote[0]).ljust(16, b"\0")
            + _INTERFACE_AND_COOKIE.pack(0, _ANY_COOKIE, _ANY_COOKIE)
        )
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, more, _ALL_STATES) + sock_id
        header = _NLMSG_HEADER.pack(
            _NLMSG_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0
        )
        try:
            netlink = self._open()
            netlink.send(header + request)
            answer = netlink.recv(4096)
        except OSError:
            self.close()
            return None
        if _NLMSG_HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
            return None
        return answer

    def close(self) -> None:
        """Close the netlink socket; it is opened again when it is needed."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def _open(self) -> socket.socket:
        if self._netlink is None:
            self._netlink = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
            )
            # The answer comes within the send; should it ever not, the master must not hang.
            self._netlink.settimeout(1)
            self._netlink.connect((0, 0))
        return self._netlink


def how_to_tell(sock: socket.socket, diag: SockDiag, acked_is_read: bool) -> tuple[Unread, bool]:
    """
    How to find out what the peer of a connected stream socket has not read.

    @param acked_is_read: for a peer on another machine, take what that machine has acknowledged
        for read.
    @return: a function, and whether what it tells is about the peer itself: if it is not, it tells
        how much the peer's machine has not acknowledged.
    """
    if sock.family == socket.AF_UNIX:
        return lambda: unsent(sock), True
    local, remote = sock.getsockname(), sock.getpeername()

    def not_read() -> int | None:
        # In this order: what is still under way to the peer's queue is in neither afterwards.
        waiting = unsent(sock)
        if waiting is None:
            return None
        if not waiting:
            return diag.receive_queue(sock.family, remote, local)
        told = diag.received(sock.family, remote, local)
        if told is None or told[1] != _acked(sock) + waiting:
            return waiting
        return told[0]

    if on_same_machine(local, remote) and not_read() is not None:
        return not_read, True
    return lambda: unsent(sock), acked_is_read


class UnreadWatch:
    """
    Calls back once for each watched link, when its L{ILink.unread} is not above 0 any more.

    The operating system has no event for this, so it is polled. A link that holds messages up is
    polled at growing intervals, first at every turn of the reactor; links that stay unread share
    one round, which gets rarer as it gets longer, so that thousands of stopped kernels cost little.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._diag = SockDiag()
        self._watched: dict[Any, Callable[[], None]] = {}
        self._eager: dict[Any, Any] = {}
        self._round: Any = None

    def how_to_tell(self, sock: socket.socket, acked_is_read: bool) -> tuple[Unread, bool]:
        """L{how_to_tell}, with one socket of the operating system for all who are asked for."""
        return how_to_tell(sock, self._diag, acked_is_read)

    def close(self) -> None:
        """Close what was opened to ask; it is opened again when it is needed."""
        self._diag.close()

    def watch(self, link: Any, was_read: Callable[[], None], eager: bool) -> None:
        """
        Call C{was_read} once, when the link's peer has read all; never from within this call.

        Asking twice is the same as asking once, but for C{eager}.
        """
        self._watched[link] = was_read
        if eager and link not in self._eager:
            self._look_soon(link, self._clock.seconds())
        elif not eager:
            self._begin_round(ROUND_SECONDS)

    def forget(self, link: Any) -> None:
        """Do not look at a link any more."""
        self._watched.pop(link, None)
        self._stop_looking_eagerly(link)
        if not self._watched and self._round is not None:
            self._round.cancel()
            self._round = None

    def _look_soon(self, link: Any, since: float) -> None:
        elapsed = self._clock.seconds() - since
        if elapsed >= EAGER_SECONDS:
            self._eager.pop(link, None)
            self._begin_round(ROUND_SECONDS)
            return
        delay = 0 if elapsed < _SPIN_SECONDS else max(elapsed / 2, _TIMER_SECONDS)
        self._eager[link] = self._clock.callLater(delay, self._look_eagerly, link, since)

    def _look_eagerly(self, link: Any, since: float) -> None:
        if not self._look(link):
            self._look_soon(link, since)

    def _begin_round(self, seconds: float) -> None:
        if self._round is None:
            self._round = self._clock.callLater(seconds, self._look_at_all)

    def _look_at_all(self) -> None:
        self._round = None
        began = self._clock.seconds()
        for link in [link for link in self._watched if link not in self._eager]:
            if link in self._watched:
                self._look(link)
        if any(link not in self._eager for link in self._watched):
            took = self._clock.seconds() - began
            self._begin_round(max(ROUND_SECONDS, took * ROUND_SHARE))

    def _look(self, link: Any) -> bool:
        if link.unread():
            return False
        was_read = self._watched.pop(link)
        self._stop_looking_eagerly(link)
        was_read()
        return True

    def _stop_looking_eagerly(self, link: Any) -> None:
        call = self._eager.pop(link, None)
        if call is not None and call.active():
            call.cancel()
