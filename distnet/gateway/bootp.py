"""Messages of BOOTP (RFC 951, 1542) and DHCP (RFC 2131, 2132), in frames. No I/O.

What a message must be like to be answered is decided here, but for what it asks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from distnet.gateway.packets import IPV4, checksum, ipv4_header, mac_of, whole_packet

BROADCAST_MAC: Final = b"\xff" * 6
BROADCAST: Final = b"\xff" * 4
NOBODY: Final = bytes(4)
"""An address where there is none."""
SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68

_IP: Final = 14
_UDP_SIZE: Final = 8
_UDP: Final = 17
_FRAGMENT: Final = 0x3FFF

_FIXED: Final = struct.Struct("!BBBB4sHH4s4s4s4s16s64s128s")
"""op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname, file."""
_SHORTEST: Final = 300
"""Bytes of a message that every relay and client takes, RFC 951 and 1542."""
_REQUEST: Final = 1
_REPLY: Final = 2
_ETHERNET: Final = 1
_MAC_SIZE: Final = 6
_COOKIE: Final = b"\x63\x82\x53\x63"
_PAD: Final = 0
_END: Final = 255


class Option(IntEnum):
    """The options that are looked at or sent."""

    NETMASK = 1
    ROUTER = 3
    NAME_SERVER = 6
    ADDRESS = 50
    LEASE_SECONDS = 51
    OVERLOAD = 52
    KIND = 53
    SERVER = 54
    MESSAGE = 56
    CLIENT = 61


class Kind(IntEnum):
    """What a message of DHCP is."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Refused(StrEnum):
    """Why a message that asks for an address gets no answer."""

    PACKET = "broken packets"
    MESSAGE = "broken messages"
    RELAYED = "sent by relays"
    HARDWARE = "for other hardware than Ethernet"
    SENDER = "for other machines than their senders"
    OPTIONS = "with broken options"
    OVERLOAD = "with options in places that are not for options"
    KIND = "of no kind that guests send"
    FOREIGN = "about addresses that are not their senders'"
    BUSY = "too many at once"
    NONE_LEFT = "for which there is no address left"


@dataclass(frozen=True, slots=True)
class Request:
    """
    A message from a guest.

    @ivar mac: the guest's.
    @ivar kind: None if it is BOOTP, not DHCP.
    @ivar number: what it calls its conversation with us, 4 bytes.
    @ivar flags: as they are to be sent back; L{wants_broadcast}.
    @ivar current: the address that it has as far as it says, or L{NOBODY}: ciaddr.
    @ivar source: the address that it has sent this from.
    @ivar is_for_us: it was sent to us alone.
    @ivar options: by their numbers; those that occur twice are put together, RFC 3396.
    """

    mac: bytes
    kind: Kind | None
    number: bytes
    flags: int
    current: bytes
    source: bytes
    is_for_us: bool
    options: dict[int, bytes]

    @property
    def wants_broadcast(self) -> bool:
        """Whether it cannot take what is sent to it alone."""
        return bool(self.flags & 0x8000)


def asks(frame: bytes, servers: frozenset[bytes]) -> bool:
    """Whether a frame is for a server of BOOTP or DHCP that has one of some addresses."""
    if frame[30:34] not in servers or frame[23] != _UDP or frame[12:14] != IPV4:
        return False
    start = _IP + (frame[_IP] & 15) * 4
    return frame[start + 2 : start + 4] == b"\x00\x43" and not (
        int.from_bytes(frame[20:22]) & _FRAGMENT
    )


def read(frame: bytes) -> Request | Refused:
    """A message from a guest, in a frame for which L{asks} is true."""
    payload = _payload(frame)
    if payload is None:
        return Refused.PACKET
    if len(payload) < _FIXED.size:
        return Refused.MESSAGE
    operation, hardware, size, _, number, _, flags, current, _, _, relay, its, _, _ = (
        _FIXED.unpack_from(payload)
    )
    if operation != _REQUEST:
        return Refused.MESSAGE
    if relay != NOBODY:
        return Refused.RELAYED
    if (hardware, size) != (_ETHERNET, _MAC_SIZE):
        return Refused.HARDWARE
    mac = frame[6:12]
    if its[:_MAC_SIZE] != mac or mac[0] & 1:
        return Refused.SENDER
    options = _options(payload[_FIXED.size :])
    if isinstance(options, Refused):
        return options
    kind = _kind(options)
    if isinstance(kind, Refused):
        return kind
    return Request(
        mac, kind, number, flags, current, frame[26:30], frame[30:34] != BROADCAST, options
    )


