"""The gateway's server of DHCP and BOOTP."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.bootp import Kind, Option, Refused
from distnet.gateway.dhcp import (
    MOST_PROBES,
    MOST_WAITING,
    PROBE_SECONDS,
    PROBES_EACH,
    DhcpServer,
)
from distnet.gateway.leases import DECLINED_SECONDS, Leases
from distnet.gateway.packets import checksum, mac_of
from distnet.gateway.places import SAFE_SECONDS
from distnet.gateway.state import State
from distnet.guestnet import PLAN
from tests.gateways import packed

ADDRESSES = [address.packed for address in PLAN.addresses()]
FIRST, SECOND = ADDRESSES[:2]
HOST = PLAN.host.packed
NOBODY = bytes(4)
EVERYBODY = b"\xff" * 4
COOKIE = b"\x63\x82\x53\x63"
HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s192s")


def mac(number: int) -> bytes:
    """A guest's MAC address."""
    return b"\x02\x00" + number.to_bytes(4)


def made(
    message: bytes,
    sender: bytes,
    source: bytes = NOBODY,
    target: bytes = EVERYBODY,
    *,
    options: bytes = b"",
    summed: bool = True,
) -> bytes:
    """A frame with a message for a server."""
    udp = struct.pack("!HHHH", 68, 67, 8 + len(message), 0) + message
    if summed:
        pseudo = source + target + struct.pack("!HH", 17, len(udp))
        udp = udp[:6] + checksum(pseudo + udp + bytes(len(udp) % 2)) + udp[8:]
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(udp),
                       0, 0, 64, 17, 0) + source + target + options  # fmt: skip
    head = head[:10] + checksum(head) + head[12:]
    to = b"\xff" * 6 if target == EVERYBODY else mac_of(target)
    return to + sender + b"\x08\x00" + head + udp


@dataclass
class Message:
    """
    A message of a client's.

    @ivar kind: None for BOOTP.
    @ivar extra: options besides.
    """

    kind: Kind | None
    guest: int
    current: bytes = NOBODY
    flags: int = 0
    extra: dict[Option, bytes] = field(default_factory=dict)
    operation: int = 1
    hardware: bytes = b"\x01\x06"
    relay: bytes = NOBODY
    number: int = 0x12345678

    def head(self) -> bytes:
        """Without options."""
        return HEAD.pack(
            self.operation, *self.hardware, 0, self.number, 3, self.flags, self.current, NOBODY,
            NOBODY, self.relay, mac(self.guest), b"",
        )  # fmt: skip

    def options(self) -> bytes:
        """Its options."""
        extra = dict(self.extra)
        if self.kind is not None:
            extra = {Option.KIND: bytes([self.kind]), **extra}
        its = b"".join(bytes([option, len(value)]) + value for option, value in extra.items())
        return COOKIE + its + b"\xff"

    def frame(self, target: bytes = EVERYBODY) -> bytes:
        """In a frame."""
        return made(self.head() + self.options(), mac(self.guest), self.current, target)


@dataclass
class Answer:
    """What a frame of the server's has."""

    frame: bytes

    def __post_init__(self) -> None:
        head, udp = self.frame[14:34], self.frame[34:]
        pseudo = head[12:20] + struct.pack("!HH", 17, len(udp))
        assert self.frame[6:14] == mac_of(HOST) + b"\x08\x00"
        assert checksum(head) == b"\0\0"
        assert checksum(pseudo + udp + bytes(len(udp) % 2)) == b"\0\0"
        assert int.from_bytes(head[2:4]) == len(head) + len(udp)
        assert struct.unpack("!HHH", udp[:6]) == (67, 68, len(udp))
        assert len(udp) >= 308
        (
            self.operation, *hardware, _, self.number, _, self.flags, self.current, self.address,
            self.next, _, its, _,
        ) = HEAD.unpack(udp[8:244])  # fmt: skip
        assert (self.operation, hardware) == (2, [1, 6])
        self.mac = its[:6]
        self.to, self.target = self.frame[:6], head[16:20]
        rest = udp[244:]
        assert rest[:4] == COOKIE
        rest = rest[4:]
        self.options: dict[int, bytes] = {}
        while rest[0] != 255:
            self.options[rest[0]] = rest[2 : 2 + rest[1]]
            rest = rest[2 + rest[1] :]

    @property
    def kind(self) -> Kind | None:
        """What it is."""
        kind = self.options.get(Option.KIND)
        return None if kind is None else Kind(kind[0])


