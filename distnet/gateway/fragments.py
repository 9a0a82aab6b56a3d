"""IPv4 fragments of what guests send to the master (RFC 791, 3.2), put together. No I/O.

QEMU 7.2's e1000e makes fragments of a segment that a guest leaves to the card to cut (TSO).
libslirp puts fragments together by itself; but which connection they are of, and whether they may
come in at all, is only seen when all are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MOST_DATAGRAMS: Final = 64
"""How many incomplete datagrams are kept; TCP sends again what was in older ones."""

_IP: Final = 14
_LONGEST: Final = 65535
_MORE: Final = 0x2000
_OFFSET: Final = 0x1FFF


@dataclass(frozen=True, slots=True)
class Datagram:
    """
    A datagram that has come in fragments.

    @ivar whole: a frame with all of it, longer than frames are, and without a checksum of its own.
    @ivar fragments: the frames that it came in, in order.
    """

    whole: bytes
    fragments: list[bytes]


@dataclass(slots=True)
class _Parts:
    """
    What has come of a datagram that is not complete.

    @ivar frames: by where in the datagram their data begin.
    @ivar held: bytes of data in them.
    @ivar size: bytes of data in the datagram; 0 until the last fragment has come.
    """

    frames: dict[int, bytes] = field(default_factory=dict)
    held: int = 0
    size: int = 0


class Fragments:
    """Puts datagrams to one address together."""

    def __init__(self) -> None:
        self._parts: dict[tuple[bytes, bytes], _Parts] = {}

    def add(self, frame: bytes) -> Datagram | None:
        """
        Take a fragment.

        @param frame: an Ethernet frame with IPv4, whose lengths have been checked.
        @return: the datagram, if it is complete now.
        """
        key = frame[26:30], frame[18:20]
        place = int.from_bytes(frame[20:22])
        begin, size = (place & _OFFSET) * 8, len(_data(frame))
        parts = self._parts.pop(key, None)
        if parts is None or begin in parts.frames:
            # A second one for the same bytes is of a later datagram, with the number of this one.
            parts = _Parts()
        parts.frames[begin] = frame
        parts.held += size
        if not place & _MORE:
            parts.size = begin + size
        if _head_size(frame) + parts.held > _LONGEST:
            return None
        if parts.held != parts.size:
            self._parts[key] = parts
            if len(self._parts) > MOST_DATAGRAMS:
                del self._parts[next(iter(self._parts))]
            return None
        return _put_together(parts)


def _put_together(parts: _Parts) -> Datagram | None:
    """The datagram that fragments make up, or None if they overlap."""
    data = b""
    fragments = []
    for begin, frame in sorted(parts.frames.items()):
        if begin != len(data):
            return None
        data += _data(frame)
        fragments.append(frame)
    first = fragments[0]
    head = first[: _IP + _head_size(first)]
    size = (len(head) - _IP + len(data)).to_bytes(2)
    return Datagram(head[:16] + size + head[18:20] + bytes(2) + head[22:] + data, fragments)


def _head_size(frame: bytes) -> int:
    return (frame[_IP] & 15) * 4


def _data(frame: bytes) -> bytes:
    return frame[_IP + _head_size(frame) : _IP + int.from_bytes(frame[16:18])]
