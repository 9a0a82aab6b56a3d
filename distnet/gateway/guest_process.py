"""
The process of one guest: its datapath, and what that does not do for every guest.

What a guest sends can end, fill or slow down this process, and with it nobody else's connections.
The gateway hands it the guest's frames and finds the master for it; what it sends to the guest it
puts into the switch itself, by the gateway's own plug.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import socket
import struct
from collections import Counter
from typing import Final, NoReturn

from distnet.gateway.aliases import Aliases
from distnet.gateway.channel import Channel, Message, close_all
from distnet.gateway.datagrams import Datagrams
from distnet.gateway.datapath import BATCHES_AT_ONCE, Datapath
from distnet.gateway.dns import Dns, ResolvConf
from distnet.gateway.dnsmessage import PORT as DNS_PORT
from distnet.gateway.dnsmessage import frame_to
from distnet.gateway.flows import Excess, Flows
from distnet.gateway.forward import Forward, path_of
from distnet.gateway.fragments import Fragments
from distnet.gateway.frames import Lens, Refusal
from distnet.gateway.hostforward import HostForward
from distnet.gateway.hostports import HostPorts
from distnet.gateway.merge import LONGEST_BATCH, frames_of
from distnet.gateway.outside import Outside
from distnet.gateway.resets import reset_for
from distnet.gateway.segments import SYN
from distnet.guestnet import PLAN
from distnet.mac import format_mac
from distnet.once import Once

ROUNDS_AT_END: Final = 24
"""How often so many batches are read at the end: the socket does not hold more."""
LOOK_SECONDS: Final = 30.0
"""How often it is looked whether connections from this machine's ports are over."""
MEMORY: Final = 28 * 1024 * 1024
"""Bytes that it may take for what the guest does; beyond, it ends."""
DESCRIPTORS: Final = 512
"""How many it may have open."""
AGAIN_SECONDS: Final = 60.0
"""How long the same complaint is only counted."""

FRAMES: Final = 3
"""The descriptor that the guest's frames come from, a SOCK_SEQPACKET socket."""
CONTROL: Final = 4
"""That of L{distnet.gateway.channel}."""
LISTENER: Final = 5
NAME: Final = 6
"""Those of L{distnet.gateway.forward.make_listener}."""

_SAID: Final = 32
_UDP: Final = 17
_TCP: Final = b"\x06"
_SYN_ALONE: Final = SYN.to_bytes()
_UDP_HEAD: Final = struct.Struct("!HHHH")
_OWN: Final = frozenset(address.packed for address in PLAN.own)
_NAME_SERVER: Final = PLAN.name_server.packed


