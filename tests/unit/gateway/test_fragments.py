"""Fragments of IPv4 are put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.fragments import MOST_DATAGRAMS, Fragments
from tests.gateways import FrameGuest, cut


def packet(data: bytes) -> bytes:
    """A frame with some data for the master."""
    frames: list[bytes] = []
    FrameGuest(frames.append, lambda: b"").ip("10.0.2.16", 6, data)
    return frames[0]


def without_checksum(frame: bytes) -> bytes:
    """A frame without the checksum of its IPv4 header."""
    return frame[:24] + frame[26:]


class FragmentsTests(SynchronousTestCase):
    """L{Fragments}"""

    @given(st.data(), st.binary(min_size=9, max_size=300), st.sampled_from([8, 16, 64]))
    def test_in_any_order(self, data: st.DataObject, payload: bytes, size: int) -> None:
        """However they come, the last one makes the packet whole, and they are in order."""
        frame = packet(payload)
        parts = cut(frame, size)
        *first, last = data.draw(st.permutations(parts))
        fragments = Fragments()
        for part in first:
            self.assertIsNone(fragments.add(part))
        datagram = fragments.add(last)
        assert datagram is not None
        self.assertEqual(without_checksum(datagram.whole), without_checksum(frame))
        self.assertEqual(len(datagram.fragments), len(parts))
        self.assertEqual(b"".join(part[34:] for part in datagram.fragments), payload)

    def test_packets_do_not_mix(self) -> None:
        """Fragments with other numbers are of other packets."""
        fragments = Fragments()
        one, other = cut(packet(b"a" * 16), 8, 1), cut(packet(b"b" * 16), 8, 2)
        self.assertIsNone(fragments.add(one[0]))
        self.assertIsNone(fragments.add(other[1]))
        for parts, data in ((one[1:], b"a" * 16), (other[:1], b"b" * 16)):
            datagram = fragments.add(parts[0])
            assert datagram is not None
            self.assertEqual(datagram.whole[34:], data)

    def test_a_number_that_is_used_again(self) -> None:
        """What was never complete does not spoil what comes later under its number."""
        fragments = Fragments()
        fragments.add(cut(packet(b"a" * 16), 8)[0])
        first, last = cut(packet(b"b" * 16), 8)
        self.assertIsNone(fragments.add(first))
        datagram = fragments.add(last)
        assert datagram is not None
        self.assertEqual(datagram.whole[34:], b"b" * 16)

    def test_overlaps(self) -> None:
        """Fragments that overlap make no packet."""
        fragments = Fragments()
        first, _, third = cut(packet(bytes(24)), 8)
        twice = cut(packet(bytes(24)), 16)[0]
        self.assertIsNone(fragments.add(third))
        self.assertIsNone(fragments.add(twice[:20] + b"\x20\x01" + twice[22:]))
        self.assertIsNone(fragments.add(first))

    def test_too_long(self) -> None:
        """What would be longer than a packet can be is not kept."""
        fragments = Fragments()
        part = cut(packet(bytes(16384)), 8192)[0]
        for number in range(8):
            place = (0x2000 | number * 1024).to_bytes(2)
            self.assertIsNone(fragments.add(part[:20] + place + part[22:]))
        self.assertEqual(fragments._parts, {})

    def test_the_oldest_is_forgotten(self) -> None:
        """What is not complete is not kept for ever."""
        fragments = Fragments()
        packets = [cut(packet(bytes(16)), 8, number) for number in range(MOST_DATAGRAMS + 1)]
        for first, _ in packets:
            fragments.add(first)
        self.assertIsNone(fragments.add(packets[0][1]))
        self.assertIsNotNone(fragments.add(packets[2][1]))
