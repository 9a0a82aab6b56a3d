"""What a guest is told of connections that nobody has any more, and how to find them. No I/O.

After a process that had connections is gone, no sequence number of theirs is known. A TCP answers a
segment out of its window with an acknowledgment (RFC 9293, 3.10.7.4), and that has the numbers: so
each connection is asked by L{question}, and what comes is answered by L{reset_for}, as any segment
of a connection that nobody has.
"""

from __future__ import annotations

import struct
from typing import Final

from distnet.gateway.packets import IPV4
from distnet.gateway.segments import ACK, FIN, RST, SYN, bare_segment

NUMBERS_APART: Final = 1 << 30
"""
How far apart the numbers of several L{question}s are to be: one of two is out of any window, which
has no more than that (RFC 7323, 2.3).
"""

_IP: Final = 14
_LEAST_HEAD: Final = 20
_TCP: Final = 6
_FRAGMENT: Final = 0x3FFF
_TCP_HEAD: Final = struct.Struct("!HHIIBB")
_SEQUENCES: Final = 1 << 32


def reset_for(frame: bytes) -> bytes | None:
    """
    The reset that answers a segment of a connection that nobody has: RFC 9293, 3.10.7.1.

    @param frame: it may hold anything.
    @return: None if there is nothing to answer: it is a reset itself, is not for one machine, or
        has no whole segment. Its checksums are not looked at.
    """
    if len(frame) < _IP + _LEAST_HEAD or frame[12:14] != IPV4 or (frame[0] | frame[6]) & 1:
        return None
    size = (frame[_IP] & 15) * 4
    start, end = _IP + size, _IP + int.from_bytes(frame[16:18])
    if (
        frame[_IP] >> 4 != 4
        or size < _LEAST_HEAD
        or frame[23] != _TCP
        or int.from_bytes(frame[20:22]) & _FRAGMENT
        or not start + _LEAST_HEAD <= end <= len(frame)
    ):
        return None
    port, to, sequence, ack, offset, flags = _TCP_HEAD.unpack_from(frame, start)
    length = end - start - (offset >> 4) * 4
    if flags & RST or length < 0 or offset >> 4 < _LEAST_HEAD // 4:
        return None
    ethernet, addresses = frame[6:12] + frame[:6], frame[30:34] + frame[26:30]
    if flags & ACK:
        return bare_segment(ethernet, addresses, (to, port), (ack, 0), RST)
    length += bool(flags & SYN) + bool(flags & FIN)
    numbers = 0, (sequence + length) % _SEQUENCES
    return bare_segment(ethernet, addresses, (to, port), numbers, RST | ACK)


def question(ethernet: bytes, addresses: bytes, ports: tuple[int, int], number: int = 0) -> bytes:
    """
    A frame that asks a guest for the numbers of a connection.

    It is an acknowledgment of nothing with a number that is out of the guest's window, but for one
    time in 65536. A guest that has the connection answers with an acknowledgment, others with a
    reset. Linux answers one of a connection twice a second at most.

    @param ethernet: the MAC addresses of the guest and of who asks, 12 bytes.
    @param addresses: of the other end and of the guest, 8 bytes.
    @param ports: likewise.
    @param number: the sequence number; another one is good for a second try, half of all away.
    """
    return bare_segment(ethernet, addresses, ports, (number % _SEQUENCES, 0), ACK)
