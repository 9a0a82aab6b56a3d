"""
What the gateway needs to know of a frame: whose it is, and whether it is for us. No I/O.

Ethernet II, ARP (RFC 826), IPv4 (RFC 791), TCP (RFC 9293), DHCP's ports (RFC 2131).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple

from distnet.gateway.packets import IPV4, mac_of
from distnet.gateway.segments import (
    ACK,
    FIN,
    RST,
    SYN,
    Progress,
    Segment,
    bare_segment,
    read_segment,
)
from distnet.guestnet import Plan

LONGEST: Final = 1536
"""Bytes of a frame of zCore's, whose MTU of 1536 counts the Ethernet header."""

_HEADER_SIZE: Final = 14
_ARP: Final = b"\x08\x06"
_ARP_HEAD: Final = struct.Struct("!HHBBH")
_ARP_IPV4: Final = (1, 0x0800, 6, 4)
_ARP_SIZE: Final = 28
_IPV4_SIZE: Final = 20
_TCP_SIZE: Final = 20
_TCP: Final = 6
_UDP: Final = 17
_MORE_FRAGMENTS_AND_OFFSET: Final = 0x3FFF
_DHCP_SERVER: Final = (67).to_bytes(2)
_SEQUENCES: Final = 1 << 32

_PLAIN: Final = b"\x08\x00\x45"
"""What an Ethernet header ends with, and IPv4 without options begins with."""
_PLAIN_TCP_SIZE: Final = _HEADER_SIZE + _IPV4_SIZE + _TCP_SIZE
_PLAIN_TCP: Final = struct.Struct("!HxxHxBxx4s4sHHIIBB").unpack_from
"""
Of IPv4 without options, from its length on: the length, where its data belong, its protocol, source
and target; and of TCP both ports and numbers, the size of its header, and its flags.
"""
_SYN_AND_FIN: Final = SYN | FIN
_LEAST_OFFSET: Final = _TCP_SIZE // 4 << 4
_new: Final = tuple.__new__


class Refusal(StrEnum):
    """Why a frame does not get into libslirp."""

    SIZE = "too short or too long"
    FOREIGN = "for other machines"
    TYPE = "neither ARP nor IPv4"
    BROKEN = "broken"
    UNWANTED = "broadcasts of no interest"
    FORBIDDEN = "to addresses that nobody may reach through us"
    DUPLICATE = "from a machine with an address of ours"


class Seen(NamedTuple):
    """
    A frame from the switch.

    @ivar mac: who has sent it, 6 bytes.
    @ivar address: the IPv4 address that it was sent from, 4 bytes, or None.
    @ivar refusal: why it is not for libslirp, or None.
    @ivar segment: what it has for the master, or None.
    @ivar dhcp: it asks for an address.
    @ivar is_fragment: it is a fragment of something for one of us: what that is cannot be seen.
    """

    mac: bytes = b""
    address: bytes | None = None
    refusal: Refusal | None = None
    segment: Segment | None = None
    dhcp: bool = False
    is_fragment: bool = False