class GuestProcess:
    """
    What runs in the process: its datapath does most for the guest, and asks here for the rest.

    All that is the same for every guest is made before the fork(2), and shared for as long as
    nobody writes to it; that halves what a guest costs.

    @ivar mac: the guest's, 6 bytes.
    @ivar dropped: frames of the guest's that were not taken, by the reason.
    """

    _frames: socket.socket

    def __init__(self, datapath: Datapath) -> None:
        self.mac = bytes(6)
        self.dropped: Counter[str] = Counter()
        self._datapath = datapath
        datapath.leave_to(self)
        self._loop = datapath.loop
        self._lens = Lens(PLAN)
        self._aliases: Aliases | None = None
        self._fragments = Fragments()
        self._answered = False
        self._said = Once(_SAID, seconds=self._loop.seconds, again=AGAIN_SECONDS)
        self._dns = Dns(self._loop, ResolvConf(), self._answer_dns)
        network = datapath.network
        self._flows = Flows(
            PLAN, listed=network.connections, inject=network.input, begun=datapath.take_flows
        )
        self._datagrams = Datagrams(self._loop, PLAN, self._answer)
        self._host_ports = HostPorts(
            self._loop, datapath, self._datagrams, self._say_of_guest, self.complain
        )
        self._outside = Outside(PLAN, listed=network.connections, put=datapath.put)
        self._looks_at_ports = False
        self._told_excess: Counter[Excess] = Counter()
        network.forward(path_of(NAME), PLAN.master, PLAN.port)

    def run(self, mac: bytes, frames: socket.socket, channel: Channel, forward: Forward) -> None:
        """
        Be the process of a guest, for as long as the datapath goes on.

        @param frames: where the guest's frames come from.
        @param channel: to the gateway.
        @param forward: where libslirp connects for the guest; its name is at L{NAME}.
        """
        self.mac, self._frames = mac, frames
        self._datagrams.mac = mac
        self._datapath.run(mac, frames, channel, forward)

    # What is said

    def say(self, line: str, is_warning: bool) -> None:
        """Have the gateway log a line."""
        self._datapath.tell({"log": line, "warn": is_warning})

    def _say_of_guest(self, line: str) -> None:
        self.say(f"{format_mac(self.mac)}: {line}", False)

    def complain(self, line: str) -> None:
        """Have the gateway log a warning; one that comes again soon is only counted."""
        unsaid = self._said.say(line)
        if unsaid is not None:
            again = f" ({unsaid + 1} times)" if unsaid else ""
            self.say(f"{format_mac(self.mac)}: {line}{again}", True)

    def fail(self, line: str) -> None:
        """Have the gateway log a mistake of ours, and end: it starts another process."""
        self.say(f"{format_mac(self.mac)}: {line}", True)
        os._exit(1)

    # What the gateway tells

    def heed(self, message: Message, descriptors: list[int]) -> None:
        """Do as the gateway tells."""
        if "plug" in message:
            self._datapath.change_plug(descriptors.pop(0) if descriptors else -1)
        close_all(descriptors)
        if "found" in message:
            self._datapath.found(message)
        if "again" in message:
            self._datapath.doubt(bytes.fromhex(message["again"]))
        if "forward" in message:
            self._forward_from_host(message["forward"])
        if "there" in message:
            self._datapath.tell({"here": True})
        if "make_room" in message:
            self._make_room(message["make_room"])
        if "end" in message:
            self._end(message["end"], reset=message["reset"])

    def _forward_from_host(self, listed: list[list[bool | int | str]]) -> None:
        forwards = [HostForward.from_list(each) for each in listed]
        for forward in forwards:
            # Before the guest has said a word.
            self._datapath.introduce(forward.guest.packed)
            if self._aliases is None and not forward.address.is_loopback:
                self._aliases = Aliases(PLAN)
        self._datapath.show_outward(every=self._aliases is not None)
        self._host_ports.want(forwards)

    def _make_room(self, why: str) -> None:
        """End, unless the guest has answered, be it that this was not read yet."""
        for _ in range(ROUNDS_AT_END):
            self._datapath.read()
        if not self._datapath.is_proven:
            self._end(why, reset=True)

    def gone(self) -> NoReturn:
        """The gateway has ended: what it has started does, too."""
        self._end("ended, since the gateway has", reset=True)

    def _end(self, why: str, *, reset: bool) -> NoReturn:
        """
        End, and with it all connections.

        @param why: for the log.
        @param reset: the guest is to know.
        """
        datapath = self._datapath
        self._host_ports.want([])
        datapath.abort_all(why, to_guest=reset)
        datapath.flush()
        datapath.tell({"bye": True, "dropped": dict(self.dropped + datapath.dropped())})
        if reset:
            self._reset_what_has_come()
        os._exit(0)

    def _reset_what_has_come(self) -> None:
        """What the guest has sent meanwhile is of connections that nobody has any more."""
        with contextlib.suppress(OSError):
            for _ in range(BATCHES_AT_ONCE * ROUNDS_AT_END):
                batch = self._frames.recv(LONGEST_BATCH)
                for frame in frames_of(batch) if batch else ():
                    answer = reset_for(frame)
                    if answer is not None:
                        self._datapath.put(answer)
        self._datapath.flush()

    # From the guest

    def received(self, frame: bytes) -> None:
        """A frame has come from the guest that is not just a segment for the master."""
        seen = self._lens.look(frame)
        if seen.is_fragment:
            whole = self._fragments.add(frame, self._loop.seconds())
            if whole is None:
                return
            frame = whole
            seen = self._lens.look_at_whole(frame)
        if seen.refusal is not None:
            self._refuse(frame, seen.refusal)
            return
        segment, datapath = seen.segment, self._datapath
        datapath.prove(segment, self._answered)
        datapath.introduce(frame[26:30])
        if segment is None or segment.flags & SYN:
            if (query := _dns_query(frame)) is not None:
                self._dns.query(*query)
                return
            if self._datagrams.answer(frame):
                return
            if self._aliases is not None:
                frame = self._aliases.inward(frame)
            if not self._admit(frame):
                return
        if segment is not None:
            datapath.segment(frame, segment)
            return
        if self._outside.asked:
            self._outside.heard(frame)
        datapath.input(frame)

    def _refuse(self, frame: bytes, refusal: Refusal) -> None:
        if refusal is Refusal.FORBIDDEN and frame[30:34] in _OWN:
            reset = reset_for(frame)
            if reset is not None:
                self._datapath.put(reset)
        self.dropped[str(refusal)] += 1
        self.complain(f"frames are not taken: {refusal}")

    def _admit(self, frame: bytes) -> bool:
        """Whether libslirp may have what may cost it another socket."""
        passes, answer = self._flows.admit(frame, self._loop.seconds())
        if answer is not None:
            self._datapath.put(answer)
        if not passes:
            for excess, count in self._flows.excess.items():
                if count > self._told_excess[excess]:
                    self._told_excess[excess] = count
                    self.complain(f"{excess}: not taken")
        return passes

    @property
    def is_asking(self) -> bool:
        """Whether the guest was asked for an answer that comes to L{received}, perhaps."""
        return bool(self._outside.asked)

    def idle(self) -> None:
        """The guest was silent for long, and has no connection to the master."""
        if not self._outside.are_in_use(self.mac):
            self._datapath.tell({"idle": True})

    # To the guest

    def _answer_dns(self, address: bytes, port: int, payload: bytes) -> None:
        self._answer(frame_to(self.mac, address, port, payload))

    def _answer(self, frame: bytes) -> None:
        self._answered = True
        self._datapath.put(frame)

    def outward(self, frame: bytearray) -> bytearray:
        """A frame of libslirp's as the guest is to have it, if ports of this machine lead there."""
        begins = frame[47:48] == _SYN_ALONE and frame[23:24] == _TCP
        if begins:
            self._host_ports.connects()
        if self._aliases is not None:
            # It may be libslirp's own memory still.
            frame = bytearray(self._aliases.outward(bytes(frame)))
        if begins:
            self._connects_from_host(frame)
        return self._lens.with_own_mac(frame)

    def _connects_from_host(self, frame: bytearray) -> None:
        ends = (frame[30:34], frame[36:38]), (frame[26:30], frame[34:36])
        told = [(address.hex(), int.from_bytes(port)) for address, port in ends]
        self._datapath.tell({"in": told})
        if not self._looks_at_ports:
            self._looks_at_ports = True
            self._loop.call_later(LOOK_SECONDS, self._look_at_ports)

    def _look_at_ports(self) -> None:
        """Which of several connections has ended libslirp does not tell, but whether all have."""
        if self._host_ports.count():
            self._loop.call_later(LOOK_SECONDS, self._look_at_ports)
        else:
            self._looks_at_ports = False
            self._datapath.tell({"none_in": True})


