"""What becomes of connections when the switch goes, and when a guest connects again."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any, NoReturn, cast

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import guest_process
from distnet.gateway.channel import Channel, Message, pair
from distnet.gateway.flows import Admission, Excess
from distnet.gateway.frames import ACK, SYN, Lens, Progress
from distnet.gateway.guest_process import (
    DOUBT_SECONDS,
    IDLE_SECONDS,
    LOOK_SECONDS,
    MOST_MESSAGES,
    MOST_WAITING,
    SWITCH_GONE_SECONDS,
    GuestProcess,
)
from distnet.gateway.guests import Guest
from distnet.gateway.merge import batch_of
from distnet.gateway.outside import MOST_UNANSWERED
from distnet.gateway.resets import reset_for
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, gateway_mac, packed
from tests.unit.gateway.loops import ClockLoop

MAC = b"\2\0\0\0\0\x15"
ADDRESSES = ("10.0.2.15", "10.0.2.17")


class Slirp:
    """A libslirp that sees frames and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.taken: list[bytes] = []
        self.network = self
        self.connected = ""

    def connections(self) -> str:
        """What it has."""
        return self.connected

    def forward(self, *_: Any) -> None:
        """Guests find the master somewhere."""

    def input(self, frame: bytes) -> None:
        """A frame."""
        self.taken.append(frame)

    def turn(self) -> None:
        """There is nothing to do."""

    begin = turn

    def forward_from_host(self, *_: Any) -> None:
        """Ports of this machine lead to a guest."""

    def hold(self, descriptors: frozenset[int]) -> None:
        """Nothing comes from any descriptor anyway."""

    def accept(self) -> object:
        """What connects for a guest."""
        return object()


class Connection:
    """A relay without anybody at its ends."""

    def __init__(
        self, loop: ClockLoop, guest: Guest, progress: Progress, sock: object, **to: Any
    ) -> None:
        self.guest, self.progress = guest, progress
        self.ended = ""
        self._over = to["over"]

    def read_guest(self) -> None:
        """There is something."""

    went_on = read_guest

    def abort(self, why: str, *, to_guest: bool) -> None:
        """It ends."""
        self.ended = why
        self._over(self)