class DhcpTestCase(SynchronousTestCase):
    """A server, and a clock."""

    def setUp(self) -> None:
        self.begin()

    def begin(self, *, nat: bool = False, dns: bool = False) -> None:
        """Have another server, which knows nothing."""
        self.clock = Clock()
        self.state = State(lambda line: None)
        self.leases = Leases(PLAN, self.state, self.clock.seconds)
        self.frames: list[bytes] = []
        self.without: list[bytes] = []
        self.dns = dns
        self.server = DhcpServer(
            PLAN,
            self.leases,
            nat=nat,
            has_dns=lambda: self.dns,
            send=self.frames.append,
            later=self.clock.callLater,
            none_left=self.without.append,
        )

    def take(self, message: Message, target: bytes = EVERYBODY) -> Refused | None:
        """Hand a message to the server."""
        frame = message.frame(target)
        self.assertTrue(self.server.wants(frame))
        return self.server.take(frame)

    def answers(self) -> list[Answer]:
        """What the server has sent, without probes."""
        frames, self.frames[:] = list(self.frames), []
        return [Answer(frame) for frame in frames if frame[12:14] == b"\x08\x00"]

    def ask(self, message: Message, target: bytes = EVERYBODY) -> Answer:
        """The answer to a message, after probes that nobody answers."""
        self.assertIsNone(self.take(message, target))
        self.clock.advance(PROBE_SECONDS)
        (answer,) = self.answers()
        self.assertEqual((answer.number, answer.mac), (message.number, mac(message.guest)))
        return answer

    def selecting(self, guest: int, address: bytes, **fields: object) -> Message:
        """What asks for what was offered."""
        extra = {Option.ADDRESS: address, Option.SERVER: HOST}
        return Message(Kind.REQUEST, guest, extra=extra, **fields)  # type: ignore[arg-type]

    def given(self, guest: int) -> bytes:
        """What a guest gets."""
        offer = self.ask(Message(Kind.DISCOVER, guest))
        self.assertEqual(offer.kind, Kind.OFFER)
        answer = self.ask(self.selecting(guest, offer.address))
        self.assertEqual((answer.kind, answer.address), (Kind.ACK, offer.address))
        return offer.address


