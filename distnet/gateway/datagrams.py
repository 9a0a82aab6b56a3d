"""Ports of this machine whose datagrams go to a guest, and its answers to who has asked.

libslirp would do that too, but it sends the answers nowhere if its guests are not to reach the
network of this machine, or its loopback.

To the guest all come from 10.0.2.2, each sender from a port of its own there.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final

from distnet.gateway.hostforward import HostForward, bound
from distnet.gateway.loop import Loop
from distnet.gateway.udp import HEAD, PROTOCOL, frames_to
from distnet.guestnet import Plan

MOST_SENDERS: Final = 256
"""How many are remembered, so that they get answers; the one that was silent for longest is not."""
AT_ONCE: Final = 32
"""Datagrams that are read before others have their turn."""

_LONGEST: Final = 65507
_PORTS: Final = 1 << 16
_FIRST_ALIAS: Final = 1024

_Sender = tuple[str, int]


class Datagrams:
    """All such ports that lead to one guest, in its process."""

    def __init__(self, loop: Loop, plan: Plan, put: Callable[[bytes], object]) -> None:
        """
        @param put: sends the guest a frame.
        """
        self.mac = bytes(6)
        self._loop = loop
        self._put = put
        self._host = plan.host.packed
        self._sockets: dict[HostForward, socket.socket] = {}
        # By the guest's address and port and the sender's alias, as the guest's answers have them;
        # who was heard or answered last is last.
        self._senders: dict[bytes, tuple[HostForward, _Sender]] = {}
        self._aliases: dict[tuple[HostForward, _Sender], bytes] = {}
        self._number = 0

    def add(self, forward: HostForward) -> None:
        """Take datagrams there. Raises OSError."""
        sock = self._sockets[forward] = bound(forward)
        self._loop.add_reader(sock.fileno(), lambda: self._readable(forward))

    def remove(self, forward: HostForward) -> None:
        """Do not any more."""
        sock = self._sockets.pop(forward)
        self._loop.remove_reader(sock.fileno())
        sock.close()
        for key in [key for key, sender in self._senders.items() if sender[0] == forward]:
            self._forget(key)

    def answer(self, frame: bytes) -> bool:
        """
        Take an answer of the guest's.

        @param frame: with a whole packet of IPv4.
        @return: False if it is nobody's who has asked.
        """
        if frame[23] != PROTOCOL or frame[30:34] != self._host or not self._sockets:
            return False
        start = 14 + (frame[14] & 15) * 4
        end = 14 + int.from_bytes(frame[16:18])
        if end - start < HEAD.size:
            return False
        key = frame[26:30] + frame[start : start + 4]
        sender = self._senders.pop(key, None)
        if sender is None:
            return False
        self._senders[key] = sender
        size = int.from_bytes(frame[start + 4 : start + 6])
        if HEAD.size <= size <= end - start:
            forward, where = sender
            # As any datagram, it may be lost.
            with contextlib.suppress(OSError):
                self._sockets[forward].sendto(frame[start + HEAD.size : start + size], where)
        return True

    def _readable(self, forward: HostForward) -> None:
        sock = self._sockets[forward]
        for _ in range(AT_ONCE):
            try:
                payload, sender = sock.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError:
                # Somebody who was answered is there no more.
                continue
            alias = self._alias(forward, sender)
            self._number = (self._number + 1) % _PORTS
            target = forward.guest.packed, forward.guest_port
            for frame in frames_to(self.mac, (self._host, alias), target, payload, self._number):
                self._put(frame)

    def _alias(self, forward: HostForward, sender: _Sender) -> int:
        """The port that a sender has at 10.0.2.2."""
        key = self._aliases.get((forward, sender))
        if key is None:
            if len(self._senders) >= MOST_SENDERS:
                self._forget(next(iter(self._senders)))
            key = self._free_key(forward, sender[1])
            self._aliases[forward, sender] = key
        self._senders.pop(key, None)
        self._senders[key] = forward, sender
        return int.from_bytes(key[6:])

    def _free_key(self, forward: HostForward, port: int) -> bytes:
        end = forward.guest.packed + forward.guest_port.to_bytes(2)
        # Its own port, if no other sender has the same one.
        while (key := end + port.to_bytes(2)) in self._senders:
            port = max((port + 1) % _PORTS, _FIRST_ALIAS)
        return key

    def _forget(self, key: bytes) -> None:
        del self._aliases[self._senders.pop(key)]
