"""What the gateway answers by itself: questions for its addresses, and pings of them. No I/O.

ARP (RFC 826; its probes, RFC 5227), IPv4 (RFC 791), ICMP's echo (RFC 792). Nothing is remembered
from one frame to the next, not of fragments either.
"""

from __future__ import annotations

from typing import Final

from distnet.gateway.packets import IPV4, checksum, ipv4_header, mac_of, whole_packet
from distnet.guestnet import Plan

_SHORTEST: Final = 60
"""Bytes of a frame of Ethernet's without its checksum; what is shorter is padded."""

_ARP_REQUEST: Final = b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01"
_ARP_REPLY: Final = b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02"
_ARP_END: Final = 42
_EVERYBODY: Final = b"\xff" * 6

_IP_SIZE: Final = 20
_ICMP: Final = 1
_ICMP_SIZE: Final = 8
_ECHO_REQUEST: Final = 8
_ECHO_REPLY: Final = 0
_DO_NOT_FRAGMENT: Final = 0x4000
_MORE: Final = 0x2000
_OFFSET: Final = 0x1FFF
_LONGEST: Final = 65535


class Answers:
    """
    Answers to what guests ask the gateway's own addresses.

    @ivar own: these addresses, 4 bytes each. Without NAT there is no name server among them.
    """

    def __init__(self, plan: Plan, nat: bool) -> None:
        self.own = frozenset(
            address.packed for address in plan.own if nat or address != plan.name_server
        )
        self._replies = {
            own: (mac_of(own) + _ARP_REPLY + mac_of(own) + own, bytes(_SHORTEST - _ARP_END))
            for own in self.own
        }
        self._host = plan.host.packed
        self._macs = {mac_of(own) for own in self.own}
        # Nobody can be answered there.
        self._nobody = self.own | {plan.network.broadcast_address.packed}

    def arp(self, frame: bytes) -> bytes | None:
        """
        Answer a frame that asks for an address of ours.

        @return: the answer, or None if a frame does not ask that, or asks under such an address.
        """
        reply = self._replies.get(frame[38:_ARP_END])
        if (
            reply is None
            or frame[12:22] != _ARP_REQUEST
            or not (frame[0] & 1 or frame[:6] in self._macs)
            or frame[28:32] in self._replies
        ):
            return None
        asking = frame[22:28]
        if asking[0] & 1 or asking in self._macs:
            return None
        head, padding = reply
        return asking + head + asking + frame[28:32] + padding

    def who_has(self, address: bytes, mac: bytes | None) -> bytes:
        """A frame that asks a machine, or everybody, for an address, from the gateway's own."""
        own = mac_of(self._host)
        asking = own + self._host + bytes(6) + address
        return (mac or _EVERYBODY) + own + _ARP_REQUEST + asking + bytes(_SHORTEST - _ARP_END)

    def echo(self, frame: bytes) -> bytes | None:
        """
        Answer a ping of an address of ours, or a fragment of one.

        Each fragment is turned round as it is; only in the first one it can be seen that it is of
        a ping. Options of IPv4 are not sent back. Nor is a checksum of ICMP's looked at that is one
        of several fragments: if it was wrong, that of the answer is as wrong.

        @return: the answer, or None if a frame is no ping of ours, or is broken.
        """
        own = frame[30:34]
        if own not in self._replies or frame[12:14] != IPV4 or frame[23] != _ICMP:
            return None
        packet = whole_packet(frame)
        if packet is None or frame[:6] not in self._macs or not self._can_be_answered(frame):
            return None
        start, end = packet
        if start == end:
            return None
        place = int.from_bytes(frame[20:22])
        icmp = _turned_round(frame[start:end], place)
        if icmp is None:
            return None
        number, place = int.from_bytes(frame[18:20]), place & (_DO_NOT_FRAGMENT | _MORE | _OFFSET)
        head = ipv4_header(own + frame[26:30], _ICMP, len(icmp), number, place, service=frame[15])
        ethernet = frame[6:12] + mac_of(own) + IPV4
        return ethernet + head + icmp

    def _can_be_answered(self, frame: bytes) -> bool:
        """Whether the sender of a packet is one machine, and none of ours."""
        mac, address = frame[6:12], frame[26:30]
        return (
            not mac[0] & 1
            and mac not in self._macs
            and address not in self._nobody
            and address[0] not in (0, 127)
            and address[0] < 224
        )


def _turned_round(icmp: bytes, place: int) -> bytes | None:
    """
    What answers the ICMP of a packet, or a part of it.

    @param place: where in a packet that is, and whether more follows, as IPv4 has it.
    @return: None if it is not of a ping, or broken.
    """
    offset, more = (place & _OFFSET) * 8, place & _MORE
    if offset:
        whole = not more or not len(icmp) % 8
        return icmp if whole and _IP_SIZE + offset + len(icmp) <= _LONGEST else None
    if len(icmp) < _ICMP_SIZE or icmp[0] != _ECHO_REQUEST:
        return None
    if more:
        if len(icmp) % 8:
            return None
    elif checksum(icmp + bytes(len(icmp) % 2)) != b"\0\0":
        return None
    return b"".join((bytes((_ECHO_REPLY,)), icmp[1:2], _without_request(icmp[2:4]), icmp[4:]))


def _without_request(old: bytes) -> bytes:
    """The checksum of a ping's answer, of that of the ping: RFC 1624, eqn. 3."""
    total = (int.from_bytes(old) ^ 0xFFFF) + ((_ECHO_REQUEST << 8) ^ 0xFFFF) + (_ECHO_REPLY << 8)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return (total ^ 0xFFFF).to_bytes(2)
