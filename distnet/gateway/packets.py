"""How packets of IPv4 are made up, and which MAC addresses are ours. No I/O."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address
from typing import Final

IPV4: Final = b"\x08\x00"
"""The EtherType of IPv4, as frames have it."""

_HEADER_SIZE: Final = 14
_IPV4_SIZE: Final = 20
_HEADER: Final = struct.Struct("!BBHHHBBH")
_TTL: Final = 64


def mac_of(address: bytes) -> bytes:
    """The MAC address that libslirp gives to an IPv4 address of its own."""
    return b"\x52\x55" + address


def show_address(address: bytes) -> str:
    """An IPv4 address as people write it."""
    return str(IPv4Address(address))


def whole_packet(frame: bytes) -> tuple[int, int] | None:
    """
    Where what is in a packet of IPv4 begins and ends in its frame.

    @return: None if it is not whole, or its header is broken.
    """
    if len(frame) < _HEADER_SIZE + _IPV4_SIZE:
        return None
    size, end = (frame[14] & 15) * 4, _HEADER_SIZE + int.from_bytes(frame[16:18])
    start = _HEADER_SIZE + size
    if (
        frame[14] >> 4 != 4
        or size < _IPV4_SIZE
        or not start <= end <= len(frame)
        or checksum(frame[_HEADER_SIZE:start]) != b"\0\0"
    ):
        return None
    return start, end


def ipv4_header(
    addresses: bytes, protocol: int, size: int, number: int = 0, place: int = 0, *, service: int = 0
) -> bytes:
    """
    The header of a packet of IPv4, without options.

    @param addresses: of who sends it, and to whom, 8 bytes.
    @param size: bytes of what comes after it.
    @param number: the packet's identification, should it be in fragments.
    @param place: which fragment it is: the flags, and where its data belong.
    @param service: its type of service.
    """
    total = _IPV4_SIZE + size
    head = _HEADER.pack(0x45, service, total, number, place, _TTL, protocol, 0) + addresses
    return head[:10] + checksum(head) + head[12:]


def checksum(data: bytes) -> bytes:
    """The internet checksum, RFC 1071, of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2)
