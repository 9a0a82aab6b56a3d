"""Segments of TCP (RFC 9293), and how far a connection has come by them. No I/O."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from distnet.gateway.packets import IPV4, checksum, ipv4_header

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
ACK: Final = 16

_HEADER_SIZE: Final = 14
_IPV4_SIZE: Final = 20
_TCP_SIZE: Final = 20
_TCP: Final = 6
_TCP_HEAD: Final = struct.Struct("!HHIIBB")
_MORE_FRAGMENTS_AND_OFFSET: Final = 0x3FFF
_SEQUENCES: Final = 1 << 32


class Segment(NamedTuple):
    """
    A TCP segment.

    @ivar address: the guest's, in 4 bytes.
    @ivar port: the guest's.
    @ivar flags: L{FIN}, L{SYN}, L{RST}, L{ACK}.
    @ivar start: its sequence number.
    @ivar end: the sequence number after all that it has.
    @ivar ack: the sequence number that its sender expects next.
    """

    address: bytes
    port: int
    flags: int
    start: int
    end: int
    ack: int


class Progress:
    """
    How far a connection of a guest's to the master has come, by the segments that passed.

    @ivar address: the guest's, in 4 bytes.
    @ivar port: the guest's.
    @ivar from_guest: the sequence number after all that the guest has sent.
    @ivar from_master: the sequence number after all that libslirp has sent to it.
    """

    def __init__(self, first: Segment) -> None:
        """
        @param first: the guest's first segment after its SYN.
        """
        self.address, self.port = first.address, first.port
        self.from_guest, self.from_master = first.end, first.ack
        self._begin = first.start
        self._given = first.ack

    @property
    def all_sent(self) -> bool:
        """Whether all that was given to libslirp has left as segments."""
        return self.from_master == self._given

    def give(self, size: int) -> None:
        """Bytes are given to libslirp for the guest."""
        self._given = (self._given + size) % _SEQUENCES

    def guest_sent(self, segment: Segment) -> None:
        """A segment has come from the guest."""
        end = segment.end
        if 0 < (end - self.from_guest) % _SEQUENCES < _SEQUENCES // 2:
            self.from_guest = end

    def master_sent(self, segment: Segment) -> None:
        """libslirp sends a segment to the guest, perhaps again."""
        end = segment.end
        if 0 < (end - self.from_master) % _SEQUENCES < _SEQUENCES // 2:
            self.from_master = end

    def begins_anew(self, segment: Segment) -> bool:
        """Whether a segment from the guest is of another connection: it was started again."""
        return bool(segment.flags & SYN) and segment.end != self._begin


def segment_of(frame: bytes) -> Segment | None:
    """The TCP segment in a frame of a guest's, wherever it goes; None if there is none whole."""
    size = (frame[14] & 15) * 4 if len(frame) >= _HEADER_SIZE + _IPV4_SIZE + _TCP_SIZE else 0
    start, total = _HEADER_SIZE + size, int.from_bytes(frame[16:18])
    if (
        size < _IPV4_SIZE
        or frame[12:14] != IPV4
        or frame[23] != _TCP
        or int.from_bytes(frame[20:22]) & _MORE_FRAGMENTS_AND_OFFSET
        or total > len(frame) - _HEADER_SIZE
    ):
        return None
    return read_segment(frame, start, total - size, frame[26:30])


def read_segment(frame: bytes, start: int, size: int, address: bytes) -> Segment | None:
    """The segment of a guest's in some bytes of a frame; None if it is not whole."""
    if size < _TCP_SIZE:
        return None
    port, _, sequence, ack, offset, flags = _TCP_HEAD.unpack_from(frame, start)
    length = size - (offset >> 4) * 4
    if length < 0 or length > size - _TCP_SIZE:
        return None
    length += bool(flags & SYN) + bool(flags & FIN)
    return Segment(address, port, flags, sequence, (sequence + length) % _SEQUENCES, ack)


def ends_of(frame: bytes, start: int) -> bytes:
    """
    Where a packet of TCP or UDP comes from and where it goes: address and port of each, 12 bytes.

    @param frame: with IPv4.
    @param start: where the header with the ports begins.
    """
    return frame[26:30] + frame[start : start + 2] + frame[30:34] + frame[start + 2 : start + 4]


def bare_segment(
    ethernet: bytes, addresses: bytes, ports: tuple[int, int], numbers: tuple[int, int], flags: int
) -> bytes:
    """
    A frame with a segment that has no data.

    @param ethernet: both MAC addresses, 12 bytes.
    @param addresses: both of IPv4, 8 bytes.
    @param ports: of who sends it, and to whom.
    @param numbers: its sequence number, and what it acknowledges.
    @param flags: L{FIN}, L{SYN}, L{RST}, L{ACK}.
    """
    tcp = _TCP_HEAD.pack(*ports, *numbers, 5 << 4, flags) + bytes(6)
    pseudo = addresses + struct.pack("!HH", _TCP, len(tcp))
    tcp = tcp[:16] + checksum(pseudo + tcp) + tcp[18:]
    return ethernet + IPV4 + ipv4_header(addresses, _TCP, len(tcp)) + tcp