def _payload(frame: bytes) -> bytes | None:
    """What is in a frame with UDP; None if it is broken."""
    packet = whole_packet(frame)
    if packet is None:
        return None
    start, end = packet
    length = int.from_bytes(frame[start + 4 : start + 6])
    if not _UDP_SIZE <= length <= end - start:
        return None
    datagram = frame[start : start + length]
    if datagram[6:8] != b"\0\0" and _udp_checksum(frame[26:34], datagram) != b"\0\0":
        return None
    return datagram[_UDP_SIZE:]


def _udp_checksum(addresses: bytes, datagram: bytes) -> bytes:
    pseudo = addresses + struct.pack("!HH", _UDP, len(datagram))
    return checksum(pseudo + datagram + bytes(len(datagram) % 2))


def _options(data: bytes) -> dict[int, bytes] | Refused:
    """The options of a message; none if it is of BOOTP before there were any."""
    found: dict[int, bytes] = {}
    if not data.startswith(_COOKIE):
        return found
    place = len(_COOKIE)
    while place < len(data) and data[place] != _END:
        code = data[place]
        if code == _PAD:
            place += 1
            continue
        begin = place + 2
        place = begin + int.from_bytes(data[begin - 1 : begin])
        found[code] = found.get(code, b"") + data[begin:place]
    if place >= len(data) and found:
        # Its end is missing, or behind that of the message.
        return Refused.OPTIONS
    if Option.OVERLOAD in found:
        return Refused.OVERLOAD
    sizes = ((Option.KIND, 1), (Option.ADDRESS, 4), (Option.SERVER, 4))
    if any(len(found.get(option, bytes(size))) != size for option, size in sizes):
        return Refused.OPTIONS
    return found


def _kind(options: dict[int, bytes]) -> Kind | Refused | None:
    number = options.get(Option.KIND)
    if number is None:
        return None
    try:
        return Kind(number[0])
    except ValueError:
        return Refused.KIND


def reply(
    request: Request,
    server: bytes,
    address: bytes,
    options: Iterable[tuple[Option, bytes]],
    *,
    is_its_own: bool = True,
) -> bytes:
    """
    A frame that answers a guest.

    It goes to the guest's own MAC address, unless it wants it otherwise, but as long as it does not
    use an address, to that of everybody: there are kernels that take nothing else then, and
    libslirp sends to nobody else.

    @param server: our address.
    @param address: the guest's, or L{NOBODY}.
    @param is_its_own: what the guest has for its address is that, and can be used.
    """
    current = request.current if is_its_own else NOBODY
    fixed = _FIXED.pack(
        _REPLY, _ETHERNET, _MAC_SIZE, 0, request.number, 0, request.flags, current, address,
        NOBODY if address == NOBODY else server, NOBODY, request.mac, b"", b"",
    )  # fmt: skip
    data = b"".join(bytes((option, len(value))) + value for option, value in options)
    message = (fixed + _COOKIE + data + bytes((_END,))).ljust(_SHORTEST, b"\0")
    uses_it = current not in (NOBODY, BROADCAST) and current == request.source
    target = current if uses_it else BROADCAST
    alone = uses_it or not request.wants_broadcast
    udp = struct.pack("!HHHH", SERVER_PORT, CLIENT_PORT, _UDP_SIZE + len(message), 0) + message
    its_sum = _udp_checksum(server + target, udp)
    udp = udp[:6] + (its_sum if its_sum != b"\0\0" else b"\xff\xff") + udp[8:]
    head = ipv4_header(server + target, _UDP, len(udp))
    ethernet = (request.mac if alone else BROADCAST_MAC) + mac_of(server) + IPV4
    return b"".join((ethernet, head, udp))


def probe(server: bytes, address: bytes) -> bytes:
    """A frame that asks whether anybody has an address, on behalf of nobody: RFC 5227, 2.1.1."""
    mac = mac_of(server)
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + NOBODY + bytes(6) + address
    return (BROADCAST_MAC + mac + b"\x08\x06" + body).ljust(60, b"\0")