class Lens:
    """
    Looks at frames, from the switch and to it, in one network.

    @ivar macs: the MAC addresses that are the gateway's own.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._own_macs = {address.packed: mac_of(address.packed) for address in plan.own}
        self.macs = frozenset(self._own_macs.values())
        self._master = plan.master.packed
        self._master_mac = mac_of(self._master)
        self._mask = int(plan.network.netmask)
        self._network = int(plan.network.network_address)

    def look(self, frame: bytes) -> Seen:
        """Look at a frame from the switch."""
        if not _HEADER_SIZE <= len(frame) <= LONGEST:
            return Seen(refusal=Refusal.SIZE)
        mac, kind = frame[6:12], frame[12:14]
        if mac in self.macs:
            # Another gateway is on this switch.
            return Seen(mac, None, Refusal.DUPLICATE)
        group = bool(frame[0] & 1)
        if not group and frame[:6] not in self.macs:
            return Seen(mac, None, Refusal.FOREIGN)
        if kind == IPV4:
            return self._look_at_ipv4(frame, mac, group)
        if kind == _ARP:
            return self._look_at_arp(frame, mac, group)
        return Seen(mac, None, Refusal.TYPE)

    def look_at_whole(self, frame: bytes) -> Seen:
        """Look at what has come in fragments, as one frame of any length."""
        return self._look_at_ipv4(frame, frame[6:12], group=False)

    def from_guest(self, mac: bytes, longest: int = LONGEST) -> Callable[[bytes], Segment | None]:
        """
        What finds the segment in a guest's frame, if it is as almost all are.

        That is TCP to the master, without fragments or options of IPv4. Of any other frame it finds
        none, and L{look} says what that is; this one costs a third.

        @param mac: the guest's.
        @param longest: the most bytes that a frame may have.
        """
        # A closure, since its variables are found faster than attributes.
        own, macs, master, master_port = self._own_macs, self.macs, self._master, self.plan.port
        start_of_all = self._master_mac + mac + _PLAIN
        if mac in macs:
            return lambda frame: None

        def find(frame: bytes) -> Segment | None:
            if frame[:15] != start_of_all or not _PLAIN_TCP_SIZE <= len(frame) <= longest:
                return None
            total, place, protocol, source, target, port, to, start, ack, offset, flags = (
                _PLAIN_TCP(frame, 16)
            )
            length = total - _IPV4_SIZE - (offset >> 4) * 4
            if (
                target != master
                or to != master_port
                or protocol != _TCP
                or place & _MORE_FRAGMENTS_AND_OFFSET
                or length < 0
                or total > len(frame) - _HEADER_SIZE
                or offset < _LEAST_OFFSET
                or source in own
            ):
                return None
            if flags & _SYN_AND_FIN:
                length += bool(flags & SYN) + bool(flags & FIN)
            end = (start + length) % _SEQUENCES
            return _new(Segment, (source, port, flags, start, end, ack))

        return find

    def _look_at_arp(self, frame: bytes, mac: bytes, group: bool) -> Seen:
        if (
            len(frame) < _HEADER_SIZE + _ARP_SIZE
            or _ARP_HEAD.unpack_from(frame, _HEADER_SIZE)[:4] != _ARP_IPV4
        ):
            return Seen(mac, None, Refusal.BROKEN)
        sender, target = frame[28:32], frame[38:42]
        if sender in self._own_macs:
            return Seen(frame[22:28], sender, Refusal.DUPLICATE)
        # A gratuitous one has the address of its sender twice.
        refusal = None
        if group and target not in self._own_macs and target != sender:
            refusal = Refusal.UNWANTED
        return Seen(mac, sender, refusal)

    def _look_at_ipv4(self, frame: bytes, mac: bytes, group: bool) -> Seen:
        if len(frame) < _HEADER_SIZE + _IPV4_SIZE:
            return Seen(mac, None, Refusal.BROKEN)
        size = (frame[14] & 15) * 4
        total = int.from_bytes(frame[16:18])
        source, target = frame[26:30], frame[30:34]
        if frame[14] >> 4 != 4 or not _IPV4_SIZE <= size <= total <= len(frame) - _HEADER_SIZE:
            return Seen(mac, None, Refusal.BROKEN)
        if source in self._own_macs:
            return Seen(mac, source, Refusal.DUPLICATE)
        if int.from_bytes(frame[20:22]) & _MORE_FRAGMENTS_AND_OFFSET:
            if group:
                return Seen(mac, source, Refusal.UNWANTED)
            return Seen(mac, source, is_fragment=True)
        start, protocol = _HEADER_SIZE + size, frame[23]
        is_dhcp = protocol == _UDP and frame[start + 2 : start + 4] == _DHCP_SERVER
        if group and not is_dhcp:
            return Seen(mac, source, Refusal.UNWANTED)
        if not (is_dhcp or self._may_reach(target, protocol, frame, start)):
            return Seen(mac, source, Refusal.FORBIDDEN)
        segment = None
        if protocol == _TCP and target == self._master:
            segment = read_segment(frame, start, total - size, source)
            if segment is None:
                return Seen(mac, source, Refusal.BROKEN)
        return Seen(mac, source, None, segment, is_dhcp)

    def _may_reach(self, target: bytes, protocol: int, frame: bytes, start: int) -> bool:
        """
        Whether libslirp may see a packet to an address.

        It would take 127.0.0.1 and 0.0.0.0 to this machine itself, whatever it was told of the
        loopback, and what is of this network but not ours to wherever this machine routes it.
        """
        if target == self._master:
            return protocol == _TCP and frame[start + 2 : start + 4] == self._port()
        if target in self._own_macs:
            return True
        number = int.from_bytes(target)
        return (
            number & self._mask != self._network and target[0] not in (0, 127) and (target[0] < 224)
        )

    def _port(self) -> bytes:
        return self.plan.port.to_bytes(2)

    def from_master(self, frame: bytes | bytearray) -> Segment | None:
        """The segment in a frame of libslirp's, if it comes from where guests find the master."""
        # libslirp sends no options of IPv4.
        if frame[12:15] != _PLAIN or len(frame) < _PLAIN_TCP_SIZE:
            return None
        total, _, protocol, source, target, _, port, start, ack, offset, flags = _PLAIN_TCP(
            frame, 16
        )
        length = total - _IPV4_SIZE - (offset >> 4) * 4
        if source != self._master or protocol != _TCP or length < 0 or offset < _LEAST_OFFSET:
            return None
        if flags & _SYN_AND_FIN:
            length += bool(flags & SYN) + bool(flags & FIN)
        return _new(Segment, (target, port, flags, start, (start + length) % _SEQUENCES, ack))

    def with_own_mac(self, frame: bytearray) -> bytearray:
        """
        A frame of libslirp's, which is given the MAC address of its IPv4 address as its source.

        libslirp sends all IPv4 under that of its first address, so a switch would forget where the
        others are, and send everybody what is for the master.
        """
        mac = self._own_macs.get(bytes(frame[26:30]))
        if mac is not None and frame[12:14] == IPV4:
            frame[6:12] = mac
        return frame

    def reset(self, mac: bytes, progress: Progress, *, to_guest: bool) -> bytes:
        """
        A frame that ends a connection, as one side of it would tell the other.

        @param mac: the guest's.
        @param progress: of the connection.
        @param to_guest: it comes from the master's side, not from the guest's.
        """
        if to_guest:
            return self._to_guest(mac, progress, progress.from_master, RST | ACK)
        ethernet = mac_of(self._master) + mac
        addresses, ports = progress.address + self._master, (progress.port, self.plan.port)
        return bare_segment(
            ethernet, addresses, ports, (progress.from_guest, progress.from_master), RST | ACK
        )

    def probe(self, mac: bytes, progress: Progress) -> bytes:
        """
        A frame that a guest answers with a reset if it does not know a connection any more.

        It has nothing new for others, who acknowledge it: a keep-alive, RFC 9293 3.8.4.
        """
        return self._to_guest(mac, progress, (progress.from_master - 1) % _SEQUENCES, ACK)

    def _to_guest(self, mac: bytes, progress: Progress, sequence: int, flags: int) -> bytes:
        ethernet = mac + mac_of(self._master)
        addresses, ports = self._master + progress.address, (self.plan.port, progress.port)
        return bare_segment(ethernet, addresses, ports, (sequence, progress.from_guest), flags)
