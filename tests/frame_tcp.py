"""
TCP of guests made of frames, as much of it as a switch that loses frames takes.

It is stricter than Linux's where a gateway could go wrong: a reset with another number than the
next one is none (RFC 9293, 3.10.7.4), and what is out of order is not kept.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

from tests.gateways import ACK, FIN, PSH, RST, SYN

AGAIN = 0.5
"""Seconds after which what is not answered is sent again."""
MOST_AT_ONCE = 32 * 1024
SEQUENCES = 1 << 32
_SEGMENT = 1460

Send = Callable[[int, tuple[int, int], bytes], Any]


class Connection:
    """
    A connection of a guest.

    @ivar first: the data of the first segment that had any.
    @ivar received: what has come and is not taken.
    @ivar is_open: the other side has answered; C{ended}, C{was_reset}: how it is over.
    """

    def __init__(self, send: Send, begin: int) -> None:
        """
        @param send: sends a segment with flags, a number, an acknowledged number, and data.
        @param begin: the first sequence number.
        """
        self._out = send
        self.first = b""
        self.received = bytearray()
        self.is_open = self.ended = self.was_reset = False
        # Of the first byte in waiting, and of the one that is to be sent next.
        self._base = self._next = begin
        self._waiting = bytearray()
        self._expected = 0
        self._sent_at = 0.0
        self._send(SYN, self._base)

    @property
    def unsaid(self) -> int:
        """Bytes that were written and are not acknowledged."""
        return len(self._waiting)

    def write(self, data: bytes) -> None:
        """Send something, when there is room."""
        self._waiting += data
        self._push()

    def reset(self) -> None:
        """End it."""
        self._send(RST | ACK, self._next)
        self.was_reset = True

    def tick(self, now: float) -> None:
        """Send again what was not acknowledged for long."""
        if now - self._sent_at < AGAIN or self.was_reset:
            return
        if not self.is_open:
            self._send(SYN, self._base)
        elif self._waiting:
            self._next = self._base
            self._push()

    def _push(self) -> None:
        while self.is_open and not self.was_reset:
            offset = (self._next - self._base) % SEQUENCES
            part = bytes(self._waiting[offset : min(offset + _SEGMENT, MOST_AT_ONCE)])
            if not part:
                break
            self._send(PSH | ACK, self._next, part)
            self._next = (self._next + len(part)) % SEQUENCES

    def _send(self, flags: int, sequence: int, data: bytes = b"") -> None:
        self._sent_at = time.monotonic()
        self._out(flags, (sequence, self._expected), data)

    def take(self, segment: bytes) -> None:
        """Take a segment from the other side."""
        sequence, ack, offset, flags = struct.unpack_from("!IIBB", segment, 4)
        data = segment[(offset >> 4) * 4 :]
        if self.was_reset:
            return
        if not self.is_open:
            if flags & ACK and ack != (self._base + 1) % SEQUENCES:
                self._out(RST, (ack, 0), b"")
            elif flags & RST:
                self.was_reset = bool(flags & ACK)
            elif flags & SYN:
                self._base = self._next = ack
                self._expected = (sequence + 1) % SEQUENCES
                self.is_open = True
                self._send(ACK, self._next)
                self._push()
            return
        if sequence != self._expected:
            # With a reset, too: that is how its sender learns which number it must have.
            if not flags & RST or (self._expected - sequence) % SEQUENCES > MOST_AT_ONCE:
                self._send(ACK, self._next)
            return
        if flags & RST:
            self.was_reset = True
            return
        self._acknowledged((ack - self._base) % SEQUENCES)
        self.first = self.first or data
        self.received += data
        self._expected = (sequence + len(data) + bool(flags & FIN)) % SEQUENCES
        self.ended |= bool(flags & FIN)
        if data or flags & FIN:
            self._send(ACK, self._next)
        self._push()

    def _acknowledged(self, count: int) -> None:
        if 0 < count <= len(self._waiting):
            del self._waiting[:count]
            ahead = (self._next - self._base) % SEQUENCES
            self._base = (self._base + count) % SEQUENCES
            if ahead < count:
                self._next = self._base