def _dns_query(frame: bytes) -> tuple[bytes, int, bytes] | None:
    """
    What a guest asks at the name server: its address, its port and the payload; None if it is
    something else.

    @param frame: with a whole packet of IPv4.
    """
    if frame[23] != _UDP or frame[30:34] != _NAME_SERVER:
        return None
    start = 14 + (frame[14] & 15) * 4
    if len(frame) < start + 8:
        return None
    port, target, size, _ = _UDP_HEAD.unpack_from(frame, start)
    if target != DNS_PORT:
        return None
    return frame[26:30], port, frame[start + 8 : start + max(8, size)]


def run(process: GuestProcess, mac: bytes, held: int, name: bytes) -> NoReturn:
    """
    Be a guest's process, and end. The descriptors from L{FRAMES} to L{NAME} are there.

    @param mac: the guest's.
    @param held: bytes of data that the process has from the start.
    @param name: what ps(1) and top(1) call it.
    """
    frames, control, listener = (socket.socket(fileno=each) for each in (FRAMES, CONTROL, LISTENER))
    channel = Channel(control)
    try:
        rename(name)
        # Nothing that the guest does may cost more than is stated.
        _lower(resource.RLIMIT_DATA, held + MEMORY)
        _lower(resource.RLIMIT_NOFILE, DESCRIPTORS)
        # The one that forked us does without; what came from there stays frozen.
        gc.enable()
        process.run(mac, frames, channel, Forward(listener))
    except BaseException:
        # Late, as it is seldom needed, and every guest's process would have it in memory.
        import traceback

        with contextlib.suppress(Exception):
            channel.send({"log": traceback.format_exc()[-4000:], "warn": True})
    os._exit(1)


def rename(name: bytes) -> None:
    """Change what ps(1) and top(1) call this process."""
    descriptor = os.open("/proc/self/comm", os.O_WRONLY)
    os.write(descriptor, name)
    os.close(descriptor)


def _lower(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(what, (most, most))
