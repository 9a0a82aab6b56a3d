"""What becomes of connections when the switch goes, and when a guest connects again."""

from __future__ import annotations

import os
import socket
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import guest_process
from distnet.gateway.channel import Channel, Message, pair
from distnet.gateway.frames import ACK, SYN, Lens, Progress
from distnet.gateway.guest_process import DOUBT_SECONDS, SWITCH_GONE_SECONDS, GuestProcess
from distnet.gateway.guests import Guest
from distnet.gateway.merge import batch_of
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, packed
from tests.unit.gateway.loops import ClockLoop

MAC = b"\2\0\0\0\0\x15"
ADDRESSES = ("10.0.2.15", "10.0.2.17")


class Slirp:
    """A libslirp that sees frames and does nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.taken: list[bytes] = []
        self.network = self

    def connections(self) -> str:
        """It has none."""
        return ""

    def forward(self, *_: Any) -> None:
        """Guests find the master somewhere."""

    def input(self, frame: bytes) -> None:
        """A frame."""
        self.taken.append(frame)

    def turn(self) -> None:
        """There is nothing to do."""

    begin = turn

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


class GuestProcessTests(SynchronousTestCase):
    """The process of a guest with two connections to the master, from two addresses."""

    fixed: frozenset[bytes] = frozenset()

    def setUp(self) -> None:
        for name, fake in {"Stack": Slirp, "Relay": Connection, "Loop": ClockLoop}.items():
            self.patch(guest_process, name, fake)
        self.frames, frames = pair()
        control, its_control = pair()
        self.plug, its_plug = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.plug.setblocking(False)
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
