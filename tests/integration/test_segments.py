"""Native code and Python say the same of frames and segments, and make the same of them."""

from __future__ import annotations

import struct
import subprocess
from collections import Counter
from ipaddress import IPv4Network
from random import Random

import pytest

from distnet.gateway.frames import LONGEST, Lens
from distnet.gateway.merge import MOST_IN_BATCH, _outdoes, batch_of, merged
from distnet.gateway.packets import IPV4
from distnet.gateway.segments import ACK, FIN, RST, SYN, Progress, Segment
from distnet.guestnet import PLAN, Plan
from tests.fuzzing import built
from tests.gateways import gateway_mac, packed
from tests.packets import checksum, ip_packet, tcp_segment
from tests.suites import why_not_native

pytestmark = pytest.mark.skipif(why_not_native() is not None, reason="there is no native code")

MAC = b"\2\0\0\0\0\x15"
PSH, URG = 8, 32
SEQUENCES = 1 << 32
EDGES = (0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, SEQUENCES - 1460, SEQUENCES - 1)
FLAGS = (
    *[ACK] * 3, *[ACK | PSH] * 2,
    SYN, SYN | ACK, SYN | FIN, ACK | FIN, RST, RST | ACK, ACK | URG, 0,
)  # fmt: skip
NETWORK = IPv4Network("192.168.4.0/24")
OTHER_PLAN = Plan(NETWORK, host=NETWORK[1], name_server=NETWORK[9], master=NETWORK[20], port=65535)
OUTSIDE = ("8.8.8.8", "223.1.1.1", "127.0.0.1", "0.0.0.1", "224.0.0.1")
SEGMENTS = 6000
BATCHES = 150


