"""What the gateway answers by itself."""

from __future__ import annotations

import struct

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.answers import Answers
from distnet.gateway.packets import checksum
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, cut, gateway_mac, packed

ANSWERS = Answers(PLAN, nat=False)
WITH_NAT = Answers(PLAN, nat=True)
MAC = b"\x02\x00\x00\x00\x00\x01"
SOURCE = "10.0.2.15"


def made(act: str, *arguments: object, **options: object) -> bytes:
    """The frame that a guest sends."""
    frames: list[bytes] = []
    guest = FrameGuest(frames.append, lambda: b"", SOURCE, MAC)
    getattr(guest, act)(*arguments, **options)
    return frames[0]


def summed(data: bytes) -> bytes:
    """The internet checksum of any number of bytes."""
    return checksum(data + bytes(len(data) % 2))


def icmp(kind: int, data: bytes, code: int = 0) -> bytes:
    """A message of ICMP, with its checksum."""
    head = struct.pack("!BBHHH", kind, code, 0, 7, 9)
    return head[:2] + summed(head + data) + head[4:] + data


def ping(target: str, data: bytes = b"abc", options: bytes = b"", **changes: bytes) -> bytes:
    """A frame that pings an address."""
    frame = made("ip", target, 1, icmp(8, data, **changes))  # type: ignore[arg-type]
    return headed(frame, options) if options else frame


