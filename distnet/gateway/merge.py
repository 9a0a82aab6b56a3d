"""
Frames in batches, and segments in one: what many have in common is done once for all. No I/O.

A batch is how the gateway hands frames to a guest's process: how many there are, how long each is
(16 bits each, network byte order), and the frames.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from distnet.gateway.frames import LONGEST
from distnet.gateway.segments import ACK, Segment

MOST_IN_BATCH: Final = 24
"""Frames; they fit into one packet of TCP/IP together."""
LONGEST_BATCH: Final = 2 + MOST_IN_BATCH * (2 + LONGEST + 1)
"""Bytes."""
LONGEST_MERGED: Final = 14 + 65535
"""Bytes of a frame that was made of some: as much as IPv4 can say."""

_PSH: Final = 8
_ACK_AND_PSH: Final = ACK | _PSH
_HEADERS: Final = 54
"""Bytes of all headers, none of which has options."""
_TCP_HEADER: Final = 20
_NO_OPTIONS: Final = _TCP_HEADER // 4 << 4
_TCP: Final = 6
_ONES: Final = 0xFFFF
"""One's complement sums of 16 bits, as those of RFC 1071 are, are numbers modulo this one."""
_SEQUENCES: Final = 0xFFFFFFFF
_NUMBERS: Final = [struct.Struct(f"!{count}H") for count in range(MOST_IN_BATCH + 1)]


def batch_of(frames: Sequence[bytes]) -> bytes:
    """A batch of at most L{MOST_IN_BATCH} frames."""
    count = len(frames)
    lengths = _NUMBERS[count].pack(*map(len, frames))
    return b"".join((count.to_bytes(2), lengths, *frames))


def frames_of(batch: bytes) -> list[bytes]:
    """The frames in a batch."""
    count = int.from_bytes(batch[:2])
    end = 2 + 2 * count
    frames = []
    for length in _NUMBERS[count].unpack_from(batch, 2):
        begin, end = end, end + length
        frames.append(batch[begin:end])
    return frames


def merged(
    frames: Iterable[bytes], find: Callable[[bytes], Segment | None]
) -> list[tuple[bytes, Segment | None]]:
    """
    Frames with the segment in each, where those that follow each other have become one.

    Only data are merged, as Linux does it (generic receive offload): segments of one connection
    that say the same but for their data, of which the next begins where the last one ends. The
    checksum of what they become is made of theirs: it is right just if all of theirs are, as far as
    such a sum can tell, so that what was damaged on the way is refused as it would be by itself.
    Of segments that only acknowledge, more and more, the last one is left.

    @param find: the segment in a frame, see L{distnet.gateway.frames.Lens.from_guest}.
    """
    found: list[tuple[bytes, Segment | None]] = []
    run: list[bytes] = []
    first = None
    # Of the run: where it ends, what it has in common, and how many bytes it has.
    following, common, window, size = -1, (b"", 0, 0), b"", 0
    for frame in frames:
        segment = find(frame)
        if segment is None:
            data = 0
        else:
            address, port, flags, start, end, ack = segment
            data = (end - start) & _SEQUENCES
            if data and (
                flags | _PSH != _ACK_AND_PSH
                or frame[46] != _NO_OPTIONS
                or len(frame) != _HEADERS + data
            ):
                data = 0
        if not data:
            if run:
                found.append(_joined(run, first))
                run = []
            if found and segment is not None and _outdoes(segment, found[-1][1]):
                found.pop()
            found.append((frame, segment))
            continue
        assert segment is not None
        if (
            run
            and start == following
            and (address, port, ack) == common
            and frame[48:50] == window
            # The next one's data are summed up in pairs of bytes.
            and not size & 1
            and size + data <= LONGEST_MERGED - _HEADERS
            and not int.from_bytes(frame[14:34]) % _ONES
        ):
            run.append(frame)
            size += data
        else:
            if run:
                found.append(_joined(run, first))
            run, first, size = [frame], segment, data
            common, window = (address, port, ack), frame[48:50]
        following = end
    if run:
        found.append(_joined(run, first))
    return found


def _outdoes(segment: Segment, earlier: Segment | None) -> bool:
    """
    Whether what an earlier segment says is said by the one after it: both only acknowledge, and the
    later one more. Those that acknowledge the same tell of a loss by their number.
    """
    return (
        earlier is not None
        and segment.flags == ACK == earlier.flags
        and segment[:2] == earlier[:2]
        and segment.start == segment.end == earlier.end == earlier.start
        and 0 < (segment.ack - earlier.ack) & _SEQUENCES <= _SEQUENCES >> 1
    )


def _joined(run: list[bytes], first: Segment | None) -> tuple[bytes, Segment | None]:
    frame = run[0]
    if len(run) == 1 or first is None:
        return frame, first
    flags, last = first.flags, run[-1]
    total = sum(map(len, run)) - _HEADERS * len(run) + _HEADERS - 14
    # RFC 1624: a sum changes by as much as what is summed up.
    before, its_checksum = int.from_bytes(frame[16:18]), int.from_bytes(frame[24:26])
    ip_checksum = (its_checksum + before - total) % _ONES
    flags |= _PSH & last[47]
    head = b"".join((frame[34:47], bytes((flags,)), frame[48:50], b"\0\0", frame[52:54]))
    # Each header tells, by its checksum, the sum of the data behind it.
    more = len(run) - 1
    addresses = int.from_bytes(frame[26:34])
    checksum = (
        sum([int.from_bytes(each[34:54]) for each in run])
        - int.from_bytes(head)
        + more * (addresses + _TCP + _TCP_HEADER)
    ) % _ONES
    whole = b"".join(
        (
            frame[:16],
            total.to_bytes(2),
            frame[18:24],
            ip_checksum.to_bytes(2),
            frame[26:34],
            head[:16],
            checksum.to_bytes(2),
            head[18:],
            *[each[_HEADERS:] for each in run],
        )
    )
    end = (first.start + total - _HEADERS + 14) & _SEQUENCES
    return whole, Segment(first.address, first.port, flags, first.start, end, first.ack)
