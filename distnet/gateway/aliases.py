"""Connections from this machine's ports, with 10.0.2.2 in the place of who has connected. No I/O.

libslirp shows a guest the address of who connects, but for the loopback's. A guest that has no
route, or another one, could not answer there.
"""

from __future__ import annotations

from typing import Final

from distnet.gateway.packets import IPV4
from distnet.gateway.segments import ACK, SYN, ends_of
from distnet.guestnet import Plan

MOST_ALIASES: Final = 256
"""How many connections are remembered, the newest: more than libslirp can have of one guest."""

_TCP: Final = 6
_IP: Final = 14
_PLAIN_START: Final = 34
_PLAIN_END: Final = 54
_PORTS: Final = 1 << 16
_FIRST_ALIAS: Final = 1024


class Aliases:
    """The connections to one guest."""

    def __init__(self, plan: Plan) -> None:
        self._host = plan.host.packed
        # These are never of who connects.
        self._others = {plan.master.packed, plan.name_server.packed}
        # Of both ends as libslirp has them: address and port of who connects, and the guest's.
        self._aliases: dict[bytes, bytes] = {}
        # Of address and port of the guest's, and the port at 10.0.2.2.
        self._ends: dict[bytes, bytes] = {}

    def outward(self, frame: bytes) -> bytes:
        """A frame of libslirp's, as the guest is to have it."""
        # libslirp sends no options of IPv4.
        if frame[23:24] != b"\x06" or frame[12:14] != IPV4 or frame[26:30] in self._others:
            return frame
        key = ends_of(frame, _PLAIN_START)
        alias = self._aliases.get(key)
        if alias is None:
            if len(frame) < _PLAIN_END or frame[47] & (SYN | ACK) != SYN:
                # It is of a connection that the guest has begun.
                return frame
            alias = self._add(key)
        return _changed(frame, 26, 34, self._host, alias)

    def inward(self, frame: bytes) -> bytes:
        """A frame of the guest's, with a whole packet, as libslirp is to have it."""
        if frame[23] != _TCP or frame[30:34] != self._host:
            return frame
        start = _IP + (frame[_IP] & 15) * 4
        end = self._ends.get(frame[26:30] + frame[start : start + 4])
        if end is None or len(frame) < start + 20:
            return frame
        return _changed(frame, 30, start + 2, end[:4], end[4:])

    def _add(self, key: bytes) -> bytes:
        if len(self._aliases) >= MOST_ALIASES:
            oldest = next(iter(self._aliases))
            del self._ends[oldest[6:] + self._aliases.pop(oldest)]
        port = int.from_bytes(key[4:6])
        # Its own, if nobody else's is the same.
        while (there := key[6:] + port.to_bytes(2)) in self._ends:
            port = max((port + 1) % _PORTS, _FIRST_ALIAS)
        alias = self._aliases[key] = port.to_bytes(2)
        self._ends[there] = key[:6]
        return alias


def _changed(frame: bytes, address_at: int, port_at: int, address: bytes, port: bytes) -> bytes:
    """A frame with another address and another port of TCP's at these places."""
    start = _IP + (frame[_IP] & 15) * 4
    old_address, old_port = frame[address_at : address_at + 4], frame[port_at : port_at + 2]
    if old_address == address and old_port == port:
        return frame
    made = bytearray(frame)
    made[address_at : address_at + 4] = address
    made[port_at : port_at + 2] = port
    made[24:26] = _adjusted(frame[24:26], old_address, address)
    both = start + 16, start + 18
    made[slice(*both)] = _adjusted(frame[slice(*both)], old_address + old_port, address + port)
    return bytes(made)


def _adjusted(total: bytes, before: bytes, after: bytes) -> bytes:
    """An internet checksum, when some of what it is of has changed: RFC 1624, eqn. 3."""
    changed = int.from_bytes(total) ^ 0xFFFF
    for at in range(0, len(before), 2):
        changed += (int.from_bytes(before[at : at + 2]) ^ 0xFFFF) + int.from_bytes(
            after[at : at + 2]
        )
    while changed > 0xFFFF:
        changed = (changed & 0xFFFF) + (changed >> 16)
    return (changed ^ 0xFFFF).to_bytes(2)