class Questions:
    """
    Questions for native code, and what Python answers.

    @ivar kinds: how often Python has answered what, in short.
    """

    def __init__(self, random: Random, plan: Plan) -> None:
        self.random, self.plan = random, plan
        self.lens = Lens(plan)
        self.kinds: Counter[str] = Counter()
        self._asked: list[bytes] = []
        self._answers: list[str] = []
        own = b"".join(address.packed for address in plan.own)
        numbers = struct.pack(
            "!HII", plan.port, int(plan.network.network_address), int(plan.network.netmask)
        )
        self._ask("P", plan.master.packed + numbers + own, "")

    def _ask(self, kind: str, what: bytes, answer: str) -> None:
        self._asked.append(kind.encode() + len(what).to_bytes(4) + what)
        self._answers.append(answer)

    def compare(self) -> None:
        """Have native code answer as well."""
        with built("segment_twin", "guest") as program:
            ran = subprocess.run(
                [program], input=b"".join(self._asked), capture_output=True, check=False
            )
        assert ran.returncode == 0, ran.stderr.decode()
        lines = ran.stdout.decode().split("\n")
        assert len(lines) == len(self._answers) + 1
        for asked, answer, line in zip(self._asked, self._answers, lines, strict=False):
            assert line == answer, asked[:1] + asked[5:].hex().encode()

    # What is asked about

    def number(self) -> int:
        """A sequence number, often one where something changes."""
        if self.random.random() < 0.5:
            return self.random.randrange(SEQUENCES)
        return (self.random.choice(EDGES) + self.random.randrange(-3, 4)) % SEQUENCES

    def segment(self) -> Segment:
        """A segment as it might be found."""
        start = self.number()
        end = start + self.random.choice((0, 0, 1, 1460))
        address = packed(self.random.choice(("10.0.2.15", "10.0.2.17")))
        port, flags = self.random.choice((4000, 4001)), self.random.choice(FLAGS)
        return Segment(address, port, flags, start, end % SEQUENCES, self.number())

    def frame(self) -> bytes:
        """A segment of the guest's or for it, with up to three things about it changed."""
        choose, plan = self.random.choice, self.plan
        master, host = plan.master.packed, plan.host.packed
        guest, own = (plan.master + 7).packed, gateway_mac(str(plan.host))
        is_from_guest = self.random.random() < 0.7
        other, mac = choose(((master, gateway_mac(str(plan.master))), (packed("8.8.8.8"), own)))
        if not is_from_guest:
            other = master
        ends = (guest, other) if is_from_guest else (other, guest)
        macs = (mac, MAC)
        ports = (4000, plan.port) if is_from_guest else (plan.port, 4000)
        data = self.random.randbytes(choose((0, 0, 1, 2, 7, 400, 1460, 1482, 1483)))
        flags, place, protocol, options, padding = choose(FLAGS), 0, 6, b"", b""
        tag = b""
        for _ in range(choose((0, 0, 0, 1, 1, 2, 3))):
            match self.random.randrange(13):
                case 0:
                    mac = choose((own, b"\xff" * 6, MAC, host + b"\x52\x55"))
                    macs = (mac, macs[1])
                case 1:
                    mac = choose((own, macs[0], MAC[:5] + b"\x16"))
                    macs = (macs[0], mac)
                case 2 | 3:
                    others = map(packed, OUTSIDE)
                    in_network = plan.network[1], plan.network[77], plan.network[-1] + 1
                    target = choose((*others, *(each.packed for each in in_network), host))
                    ends = (ends[0], target) if is_from_guest else (target, ends[1])
                    macs = (choose((macs[0], own)), macs[1])
                case 4:
                    ends = choose((host, plan.name_server.packed, master)), ends[1]
                case 5:
                    ports = choose((ports, ports[::-1], (0, 0), (ports[0], ports[1] ^ 256)))
                case 6:
                    place = choose((0x4000, 0x8000, 0x2000, 1, 0x1FFF))
                case 7:
                    protocol = choose((17, 1, 0))
                case 8:
                    options = bytes(choose((4, 8, 40)))
                case 9:
                    padding = bytes(choose((1, 6, 46)))
                case 10:
                    tag = choose((b"\x81\x00\x00\x05", b"\x81\x00\x00\x05" * 2))
                case 11:
                    data = self.random.randbytes(choose((LONGEST - 54, LONGEST - 53)))
                case _:
                    flags = self.random.randrange(256)
        tcp = tcp_segment(ends, ports, (self.number(), self.number()), flags, data)
        packet = ip_packet(*ends, protocol, tcp, place=place, options=options)
        made = bytearray(macs[0] + macs[1] + tag + IPV4 + packet + padding)
        return self._damaged(made)

    def _damaged(self, frame: bytearray) -> bytes:
        """A frame as something on its way may make it; most often as it is."""
        match self.random.randrange(16):
            case 0:
                frame[self.random.randrange(min(len(frame), 60))] ^= 1 << self.random.randrange(8)
            case 1:
                del frame[self.random.randrange(len(frame)) :]
            case 2 if len(frame) > 46:
                frame[46] = self.random.choice((0, 0x40, 0x4F, 0x50, 0x5F, 0x60, 0xF0))
            case 3 if len(frame) > 18:
                total = int.from_bytes(frame[16:18]) + self.random.choice((-41, -1, 1, 8, 1 << 15))
                frame[16:18] = (total % (1 << 16)).to_bytes(2)
            case 4 if len(frame) > 14:
                frame[14] = self.random.choice((0x40, 0x44, 0x46, 0x4F, 0x55, 0x65))
            case 5:
                return self.random.randbytes(self.random.randrange(1, 120))
            case _:
                pass
        return bytes(frame)

    def flow(self) -> list[bytes]:
        """What a guest sends on two connections, most of it as it should be."""
        choose, chance = self.random.choice, self.random.random
        guest, master = (self.plan.master + 7).packed, self.plan.master.packed
        numbers = dict.fromkeys((4000, 4001), self.number())
        acks = dict.fromkeys(numbers, self.number())
        # All that follows goes into one frame, as far as that can say how long it is.
        is_large = chance() < 0.2
        port, window = 4000, 65535
        frames = []
        for _ in range(self.random.randrange(1, 4 * MOST_IN_BATCH)):
            flags, size = choose((ACK, ACK, ACK | PSH)), 1460
            if not is_large:
                size = choose((1460, 1460, 1458, 2, 4, 3, 1, 0))
            strange = 0.002 if is_large else 0.05
            if chance() < strange:
                # Another connection, where the other one is.
                numbers[port ^ 1], acks[port ^ 1] = numbers[port], acks[port]
                port ^= 1
            if chance() < strange:
                window ^= 256
            if chance() < strange:
                frames.append(self.frame())
                continue
            if chance() < strange:
                flags, size = choose(FLAGS), choose((0, 0, 2))
            data = self.random.randbytes(size)
            source = guest if chance() > strange else (self.plan.master + 8).packed
            ends = (source, master)
            if chance() < strange:
                acks[port] = (acks[port] + choose((1, 1460, 1460, 1 << 31, -1))) % SEQUENCES
            pair = (numbers[port], acks[port])
            segment = tcp_segment(ends, (port, self.plan.port), pair, flags, data, window=window)
            frame = bytearray(gateway_mac(str(self.plan.master)) + MAC + IPV4)
            frame += ip_packet(*ends, 6, segment, number=self.random.randrange(1 << 16))
            if size == 0 and chance() < 0.5:
                # Several acknowledgements, one after the other.
                acks[port] = (acks[port] + choose((0, 1, 1460))) % SEQUENCES
            if chance() > strange:
                numbers[port] = (numbers[port] + size) % SEQUENCES
            if chance() < strange:
                frame += bytes(choose((1, 6)))
            if chance() < strange:
                # Where only a checksum tells of it, that of IPv4 or of TCP.
                frame[choose((18, 22, 24, 50, 52, len(frame) - 1))] ^= 1 << self.random.randrange(8)
            if chance() < strange:
                # Zero has two forms in one's complement.
                at = choose((24, 50))
                frame[at : at + 2] = choose((b"\0\0", b"\xff\xff"))
            frames.append(self._damaged(frame) if chance() < strange else bytes(frame))
        return frames

    def carried_twice(self, segment: Segment) -> Segment:
        """A segment with a port by which the sum of a reset has a carry when it is folded."""
        frame = self.lens.reset(MAC, Progress(segment), to_guest=False)
        words = struct.unpack("!15H", frame[26:50] + frame[52:54] + struct.pack("!HH", 6, 20))
        return segment._replace(port=(segment.port - 1 - sum(words)) % (1 << 16))

    # What is asked

    def ask_from_guest(self, frame: bytes) -> None:
        """Which segment for the master it has, and whether it goes on to others at once."""
        mac = MAC if self.random.random() < 0.9 else frame[6:12].ljust(6, b"\0")
        segment = self.lens.from_guest(mac)(frame)
        self._ask("G", mac + frame, show(segment))
        self.kinds["from a guest" if segment else "none from a guest"] += 1
        seen = self.lens.look(frame)
        is_others = (
            frame[14:15] == b"\x45"
            and seen == (mac, frame[26:30], None, None, False, False)
            and frame[23] == 6
            and int.from_bytes(frame[16:18]) >= 40
            and not frame[47] & SYN
            and frame[30:34] not in {address.packed for address in self.plan.own}
        )
        self._ask("O", mac + frame, str(int(bool(is_others))))
        self.kinds["for others" if is_others else "not for others"] += 1

    def ask_from_master(self, frame: bytes) -> None:
        """Which segment of libslirp's it has, and from whom it comes in the end."""
        segment = self.lens.from_master(frame)
        self._ask("M", frame, show(segment))
        self.kinds["from the master" if segment else "none from the master"] += 1
        # libslirp sends no less.
        if len(frame) >= 34:
            changed = self.lens.with_own_mac(bytearray(frame))
            self._ask("N", frame, changed.hex())
            self.kinds["same MAC" if frame == changed else "own MAC"] += 1

    def ask_outdoes(self) -> None:
        """Whether a segment says all that an earlier one does."""
        earlier = self.segment()
        if self.random.random() < 0.8:
            earlier = earlier._replace(flags=ACK, end=earlier.start)
        later = earlier._replace(ack=(earlier.ack + self.number()) % SEQUENCES)
        if self.random.random() < 0.4:
            what = self.random.choice(Segment._fields)
            later = later._replace(**{what: getattr(self.segment(), what)})
        answer = _outdoes(later, earlier)
        self._ask("X", packed_segment(later) + packed_segment(earlier), str(int(answer)))
        self.kinds["outdone" if answer else "not outdone"] += 1

    def ask_merged(self, frames: list[bytes]) -> None:
        """What becomes of a guest's frames that come together."""
        what = bytearray(MAC)
        for begin in range(0, len(frames), MOST_IN_BATCH):
            batch = batch_of(frames[begin : begin + MOST_IN_BATCH])
            what += len(batch).to_bytes(4) + batch
        both = merged(frames, self.lens.from_guest(MAC))
        found = [frame for frame, _ in both]
        self._ask("B", bytes(what), " ".join(frame.hex() for frame in found))
        runs = [show(segment) for frame, segment in both if segment and is_run(frame, segment)]
        what = bytearray(MAC)
        # What is nothing ends the last run.
        for frame in (*frames, b""):
            what += len(frame).to_bytes(4) + frame
        self._ask("R", bytes(what), "".join(f"{run}, " for run in runs))
        self.kinds["merged"] += sum(len(frame) > LONGEST for frame in found)
        self.kinds["as long as can be"] += sum(len(frame) > 60000 for frame in found)
        self.kinds["not merged"] += sum(len(frame) <= LONGEST for frame in found)
        self.kinds["wrong sums"] += sum(
            len(frame) > LONGEST and not is_right(frame) for frame in found
        )

    def ask_progress(self) -> None:
        """How far a connection has come, and what ends it, or asks for it."""
        first = self.segment()
        if self.random.random() < 0.1:
            first = self.carried_twice(first)
        progress = Progress(first)
        what, said = MAC + packed_segment(first), ""
        for _ in range(self.random.choice((0, 1, 2, 7))):
            act = self.random.choice("gmv")
            segment = self.segment()
            base = progress.from_guest if act == "g" else progress.from_master
            if self.random.random() < 0.7:
                segment = segment._replace(end=(base + self.number()) % SEQUENCES)
            if self.random.random() < 0.3:
                segment = segment._replace(end=first.start)
            if act == "g":
                progress.guest_sent(segment)
            elif act == "m":
                progress.master_sent(segment)
            else:
                progress.give(segment.end)
            what += act.encode() + packed_segment(segment)
            said += (
                f"{progress.from_guest} {progress.from_master} {int(progress.all_sent)} "
                f"{int(progress.begins_anew(segment))}, "
            )
            self.kinds["all sent" if progress.all_sent else "not all sent"] += 1
            self.kinds["anew" if progress.begins_anew(segment) else "not anew"] += 1
        frames = (
            self.lens.reset(MAC, progress, to_guest=False),
            self.lens.probe(MAC, progress),
            self.lens.reset(MAC, progress, to_guest=True),
        )
        self._ask("F", what, said + " ".join(frame.hex() for frame in frames))


