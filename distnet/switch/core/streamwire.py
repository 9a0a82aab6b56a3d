"""Frames in a stream, as QEMU's C{-netdev stream} and C{-netdev socket} have them. No I/O.

A frame is its length in bytes, 32 bits, big-endian and unsigned, and then itself: read off what
QEMU 7.2 sends and takes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from distnet.errors import PeerError

PREFIX: Final = Struct(">I")
PREFIX_SIZE: Final = PREFIX.size
MAX_PLAUSIBLE: Final = 1 << 20
"""
Bytes that a frame may be said to have, if frames are not allowed to have more.

Above any frame that there is, and below what other protocols begin with, taken as a number: four
letters, a TLS handshake, a request of VDE, an id of a kernel in the other byte order.
"""


class ImplausibleLength(PeerError):
    """
    What came is no frame in a stream.

    @ivar length: what stands where the length of a frame should, in bytes.
    """

    def __init__(self, length: int) -> None:
        super().__init__(
            f"it announces a frame of {length} bytes ({PREFIX.pack(length)!r}),"
            f" so it is no '-netdev stream'"
        )
        self.length = length


def encode_frame(frame: bytes) -> bytes:
    """A frame as it stands in the stream."""
    return PREFIX.pack(len(frame)) + frame


class StreamFrames:
    """
    The frames in what one peer sends, taken one by one.

    One that is too long comes cut to one byte more than fits, so that it still shows that it is,
    and the rest of it is skipped. One that is too short comes as it is, even if it is empty.

    Keeps no more than a frame, and what was fed since all had been taken.

    @ivar error: the peer does not speak this; nothing more comes, whatever is fed.
    """

    __slots__ = ("_at", "_data", "_max_frame", "_needed", "_partial", "_plausible", "error")

    def __init__(self, max_frame: int) -> None:
        self._max_frame = max_frame
        self._plausible = max(MAX_PLAUSIBLE, max_frame)
        # A frame of which a part has come is in _partial until all of it has; then it is in _data
        # with what has come behind it, from _at on. Within a frame that is skipped _at is beyond
        # the end.
        self._partial = bytearray()
        self._needed = 0
        self._data = b""
        self._at = 0
        self.error: ImplausibleLength | None = None

    @property
    def waiting(self) -> bool:
        """L{take} may have something, without more being fed."""
        return self._at < len(self._data)

    @property
    def kept(self) -> int:
        """Bytes that are kept."""
        return len(self._partial) + max(len(self._data) - self._at, 0)

    def feed(self, data: bytes) -> None:
        """Bytes have come: keep them until they make up frames."""
        if self.error is not None:
            return
        if self._partial:
            self._partial += data
            if len(self._partial) >= self._needed:
                self._data, self._at = bytes(self._partial), 0
                self._partial.clear()
        elif self._at < len(self._data):
            self._data, self._at = self._data[self._at :] + data, 0
        else:
            self._at -= len(self._data)
            self._data = data

    def take(self) -> bytes | None:
        """The next frame that is whole, or None. Never raises: see L{error}."""
        data, at = self._data, self._at
        left = len(data) - at
        needed = PREFIX_SIZE
        if left >= PREFIX_SIZE:
            (length,) = PREFIX.unpack_from(data, at)
            if length > self._plausible:
                self.error = ImplausibleLength(length)
                self._data, self._at = b"", 0
                return None
            needed += length if length <= self._max_frame else self._max_frame + 1
            if left >= needed:
                self._at = at + PREFIX_SIZE + length
                return data[at + PREFIX_SIZE : at + needed]
        if left > 0:
            self._partial += data[at:]
            self._needed = needed
            self._data, self._at = b"", 0
        return None
