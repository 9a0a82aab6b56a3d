"""
The process of one guest: libslirp, and the guest's connections to the master.

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
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final, NoReturn

from distnet.address import TcpAddress, UnixAddress
from distnet.gateway.aliases import Aliases
from distnet.gateway.channel import Channel, Message, close_all
from distnet.gateway.datagrams import Datagrams
from distnet.gateway.dns import Dns, ResolvConf
from distnet.gateway.dnsmessage import PORT as DNS_PORT
from distnet.gateway.dnsmessage import frame_to
from distnet.gateway.flows import Excess, Flows
from distnet.gateway.forward import Forward, path_of
from distnet.gateway.fragments import Fragments
from distnet.gateway.frames import RST, SYN, Lens, Progress, Refusal, Segment
from distnet.gateway.guests import Guest
from distnet.gateway.hostforward import HostForward
from distnet.gateway.hostports import HostPorts
from distnet.gateway.loop import Loop, Timer
from distnet.gateway.merge import LONGEST_BATCH, frames_of, merged
from distnet.gateway.outside import Outside
from distnet.gateway.relay import Relay
from distnet.gateway.resets import reset_for
from distnet.gateway.stack import AnyStack, Stack
from distnet.guestnet import PLAN
from distnet.mac import format_mac
from distnet.once import Once

BATCHES_AT_ONCE: Final = 4
"""Batches of frames that are read before libslirp has its turn."""
ROUNDS_AT_END: Final = 24
"""How often those are read at the end: the socket does not hold more."""
MOST_WAITING: Final = 512
"""Frames that wait while the switch does not read; libslirp sends what is lost again."""
MOST_MESSAGES: Final = 1024
"""Messages that wait while the gateway does not read."""
SWITCH_GONE_SECONDS: Final = 30.0
"""How long a guest may be silent after its switch has gone, before its connection is closed."""
DOUBT_SECONDS: Final = 1.0
"""How long a guest has to answer while another one connects in its place."""
IDLE_SECONDS: Final = 60.0
"""How long after its last frame a guest without a connection needs no process any more."""
LOOK_SECONDS: Final = 30.0
"""How often it is looked whether connections from this machine's ports are over."""
MEMORY: Final = 28 * 1024 * 1024
"""Bytes that it may take for what the guest does; beyond, it ends."""
DESCRIPTORS: Final = 512
"""How many it may have open."""
ADDRESSES: Final = 16
"""Entries of libslirp's ARP table."""
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
_ANNOUNCEMENT: Final = b"\xff" * 6 + b"%b\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01%b%b"


