"""Batches of frames, and segments that become one."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.frames import LONGEST, Lens
from distnet.gateway.merge import LONGEST_BATCH, MOST_IN_BATCH, batch_of, frames_of, merged
from distnet.gateway.packets import checksum
from distnet.gateway.segments import ACK, FIN, RST, SYN
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, packed

MAC = b"\2\0\0\0\0\x15"
PSH, URG = 8, 32
FIND = Lens(PLAN).from_guest(MAC)


class Sender:
    """A guest that keeps what it sends."""

    def __init__(self, address: str = "10.0.2.15") -> None:
        self.frames: list[bytes] = []
        self.guest = FrameGuest(self.frames.append, lambda: b"", address, MAC)
        self.guest.acknowledged = 5000

    def tcp(self, flags: int = ACK, data: bytes = b"") -> bytes:
        """A segment."""
        self.guest.tcp(flags, data)
        return self.frames[-1]


def is_right(frame: bytes) -> bool:
    """Whether the checksums of a frame are right, RFC 791 and RFC 9293."""
    segment = frame[34 : 14 + int.from_bytes(frame[16:18])]
    pseudo = frame[26:34] + struct.pack("!HH", 6, len(segment))
    sums = checksum(frame[14:34]), checksum(pseudo + segment + bytes(len(segment) % 2))
    return sums == (b"\0\0", b"\0\0")


class MergeTests(SynchronousTestCase):
    """What becomes of a guest's frames on their way to libslirp."""

    def setUp(self) -> None:
        self.sender = Sender()

    def merge(self, *frames: bytes) -> list[bytes]:
        """The frames that are left; with each comes the segment that it has."""
        found = merged(frames, FIND)
        find = Lens(PLAN).from_guest(MAC, 14 + 65535)
        for frame, segment in found:
            self.assertEqual(segment, find(frame))
        return [frame for frame, _ in found]

    def test_data(self) -> None:
        """Segments that follow each other become one that says the same."""
        datas = [bytes([number]) * 1460 for number in range(40)]
        frames = [self.sender.tcp(ACK, data) for data in datas]
        frames.append(self.sender.tcp(ACK | PSH, b"end"))
        (frame,) = self.merge(*frames)
        self.assertTrue(is_right(frame))
        self.assertEqual(frame[54:], b"".join([*datas, b"end"]))
        self.assertEqual(frame[:16], frames[0][:16])
        # Numbers and ports are the first one's, the flags of all.
        self.assertEqual(frame[34:47], frames[0][34:47])
        self.assertEqual(frame[47], ACK | PSH)

    def test_no_more_than_a_packet_holds(self) -> None:
        """A frame has no more than the length in its header can say."""
        frames = [self.sender.tcp(ACK, bytes(1460)) for _ in range(60)]
        sizes = [len(frame) - 54 for frame in self.merge(*frames)]
        self.assertEqual(sizes, [44 * 1460, 16 * 1460])

    def test_what_stays_alone(self) -> None:
        """Segments that say something else besides are what they were."""
        tcp = self.sender.tcp
        first = tcp(ACK, b"12")
        for flags in (ACK | FIN, ACK | RST, ACK | SYN, ACK | URG, 0):
            frames = [first, tcp(flags, b"34")]
            self.assertEqual(self.merge(*frames), frames)
            self.assertEqual(self.merge(*reversed(frames)), frames[::-1])
            self.sender.guest.sequence = 1002

    def test_what_does_not_fit(self) -> None:
        """Another window, number, port, address, acknowledgement, or a hole: no merging."""
        guest = self.sender.guest
        first = self.sender.tcp(ACK, b"12")
        for name, value in {
            "window": 100,
            "acknowledged": 5001,
            "port": 4001,
            "address": packed("10.0.2.17"),
            "sequence": 1003,
        }.items():
            before = getattr(guest, name)
            setattr(guest, name, value)
            other = self.sender.tcp(ACK, b"34")
            self.assertEqual(self.merge(first, other), [first, other], name)
            setattr(guest, name, before)
            guest.sequence = 1002
        again = self.merge(first, first)
        self.assertEqual(again, [first, first])

    def test_an_odd_number_of_bytes(self) -> None:
        """What follows an odd number of bytes stays alone: its sum is of other pairs."""
        frames = [self.sender.tcp(ACK, b"123"), self.sender.tcp(ACK, b"45")]
        self.assertEqual(self.merge(*frames), frames)

    def test_options_stay_alone(self) -> None:
        """Options of TCP are not lost."""
        frame = self.sender.tcp(ACK, b"\1\1\1\1data")
        frame = frame[:46] + b"\x60" + frame[47:]
        after = self.sender.tcp(ACK, b"more")
        self.assertEqual(self.merge(frame, after), [frame, after])

    def test_what_is_behind_the_packet(self) -> None:
        """Frames that are longer than their packets stay as they are."""
        frames = [self.sender.tcp(ACK, b"12") + bytes(6), self.sender.tcp(ACK, b"34") + bytes(6)]
        self.assertEqual(self.merge(*frames), frames)

    def test_damaged_headers(self) -> None:
        """A damaged header is not hidden behind one that is not."""
        first, second = self.sender.tcp(ACK, b"12"), self.sender.tcp(ACK, b"34")
        damaged = second[:22] + bytes([second[22] ^ 1]) + second[23:]
        self.assertEqual(self.merge(first, damaged), [first, damaged])
        (whole,) = self.merge(first[:22] + bytes([first[22] ^ 1]) + first[23:], second)
        self.assertFalse(is_right(whole))

    def test_acknowledgements(self) -> None:
        """Of several that acknowledge ever more the last is left; of the same number, all."""
        guest = self.sender.guest
        frames = []
        for number in (100, 200, 200, 300, 50):
            guest.acknowledged = number
            frames.append(self.sender.tcp(ACK))
        self.assertEqual(self.merge(*frames), [frames[1], *frames[3:]])
        guest.port += 1
        guest.acknowledged = 400
        other = self.sender.tcp(ACK)
        self.assertEqual(self.merge(frames[0], other), [frames[0], other])
        end = self.sender.tcp(ACK | FIN)
        self.assertEqual(self.merge(other, end), [other, end])

    def test_strange_frames_keep_their_place(self) -> None:
        """What is no segment for the master is left as it is, where it is."""
        strange = b"\xff" * 60
        one, two = self.sender.tcp(ACK, b"12"), self.sender.tcp(ACK, b"34")
        self.assertEqual(self.merge(one, strange, two), [one, strange, two])

    @given(st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=9), st.data())
    def test_sums(self, datas: list[bytes], data: st.DataObject) -> None:
        """Whatever the data, and wherever the numbers wrap: sums are right just if all were."""
        sender = Sender()
        sender.guest.sequence = data.draw(st.integers(2**32 - 60, 2**32 - 1))
        sender.guest.port = data.draw(st.integers(0, 65535))
        sender.guest.acknowledged = data.draw(st.integers(0, 2**32 - 1))
        frames = []
        for each in datas:
            sender.guest.sequence %= 2**32
            frames.append(sender.tcp(ACK | data.draw(st.sampled_from([0, PSH])), each))
        found = self.merge(*frames)
        self.assertTrue(all(map(is_right, found)))
        self.assertEqual(b"".join(frame[54:] for frame in found), b"".join(datas))
        which = data.draw(st.integers(0, len(frames) - 1))
        place = data.draw(st.integers(38, len(frames[which]) - 1))
        frames[which] = (
            frames[which][:place] + bytes([frames[which][place] ^ 4]) + frames[which][place + 1 :]
        )
        self.assertFalse(all(map(is_right, self.merge(*frames))))


class BatchTests(SynchronousTestCase):
    """How frames are handed on."""

    @given(st.lists(st.binary(max_size=90), max_size=MOST_IN_BATCH))
    def test_batches(self, frames: list[bytes]) -> None:
        """What was put in comes out."""
        self.assertEqual(frames_of(batch_of(frames)), frames)

    def test_the_longest(self) -> None:
        """As many of the longest frames as there may be fit."""
        frames = [bytes(LONGEST + 1)] * MOST_IN_BATCH
        self.assertEqual(len(batch_of(frames)), LONGEST_BATCH)
