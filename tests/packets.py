"""Packets as bytes, for guests made of frames: ARP, IPv4, UDP, TCP, and DHCP with BOOTP."""

from __future__ import annotations

import struct


def arp_body(
    kind: int, sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes
) -> bytes:
    """A message of ARP, RFC 826: a question, 1, or an answer, 2."""
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, kind) + sender_mac + sender + target_mac + target


def ip_packet(
    source: bytes,
    target: bytes,
    protocol: int,
    data: bytes,
    *,
    number: int = 0,
    place: int = 0,
    options: bytes = b"",
) -> bytes:
    """
    A packet of IPv4.

    @param number: its identification; C{place} is its place in a datagram, with the flags.
    @param options: their length is a multiple of 4.
    """
    size = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH", 0x40 | size // 4, 0, size + len(data), number, place, 64, protocol, 0
    )
    head += source + target + options
    return head[:10] + checksum(head) + head[12:] + data


def udp_datagram(ports: tuple[int, int], data: bytes) -> bytes:
    """A datagram, without a checksum."""
    return struct.pack("!HHHH", *ports, 8 + len(data), 0) + data


def tcp_segment(
    ends: tuple[bytes, bytes],
    ports: tuple[int, int],
    numbers: tuple[int, int],
    flags: int,
    data: bytes = b"",
    *,
    window: int = 65535,
    options: bytes = b"",
) -> bytes:
    """
    A segment of TCP; its C{options} are a multiple of 4 bytes.

    @param ends: the addresses that it goes between.
    @param numbers: its sequence number, and what it acknowledges.
    """
    segment = struct.pack("!HHIIBBHHH", *ports, *numbers, 0, flags, window, 0, 0)
    segment = segment[:12] + bytes([5 + len(options) // 4 << 4]) + segment[13:] + options + data
    pseudo = ends[0] + ends[1] + struct.pack("!HH", 6, len(segment))
    return segment[:16] + checksum(pseudo + segment) + segment[18:]


def bootp_message(mac: bytes, kind: int | None, options: bytes = b"") -> bytes:
    """A client's message of DHCP, RFC 2131, or of BOOTP, which has no kind."""
    message = struct.pack("!BBBBIHH", 1, 1, 6, 0, int.from_bytes(mac[2:]), 0, 0x8000)
    message += bytes(16) + mac + bytes(10) + bytes(192) + b"\x63\x82\x53\x63"
    if kind is not None:
        message += bytes((53, 1, kind))
    return message + options + b"\xff" + bytes(60)


def dhcp_answer(frame: bytes, mac: bytes) -> dict[int, bytes] | None:
    """The options of an answer, the address itself as option 0; None if a frame is none."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[34:36] != b"\x00\x43":
        return None
    message = frame[42:]
    if message[28:34] != mac:
        return None
    options, rest = {0: message[16:20]}, message[240:]
    while rest and rest[0] != 255:
        if rest[0] == 0:
            rest = rest[1:]
            continue
        options[rest[0]] = rest[2 : 2 + rest[1]]
        rest = rest[2 + rest[1] :]
    return options


def checksum(data: bytes) -> bytes:
    """The internet checksum, RFC 1071; of an odd number of bytes, as if there were another 0."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", total ^ 0xFFFF)
