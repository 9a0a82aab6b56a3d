"""Datagrams to guests as frames. No I/O.

UDP (RFC 768) in IPv4 (RFC 791) in Ethernet II.
"""

from __future__ import annotations

import struct
from typing import Final

from distnet.gateway.packets import IPV4, checksum, ipv4_header, mac_of

MOST_WHOLE: Final = 1472
"""Bytes of data in the largest datagram that needs no fragments."""

PROTOCOL: Final = 17
HEAD: Final = struct.Struct("!4H")
"""Both ports, the length with this head, and the checksum."""
_DO_NOT_FRAGMENT: Final = 0x4000
_MORE: Final = 0x2000
_MOST_IN_FRAME: Final = 1480
"""Bytes of a packet's in one frame; in all fragments but the last it must be a multiple of 8."""


def frames_to(
    mac: bytes,
    source: tuple[bytes, int],
    target: tuple[bytes, int],
    payload: bytes,
    number: int = 0,
) -> list[bytes]:
    """
    The frames that bring a datagram to a guest, from an address of the gateway's.

    @param mac: the guest's, 6 bytes.
    @param source: an address of the gateway's in 4 bytes, and a port.
    @param target: an address of the guest's, and a port.
    @param payload: at most 65,507 bytes.
    @param number: the identification of the packet, 16 bits, should it be in fragments.
    """
    (here, port), (address, to) = source, target
    size = HEAD.size + len(payload)
    udp = HEAD.pack(port, to, size, 0) + payload
    pseudo = here + address + struct.pack("!2H", PROTOCOL, size)
    # In UDP a sum of zero means that there is none.
    total = checksum(pseudo + udp + bytes(size % 2))
    udp = udp[:6] + (b"\xff\xff" if total == bytes(2) else total) + udp[8:]
    ethernet, addresses = mac + mac_of(here) + IPV4, here + address
    if size <= _MOST_IN_FRAME:
        # Never in fragments, so that its identification can be the same as all others'.
        return [ethernet + ipv4_header(addresses, PROTOCOL, size, 0, _DO_NOT_FRAGMENT) + udp]
    return [
        ethernet
        + ipv4_header(
            addresses,
            PROTOCOL,
            len(part := udp[start : start + _MOST_IN_FRAME]),
            number,
            start // 8 | (_MORE if start + _MOST_IN_FRAME < size else 0),
        )
        + part
        for start in range(0, size, _MOST_IN_FRAME)
    ]
