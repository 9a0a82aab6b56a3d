"""
The datapath of a guest's process in native code.

What Python does not touch is memory that all guests' processes share; and it is faster.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from types import ModuleType
from typing import Any, Final

from distnet.gateway.channel import Channel, Message, decoded, encoded
from distnet.gateway.datapath import Rest
from distnet.gateway.forward import Forward
from distnet.gateway.libslirp import Network
from distnet.gateway.loop import Loop
from distnet.gateway.segments import SYN, Segment
from distnet.guestnet import PLAN

_REASONS: Final = {0: "no switch", -1: "full"}


class NativeDatapath:
    """
    What one guest's frames and bytes go through, in native code.

    @ivar loop: of Python's; native code has it go on.
    """

    rest: Rest

    def __init__(self, native: ModuleType, *, nat: bool, fixed: frozenset[bytes]) -> None:
        """
        @param native: C{distnet._native.guest}.
        @param nat: the guest may reach the network of this machine.
        @param fixed: the addresses of those guests that are fixed nodes.
        @raise StartupError: there is no usable libslirp here.
        """
        self.loop = Loop()
        self._native = native
        guest = self._guest = native.Guest(
            own=b"".join(address.packed for address in PLAN.own),
            master=PLAN.master.packed,
            port=PLAN.port,
            network=int(PLAN.network.network_address),
            mask=int(PLAN.network.netmask),
            fixed=b"".join(sorted(fixed)),
        )
        self.network = Network(
            PLAN,
            nat=nat,
            clock_ns=time.monotonic_ns,
            send=lambda frame: None,
            descriptor_closes=lambda descriptor: None,
            say=self._complain,
            failed=self._fail,
            native=guest.callbacks(),
        )
        guest.use(*self.network.addresses())
        self.input, self.turn, self.hold = guest.input, guest.turn, guest.hold
        self.read, self.put, self.flush = guest.read, guest.put, guest.flush
        self.introduce, self.doubt = guest.introduce, guest.doubt
        self.take_flows, self.change_plug = guest.take_flows, guest.change_plug

    def leave_to(self, rest: Rest) -> None:
        """What this does not do is for C{rest}."""
        self.rest = rest
        self._asked = NativeRest(self._guest, self.loop, rest)

    def run(self, mac: bytes, frames: socket.socket, channel: Channel, forward: Forward) -> None:
        """Go on as long as nothing of Python's fails."""
        self.loop.begin()
        self._guest.wait_for(self.loop.fileno())
        self._guest.run(
            self._asked, mac, frames.fileno(), channel.socket.fileno(), forward.fileno()
        )

    def _complain(self, line: str) -> None:
        self.rest.complain(line)

    def _fail(self, line: str) -> None:
        self.rest.fail(line)

    @property
    def is_proven(self) -> bool:
        """Whether the guest is there, and takes part in what it is answered."""
        return bool(self._guest.proven) or self._guest.connections > 0

    def prove(self, segment: Segment | None, answered: bool) -> None:
        """The guest is there if it goes on after it was answered."""
        self._guest.prove(segment is not None and bool(segment.flags & SYN), answered)

    def segment(self, frame: bytes, segment: Segment) -> None:
        """Hand libslirp a segment for the master, and its relay what comes of it."""
        self._guest.segment(frame, *segment)

    def show_outward(self, *, every: bool) -> None:
        """Ask for L{Rest.outward} from now on, where a connection begins or for every frame."""
        self._guest.set_outward(self._native.OUTWARD_ALL if every else self._native.OUTWARD_SYNS)

    def tell(self, message: Message) -> None:
        """Tell the gateway something, as soon as it can be."""
        self._guest.tell(encoded(message))

    def found(self, message: Message) -> None:
        """The gateway has found the master, or has not."""
        number = message["found"]
        if "path" in message:
            self._guest.found(number, os.fsencode(message["path"]), 0, message.get("cut", False))
        elif "host" in message:
            self._guest.found(number, message["host"].encode(), message["port"], False)
        else:
            why: str = message.get("why", "")
            self._guest.not_found(number, why.encode(errors="surrogateescape"))

    def abort_all(self, why: str, *, to_guest: bool) -> None:
        """End all connections to the master. C{to_guest}: it is to know."""
        self._guest.abort_all(why, to_guest)

    def dropped(self) -> Counter[str]:
        """Frames that were not sent, by the reason."""
        dropped: Counter[str] = Counter()
        for error, count in self._guest.dropped():
            dropped[_REASONS.get(error) or os.strerror(error)] += count
        return dropped


class NativeRest:
    """What native code asks Python for."""

    def __init__(self, guest: Any, loop: Loop, rest: Rest) -> None:
        self._guest, self._rest = guest, rest
        self.gone, self.complain = rest.gone, rest.complain
        # When the loop's descriptors are ready or its time has come, and when that will be.
        self.turn, self.wait = loop.step, loop.wait

    def received(self, frame: bytes) -> None:
        """A frame has come that is not just a segment for the master."""
        rest = self._rest
        asked = rest.is_asking
        rest.received(frame)
        if asked and not rest.is_asking:
            self._guest.set_asking(False)

    def told(self, data: bytes, descriptors: list[int]) -> None:
        """The gateway tells something that is told seldom."""
        self._rest.heed(*decoded(data, descriptors))

    def idle(self) -> None:
        """The guest was silent for long, and has no connection to the master."""
        self._rest.idle()
        self._guest.set_asking(self._rest.is_asking)

    def outward(self, frame: bytes) -> bytes:
        """A frame of libslirp's as the guest is to have it; as long as it was."""
        return bytes(self._rest.outward(bytearray(frame)))
