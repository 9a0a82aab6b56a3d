"""Frames in pcap files."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_MAGIC = 0xA1B2C3D4
_ETHERNET = 1


def frames_of(data: bytes) -> Iterator[bytes]:
    """The frames in a pcap file (version 2.4, Ethernet), of which none was cut."""
    magic, *version, _, _, _, kind = _HEADER.unpack_from(data)
    assert (magic, version, kind) == (_MAGIC, [2, 4], _ETHERNET)
    data = data[_HEADER.size :]
    while data:
        _, _, kept, size = _RECORD.unpack_from(data)
        assert kept == size <= len(data) - _RECORD.size
        yield data[_RECORD.size : _RECORD.size + size]
        data = data[_RECORD.size + size :]