class GuestProcessTestCase(SynchronousTestCase):
    """The process of a guest with two connections to the master, from two addresses."""

    fixed: frozenset[bytes] = frozenset()

    def setUp(self) -> None:
        for name, fake in {"Stack": Slirp, "Relay": Connection, "Loop": ClockLoop}.items():
            self.patch(guest_process, name, fake)
        self.frames, frames = pair()
        control, its_control = pair()
        self.plug, its_plug = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.plug.setblocking(False)
        its_plug.setblocking(False)
        for sock in (self.frames, frames, control, its_control, self.plug, its_plug):
            self.addCleanup(sock.close)
        self.gateway = Channel(control)
        self.process = GuestProcess(nat=False, fixed=self.fixed)
        self.loop = cast(ClockLoop, self.process._loop)
        self.its_plug = its_plug
        self.plugged()
        self.process.run(MAC, frames, Channel(its_control), cast(Any, Slirp()))
        self.guests = [FrameGuest(self.sent, lambda: b"", each, MAC) for each in ADDRESSES]
        for guest in self.guests:
            guest.tcp(SYN)
            guest.tcp(ACK)
        self.silent, self.heard = (
            cast(Connection, relay) for relay in self.process.relays.values()
        )

    def told(self, message: Message, *descriptors: int) -> None:
        """The gateway has told something."""
        self.gateway.send(message, *descriptors)
        if hasattr(self, "guests"):
            self.process._told()

    def plugged(self) -> None:
        """There is a switch."""
        self.told({"plug": True}, os.dup(self.its_plug.fileno()))

    def unplugged(self) -> None:
        """There is none."""
        self.told({"plug": False})

    def sent(self, frame: bytes) -> None:
        """The guest has sent a frame."""
        self.frames.send(batch_of([frame]))
        self.process._readable()

    def to_guest(self) -> list[bytes]:
        """The frames for the guest."""
        frames = []
        while True:
            try:
                frames.append(self.plug.recv(2000))
            except BlockingIOError:
                return frames

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.loop.clock.advance(seconds)

    def taken(self) -> list[bytes]:
        """The frames that libslirp had."""
        return cast(Slirp, self.process._stack).taken

    def said(self) -> list[Message]:
        """What the gateway was told since."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while (received := self.gateway.receive()) is not None:
                messages.append(received[0])
        return messages


class GuestProcessTests(GuestProcessTestCase):
    """What becomes of connections."""

    def test_whether_it_is_there(self) -> None:
        """It answers."""
        self.said()
        self.told({"there": True})
        self.assertEqual(self.said(), [{"here": True}])

    def test_silent_after_the_switch_has_gone(self) -> None:
        """Guests that are not heard of for some time after the switch has gone are not there."""
        self.unplugged()
        self.advance(SWITCH_GONE_SECONDS / 2)
        self.guests[1].tcp(ACK, b"still here")
        self.advance(SWITCH_GONE_SECONDS / 2 - 1)
        self.assertEqual(len(self.process.relays), 2)
        self.advance(1)
        self.assertIn("not heard of", self.silent.ended)
        self.assertEqual(list(self.process.relays.values()), [self.heard])

    def test_the_switch_goes_again(self) -> None:
        """The time begins anew when it goes another time, for those that were heard of too."""
        self.unplugged()
        self.guests[1].tcp(ACK, b"still here")
        self.advance(SWITCH_GONE_SECONDS - 1)
        self.unplugged()
        self.advance(SWITCH_GONE_SECONDS - 1)
        self.assertEqual(len(self.process.relays), 2)
        self.advance(1)
        self.assertEqual(self.process.relays, {})

    def test_new_guests_after_the_switch_has_gone(self) -> None:
        """A guest that connects only then is not taken for silent."""
        self.unplugged()
        late = FrameGuest(self.sent, lambda: b"", "10.0.2.18", MAC)
        late.tcp(SYN)
        late.tcp(ACK)
        self.advance(SWITCH_GONE_SECONDS)
        self.assertEqual([key[0] for key in self.process.relays], [packed("10.0.2.18")])

    def test_a_guest_that_connects_again(self) -> None:
        """It is asked at its former connections, and only there, whether it still has them."""
        guest = self.guests[0]
        guest.port += 1
        guest.tcp(SYN)
        self.assertEqual(self.to_guest(), [])
        guest.tcp(ACK)
        probe = Lens(PLAN).probe(guest.mac, self.silent.progress)
        self.assertEqual(self.to_guest(), [probe])
        self.assertEqual(len(self.process.relays), 3)

    def test_another_guest_with_its_address(self) -> None:
        """It is asked whether it is there; its connection stays, whoever connects elsewhere."""
        self.told({"again": packed(ADDRESSES[0]).hex()})
        self.assertEqual(self.to_guest(), [Lens(PLAN).probe(MAC, self.silent.progress)])
        self.advance(DOUBT_SECONDS)
        self.assertEqual(len(self.process.relays), 2)


class PacketsTests(GuestProcessTestCase):
    """What becomes of a guest's packets that are for nobody in particular."""

    def test_names(self) -> None:
        """What a guest asks the name server is not libslirp's; the answer goes to that guest."""
        queries: list[tuple[bytes, int, bytes]] = []
        self.patch(self.process._dns, "query", lambda *words: queries.append(words))
        taken = len(self.taken())
        server = gateway_mac("10.0.2.3")
        self.guests[0].udp("10.0.2.3", (5000, 53), b"who?", server)
        self.assertEqual(queries, [(packed(ADDRESSES[0]), 5000, b"who?")])
        self.guests[0].udp("10.0.2.3", (5000, 53), b"who?"[:0], server)
        self.assertEqual(queries[1:], [(packed(ADDRESSES[0]), 5000, b"")])
        self.assertEqual(len(self.taken()), taken)
        self.process._answer_dns(packed(ADDRESSES[0]), 5000, b"he")
        (answer,) = self.to_guest()
        self.assertEqual((answer[:6], answer[34:38]), (MAC, b"\0\x35\x13\x88"))
        self.assertTrue(answer.endswith(b"he"))

    def test_limits(self) -> None:
        """What is too much is not libslirp's either; what is said of it goes to the guest."""
        reset = Lens(PLAN).probe(MAC, self.silent.progress)
        self.patch(self.process._flows, "admit", lambda *_: Admission(False, reset))
        self.process._flows.excess[Excess.CONNECTIONS] = 1
        taken = len(self.taken())
        self.guests[0].port += 1
        self.guests[0].tcp(SYN)
        self.assertEqual(len(self.taken()), taken)
        self.assertEqual(self.to_guest(), [reset])
        said = [message.get("log") for message in self.said()]
        self.assertEqual(
            [line for line in said if line and "too many" in line],
            ["02:00:00:00:00:15: too many connections: not taken"],
        )

    def test_fragments(self) -> None:
        """A packet in fragments is libslirp's when it is whole, and not before."""
        frames: list[bytes] = []
        guest = FrameGuest(frames.append, lambda: b"", ADDRESSES[0], MAC)
        guest.cut_at = 8
        guest.tcp(SYN)
        taken = len(self.taken())
        self.sent(frames[0])
        self.assertEqual(len(self.taken()), taken)
        self.sent(frames[1])
        self.sent(frames[2])
        (whole,) = self.taken()[taken:]
        self.assertEqual(len(whole), 54)

    def test_without_a_switch(self) -> None:
        """What it has for its guest is counted and dropped while there is no switch."""
        self.unplugged()
        self.process._put(b"frame")
        self.assertEqual(self.process.dropped, {"no switch": 1})
        self.plugged()
        self.process._put(b"frame")
        self.assertEqual(self.to_guest(), [b"frame"])

    def test_a_switch_that_does_not_read(self) -> None:
        """So many frames wait for a switch that does not read; what is more is dropped."""
        sent = 0
        while not self.process.dropped:
            self.process._put(b"%d" % sent)
            sent += 1
        self.assertEqual(len(self.process._to_switch), MOST_WAITING)
        got = self.to_guest()
        while self.loop.writers:
            self.process._flush()
            got += self.to_guest()
        self.assertEqual(got, [b"%d" % number for number in range(sent - 1)])

    def test_a_gateway_that_does_not_read(self) -> None:
        """What it says waits, in order, and no more than so much of it."""
        self.said()
        for number in range(MOST_MESSAGES + 2000):
            self.process._say(str(number), False)
        self.assertEqual(len(self.process._to_gateway), MOST_MESSAGES)
        said = self.said()
        while self.process._to_gateway:
            self.process._tell_more()
            said += self.said()
        self.assertEqual(
            [message["log"] for message in said], [str(number) for number in range(len(said))]
        )


