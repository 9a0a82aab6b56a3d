"""A guest's process whose libslirp does nothing, and whose time passes when it is told to."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import pure_datapath
from distnet.gateway.channel import Channel, Message, pair
from distnet.gateway.guest_process import GuestProcess
from distnet.gateway.guests import Guest
from distnet.gateway.merge import batch_of
from distnet.gateway.pure_datapath import PureDatapath
from distnet.gateway.segments import ACK, SYN, Progress
from tests.gateways import FrameGuest
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
            self.patch(pure_datapath, name, fake)
        self.frames, frames = pair()
        control, its_control = pair()
        self.plug, its_plug = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.plug.setblocking(False)
        its_plug.setblocking(False)
        for sock in (self.frames, frames, control, its_control, self.plug, its_plug):
            self.addCleanup(sock.close)
        self.gateway = Channel(control)
        self.datapath = PureDatapath(nat=False, fixed=self.fixed)
        self.process = GuestProcess(self.datapath)
        self.loop = cast(ClockLoop, self.datapath.loop)
        self.its_plug = its_plug
        self.plugged()
        self.process.run(MAC, frames, Channel(its_control), cast(Any, Slirp()))
        self.guests = [FrameGuest(self.sent, lambda: b"", each, MAC) for each in ADDRESSES]
        for guest in self.guests:
            guest.tcp(SYN)
            guest.tcp(ACK)
        self.silent, self.heard = (
            cast(Connection, relay) for relay in self.datapath.relays.values()
        )

    def told(self, message: Message, *descriptors: int) -> None:
        """The gateway has told something."""
        self.gateway.send(message, *descriptors)
        if hasattr(self, "guests"):
            self.datapath._told()

    def plugged(self) -> None:
        """There is a switch."""
        self.told({"plug": True}, os.dup(self.its_plug.fileno()))

    def unplugged(self) -> None:
        """There is none."""
        self.told({"plug": False})

    def sent(self, frame: bytes) -> None:
        """The guest has sent a frame."""
        self.frames.send(batch_of([frame]))
        self.datapath.read()

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
        return cast(Slirp, self.datapath._stack).taken

    def said(self) -> list[Message]:
        """What the gateway was told since."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while (received := self.gateway.receive()) is not None:
                messages.append(received[0])
        return messages