def headed(frame: bytes, options: bytes) -> bytes:
    """A frame with a packet that has options."""
    head = bytes([0x45 + len(options) // 4]) + frame[15:16]
    head += (len(frame) - 14 + len(options)).to_bytes(2) + frame[18:24] + bytes(2) + frame[26:34]
    head += options
    return frame[:14] + head[:10] + checksum(head) + head[12:] + frame[34:]


def changed(frame: bytes, at: int, value: bytes) -> bytes:
    """A frame with other bytes at a place, and a header of IPv4 that is right all the same."""
    frame = frame[:at] + value + frame[at + len(value) :]
    head = frame[14:24] + bytes(2) + frame[26:34]
    return frame[:24] + checksum(head) + frame[26:]


class ArpTests(SynchronousTestCase):
    """Questions for addresses."""

    def test_own_addresses(self) -> None:
        """It answers for its own addresses, with the MAC address that each has."""
        for target in ("10.0.2.2", "10.0.2.16"):
            for to in (b"\xff" * 6, b"\x01\x00\x5e\x00\x00\x01", gateway_mac("10.0.2.2")):
                answer = ANSWERS.arp(to + made("arp", target)[6:])
                own = gateway_mac(target) + packed(target)
                assert answer is not None
                self.assertEqual(answer[:14], MAC + own[:6] + b"\x08\x06")
                self.assertEqual(answer[14:22], b"\0\x01\x08\0\x06\x04\0\x02")
                self.assertEqual(answer[22:], own + MAC + packed(SOURCE) + bytes(18))

    def test_a_name_server_with_nat_only(self) -> None:
        """Without NAT there is no name server to be found."""
        question = made("arp", "10.0.2.3")
        self.assertIsNone(ANSWERS.arp(question))
        answer = WITH_NAT.arp(question)
        assert answer is not None
        self.assertEqual(answer[6:12], gateway_mac("10.0.2.3"))

    def test_a_probe(self) -> None:
        """Who wants to have one of its addresses, and asks whether somebody has, is told so."""
        answer = ANSWERS.arp(made("arp", "10.0.2.2", sender=bytes(4)))
        assert answer is not None
        self.assertEqual(answer[32:42], MAC + bytes(4))

    def test_what_is_not_answered(self) -> None:
        """Others' addresses, answers, what is announced, and what is for others are left alone."""
        question = made("arp", "10.0.2.2")
        for frame in (
            made("arp", "10.0.2.17"),
            made("arp", "10.0.2.16", sender=packed("10.0.2.16")),
            made("arp", "10.0.2.16", sender=packed("10.0.2.2")),
            question[:20] + b"\0\x02" + question[22:],
            question[:16] + b"\x86\xdd" + question[18:],
            MAC + question[6:],
            question[:41],
            question[:22] + b"\xff" * 6 + question[28:],
            question[:22] + gateway_mac("10.0.2.16") + question[28:],
        ):
            self.assertIsNone(ANSWERS.arp(frame), frame.hex())


class EchoTests(SynchronousTestCase):
    """Pings."""

    def check(self, answer: bytes | None, target: str, data: bytes) -> None:
        """See that this is what answers a ping."""
        assert answer is not None
        self.assertEqual(answer[:14], MAC + gateway_mac(target) + b"\x08\x00")
        self.assertEqual(answer[14], 0x45)
        self.assertEqual(int.from_bytes(answer[16:18]), len(answer) - 14)
        self.assertEqual(checksum(answer[14:34]), b"\0\0")
        self.assertEqual((answer[22], answer[23]), (64, 1))
        self.assertEqual(answer[26:34], packed(target) + packed(SOURCE))
        self.assertEqual(answer[34:], icmp(0, data))

    @given(st.binary(max_size=200), st.sampled_from(["10.0.2.2", "10.0.2.16"]))
    @example(b"\xf7\xff" + b"\xff" * 8, "10.0.2.2")
    @example(bytes(2), "10.0.2.2")
    def test_own_addresses(self, data: bytes, target: str) -> None:
        """A ping of each is answered from there; what pads the frame is not sent back."""
        self.check(ANSWERS.echo(ping(target, data)), target, data)
        self.check(ANSWERS.echo(ping(target, data) + bytes(9)), target, data)

    @given(st.binary(max_size=200), st.integers(0, 255))
    def test_checksums(self, data: bytes, code: int) -> None:
        """The checksum of each answer is right, whatever that of the ping was."""
        answer = ANSWERS.echo(made("ip", "10.0.2.2", 1, icmp(8, data, code)))
        assert answer is not None
        self.assertEqual(summed(answer[34:]), b"\0\0")

    def test_through_another_mac(self) -> None:
        """The MAC address that a ping was sent to is not what says who answers."""
        frame = gateway_mac("10.0.2.2") + ping("10.0.2.16")[6:]
        self.check(ANSWERS.echo(frame), "10.0.2.16", b"abc")

    def test_a_name_server_with_nat_only(self) -> None:
        """Without NAT there is no name server to be pinged."""
        self.assertIsNone(ANSWERS.echo(ping("10.0.2.3")))
        self.check(WITH_NAT.echo(ping("10.0.2.3")), "10.0.2.3", b"abc")

    def test_options(self) -> None:
        """A packet with options is answered without them."""
        for options in (b"\x01" * 4, b"\x07\x27\x04" + bytes(37)):
            self.check(ANSWERS.echo(ping("10.0.2.2", options=options)), "10.0.2.2", b"abc")

    def test_what_is_kept(self) -> None:
        """An answer has the number, the type of service and "do not fragment" of its ping."""
        frame = changed(ping("10.0.2.2"), 15, b"\x10")
        frame = changed(changed(frame, 18, b"\x12\x34"), 20, b"\xc0\0")
        answer = ANSWERS.echo(frame)
        assert answer is not None
        self.assertEqual(answer[15:22], b"\x10" + frame[16:18] + b"\x12\x34\x40\0")

    @given(
        st.binary(min_size=1, max_size=3000), st.sampled_from([8, 16, 1480]), st.integers(0, 65535)
    )
    def test_fragments(self, data: bytes, size: int, number: int) -> None:
        """The fragments of a ping are answered by the same ones of its answer, one by one."""
        parts = cut(ping("10.0.2.16", data), size, number)
        whole = made("ip", "10.0.2.16", 1, icmp(0, data))
        answers = [ANSWERS.echo(part) for part in reversed(parts)][::-1]
        for answer, wanted in zip(answers, cut(whole, size, number), strict=True):
            assert answer is not None
            self.assertEqual(answer[16:22] + answer[34:], wanted[16:22] + wanted[34:])
            self.assertEqual(checksum(answer[14:34]), b"\0\0")

    def test_broken_fragments(self) -> None:
        """What cannot be in the middle of a packet, nor at its end, gets no answer."""
        part = made("ip", "10.0.2.2", 1, bytes(16))
        for place, frame in (
            (b"\x20\x01", made("ip", "10.0.2.2", 1, bytes(15))),
            (b"\x1f\xff", part),
            (b"\x20\x00", made("ip", "10.0.2.2", 1, icmp(8, bytes(7)))),
            (b"\x20\x00", made("ip", "10.0.2.2", 1, icmp(0, bytes(8)))),
        ):
            self.assertIsNone(ANSWERS.echo(changed(frame, 20, place)), place.hex())
        # 20 + 8 * 8188 + 11 is as long as a packet can be.
        for length, answered in ((11, True), (12, False)):
            last = changed(made("ip", "10.0.2.2", 1, bytes(length)), 20, (8188).to_bytes(2))
            self.assertEqual(ANSWERS.echo(last) is not None, answered)

    def test_what_is_not_answered(self) -> None:
        """Other ICMP, others' addresses and MACs, and what is broken are left alone."""
        frame = ping("10.0.2.2")
        for wrong in (
            ping("10.0.2.17"),
            made("ip", "10.0.2.2", 1, icmp(0, b"abc")),
            made("ip", "10.0.2.2", 1, icmp(3, bytes(20))),
            made("ip", "10.0.2.2", 1, icmp(8, b"")[:7]),
            made("ip", "10.0.2.2", 1, icmp(8, b"abc")[:-1] + b"x"),
            made("ip", "10.0.2.2", 17, icmp(8, b"abc")),
            b"\xff" * 6 + frame[6:],
            MAC + frame[6:],
            gateway_mac("10.0.2.17") + frame[6:],
            frame[:6] + b"\xff" * 6 + frame[12:],
            frame[:6] + gateway_mac("10.0.2.2") + frame[12:],
            frame[:12] + b"\x86\xdd" + frame[14:],
            frame[:24] + b"xx" + frame[26:],
            frame[:-1],
            changed(frame, 14, b"\x65"),
            changed(frame, 14, b"\x44"),
            changed(frame, 16, b"\0\x14"),
            changed(frame, 16, b"\0\x13"),
        ):
            self.assertIsNone(ANSWERS.echo(wrong), wrong.hex())

    def test_senders_that_are_no_machine(self) -> None:
        """Nobody is answered at an address of the gateway's, of a group, or of no machine."""
        for address in (
            "10.0.2.2", "10.0.2.16", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255",
            "10.0.3.255",
        ):  # fmt: skip
            frame = changed(ping("10.0.2.2"), 26, packed(address))
            self.assertIsNone(ANSWERS.echo(frame), address)


class AnythingTests(SynchronousTestCase):
    """Frames of guests that send nonsense."""

    @given(st.binary(max_size=120), st.sampled_from([b"\x08\x00\x45", b"\x08\x06", b""]))
    def test_anything(self, data: bytes, start: bytes) -> None:
        """Whatever comes, nothing is raised."""
        for head in (b"\xff" * 6 + MAC, gateway_mac("10.0.2.16") + MAC, b""):
            ANSWERS.arp(head + start + data)
            ANSWERS.echo(head + start + data)

    @given(
        st.sampled_from([made("arp", "10.0.2.2"), ping("10.0.2.2", bytes(40))]),
        st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
        st.integers(0, 100),
    )
    def test_changed(self, frame: bytes, changes: list[tuple[int, int]], size: int) -> None:
        """Whatever is changed in a frame, and wherever it ends, nothing is raised."""
        changed = bytearray(frame)
        for at, value in changes:
            if at < len(changed):
                changed[at] = value
        for answer in (ANSWERS.arp, ANSWERS.echo):
            answer(bytes(changed))
            answer(bytes(changed[:size]))