class OfferTests(DhcpTestCase):
    """A newcomer."""

    def test_offer(self) -> None:
        """It is offered an address, with all that libslirp would tell."""
        offer = self.ask(Message(Kind.DISCOVER, 1))
        self.assertEqual((offer.kind, offer.address, offer.next), (Kind.OFFER, FIRST, HOST))
        self.assertEqual(
            offer.options,
            {
                Option.KIND: b"\x02",
                Option.SERVER: HOST,
                Option.NETMASK: packed("255.255.254.0"),
                Option.LEASE_SECONDS: (86400).to_bytes(4),
            },
        )
        self.assertEqual(self.state.leases(), [])

    def test_with_nat(self) -> None:
        """With NAT there is a router, and a name server if this machine has one."""
        for dns in (True, False):
            self.begin(nat=True, dns=dns)
            options = self.ask(Message(Kind.DISCOVER, 1)).options
            self.assertEqual(options[Option.ROUTER], HOST)
            self.assertEqual(
                options.get(Option.NAME_SERVER), PLAN.name_server.packed if dns else None
            )

    def test_where_answers_go(self) -> None:
        """An answer goes to its guest alone, unless that cannot take it."""
        offer = self.ask(Message(Kind.DISCOVER, 1))
        self.assertEqual((offer.to, offer.target, offer.flags), (mac(1), EVERYBODY, 0))
        offer = self.ask(Message(Kind.DISCOVER, 1, flags=0x8000))
        self.assertEqual((offer.to, offer.target), (b"\xff" * 6, EVERYBODY))
        self.assertEqual(offer.flags, 0x8000)

    def test_a_probe(self) -> None:
        """Before it is offered, everybody is asked for it on behalf of nobody."""
        self.assertIsNone(self.take(Message(Kind.DISCOVER, 1)))
        (probe,) = self.frames
        self.assertEqual(probe[:14], b"\xff" * 6 + mac_of(HOST) + b"\x08\x06")
        self.assertEqual(probe[14:22], b"\0\x01\x08\0\x06\x04\0\x01")
        self.assertEqual(probe[22:42], mac_of(HOST) + NOBODY + bytes(6) + FIRST)
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(len(self.answers()), 1)
        self.assertIsNone(self.take(Message(Kind.DISCOVER, 1)))
        self.assertEqual(len(self.answers()), 1)

    def test_an_answer_to_a_probe(self) -> None:
        """What somebody has is not offered; the next one is probed then."""
        self.take(Message(Kind.DISCOVER, 1))
        self.leases.seen(mac(9), FIRST)
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(self.answers(), [])
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual([answer.address for answer in self.answers()], [SECOND])

    def test_many_answers(self) -> None:
        """After a few addresses that others have the guest has to ask again."""
        self.take(Message(Kind.DISCOVER, 1))
        for number in range(PROBES_EACH):
            self.leases.seen(mac(9), ADDRESSES[number])
            self.clock.advance(PROBE_SECONDS)
        self.assertEqual((self.server.probes, self.clock.getDelayedCalls()), (0, []))
        self.assertEqual(self.answers(), [])
        offer = self.ask(Message(Kind.DISCOVER, 1))
        self.assertEqual(offer.address, ADDRESSES[PROBES_EACH])

    def test_impatience(self) -> None:
        """One that asks again during a probe gets one answer, to what it asked last."""
        self.take(Message(Kind.DISCOVER, 1))
        self.take(Message(None, 1))
        self.take(Message(Kind.DISCOVER, 1, number=7))
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual([answer.number for answer in self.answers()], [7])

    def test_what_it_calls_itself(self) -> None:
        """That is sent back, RFC 6842, and means nothing."""
        client = {Option.CLIENT: b"\xffmyself"}
        offer = self.ask(Message(Kind.DISCOVER, 1, extra=client))
        self.assertEqual(offer.options[Option.CLIENT], b"\xffmyself")
        self.assertEqual(self.ask(Message(Kind.DISCOVER, 2, extra=client)).address, SECOND)

    def test_none_left(self) -> None:
        """A guest for which there is none gets no answer, and is told of."""
        for guest, address in enumerate(ADDRESSES):
            self.leases.confirm(mac(guest), address, living=True)
        self.assertEqual(self.take(Message(Kind.DISCOVER, 9999)), Refused.NONE_LEFT)
        self.assertEqual((self.without, self.frames), ([mac(9999)], []))
        self.clock.advance(SAFE_SECONDS)
        self.assertEqual(self.ask(Message(Kind.DISCOVER, 9999)).kind, Kind.OFFER)

    def test_after_the_end(self) -> None:
        """What was under way when it was stopped is not gone on with."""
        self.take(Message(Kind.DISCOVER, 1))
        self.server.stop()
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(self.answers(), [])


