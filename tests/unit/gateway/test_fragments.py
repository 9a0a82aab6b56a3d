"""Fragments of IPv4 are put together."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.fragments import MOST_BYTES, MOST_DATAGRAMS, MOST_SECONDS, Fragments
from distnet.gateway.packets import checksum
from tests.gateways import FrameGuest, cut

MORE = 0x2000
DO_NOT_FRAGMENT = 0x4000


def packet(data: bytes) -> bytes:
    """A frame with some data for the master."""
    frames: list[bytes] = []
    FrameGuest(frames.append, lambda: b"").ip("10.0.2.16", 6, data)
    return frames[0]


def piece(place: int, data: bytes, *, number: int = 0, options: bytes = b"") -> bytes:
    """
    A fragment.

    @param place: where it belongs, in units of 8 bytes, and what flags it has.
    @param options: of IPv4.
    """
    frame = packet(data)
    size = 20 + len(options)
    head = struct.pack("!BBHHH", 0x40 | size // 4, 0, size + len(data), number, place)
    head += frame[22:24] + bytes(2) + frame[26:34] + options
    head = head[:10] + checksum(head) + head[12:]
    return frame[:14] + head + data


class FragmentsTests(SynchronousTestCase):
    """L{Fragments}"""

    def setUp(self) -> None:
        """Nothing has come."""
        self.fragments = Fragments()

    def add(self, *frames: bytes, now: float = 0.0) -> list[bytes]:
        """What becomes of frames: those with whole packets."""
        wholes = [self.fragments.add(frame, now) for frame in frames]
        return [whole for whole in wholes if whole is not None]

    @given(st.data(), st.binary(min_size=9, max_size=300), st.sampled_from([8, 16, 64]))
    def test_in_any_order(self, data: st.DataObject, payload: bytes, size: int) -> None:
        """However they come, some of them twice, the last one makes the packet whole."""
        frame = packet(payload)
        parts = cut(frame, size)
        *first, last = data.draw(st.permutations(parts))
        again = data.draw(st.lists(st.sampled_from(first), max_size=3)) if first else []
        fragments = Fragments()
        for part in (*first, *again):
            self.assertIsNone(fragments.add(part, 0))
        self.assertEqual(fragments.add(last, 0), frame)
        self.assertEqual((len(fragments), fragments.dropped), (0, 0))

    def test_flags_and_options(self) -> None:
        """The header is the first one's, options too, with a checksum of its own, and no flags."""
        options = b"\x94\x04\x00\x00"
        last = piece(1, b"b")
        first = piece(MORE | DO_NOT_FRAGMENT, b"a" * 8, options=options)
        [whole] = self.add(last, first)
        self.assertEqual(whole[14:22], struct.pack("!BBHHH", 0x46, 0, 33, 0, 0))
        self.assertEqual(
            whole[:14] + whole[22:24] + whole[26:38], first[:14] + first[22:24] + first[26:38]
        )
        self.assertEqual(checksum(whole[14:38]), b"\0\0")
        self.assertEqual(whole[38:], b"a" * 8 + b"b")

    def test_packets_do_not_mix(self) -> None:
        """Those with another number, protocol or address are of other packets."""
        first, last = cut(packet(b"a" * 16), 8)
        for at in (19, 23, 29, 33):
            other = last[:at] + bytes([last[at] ^ 1]) + last[at + 1 :]
            self.assertEqual(self.add(first, other), [], at)
        self.assertEqual(self.add(last), [packet(b"a" * 16)])

    def test_a_number_that_is_used_again(self) -> None:
        """What was never complete does not spoil what comes later under its number."""
        self.add(cut(packet(b"a" * 16), 8)[0])
        self.assertEqual(self.add(*cut(packet(b"b" * 16), 8)), [packet(b"b" * 16)])
        self.assertEqual(self.fragments.dropped, 1)

    def test_overlaps(self) -> None:
        """Whatever overlaps, on either side, ends the packet; what comes later is not completed."""
        for one, other, missing in (
            (piece(MORE, bytes(16)), piece(MORE | 1, bytes(16)), piece(3, bytes(8))),
            (piece(MORE | 1, bytes(16)), piece(MORE, bytes(16)), piece(3, bytes(8))),
            (piece(MORE | 1, bytes(8)), piece(MORE, bytes(24)), piece(3, bytes(8))),
            (piece(MORE, bytes(24)), piece(MORE | 1, bytes(8)), piece(3, bytes(8))),
        ):
            self.fragments = Fragments()
            self.assertEqual(self.add(one, other), [])
            self.assertEqual(len(self.fragments), 0)
            self.assertEqual(self.add(missing), [])

    def test_beyond_the_end(self) -> None:
        """Two ends, and what is behind the end, end the packet."""
        for one, other in (
            (piece(2, bytes(8)), piece(1, bytes(8))),
            (piece(1, bytes(8)), piece(2, bytes(8))),
            (piece(1, bytes(8)), piece(MORE | 2, bytes(8))),
            (piece(MORE | 2, bytes(8)), piece(1, bytes(8))),
        ):
            self.fragments = Fragments()
            self.assertEqual(self.add(one, other), [])
            self.assertEqual(len(self.fragments), 0)

    def test_broken(self) -> None:
        """Empty ones, odd sizes before the end, and what is not as long as it says are nothing."""
        good = piece(MORE, bytes(8))
        broken = [
            piece(MORE, b""),
            piece(MORE, bytes(9)),
            piece(MORE | 0x1FFF, bytes(8)),
            piece(0x1FFF, bytes(8)),
            good[:-1],
            good[:14] + b"\x44" + good[15:],
            good[:14] + b"\x4f" + good[15:],
            good[:20],
        ]
        self.assertEqual(self.add(*broken), [])
        self.assertEqual((len(self.fragments), self.fragments.dropped), (0, len(broken)))

    def test_as_long_as_a_packet_can_be(self) -> None:
        """65535 bytes with the header of the first are taken, not one more, in whatever order."""
        for options, size in ((b"", 65515), (b"\x01" * 40, 65475)):
            for too_much in (0, 1):
                data = bytes(size + too_much)
                begins = range(0, len(data), 1440)
                parts = [
                    piece(
                        begin // 8 | MORE * (begin + 1440 < len(data)),
                        data[begin : begin + 1440],
                        options=options if not begin else b"",
                    )
                    for begin in begins
                ]
                for order in (parts, parts[::-1]):
                    wholes = self.add(*order)
                    if too_much:
                        self.assertEqual(wholes, [])
                    else:
                        [whole] = wholes
                        self.assertEqual(len(whole), 14 + 65535)
                        self.assertEqual(whole[16:18], b"\xff\xff")
                    self.fragments = Fragments()

    def test_the_oldest_is_forgotten(self) -> None:
        """No more packets are kept than may be; that which got nothing for longest goes first."""
        packets = [cut(packet(bytes(24)), 8, number) for number in range(MOST_DATAGRAMS + 1)]
        for first, _, _ in packets[:-1]:
            self.add(first)
        self.add(packets[0][1])
        self.add(packets[-1][0])
        self.assertEqual(len(self.fragments), MOST_DATAGRAMS)
        self.assertEqual(len(self.add(packets[0][2])), 1)
        self.assertEqual(self.add(*packets[1][1:]), [])

    def test_memory(self) -> None:
        """What is kept is bounded, be it in large pieces or in the smallest."""
        for size in (8, 1480):
            self.fragments = Fragments()
            most = 0
            for number in range(MOST_DATAGRAMS):
                for begin in range(0, 65000, 2 * size):
                    self.add(piece(MORE | begin // 8, bytes(size), number=number))
                most = max(most, self.fragments.memory)
            self.assertLessEqual(most, MOST_BYTES)
            self.assertTrue(self.fragments.dropped or size > 8)

    def test_too_old(self) -> None:
        """The rest of a packet is not waited for for ever."""
        first, last = cut(packet(b"a" * 16), 8)
        self.add(first)
        self.assertEqual(len(self.add(last, now=MOST_SECONDS - 0.1)), 1)
        self.add(first, now=100)
        self.assertEqual(self.add(last, now=100 + MOST_SECONDS), [])

    @given(st.lists(st.binary(max_size=80), max_size=8), st.binary(max_size=14))
    def test_anything(self, ends: list[bytes], start: bytes) -> None:
        """Whatever comes, taking it raises nothing, and what comes out is a packet."""
        head = packet(b"")[:14]
        for end in ends:
            for frame in (start + end, head + b"\x45\0" + end, head + b"\x46\0\0\x30" + end):
                whole = self.fragments.add(frame, 0)
                if whole is not None:
                    self.assertEqual(int.from_bytes(whole[16:18]), len(whole) - 14)
                    self.assertEqual(whole[20:22], b"\0\0")
