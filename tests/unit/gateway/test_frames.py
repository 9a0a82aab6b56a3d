"""What the gateway makes of frames."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.fragments import Fragments
from distnet.gateway.frames import LONGEST, Lens, Refusal, Seen
from distnet.gateway.packets import checksum
from distnet.gateway.segments import ACK, FIN, RST, SYN, Progress, Segment
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, cut, gateway_mac, packed

LENS = Lens(PLAN)
MAC = b"\x02\x00\x00\x00\x00\x01"
SOURCE = packed("10.0.2.15")


def made(act: str, *arguments: object, **options: object) -> bytes:
    """The frame that a guest sends."""
    frames: list[bytes] = []
    guest = FrameGuest(frames.append, lambda: b"", "10.0.2.15", MAC)
    getattr(guest, act)(*arguments, **options)
    return frames[0]


def segment(flags: int, start: int, end: int, ack: int = 0) -> Segment:
    """A segment of one guest's."""
    return Segment(packed("10.0.2.15"), 4000, flags, start, end, ack)


class LensTests(SynchronousTestCase):
    """Frames from the switch."""

    def refusal(self, frame: bytes) -> Refusal | None:
        """Why a frame is refused."""
        return LENS.look(frame).refusal

    def test_sizes(self) -> None:
        """Frames shorter than a header and longer than any guest's are refused."""
        self.assertEqual(self.refusal(b"\xff" * 13), Refusal.SIZE)
        whole = made("arp", "10.0.2.2").ljust(LONGEST, b"\0")
        self.assertIsNone(self.refusal(whole))
        self.assertEqual(self.refusal(whole + b"\0"), Refusal.SIZE)

    def test_whom_it_is_for(self) -> None:
        """Only group addresses and the gateway's own MAC addresses are taken."""
        frame = made("tcp", SYN)
        self.assertIsNone(self.refusal(frame))
        self.assertEqual(self.refusal(MAC + frame[6:]), Refusal.FOREIGN)
        self.assertEqual(self.refusal(gateway_mac("10.0.2.17") + frame[6:]), Refusal.FOREIGN)

    def test_types(self) -> None:
        """Only ARP and IPv4 are taken; NCSI, which libslirp answers, is not."""
        for kind in (b"\x86\xdd", b"\x88\xf8", b"\x81\x00"):
            frame = b"\xff" * 6 + MAC + kind + bytes(60)
            self.assertEqual(self.refusal(frame), Refusal.TYPE)

    def test_arp(self) -> None:
        """Questions for the gateway's addresses are taken, and announcements; no others."""
        self.assertIsNone(self.refusal(made("arp", "10.0.2.16")))
        self.assertIsNone(self.refusal(made("arp", "10.0.2.15")))
        self.assertEqual(self.refusal(made("arp", "10.0.2.17")), Refusal.UNWANTED)
        self.assertEqual(self.refusal(made("arp", "10.0.2.2")[:40]), Refusal.BROKEN)

    def test_where_guests_may_go(self) -> None:
        """This machine itself, groups, and what else is in the network cannot be reached."""
        to = gateway_mac("10.0.2.2")
        for target in ("127.0.0.1", "0.0.0.0", "224.0.0.1", "10.0.2.77", "255.255.255.255"):
            frame = made("tcp", SYN, target=target, mac=to)
            self.assertEqual(self.refusal(frame), Refusal.FORBIDDEN, target)
        for target, port in (("10.0.2.2", 7), ("10.0.2.16", 1234), ("192.0.2.1", 80)):
            self.assertIsNone(self.refusal(made("tcp", SYN, target=target, port=port, mac=to)))
        frame = made("tcp", SYN, target="10.0.2.16", port=80)
        self.assertEqual(self.refusal(frame), Refusal.FORBIDDEN)

    def test_broadcasts(self) -> None:
        """Of what is sent to everybody over IPv4 only DHCP is taken."""
        everybody = b"\xff" * 6
        asks = made("udp", "255.255.255.255", (68, 67), bytes(300), everybody)
        self.assertIsNone(self.refusal(asks))
        self.assertTrue(LENS.look(asks).dhcp)
        other = made("udp", "10.0.2.255", (137, 137), bytes(50), everybody)
        self.assertEqual(self.refusal(other), Refusal.UNWANTED)

    def test_duplicates(self) -> None:
        """Frames from an address of the gateway's are refused, and whose they are is known."""
        seen = LENS.look(made("arp", "10.0.2.15", sender=packed("10.0.2.16")))
        self.assertEqual((seen.refusal, seen.mac), (Refusal.DUPLICATE, MAC))
        self.assertEqual(seen.address, packed("10.0.2.16"))
        frame = made("tcp", SYN)
        pretends = frame[:26] + packed("10.0.2.2") + frame[30:]
        self.assertEqual(self.refusal(pretends), Refusal.DUPLICATE)
        same_mac = frame[:6] + gateway_mac("10.0.2.2") + frame[12:]
        self.assertEqual(self.refusal(same_mac), Refusal.DUPLICATE)

    def test_segments(self) -> None:
        """What is for the master is seen with its numbers; padding is not counted."""
        seen = LENS.look(made("tcp", ACK, b"12345") + bytes(9))
        self.assertEqual(seen.segment, segment(ACK, 1000, 1005))
        self.assertEqual(LENS.look(made("tcp", SYN)).segment, segment(SYN, 1000, 1001))
        self.assertIsNone(LENS.look(made("tcp", SYN, target="10.0.2.2")).segment)

    def test_broken_packets(self) -> None:
        """What is not as long as it says is refused."""
        frame = made("tcp", SYN)
        for at, byte in ((14, 0x65), (14, 0x44), (14, 0x4F), (16, 0x10), (46, 0xF0), (46, 0x10)):
            broken = frame[:at] + bytes([byte]) + frame[at + 1 :]
            self.assertEqual(self.refusal(broken), Refusal.BROKEN, (at, byte))
        self.assertEqual(self.refusal(frame[:33]), Refusal.BROKEN)

    def test_fragments(self) -> None:
        """What comes in fragments, for whichever of us, is judged when it is whole."""
        for target, port, refusal in (
            ("10.0.2.16", 1234, None),
            ("10.0.2.16", 1235, Refusal.FORBIDDEN),
            ("10.0.2.2", 7, None),
            ("127.0.0.1", 7, Refusal.FORBIDDEN),
        ):
            mac = gateway_mac("10.0.2.2")
            frame = made("tcp", ACK, bytes(4000), target=target, port=port, mac=mac)
            fragments = Fragments()
            *others, last = cut(frame, 1456)
            for fragment in (*others, last):
                self.assertEqual(LENS.look(fragment), Seen(MAC, SOURCE, is_fragment=True))
            for fragment in others:
                self.assertIsNone(fragments.add(fragment, 0))
            whole = fragments.add(last, 0)
            assert whole is not None
            seen = LENS.look_at_whole(whole)
            self.assertEqual(seen.refusal, refusal)
            if port == 1234:
                self.assertEqual(seen.segment, segment(ACK, 1000, 5000))

    def test_fragments_for_everybody(self) -> None:
        """Of what is sent to everybody no fragment is taken, whatever its data look like."""
        everybody = b"\xff" * 6
        asks = made("udp", "255.255.255.255", (68, 67), b"\0C" * 150, everybody)
        for fragment in cut(asks, 160):
            self.assertEqual(self.refusal(fragment), Refusal.UNWANTED)

    def test_the_short_way(self) -> None:
        """A segment is found the short way just if it is found the long way, and it is the same."""
        find = LENS.from_guest(MAC)
        frame = made("tcp", ACK, b"12345")
        self.assertEqual(find(frame + bytes(9)), segment(ACK, 1000, 1005))
        self.assertEqual(find(made("tcp", SYN | FIN)), segment(SYN | FIN, 1000, 1002))
        for at in range(len(frame)):
            for byte in (
                0,
                1,
                4,
                15,
                16,
                20,
                0x44,
                0x4F,
                0x60,
                0xF0,
                frame[at] ^ 1,
                frame[at] ^ 128,
            ):
                changed = frame[:at] + bytes([byte]) + frame[at + 1 :]
                seen, found = LENS.look(changed), find(changed)
                if found is not None:
                    self.assertEqual(seen, Seen(MAC, found.address, segment=found), (at, byte))
                elif at not in (6, 7, 8, 9, 10, 11):
                    self.assertIsNone(seen.segment, (at, byte))
        for size in range(len(frame)):
            self.assertIsNone(find(frame[:size]))

    def test_what_the_short_way_leaves(self) -> None:
        """Other guests, other machines' addresses, options and long frames go the long way."""
        frame = made("tcp", ACK, b"12345")
        self.assertIsNone(LENS.from_guest(MAC[:5] + b"\x09")(frame))
        pretends = frame[:26] + packed("10.0.2.2") + frame[30:]
        self.assertIsNone(LENS.from_guest(MAC)(pretends))
        ours = gateway_mac("10.0.2.2")
        self.assertIsNone(LENS.from_guest(ours)(frame[:6] + ours + frame[12:]))
        long = made("tcp", ACK, bytes(2000))
        self.assertIsNone(LENS.from_guest(MAC)(long))
        self.assertEqual(LENS.from_guest(MAC, 9014)(long), segment(ACK, 1000, 3000))

    @given(st.binary(max_size=120), st.sampled_from([b"\x08\x00\x45", b"\x08\x06", b""]))
    def test_anything(self, data: bytes, start: bytes) -> None:
        """Whatever comes, looking at it raises nothing."""
        for head in (b"\xff" * 6 + MAC, gateway_mac("10.0.2.16") + MAC, b""):
            LENS.look(head + start + data)
            LENS.from_master(head + start + data)
            LENS.from_guest(MAC)(head + start + data)
            LENS.with_own_mac(bytearray(head + start + data))

    def test_own_mac(self) -> None:
        """IPv4 of the gateway's gets the MAC address of its own address; NAT's keeps it."""
        host = gateway_mac("10.0.2.2")
        for source, mac in (("10.0.2.16", gateway_mac("10.0.2.16")), ("192.0.2.1", host)):
            frame = MAC + host + b"\x08\x00" + bytes(12) + packed(source) + bytes(30)
            self.assertEqual(LENS.with_own_mac(bytearray(frame)), MAC + mac + frame[12:])

    def test_resets(self) -> None:
        """A reset has the right addresses, numbers and checksums, either way."""
        progress = Progress(segment(ACK, 5, 5, 77))
        frame = LENS.reset(MAC, progress, to_guest=False)
        self.assertEqual(frame[:12], gateway_mac("10.0.2.16") + MAC)
        seen = LENS.look(frame)
        self.assertIsNone(seen.refusal)
        self.assertEqual(seen.segment, segment(RST | ACK, 5, 5, 77))
        self.assertEqual(checksum(frame[14:34]), b"\0\0")
        pseudo = frame[26:34] + struct.pack("!HH", 6, 20)
        self.assertEqual(checksum(pseudo + frame[34:]), b"\0\0")
        frame = LENS.reset(MAC, progress, to_guest=True)
        self.assertEqual(frame[:12], MAC + gateway_mac("10.0.2.16"))
        self.assertEqual(LENS.from_master(frame), segment(RST | ACK, 77, 77, 5))

    def test_probe(self) -> None:
        """A probe has nothing, at a place that a guest that knows the connection has passed."""
        frame = LENS.probe(MAC, Progress(segment(ACK, 5, 5, 0)))
        self.assertEqual(frame[:12], MAC + gateway_mac("10.0.2.16"))
        self.assertEqual(LENS.from_master(frame), segment(ACK, 2**32 - 1, 2**32 - 1, 5))