class RequestTests(DhcpTestCase):
    """What guests ask for."""

    def check_refused(self, message: Message, target: bytes = EVERYBODY) -> None:
        """See that an address is refused."""
        answer = self.ask(message, target)
        self.assertEqual((answer.kind, answer.address, answer.target),
                         (Kind.NAK, NOBODY, EVERYBODY))  # fmt: skip
        self.assertEqual(answer.options[Option.SERVER], HOST)
        self.assertNotIn(Option.LEASE_SECONDS, answer.options)

    def test_selecting(self) -> None:
        """It gets what it was offered, and that is on record."""
        self.assertEqual(self.given(1), FIRST)
        self.assertEqual(self.state.leases(), [(mac(1), FIRST)])

    def test_selecting_what_it_may_not_have(self) -> None:
        """It gets nothing that was offered to nobody, or is another's, or somebody has."""
        self.given(1)
        self.check_refused(self.selecting(2, FIRST))
        self.check_refused(self.selecting(2, SECOND))
        self.check_refused(self.selecting(2, PLAN.master.packed))
        self.ask(Message(Kind.DISCOVER, 2))
        self.leases.seen(mac(9), SECOND)
        self.check_refused(self.selecting(2, SECOND))

    def test_selecting_without_saying_what(self) -> None:
        """Some leave out what they were offered, or have it where it does not belong."""
        self.ask(Message(Kind.DISCOVER, 1))
        server = {Option.SERVER: HOST}
        self.check_refused(Message(Kind.REQUEST, 2, extra=server))
        for current in (NOBODY, FIRST):
            answer = self.ask(Message(Kind.REQUEST, 1, current=current, extra=server))
            self.assertEqual((answer.kind, answer.address), (Kind.ACK, FIRST))

    def test_selecting_another_server(self) -> None:
        """What is said to another server gets no answer, and what was offered is free."""
        self.ask(Message(Kind.DISCOVER, 1))
        extra = {Option.ADDRESS: FIRST, Option.SERVER: packed("10.0.2.99")}
        self.assertIsNone(self.take(Message(Kind.REQUEST, 1, extra=extra)))
        self.assertEqual(self.frames, [])
        self.assertIsNone(self.leases.address_of(mac(1)))

    def test_started_again(self) -> None:
        """A guest gets the address that it had, without a probe; what it never had, it does not."""
        self.given(1)
        self.leases.seen(mac(1), FIRST)
        self.take(Message(Kind.REQUEST, 1, extra={Option.ADDRESS: FIRST}))
        (answer,) = self.answers()
        self.assertEqual((answer.kind, answer.address), (Kind.ACK, FIRST))
        for wrong in (FIRST, PLAN.master.packed, packed("192.168.1.5")):
            self.check_refused(Message(Kind.REQUEST, 2, extra={Option.ADDRESS: wrong}))

    def test_started_again_and_forgotten(self) -> None:
        """What nobody has is given to who says that he had it, after a probe."""
        message = Message(Kind.REQUEST, 1, extra={Option.ADDRESS: SECOND})
        answer = self.ask(message)
        self.assertEqual((answer.kind, answer.address), (Kind.ACK, SECOND))
        self.begin()
        self.take(message)
        self.leases.seen(mac(9), SECOND)
        self.check_refused(message)

    def test_renewing(self) -> None:
        """It is answered at its address, by itself or from everybody's."""
        self.given(1)
        for target in (HOST, EVERYBODY):
            answer = self.ask(Message(Kind.REQUEST, 1, current=FIRST), target)
            self.assertEqual((answer.kind, answer.address), (Kind.ACK, FIRST))
            self.assertEqual((answer.to, answer.target), (mac(1), FIRST))
            self.assertEqual(answer.current, FIRST)

    def test_renewing_what_is_not_its(self) -> None:
        """What another one has is refused; what is of another network, if we alone are asked."""
        self.given(1)
        self.check_refused(Message(Kind.REQUEST, 2, current=FIRST), HOST)
        self.check_refused(Message(Kind.REQUEST, 2, current=FIRST))
        other = Message(Kind.REQUEST, 2, current=packed("192.168.1.5"))
        self.check_refused(other, HOST)
        self.assertEqual(self.take(other), Refused.FOREIGN)
        self.assertEqual(self.frames, [])

    def test_renewing_what_was_forgotten(self) -> None:
        """A guest that lives with an address keeps it, whatever happened to the record."""
        answer = self.ask(Message(Kind.REQUEST, 1, current=SECOND), HOST)
        self.assertEqual((answer.kind, answer.address), (Kind.ACK, SECOND))
        self.assertEqual(self.leases.holder(SECOND), mac(1))

    def test_an_address_that_it_does_not_use(self) -> None:
        """One that says it has what it was offered, and does not use it, is answered as before."""
        self.ask(Message(Kind.DISCOVER, 1))
        message = Message(Kind.REQUEST, 1, current=FIRST, extra={Option.SERVER: HOST})
        self.server.take(made(message.head() + message.options(), mac(1)))
        (answer,) = self.answers()
        self.assertEqual((answer.kind, answer.current), (Kind.ACK, FIRST))
        self.assertEqual((answer.to, answer.target), (mac(1), EVERYBODY))

    def test_renewing_from_nowhere(self) -> None:
        """One that does not use the address that it says it has is probed as others are."""
        message = Message(Kind.REQUEST, 1, current=SECOND)
        frame = made(message.head() + message.options(), mac(1))
        self.assertIsNone(self.server.take(frame))
        self.assertEqual(self.frames[0][12:14], b"\x08\x06")

    def test_nothing_said(self) -> None:
        """One that says nothing of an address gets one, as from libslirp."""
        answer = self.ask(Message(Kind.REQUEST, 1))
        self.assertEqual((answer.kind, answer.address), (Kind.ACK, FIRST))
        self.assertEqual(self.leases.holder(FIRST), mac(1))

    def test_inform(self) -> None:
        """A guest with an address of its own is told the rest, at that address."""
        own = packed("10.0.2.77")
        answer = self.ask(Message(Kind.INFORM, 1, current=own))
        self.assertEqual((answer.kind, answer.address, answer.target), (Kind.ACK, NOBODY, own))
        self.assertIn(Option.NETMASK, answer.options)
        self.assertNotIn(Option.LEASE_SECONDS, answer.options)
        for wrong in (NOBODY, packed("192.168.1.5"), packed("10.0.3.255")):
            self.assertEqual(self.take(Message(Kind.INFORM, 1, current=wrong)), Refused.FOREIGN)

    def test_release(self) -> None:
        """What a guest gives back is free; nobody gives back what is another's."""
        self.given(1)
        release = Message(Kind.RELEASE, 2, current=FIRST)
        self.assertEqual(self.take(release, HOST), Refused.FOREIGN)
        self.assertIsNone(self.take(Message(Kind.RELEASE, 1, current=FIRST), HOST))
        self.assertIsNone(self.leases.holder(FIRST))
        self.assertEqual(self.frames, [])

    def test_decline(self) -> None:
        """What a guest has found in use is not given for a while."""
        self.given(1)
        extra = {Option.ADDRESS: FIRST, Option.SERVER: HOST}
        self.assertEqual(self.take(Message(Kind.DECLINE, 2, extra=extra)), Refused.FOREIGN)
        self.assertIsNone(self.take(Message(Kind.DECLINE, 1, extra=extra)))
        self.assertEqual(self.frames, [])
        self.assertEqual(self.ask(Message(Kind.DISCOVER, 1)).address, SECOND)
        self.clock.advance(DECLINED_SECONDS)
        self.assertEqual(self.ask(Message(Kind.DISCOVER, 2)).address, FIRST)

    def test_bootp(self) -> None:
        """A client from before DHCP gets an address at once, and no options that it cannot know."""
        for guest, options in enumerate((bytes(64), COOKIE + b"\xff", COOKIE + bytes(60), b"")):
            message = Message(None, guest)
            self.server.take(made(message.head() + options, mac(guest)))
            self.clock.advance(PROBE_SECONDS)
            (answer,) = self.answers()
            self.assertEqual(answer.address, ADDRESSES[guest])
            self.assertEqual(answer.options, {Option.NETMASK: packed("255.255.254.0")})
            self.assertEqual(self.leases.holder(ADDRESSES[guest]), mac(guest))