def show(segment: Segment | None) -> str:
    """A segment as native code is made to say it."""
    return f"{segment[0].hex()} {' '.join(map(str, segment[1:]))}" if segment else ""


def packed_segment(segment: Segment) -> bytes:
    """A segment in a question."""
    return struct.pack("!4sHBIII", *segment)


def is_run(frame: bytes, segment: Segment) -> bool:
    """Whether it has data, and nothing else by which they would not be merged."""
    size = (segment.end - segment.start) % SEQUENCES
    is_plain = segment.flags | PSH == ACK | PSH and frame[46] == 5 << 4
    return size > 0 and is_plain and len(frame) == 54 + size


def is_right(frame: bytes) -> bool:
    """Whether a segment's checksum is right."""
    segment = frame[34:]
    pseudo = frame[26:34] + struct.pack("!HH", 6, len(segment))
    return checksum(pseudo + segment) == b"\0\0"


@pytest.mark.parametrize("plan", [PLAN, OTHER_PLAN], ids=["usual", "other"])
def test_segments(plan: Plan) -> None:
    """Whatever a frame is, both find the same in it, and go on from there alike."""
    questions = Questions(Random(1), plan)
    for _ in range(SEGMENTS):
        frame = questions.frame()
        questions.ask_from_guest(frame)
        questions.ask_from_master(frame)
        questions.ask_outdoes()
        questions.ask_progress()
    questions.compare()
    assert len(questions.kinds) == 14
    assert min(questions.kinds.values()) > SEGMENTS // 60, questions.kinds


def test_merging() -> None:
    """What comes together becomes the same frames, in the same order, right or wrong."""
    questions = Questions(Random(1), PLAN)
    for _ in range(BATCHES):
        questions.ask_merged(questions.flow())
    questions.compare()
    assert len(questions.kinds) == 4
    assert min(questions.kinds.values()) >= 5, questions.kinds