class IdleTests(GuestProcessTestCase):
    """A guest without a connection to the master, and whether it needs its process."""

    connected = "  TCP[ESTABLISHED]  4  10.0.2.15  4000  203.0.113.9  443  0  0\n"

    def setUp(self) -> None:
        """It has none any more."""
        super().setUp()
        for relay in list(self.process.relays.values()):
            relay.abort("over", to_guest=False)
        self.to_guest()

    def is_idle(self, minutes: int) -> bool:
        """Whether it is idle after so many minutes without a frame of its guest's."""
        self.said()
        self.loop.clock.pump([IDLE_SECONDS] * minutes)
        return {"idle": True} in self.said()

    def test_without_connections(self) -> None:
        """It is."""
        self.assertTrue(self.is_idle(1))

    def test_with_a_connection_elsewhere(self) -> None:
        """It is not, as long as its guest answers when it is asked."""
        cast(Slirp, self.process._stack).connected = self.connected
        for _ in range(3 * MOST_UNANSWERED):
            self.assertFalse(self.is_idle(1))
            for _ in self.to_guest():
                guest = FrameGuest(self.sent, lambda: b"", ADDRESSES[0], MAC)
                guest.port = 4000
                guest.tcp(ACK, target="203.0.113.9", port=443, mac=gateway_mac("10.0.2.2"))
        self.assertFalse(self.is_idle(MOST_UNANSWERED))
        self.assertTrue(self.is_idle(2))