class RefusedTests(DhcpTestCase):
    """What is not as it must be."""

    def check(self, why: Refused, message: Message, options: bytes | None = None) -> None:
        """See that a message is refused, with other options than its own if so given."""
        if options is None:
            self.assertEqual(self.take(message), why)
        else:
            frame = made(message.head() + options, mac(message.guest))
            self.assertEqual(self.server.take(frame), why, options)
        self.assertEqual(self.frames, [])

    def test_messages(self) -> None:
        """Messages of others than Ethernet's clients are refused."""
        self.check(Refused.MESSAGE, Message(Kind.DISCOVER, 1, operation=2))
        self.check(Refused.RELAYED, Message(Kind.DISCOVER, 1, relay=packed("10.0.2.9")))
        for hardware in (b"\x06\x06", b"\x01\x07"):
            self.check(Refused.HARDWARE, Message(Kind.DISCOVER, 1, hardware=hardware))
        short = made(Message(Kind.DISCOVER, 1).head()[:-1], mac(1))
        self.assertEqual(self.server.take(short), Refused.MESSAGE)
        for kind in (Kind.OFFER, Kind.ACK, Kind.NAK):
            self.check(Refused.KIND, Message(kind, 1))

    def test_for_another_machine(self) -> None:
        """Nobody asks for another, takes, or gives away what is another's."""
        self.given(1)
        for message in (
            Message(Kind.DISCOVER, 1),
            self.selecting(1, FIRST),
            Message(Kind.RELEASE, 1, current=FIRST),
            Message(None, 1),
        ):
            frame = message.frame()
            frame = frame[:6] + mac(2) + frame[12:]
            self.assertEqual(self.server.take(frame), Refused.SENDER)
        for own in (b"\x03" + bytes(5), mac_of(HOST)):
            message = Message(Kind.DISCOVER, 1)
            head = message.head().replace(mac(1), own)
            self.assertEqual(self.server.take(made(head + message.options(), own)), Refused.SENDER)
        self.assertEqual(self.frames, [])
        self.assertEqual(self.leases.holder(FIRST), mac(1))

    def test_options(self) -> None:
        """Options that end nowhere, are as long as they cannot be, or elsewhere, are refused."""
        message = Message(Kind.DISCOVER, 1)
        for options in (
            b"\x35\x01\x01", b"\x35\x01", b"\x35", b"\x35\x01\x01\x0c\x05abc\xff",
            b"\x35\x02\x01\x01\xff", b"\x35\x00\xff", b"\x35\x01\x01\x35\x01\x01\xff",
            b"\x35\x01\x01\x32\x03abc\xff", b"\x35\x01\x01\x36\x05abcde\xff",
            b"\x35\x01\x01" + bytes(60),
        ):  # fmt: skip
            self.check(Refused.OPTIONS, message, COOKIE + options)
        self.check(Refused.OVERLOAD, message, COOKIE + b"\x35\x01\x01\x34\x01\x03\xff")
        for kind in (0, 9, 255):
            self.check(Refused.KIND, message, COOKIE + bytes([0x35, 1, kind, 0xFF]))

    def test_an_option_in_parts(self) -> None:
        """An option that occurs twice is one, RFC 3396; what follows the end is nothing."""
        message = Message(Kind.DISCOVER, 1)
        options = b"\x00\x35\x01\x01\x3d\x02ab\x00\x00\x3d\x01c\xff\x35\x07"
        self.server.take(made(message.head() + COOKIE + options, mac(1)))
        self.clock.advance(PROBE_SECONDS)
        (answer,) = self.answers()
        self.assertEqual(answer.options[Option.CLIENT], b"abc")

    def test_packets(self) -> None:
        """Packets with wrong lengths or checksums are refused; one without a checksum is not."""
        frame = Message(Kind.DISCOVER, 1).frame()
        for at, value in (
            (14, b"\x65"), (16, b"\0\x14"), (16, b"\xff\xff"), (24, b"xx"), (38, b"\0\x07"),
            (38, b"\xff\xff"), (40, b"xx"), (280, b"x"),
        ):  # fmt: skip
            wrong = frame[:at] + value + frame[at + len(value) :]
            self.assertEqual(self.server.take(wrong), Refused.PACKET, at)
        self.assertEqual(self.server.take(frame[:-1]), Refused.PACKET)
        message = Message(Kind.DISCOVER, 1)
        bare = made(message.head() + message.options(), mac(1), summed=False)
        self.assertIsNone(self.server.take(bare + bytes(7)))

    def test_what_is_for_a_server(self) -> None:
        """What is not, and what is in fragments, is nothing for this one."""
        message = Message(Kind.DISCOVER, 1)
        frame = message.frame()
        for at, value in (
            (12, b"\x86\xdd"), (20, b"\x20\0"), (20, b"\0\x01"), (23, b"\x06"), (36, b"\0\x44"),
            (30, packed("10.0.2.16")), (30, packed("8.8.8.8")),
        ):  # fmt: skip
            wrong = frame[:at] + value + frame[at + len(value) :]
            self.assertFalse(self.server.wants(wrong), at)
        for size in range(60):
            self.server.wants(frame[:size])
        data = message.head() + message.options()
        with_options = made(data, mac(1), options=b"\x01" * 8)
        self.assertTrue(self.server.wants(with_options))
        self.assertIsNone(self.server.take(with_options))


