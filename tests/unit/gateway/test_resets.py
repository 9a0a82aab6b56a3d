"""Resets of connections that nobody has, and the question after them."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.frames import Lens
from distnet.gateway.packets import checksum
from distnet.gateway.resets import question, reset_for
from distnet.gateway.segments import ACK, FIN, RST, SYN, Segment
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, cut, gateway_mac, packed

MAC = b"\x02\x00\x00\x00\x00\x40"


def segment(flags: int, data: bytes = b"", ack: int = 0, **options: Any) -> bytes:
    """The frame that a guest sends, with sequence number 1000."""
    frames: list[bytes] = []
    guest = FrameGuest(frames.append, lambda: b"")
    guest.acknowledged = ack
    guest.tcp(flags, data, **options)
    return frames[0]


class ResetTests(SynchronousTestCase):
    """L{reset_for} and L{question}"""

    def reset(self, frame: bytes) -> tuple[int, ...]:
        """Sequence number, acknowledged number and flags of a frame's reset, which is sound."""
        reset = reset_for(frame)
        assert reset is not None
        self.assertEqual(reset[:12], frame[6:12] + frame[:6])
        self.assertEqual(reset[26:34], frame[30:34] + frame[26:30])
        self.assertEqual(reset[34:38], frame[36:38] + frame[34:36])
        self.assertEqual(checksum(reset[14:34]), b"\0\0")
        pseudo = reset[26:34] + struct.pack("!HH", 6, 20)
        self.assertEqual(checksum(pseudo + reset[34:]), b"\0\0")
        return *struct.unpack("!II", reset[38:46]), reset[47]

    def test_the_numbers(self) -> None:
        """What acknowledges something is answered with that number, else all of it acknowledged."""
        self.assertEqual(self.reset(segment(ACK, b"12345", 77)), (77, 0, RST))
        self.assertEqual(self.reset(segment(SYN)), (0, 1001, RST | ACK))
        self.assertEqual(self.reset(segment(SYN | FIN, b"123")), (0, 1005, RST | ACK))
        self.assertEqual(self.reset(segment(0, b"123") + bytes(9)), (0, 1003, RST | ACK))
        outside = segment(ACK, ack=5, target="192.0.2.1", port=80, mac=gateway_mac("10.0.2.2"))
        self.assertEqual(self.reset(outside), (5, 0, RST))

    def test_what_is_not_answered(self) -> None:
        """Resets, groups, parts of segments and what is broken get no answer."""
        frame = segment(ACK)
        self.assertIsNone(reset_for(segment(RST)))
        self.assertIsNone(reset_for(segment(RST | ACK)))
        self.assertIsNone(reset_for(segment(SYN, mac=b"\xff" * 6)))
        self.assertIsNone(reset_for(cut(segment(ACK, bytes(64)), 32)[0]))
        for at, byte in (
            (12, 9),
            (14, 0x55),
            (14, 0x44),
            (14, 0x4F),
            (17, 41),
            (23, 17),
            (46, 0x40),
            (46, 0xF0),
        ):
            self.assertIsNone(reset_for(frame[:at] + bytes([byte]) + frame[at + 1 :]), at)
        for size in range(len(frame)):
            self.assertIsNone(reset_for(frame[:size]))

    def test_question(self) -> None:
        """A question is an acknowledgment, with the number that is wanted."""
        frame = question(
            MAC + gateway_mac("10.0.2.16"),
            PLAN.master.packed + packed("10.0.2.40"),
            (1234, 4000),
            2**32 + 5,
        )
        self.assertEqual(frame[:12], MAC + gateway_mac("10.0.2.16"))
        expected = Segment(packed("10.0.2.40"), 4000, ACK, 5, 5, 0)
        self.assertEqual(Lens(PLAN).from_master(frame), expected)

    @given(st.binary(max_size=80))
    def test_anything(self, data: bytes) -> None:
        """Whatever comes, answering it raises nothing."""
        head = segment(ACK)
        for frame in (data, head[:15] + data, head[:20] + data, head[:34] + data):
            reset_for(frame)