class GuestProcess:
    """
    What runs in the process.

    All that is the same for every guest is made before the fork(2), and shared for as long as
    nobody writes to it; that halves what a guest costs.

    @ivar mac: the guest's, 6 bytes.
    @ivar relays: the connections to the master, by the guest's address and port.
    @ivar dropped: frames that were not taken, or not sent, by the reason.
    """

    _frames: socket.socket
    _channel: Channel
    _forward: Forward
    _find_segment: Callable[[bytes], Segment | None]

    def __init__(self, *, nat: bool, fixed: frozenset[bytes]) -> None:
        """
        @param nat: the guest may reach the network of this machine.
        @param fixed: the addresses of those guests that are fixed nodes.
        @raise StartupError: there is no usable libslirp here.
        """
        self.mac = bytes(6)
        self.relays: dict[tuple[bytes, int], Relay] = {}
        self.dropped: Counter[str] = Counter()
        self._fixed = fixed
        self._loop = Loop()
        self._lens = Lens(PLAN)
        self._as_guest_sees = self._lens.with_own_mac
        self._aliases: Aliases | None = None
        self._fragments = Fragments()
        self._plug: socket.socket | None = None
        self._to_switch: deque[bytes] = deque()
        self._to_gateway: deque[Message] = deque()
        self._asking: dict[int, Relay] = {}
        self._asked = 0
        self._known: set[bytes] = set()
        self._proven = self._answered = False
        self._silent: set[Relay] = set()
        self._doubted: set[Relay] = set()
        self._switch_gone: Timer | None = None
        self._heard = 0.0
        self._said = Once(_SAID, seconds=self._loop.seconds, again=AGAIN_SECONDS)
        self._dns = Dns(self._loop, ResolvConf(), self._answer_dns)
        self._stack = self._made_stack(nat)
        self._flows = Flows(
            PLAN, listed=self._stack.network.connections, inject=self._stack.network.input
        )
        self._datagrams = Datagrams(self._loop, PLAN, self._put_answered)
        self._host_ports = HostPorts(
            self._loop, self._stack, self._datagrams, self._say_of_guest, self._complain
        )
        self._outside = Outside(PLAN, listed=self._stack.network.connections, put=self._put)
        self._looks_at_ports = False
        self._told_excess: Counter[Excess] = Counter()
        self._stack.forward(path_of(NAME), PLAN.master, PLAN.port)

    def _made_stack(self, nat: bool) -> AnyStack:
        self._own_stack = Stack(
            self._loop,
            PLAN,
            nat=nat,
            clock_ns=time.monotonic_ns,
            send=self._send,
            say=self._complain,
        )
        return self._own_stack

    def run(self, mac: bytes, frames: socket.socket, channel: Channel, forward: Forward) -> None:
        """
        Be the process of a guest, for as long as the loop goes on.

        @param frames: where the guest's frames come from.
        @param channel: to the gateway.
        @param forward: where libslirp connects for the guest; its name is at L{NAME}.
        """
        self.mac, self._frames, self._channel, self._forward = mac, frames, channel, forward
        self._find_segment = self._lens.from_guest(mac)
        self._datagrams.mac = mac
        loop = self._loop
        loop.begin()
        self._own_stack.begin()
        self._heard = loop.seconds()
        loop.add_reader(frames.fileno(), self._readable)
        loop.add_reader(channel.socket.fileno(), self._told)
        loop.call_later(IDLE_SECONDS, self._look_whether_idle)
        self._tell({"up": os.getpid()})
        # The plug, before there is a frame that is answered.
        self._told()
        loop.run()

    # To and from the gateway

    def _tell(self, message: Message) -> None:
        if self._to_gateway or not self._channel.send(message):
            if len(self._to_gateway) < MOST_MESSAGES:
                self._to_gateway.append(message)
            self._loop.add_writer(self._channel.socket.fileno(), self._tell_more)

    def _tell_more(self) -> None:
        while self._to_gateway and self._channel.send(self._to_gateway[0]):
            self._to_gateway.popleft()
        if not self._to_gateway:
            self._loop.remove_writer(self._channel.socket.fileno())

    def _say(self, line: str, is_warning: bool) -> None:
        self._tell({"log": line, "warn": is_warning})

    def _say_of_guest(self, line: str) -> None:
        self._say(f"{format_mac(self.mac)}: {line}", False)

    def _complain(self, line: str) -> None:
        unsaid = self._said.say(line)
        if unsaid is not None:
            again = f" ({unsaid + 1} times)" if unsaid else ""
            self._say(f"{format_mac(self.mac)}: {line}{again}", True)

    def _told(self) -> None:
        while True:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            if received is None:
                self.end("ended, since the gateway has", reset=True)
            self._heed(*received)

    def _heed(self, message: Message, descriptors: list[int]) -> None:
        if "plug" in message:
            self._change_plug(descriptors)
        else:
            close_all(descriptors)
        if "found" in message:
            self._found(message)
        if "again" in message:
            self._connects_elsewhere(bytes.fromhex(message["again"]))
        if "forward" in message:
            self._forward_from_host(message["forward"])
        if "there" in message:
            self._tell({"here": True})
        if "make_room" in message:
            self._make_room(message["make_room"])
        if "end" in message:
            self.end(message["end"], reset=message["reset"])

    def _found(self, message: Message) -> None:
        relay = self._asking.pop(message["found"], None)
        if relay is None:
            return
        if "path" in message:
            relay.found(UnixAddress(message["path"]))
        elif "host" in message:
            relay.found(TcpAddress(message["host"], message["port"]))
        else:
            relay.not_found(message["why"])

    def _find(self, relay: Relay) -> None:
        self._asked += 1
        self._asking[self._asked] = relay
        self._tell({"find": self._asked, "address": relay.guest.address.hex()})

    def _forward_from_host(self, listed: list[list[bool | int | str]]) -> None:
        forwards = [HostForward.from_list(each) for each in listed]
        self._as_guest_sees = self._from_host
        for forward in forwards:
            # Before the guest has said a word.
            self._introduce(forward.guest.packed)
            if self._aliases is None and not forward.address.is_loopback:
                self._aliases = Aliases(PLAN)
        self._host_ports.want(forwards)

    def _make_room(self, why: str) -> None:
        """End, unless the guest has answered, be it that this was not read yet."""
        for _ in range(ROUNDS_AT_END):
            self._readable()
        if not self._is_proven():
            self.end(why, reset=True)

    def _is_proven(self) -> bool:
        return self._proven or bool(self.relays)

    def end(self, why: str, *, reset: bool) -> NoReturn:
        """
        End, and with it all connections.

        @param why: for the log.
        @param reset: the guest is to know.
        """
        self._host_ports.want([])
        self._abort_all(why, reset)
        self._flush()
        self._tell({"bye": True, "dropped": dict(self._all_dropped())})
        if reset:
            self._reset_what_has_come()
        os._exit(0)

    def _abort_all(self, why: str, to_guest: bool) -> None:
        for relay in list(self.relays.values()):
            relay.abort(why, to_guest=to_guest)

    def _all_dropped(self) -> Counter[str]:
        return self.dropped

    def _reset_what_has_come(self) -> None:
        """What the guest has sent meanwhile is of connections that nobody has any more."""
        with contextlib.suppress(OSError):
            for _ in range(BATCHES_AT_ONCE * ROUNDS_AT_END):
                batch = self._frames.recv(LONGEST_BATCH)
                for frame in frames_of(batch) if batch else ():
                    answer = reset_for(frame)
                    if answer is not None:
                        self._put(answer)
        self._flush()

    # Frames

    def _readable(self) -> None:
        receive = self._frames.recv
        frames: list[bytes] = []
        for _ in range(BATCHES_AT_ONCE):
            try:
                batch = receive(LONGEST_BATCH)
            except BlockingIOError:
                break
            if not batch:
                self.end("ended, since the gateway has", reset=True)
            frames += frames_of(batch)
        self._heard = self._loop.seconds()
        touched: dict[Relay, None] = {}
        if self._proven:
            for frame, segment in merged(frames, self._find_segment):
                self._received(frame, segment, touched)
        else:
            for frame in frames:
                self._received(frame, None, touched)
        for relay in touched:
            relay.read_guest()
        self._stack.turn()

    def _received(self, frame: bytes, segment: Segment | None, touched: dict[Relay, None]) -> None:
        if segment is None:
            seen = self._lens.look(frame)
            if seen.is_fragment:
                whole = self._fragments.add(frame, self._loop.seconds())
                if whole is None:
                    return
                frame = whole
                seen = self._lens.look_at_whole(frame)
            if seen.refusal is not None:
                if seen.refusal is Refusal.FORBIDDEN and frame[30:34] in _OWN:
                    reset = reset_for(frame)
                    if reset is not None:
                        self._put(reset)
                self.dropped[str(seen.refusal)] += 1
                self._complain(f"frames are not taken: {seen.refusal}")
                return
            segment = seen.segment
            self._prove(segment)
            address = frame[26:30]
        else:
            address = segment.address
        if address not in self._known:
            self._introduce(address)
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
        if segment is None:
            if self._outside.asked:
                self._outside.heard(frame)
            self._stack.input(frame)
            return
        relay = self._segment(frame, segment)
        if relay is not None:
            touched[relay] = None

    def _admit(self, frame: bytes) -> bool:
        """Whether libslirp may have what may cost it another socket."""
        passes, answer = self._flows.admit(frame, self._loop.seconds())
        if answer is not None:
            self._put(answer)
        if not passes:
            for excess, count in self._flows.excess.items():
                if count > self._told_excess[excess]:
                    self._told_excess[excess] = count
                    self._complain(f"{excess}: not taken")
        return passes

    def _introduce(self, address: bytes) -> None:
        """Tell libslirp the MAC address of one of the guest's addresses, or it would ask."""
        if len(self._known) >= ADDRESSES:
            self._known.clear()
        self._known.add(address)
        # As if the guest had asked for its own address, RFC 826.
        who = self.mac + address
        self._stack.input(_ANNOUNCEMENT % (self.mac, who, bytes(6) + address))

    def _prove(self, segment: Segment | None) -> None:
        """It is a guest that is there, and takes part in what we answer."""
        if self._answered and not self._proven and not (segment and segment.flags & SYN):
            self._proven = True
            self._tell({"proven": True})

    def _segment(self, frame: bytes, segment: Segment) -> Relay | None:
        """Hand libslirp a segment for the master; the relay that may have to read it then."""
        relay = self.relays.get((segment.address, segment.port))
        if relay is not None and relay.progress.begins_anew(segment):
            # It was started again and has the same port, or libslirp would be puzzled.
            relay.abort("begins anew", to_guest=False)
            relay = None
        if relay is not None:
            relay.progress.guest_sent(segment)
            if self._silent or self._doubted:
                self._silent.discard(relay)
                self._doubted.discard(relay)
        self._stack.input(frame)
        if relay is None and not segment.flags & (SYN | RST):
            self._accept(Guest(segment.address, self.mac), Progress(segment))
        return relay

    def _send(self, frame: bytearray) -> None:
        segment = self._lens.from_master(frame)
        if segment is not None:
            relay = self.relays.get(segment[:2])
            if relay is not None:
                relay.progress.master_sent(segment)
                if relay.waits:
                    relay.went_on()
        self._answered = True
        self._put(self._as_guest_sees(frame))

    def _from_host(self, frame: bytearray) -> bytearray:
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
        self._tell({"in": [(address.hex(), int.from_bytes(port)) for address, port in ends]})
        if not self._looks_at_ports:
            self._looks_at_ports = True
            self._loop.call_later(LOOK_SECONDS, self._look_at_ports)

    def _look_at_ports(self) -> None:
        """Which of several connections has ended libslirp does not tell, but whether all have."""
        if self._host_ports.count():
            self._loop.call_later(LOOK_SECONDS, self._look_at_ports)
        else:
            self._looks_at_ports = False
            self._tell({"none_in": True})

    def _answer_dns(self, address: bytes, port: int, payload: bytes) -> None:
        self._answered = True
        self._put(frame_to(self.mac, address, port, payload))

    def _put_answered(self, frame: bytes) -> None:
        self._answered = True
        self._put(frame)

    def _put(self, frame: bytes | bytearray) -> None:
        """Send the guest a frame; it is dropped if there is no switch, or no room."""
        if self._plug is None:
            self.dropped["no switch"] += 1
        elif not self._to_switch and self._put_now(frame):
            pass
        elif len(self._to_switch) < MOST_WAITING:
            self._to_switch.append(bytes(frame))
            self._loop.add_writer(self._plug.fileno(), self._flush)
        else:
            self.dropped["full"] += 1

    def _put_now(self, frame: bytes | bytearray) -> bool:
        assert self._plug is not None
        try:
            self._plug.send(frame)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self.dropped[error.strerror or str(error)] += 1
        return True

    def _flush(self) -> None:
        if self._plug is None:
            return
        while self._to_switch and self._put_now(self._to_switch[0]):
            self._to_switch.popleft()
        if not self._to_switch:
            self._loop.remove_writer(self._plug.fileno())

    # Connections

    def _accept(self, guest: Guest, progress: Progress) -> None:
        try:
            sock = self._forward.accept()
        except OSError as error:
            # The next segment of the guest's has it tried again.
            self._complain(f"a connection waits: {error.strerror}")
            return
        if sock is None:
            return
        for old in self._relays_of(guest.address):
            if guest.address in self._fixed:
                # The master lets a fixed node in once; this one was started again.
                old.abort("connects again", to_guest=False)
            else:
                # It may have been started again too, and then answers with a reset.
                self._put(self._lens.probe(self.mac, old.progress))
        relay = Relay(
            self._loop,
            guest,
            progress,
            sock,
            find=self._find,
            say=self._say,
            hand_over=self._stack.turn,
            reset=self._reset,
            over=self._over,
        )
        self.relays[progress.address, progress.port] = relay
        self._tell({"open": [progress.address.hex(), progress.port]})

    def _relays_of(self, address: bytes) -> list[Relay]:
        return [relay for relay in self.relays.values() if relay.guest.address == address]

    def _connects_elsewhere(self, address: bytes) -> None:
        """
        A guest with another MAC address connects from an address of this one.

        If this one is there all the same, it answers, and keeps what it has.
        """
        for relay in self._relays_of(address):
            self._put(self._lens.probe(self.mac, relay.progress))
            if address in self._fixed:
                self._doubted.add(relay)
        if self._doubted:
            self._loop.call_later(DOUBT_SECONDS, self._give_up_doubted)

    def _give_up_doubted(self) -> None:
        for relay in list(self._doubted):
            relay.abort("connects again", to_guest=False)

    def _reset(self, relay: Relay, to_guest: bool) -> None:
        mac, progress = relay.guest.mac, relay.progress
        self._stack.input(self._lens.reset(mac, progress, to_guest=False))
        if to_guest:
            self._put(self._lens.reset(mac, progress, to_guest=True))

    def _over(self, relay: Relay) -> None:
        key = relay.progress.address, relay.progress.port
        if self.relays.get(key) is relay:
            del self.relays[key]
        self._asking = {each: other for each, other in self._asking.items() if other is not relay}
        self._silent.discard(relay)
        self._doubted.discard(relay)
        self._tell({"over": [key[0].hex(), key[1]]})
        self._stack.turn()

    # The switch

    def _change_plug(self, descriptors: list[int]) -> None:
        """Another plug, or none."""
        before, self._plug = self._plug, None
        if before is not None:
            self._loop.remove_writer(before.fileno())
            before.close()
            self._to_switch.clear()
        if self._switch_gone is not None:
            self._switch_gone.cancel()
        if descriptors:
            self._plug = socket.socket(fileno=descriptors[0])
            close_all(descriptors[1:])
        else:
            # Most clients of VDE do not plug in again; one that does sends what was not
            # acknowledged.
            self._silent = set(self.relays.values())
        if self._silent:
            self._switch_gone = self._loop.call_later(SWITCH_GONE_SECONDS, self._give_up_silent)

    def _give_up_silent(self) -> None:
        for relay in list(self._silent):
            relay.abort("was not heard of since the switch had gone", to_guest=False)

    def _look_whether_idle(self) -> None:
        silent = self._loop.seconds() - self._heard
        if silent >= IDLE_SECONDS and not self.relays:
            self._is_silent()
        self._loop.call_later(IDLE_SECONDS, self._look_whether_idle)

    def _is_silent(self) -> None:
        """The guest was silent for long, and has no connection to the master."""
        if not self._outside.are_in_use(self.mac):
            self._tell({"idle": True})


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