class FloodTests(DhcpTestCase):
    """One that asks under more MAC addresses than there are."""

    def flood(self, begin: int, count: int) -> None:
        """Ask so often."""
        for guest in range(begin, begin + count):
            self.take(Message(Kind.DISCOVER, guest))

    def test_probes(self) -> None:
        """No more are under way than the limit, nor wait; others are refused."""
        self.flood(0, MOST_PROBES + MOST_WAITING)
        self.flood(0, MOST_PROBES + MOST_WAITING)
        self.assertEqual(self.take(Message(Kind.DISCOVER, 9999)), Refused.BUSY)
        extra = {Option.ADDRESS: ADDRESSES[-1]}
        self.assertEqual(self.take(Message(Kind.REQUEST, 9999, extra=extra)), Refused.BUSY)
        self.assertEqual(self.server.probes, MOST_PROBES)
        self.assertEqual(len(self.clock.getDelayedCalls()), MOST_PROBES)
        self.clock.advance(PROBE_SECONDS)
        self.assertEqual(len(self.answers()), MOST_PROBES)
        self.assertEqual(self.server.probes, MOST_PROBES)

    def test_all_at_once(self) -> None:
        """Of 256 guests that are started together each has an address after a second."""
        self.flood(0, 256)
        for _ in range(4):
            self.clock.advance(PROBE_SECONDS)
        self.assertEqual(len({answer.address for answer in self.answers()}), 256)
        self.assertEqual((self.server.probes, self.clock.getDelayedCalls()), (0, []))

    def test_all_who_wait(self) -> None:
        """Nobody is forgotten for whom no probe is needed any more when it is his turn."""
        self.flood(0, MOST_PROBES + MOST_WAITING)
        for address in ADDRESSES:
            self.leases._by_address[address].quiet = self.clock.seconds()
        for _ in range(400):
            self.clock.advance(PROBE_SECONDS / MOST_PROBES)
        self.assertEqual(len({answer.mac for answer in self.answers()}), MOST_PROBES + MOST_WAITING)
        self.assertEqual((self.server.probes, self.clock.getDelayedCalls()), (0, []))

    def test_a_real_guest(self) -> None:
        """A guest gets an address all the same, and one that has one gets it at once."""
        self.given(1)
        self.leases.seen(mac(1), FIRST)
        offers: list[Answer] = []
        for second in range(1, 4):
            # It is patient, as clients are, and comes last each time.
            self.flood(second * 1000, 500)
            self.take(Message(Kind.DISCOVER, 2))
            for _ in range(4):
                self.clock.advance(PROBE_SECONDS)
            offers += [answer for answer in self.answers() if answer.mac == mac(2)]
        offer = offers[-1]
        self.flood(4000, 500)
        self.answers()
        self.take(self.selecting(2, offer.address))
        self.take(Message(Kind.DISCOVER, 1))
        given, again = self.answers()
        self.assertEqual((given.kind, given.address), (Kind.ACK, offer.address))
        self.assertEqual(again.address, FIRST)