class WaysInTests(GuestProcessTestCase):
    """Connections from ports of this machine."""

    def setUp(self) -> None:
        """One leads to the guest."""
        super().setUp()
        self.told({"forward": [[False, "0.0.0.0", 2222, ADDRESSES[0], 22]]})
        self.said()

    def connect(self, port: int, address: str = "10.0.2.2") -> None:
        """Somebody connects."""
        frames: list[bytes] = []
        guest = FrameGuest(frames.append, lambda: b"", address, gateway_mac("10.0.2.2"))
        guest.port = port
        guest.tcp(SYN, target=ADDRESSES[0], port=22, mac=MAC)
        self.process._send(bytearray(frames[0]))

    def test_they_are_told(self) -> None:
        """The gateway is told of each, as its guest sees it, so that it can be reset there."""
        self.connect(5000)
        self.connect(5001, "203.0.113.9")
        guest = [packed(ADDRESSES[0]).hex(), 22]
        self.assertEqual(
            self.said(),
            [{"in": [guest, [packed("10.0.2.2").hex(), port]]} for port in (5000, 5001)],
        )

    def test_all_have_ended(self) -> None:
        """Nor is it told of their ends, but when there is none any more."""
        slirp = cast(Slirp, self.process._stack)
        slirp.connected = "  TCP[ESTABLISHED]  4  127.0.0.1  2222  10.0.2.15  22  0  0\n"
        self.connect(5000)
        self.connect(5001)
        self.said()
        self.loop.clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual(self.said(), [])
        slirp.connected = ""
        self.loop.clock.pump([LOOK_SECONDS] * 3)
        self.assertEqual([each for each in self.said() if "idle" not in each], [{"none_in": True}])
        self.connect(5002)
        self.loop.clock.pump([LOOK_SECONDS] * 2)
        self.assertIn({"none_in": True}, self.said())


class RoomTests(GuestProcessTestCase):
    """A guest that has not answered, as far as its process has read, is to make room."""

    def setUp(self) -> None:
        super().setUp()
        for relay in list(self.process.relays.values()):
            relay.abort("over", to_guest=False)

        def leave(status: int) -> NoReturn:
            raise SystemExit(status)

        self.patch(os, "_exit", leave)
        frames: list[bytes] = []
        self.late = FrameGuest(frames.append, lambda: b"", "10.0.2.19", MAC)
        self.late.tcp(SYN)
        self.late.tcp(ACK)
        self.syn, self.ack = frames

    def test_room_is_made(self) -> None:
        """It ends."""
        self.assertRaises(SystemExit, self.told, {"make_room": "for others"})

    def test_an_answer_that_was_not_read(self) -> None:
        """If it has answered after all, it stays."""
        self.frames.send(batch_of([self.syn, self.ack]))
        self.told({"make_room": "for others"})
        self.assertEqual(len(self.process.relays), 1)

    def test_an_answer_that_comes_too_late(self) -> None:
        """What comes while it ends is reset: its guest would wait for ever."""
        late = batch_of([self.ack])
        self.process._flush = lambda: self.frames.send(late)  # type: ignore[assignment]
        self.to_guest()
        self.assertRaises(SystemExit, self.told, {"make_room": "for others"})
        self.assertEqual(self.to_guest(), [reset_for(self.ack)])


class FixedTests(GuestProcessTests):
    """The same, of guests that are fixed nodes."""

    fixed = frozenset(map(packed, ADDRESSES))

    def test_a_guest_that_connects_again(self) -> None:
        """The master lets it in once: its former connection makes room."""
        guest = self.guests[0]
        guest.port += 1
        guest.tcp(SYN)
        guest.tcp(ACK)
        self.assertEqual(self.silent.ended, "connects again")
        self.assertEqual(len(self.process.relays), 2)

    def test_another_guest_with_its_address(self) -> None:
        """If it does not answer, it was started again with another MAC address."""
        self.told({"again": packed(ADDRESSES[0]).hex()})
        self.advance(DOUBT_SECONDS)
        self.assertEqual(self.silent.ended, "connects again")

    def test_one_that_answers(self) -> None:
        """If it does, it is there, and keeps its connection."""
        self.told({"again": packed(ADDRESSES[0]).hex()})
        self.guests[0].tcp(ACK)
        self.advance(DOUBT_SECONDS)
        self.assertEqual(len(self.process.relays), 2)
