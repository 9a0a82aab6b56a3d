"""
The process of one guest, with native code for what is done for every guest.

What Python does not touch is memory that all guests' processes share; and it is faster.
"""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from ipaddress import IPv4Address
from types import ModuleType
from typing import Any, Final, NoReturn

from distnet import _native
from distnet.gateway.channel import Channel, Message, close_all, decoded, encoded
from distnet.gateway.forward import Forward
from distnet.gateway.frames import SYN, Segment
from distnet.gateway.guest_process import GuestProcess
from distnet.gateway.libslirp import Network
from distnet.gateway.relay import Relay
from distnet.gateway.stack import AnyStack
from distnet.guestnet import PLAN

_REASONS: Final = {0: "no switch", -1: "full"}
_TCP: Final = 6


class NativeStack:
    """libslirp in the loop of a native guest: see L{AnyStack}."""

    def __init__(self, guest: Any, network: Network) -> None:
        self.network = network
        self._guest = guest

    def forward(self, path: bytes, address: IPv4Address, port: int) -> None:
        """Lead guests who connect to an address and port to a unix socket. Raises ValueError."""
        self.network.forward(path, address, port)

    def input(self, frame: bytes) -> None:
        """A frame has come from the guest."""
        self._guest.input(frame)

    def turn(self) -> None:
        """Let libslirp go on with what it can."""
        self._guest.turn()

    def hold(self, descriptors: frozenset[int]) -> None:
        """Do as if nothing came from these of libslirp's descriptors, and no others."""
        self._guest.hold(descriptors)


class NativeGuestProcess(GuestProcess):
    """
    A L{GuestProcess} of which the native code has the loop, libslirp, and the connections to the
    master; it asks Python for the rest, by the public methods here.
    """

    def __init__(self, native: ModuleType, *, nat: bool, fixed: frozenset[bytes]) -> None:
        """
        @param native: C{distnet._native.guest}.
        @param nat: the guest may reach the network of this machine.
        @param fixed: the addresses of those guests that are fixed nodes.
        @raise StartupError: there is no usable libslirp here.
        """
        self._native = native
        self._guest = native.Guest(
            own=b"".join(address.packed for address in PLAN.own),
            master=PLAN.master.packed,
            port=PLAN.port,
            network=int(PLAN.network.network_address),
            mask=int(PLAN.network.netmask),
            fixed=b"".join(sorted(fixed)),
        )
        super().__init__(nat=nat, fixed=fixed)

    def _made_stack(self, nat: bool) -> AnyStack:
        network = Network(
            PLAN,
            nat=nat,
            clock_ns=time.monotonic_ns,
            send=self._send,
            descriptor_closes=lambda descriptor: None,
            say=self._complain,
            native=self._guest.callbacks(),
        )
        self._guest.use(*network.addresses())
        return NativeStack(self._guest, network)

    def run(self, mac: bytes, frames: socket.socket, channel: Channel, forward: Forward) -> None:
        """Be the process of a guest, for as long as nothing of Python's fails."""
        self.mac, self._frames, self._channel = mac, frames, channel
        self._datagrams.mac = mac
        self._loop.begin()
        self._guest.wait_for(self._loop.fileno())
        self._guest.run(self, mac, frames.fileno(), channel.socket.fileno(), forward.fileno())

    # What the native code asks for

    def received(self, frame: bytes) -> None:
        """A frame has come that is not just a segment for the master."""
        asked = bool(self._outside.asked)
        self._received(frame, None, {})
        if asked and not self._outside.asked:
            self._guest.set_asking(False)

    def told(self, data: bytes, descriptors: list[int]) -> None:
        """The gateway tells something that is told seldom."""
        self._heed(*decoded(data, descriptors))

    def gone(self) -> NoReturn:
        """The gateway has ended."""
        self.end("ended, since the gateway has", reset=True)

    def turn(self) -> None:
        """Somebody who waits in L{Loop} need not wait any more."""
        self._loop.step()

    def idle(self) -> None:
        """The guest was silent for long, and has no connection to the master."""
        self._is_silent()
        self._guest.set_asking(bool(self._outside.asked))

    def outward(self, frame: bytes) -> bytes:
        """A frame of libslirp's as the guest is to have it; as long as it was."""
        return bytes(self._from_host(bytearray(frame)))

    def complain(self, line: str) -> None:
        """Something is wrong."""
        self._complain(line)

    def wait(self) -> float:
        """For how many seconds L{turn} need not be called; negative: for ever."""
        return self._loop.wait()

    # What Python asks for

    def _tell(self, message: Message) -> None:
        self._guest.tell(encoded(message))

    def _readable(self) -> None:
        self._guest.read()

    def _put(self, frame: bytes | bytearray) -> None:
        self._guest.put(frame)

    def _flush(self) -> None:
        self._guest.flush()

    def _introduce(self, address: bytes) -> None:
        self._guest.introduce(address)

    def _prove(self, segment: Segment | None) -> None:
        self._guest.prove(segment is not None and bool(segment.flags & SYN), self._answered)

    def _is_proven(self) -> bool:
        return bool(self._guest.proven) or self._guest.connections > 0

    def _segment(self, frame: bytes, segment: Segment) -> Relay | None:
        self._guest.segment(frame, *segment)
        return None

    def _admit(self, frame: bytes) -> bool:
        if frame[23] == _TCP:
            # From the first one on that needs it; few guests have one.
            for flow in self._guest.take_flows():
                self._flows.adopt(*flow)
        return super()._admit(frame)

    def _abort_all(self, why: str, to_guest: bool) -> None:
        self._guest.abort_all(why, to_guest)

    def _all_dropped(self) -> Counter[str]:
        for error, count in self._guest.dropped():
            self.dropped[_REASONS.get(error) or os.strerror(error)] += count
        return self.dropped

    def _change_plug(self, descriptors: list[int]) -> None:
        self._guest.change_plug(descriptors[0] if descriptors else -1)
        close_all(descriptors[1:])

    def _found(self, message: Message) -> None:
        host = message.get("path"), message.get("host"), message.get("port", 0)
        self._guest.found(message["found"], *host, message.get("why"))

    def _connects_elsewhere(self, address: bytes) -> None:
        self._guest.doubt(address)

    def _forward_from_host(self, listed: list[list[bool | int | str]]) -> None:
        super()._forward_from_host(listed)
        native = self._native
        every = native.OUTWARD_SYNS if self._aliases is None else native.OUTWARD_ALL
        self._guest.set_outward(every)


def make_process(*, nat: bool, fixed: frozenset[bytes]) -> GuestProcess:
    """What a guest's process is to be, native if that is possible. Raises StartupError."""
    try:
        native = _native.load_guest()
    except _native.NotNative:
        return GuestProcess(nat=nat, fixed=fixed)
    return NativeGuestProcess(native, nat=nat, fixed=fixed)
