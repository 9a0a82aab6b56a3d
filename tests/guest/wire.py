"""Python's side of strict_client.c: its payloads and the frames around them.

For test servers and plain-socket peers of the guests only; it shares nothing with distnet's own
codec, so that a mistake there cannot hide behind the same mistake here.
"""

from __future__ import annotations

import struct

STAMP = struct.Struct(">QQ")
HEADER = struct.Struct("<II")


def payload(sender: int, seq: int, size: int) -> bytes:
    """C{size} bytes (16 to 4096): the stamp of two u64, then a pattern of position and stamp."""
    if not STAMP.size <= size <= 4096:
        raise ValueError(f"payload of {size} bytes")
    base = sender * 131 + seq * 17
    body = bytes((base + i * 7 + (i >> 8)) & 0xFF for i in range(STAMP.size, size))
    return STAMP.pack(sender, seq) + body


def frame(address: int, data: bytes) -> bytes:
    """C{data} behind its header: the destination on the way in, the source on the way out."""
    return HEADER.pack(address, len(data)) + data
