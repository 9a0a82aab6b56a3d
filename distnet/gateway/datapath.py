"""
What a guest's process does for every guest, and what it leaves to the rest of the process.

The one is a L{Datapath}: the loop, libslirp, the guest's connections to the master, and the ways to
the switch and the gateway. There are two that do the same, L{distnet.gateway.pure_datapath} and
L{distnet.gateway.native_datapath}. The other is L{distnet.gateway.guest_process}.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import Final, NoReturn, Protocol

from distnet.gateway.channel import Channel, Message
from distnet.gateway.forward import Forward
from distnet.gateway.libslirp import Network
from distnet.gateway.loop import Loop
from distnet.gateway.segments import Segment

BATCHES_AT_ONCE: Final = 4
"""Batches of frames that are read before libslirp has its turn."""


class Rest(Protocol):
    """
    What a datapath asks for.

    @ivar is_asking: every frame that the guest sends to others is for L{received}.
    """

    @property
    def is_asking(self) -> bool: ...

    def received(self, frame: bytes) -> None:
        """A frame has come that is not just a segment for the master."""

    def outward(self, frame: bytearray) -> bytearray:
        """A frame of libslirp's as the guest is to have it; as long as it was."""

    def heed(self, message: Message, descriptors: list[int]) -> None:
        """The gateway tells something; the descriptors are for the one who heeds it to close."""

    def gone(self) -> NoReturn:
        """The gateway has ended."""

    def idle(self) -> None:
        """The guest was silent for long, and has no connection to the master."""

    def say(self, line: str, is_warning: bool) -> None:
        """A line for the log."""

    def complain(self, line: str) -> None:
        """Something is wrong with what the guest does, perhaps again."""

    def fail(self, line: str) -> None:
        """Say what is wrong with the process, and end it where it is."""


class AnyStack(Protocol):
    """
    A network of libslirp's that goes on by itself.

    @ivar network: libslirp.
    """

    network: Network

    def input(self, frame: bytes) -> None:
        """A frame has come from the guest; L{turn} must follow, sooner or later."""

    def turn(self) -> None:
        """Let libslirp go on with what it can."""

    def hold(self, descriptors: frozenset[int]) -> None:
        """Do as if nothing came from these of libslirp's descriptors, and no others."""


class Datapath(AnyStack, Protocol):
    """
    One guest's. It can be made before a fork(2), and run in the child.

    @ivar loop: where others wait for times and descriptors.
    @ivar is_proven: the guest is there, and takes part in what it is answered.
    """

    loop: Loop

    @property
    def is_proven(self) -> bool: ...

    def leave_to(self, rest: Rest) -> None:
        """What this does not do is for C{rest}; to be called once, before it runs."""

    def run(self, mac: bytes, frames: socket.socket, channel: Channel, forward: Forward) -> None:
        """
        Go on as long as the loop does.

        @param mac: the guest's, 6 bytes.
        @param frames: where its frames come from.
        @param channel: to the gateway.
        @param forward: where libslirp connects for it.
        """

    def tell(self, message: Message) -> None:
        """Tell the gateway something, as soon as it can be."""

    def change_plug(self, descriptor: int) -> None:
        """The guest has another plug, which is ours then, or none: -1."""

    def put(self, frame: bytes | bytearray) -> None:
        """Send the guest a frame; it is dropped if there is no switch, or no room."""

    def flush(self) -> None:
        """Send what waits to be, as far as the switch has room."""

    def dropped(self) -> Counter[str]:
        """Frames that were not sent, by the reason."""

    def read(self) -> None:
        """Deal with the frames that have come from the guest, or with the first of them."""

    def prove(self, segment: Segment | None, answered: bool) -> None:
        """
        The guest is there if it goes on after it was answered.

        @param segment: what has come for the master, if it is that.
        @param answered: others than libslirp have answered it.
        """

    def introduce(self, address: bytes) -> None:
        """Tell libslirp the MAC address of one of the guest's addresses, or it would ask."""

    def segment(self, frame: bytes, segment: Segment) -> None:
        """A segment for the master has come from the guest; L{turn} must follow."""

    def show_outward(self, *, every: bool) -> None:
        """Ask for L{Rest.outward} from now on, where a connection begins or for every frame."""

    def take_flows(self) -> list[tuple[bytes, bytes, bytes, int, float]]:
        """The connections that libslirp was let begin without L{Rest}: each is told once."""

    def found(self, message: Message) -> None:
        """The gateway has found the master, or has not."""

    def doubt(self, address: bytes) -> None:
        """
        A guest with another MAC address connects from an address of this one.

        If this one is there all the same, it answers, and keeps what it has.
        """

    def abort_all(self, why: str, *, to_guest: bool) -> None:
        """End all connections to the master. C{to_guest}: it is to know."""
