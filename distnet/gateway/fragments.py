"""IPv4 fragments (RFC 791, 3.2) put together, so that libslirp is never given one. No I/O.

Some fragments end libslirp 4.7.0 by SIGBUS, and it is an accident that brings them: the last one of
a datagram whose first was lost. Whole datagrams it takes, up to the 65535 bytes that one can have.
QEMU 7.2's e1000e sends fragments of what a guest leaves to the card to cut (TSO), with DF set.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from distnet.gateway.packets import checksum

MOST_DATAGRAMS: Final = 16
"""How many incomplete datagrams are kept; the one that got nothing for longest goes first."""
MOST_BYTES: Final = 1 << 20
"""How much memory what is kept may take."""
MOST_SECONDS: Final = 30.0
"""How long the rest of a datagram is waited for, as Linux does."""

_PIECE: Final = 128
"""Bytes of memory that a fragment takes besides its data, roughly."""
_IP: Final = 14
_LEAST_HEAD: Final = 20
_LONGEST: Final = 65535
_MORE: Final = 0x2000
_OFFSET: Final = 0x1FFF


class _Parts:
    """
    What has come of a datagram that is not complete.

    @ivar since: when its first fragment came, in seconds.
    @ivar head: the Ethernet and IPv4 headers of the fragment with offset 0; empty until then.
    @ivar begins: where the pieces begin, in order.
    @ivar pieces: the data, by where they begin.
    @ivar held: bytes of data in them.
    @ivar size: bytes of data in the datagram; 0 until the last fragment has come.
    """

    __slots__ = ("begins", "head", "held", "pieces", "since", "size")

    def __init__(self, since: float) -> None:
        self.since = since
        self.head = b""
        self.begins: list[int] = []
        self.pieces: dict[int, bytes] = {}
        self.held = self.size = 0

    @property
    def memory(self) -> int:
        """Bytes of memory that it takes."""
        return self.held + _PIECE * len(self.begins)

    def fits(self, begin: int, end: int, is_last: bool) -> bool:
        """Whether a piece overlaps none, and nothing is beyond the end."""
        begins = self.begins
        place = bisect_right(begins, begin)
        if place and begins[place - 1] + len(self.pieces[begins[place - 1]]) > begin:
            return False
        if place < len(begins) and (is_last or begins[place] < end):
            return False
        return not self.size or (end <= self.size and not is_last)

    def put(self, begin: int, data: bytes) -> None:
        """Take a piece that fits."""
        self.begins.insert(bisect_right(self.begins, begin), begin)
        self.pieces[begin] = data
        self.held += len(data)


class Fragments:
    """
    Puts the datagrams of one guest together.

    @ivar dropped: how many fragments led to nothing, because they or others of their datagram were
        broken, overlapped, or too many.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._parts: dict[bytes, _Parts] = {}

    @property
    def memory(self) -> int:
        """Bytes of memory that all that is kept takes."""
        return sum(parts.memory for parts in self._parts.values())

    def __len__(self) -> int:
        """How many datagrams are not complete."""
        return len(self._parts)

    def add(self, frame: bytes, now: float) -> bytes | None:
        """
        Take a fragment.

        One that has come before does no harm. Overlaps end the datagram, as RFC 5722 wants it for
        IPv6; other data for just the same place are of a later datagram, with the number of this.

        @param frame: an Ethernet frame; it may hold anything.
        @param now: a clock that only goes forward, in seconds.
        @return: a frame with all of the datagram in one IPv4 packet, if it is complete now. The
            frame is as long as that makes it.
        """
        place = int.from_bytes(frame[20:22])
        size = (frame[_IP] & 15) * 4 if len(frame) > _IP else 0
        total = int.from_bytes(frame[16:18])
        begin, is_last = (place & _OFFSET) * 8, not place & _MORE
        end = begin + total - size
        if (
            not _LEAST_HEAD <= size < total <= len(frame) - _IP
            or end > _LONGEST - _LEAST_HEAD
            or not (is_last or end % 8 == 0)
        ):
            self.dropped += 1
            return None
        data = frame[_IP + size : _IP + total]
        self._forget_old(now)
        key = frame[26:34] + frame[23:24] + frame[18:20]
        parts = self._parts.pop(key, None)
        if parts is not None:
            same = parts.pieces.get(begin)
            if same == data:
                self._parts[key] = parts
                return None
            if same is not None:
                self._drop(parts)
                parts = None
        if parts is None:
            parts = _Parts(now)
        if not parts.fits(begin, end, is_last):
            self.dropped += 1
            self._drop(parts)
            return None
        parts.put(begin, data)
        if begin == 0:
            parts.head = frame[: _IP + size]
        if is_last:
            parts.size = end
        if parts.held == parts.size:
            return self._whole(parts)
        self._parts[key] = parts
        self._make_room()
        return None

    def _whole(self, parts: _Parts) -> bytes | None:
        head = parts.head
        total = len(head) - _IP + parts.size
        if total > _LONGEST:
            self._drop(parts)
            return None
        ip = head[_IP : _IP + 2] + total.to_bytes(2) + head[18:20] + bytes(2) + head[22:24]
        options = head[26:]
        pieces = [parts.pieces[begin] for begin in parts.begins]
        return b"".join(
            (head[:_IP], ip, checksum(ip + bytes(2) + options), options, *pieces),
        )

    def _forget_old(self, now: float) -> None:
        for key, parts in list(self._parts.items()):
            if now - parts.since >= MOST_SECONDS:
                self._drop(self._parts.pop(key))

    def _make_room(self) -> None:
        while len(self._parts) > MOST_DATAGRAMS or self.memory > MOST_BYTES:
            self._drop(self._parts.pop(next(iter(self._parts))))

    def _drop(self, parts: _Parts) -> None:
        self.dropped += len(parts.begins)