class AnythingTests(DhcpTestCase):
    """Guests that send nonsense."""

    @given(st.binary(max_size=400), st.integers(0, 300))
    def test_any_options(self, options: bytes, size: int) -> None:
        """Whatever stands where options are, nothing is raised."""
        message = Message(Kind.DISCOVER, 1).head()
        for data in (message + COOKIE + options, message + options, options, message[:size]):
            frame = made(data, mac(1))
            self.server.wants(frame)
            self.server.take(frame)
        self.clock.advance(PROBE_SECONDS)
        self.answers()

    @given(
        st.sampled_from(list(Kind)),
        st.sampled_from([NOBODY, FIRST, SECOND, EVERYBODY, HOST, packed("10.0.2.16")]),
        st.dictionaries(
            st.sampled_from([Option.ADDRESS, Option.SERVER, Option.CLIENT]),
            st.sampled_from([NOBODY, FIRST, HOST, b"", b"x" * 255]),
        ),
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
        st.integers(0, 400),
    )
    def test_changed(
        self,
        kind: Kind,
        current: bytes,
        extra: dict[Option, bytes],
        changes: list[tuple[int, int]],
        size: int,
    ) -> None:
        """Whatever is asked for, changed in a frame, or cut off, nothing is raised."""
        for guest in (1, 2):
            message = Message(kind, guest, current=current, extra=extra)
            frame = bytearray(message.frame())
            for at, value in changes:
                if at < len(frame):
                    frame[at] = value
            for each in (message.frame(), bytes(frame), bytes(frame[:size])):
                self.server.wants(each)
                self.server.take(each)
            self.clock.advance(PROBE_SECONDS)
            for answer in self.answers():
                self.assertNotIn(answer.address, [address.packed for address in PLAN.own])

    @given(st.binary(max_size=120), st.sampled_from([b"\x08\x00\x45", b"\x08\x06", b""]))
    def test_any_frame(self, data: bytes, start: bytes) -> None:
        """Whatever comes, nothing is raised."""
        frame = b"\xff" * 6 + mac(1) + start + data
        self.server.wants(frame)
        self.server.take(frame)