class ProgressTests(SynchronousTestCase):
    """Where a connection is."""

    def test_all_sent(self) -> None:
        """All is sent when segments have left up to what was given; sent again does not count."""
        progress = Progress(segment(ACK, 5, 5, 2**32 - 3))
        self.assertTrue(progress.all_sent)
        progress.give(10)
        self.assertFalse(progress.all_sent)
        progress.master_sent(segment(ACK, 2**32 - 3, 3))
        self.assertFalse(progress.all_sent)
        progress.master_sent(segment(ACK, 3, 7))
        self.assertTrue(progress.all_sent)
        progress.master_sent(segment(ACK, 2**32 - 3, 3))
        self.assertTrue(progress.all_sent)

    def test_guests_end(self) -> None:
        """The guest's end is that of its furthest segment."""
        progress = Progress(segment(ACK, 2**32 - 5, 2**32 - 5))
        progress.guest_sent(segment(ACK, 2**32 - 5, 5))
        progress.guest_sent(segment(ACK, 2**32 - 5, 2**32 - 1))
        self.assertEqual(progress.from_guest, 5)

    def test_begins_anew(self) -> None:
        """Another SYN is another connection; the same one, sent again, is not."""
        progress = Progress(segment(ACK, 1001, 1001))
        self.assertFalse(progress.begins_anew(segment(SYN, 1000, 1001)))
        self.assertFalse(progress.begins_anew(segment(ACK, 7, 8)))
        self.assertTrue(progress.begins_anew(segment(SYN, 7, 8)))
