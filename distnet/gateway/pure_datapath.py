"""The datapath of a guest's process in Python, which defines what the native one does."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from distnet.address import TcpAddress, UnixAddress
from distnet.gateway.channel import Channel, Message
from distnet.gateway.datapath import BATCHES_AT_ONCE, Rest
from distnet.gateway.forward import Forward
from distnet.gateway.frames import Lens
from distnet.gateway.guests import Guest
from distnet.gateway.loop import Loop, Timer
from distnet.gateway.merge import LONGEST_BATCH, frames_of, merged
from distnet.gateway.relay import Relay
from distnet.gateway.segments import RST, SYN, Progress, Segment
from distnet.gateway.stack import Stack
from distnet.guestnet import PLAN

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
ADDRESSES: Final = 16
"""Entries of libslirp's ARP table."""

_ANNOUNCEMENT: Final = b"\xff" * 6 + b"%b\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01%b%b"


class PureDatapath:
    """
    What one guest's frames and bytes go through, in Python.

    @ivar relays: the connections to the master, by the guest's address and port.
    """

    rest: Rest
    _mac: bytes
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
        self.relays: dict[tuple[bytes, int], Relay] = {}
        self.loop = Loop()
        self._fixed = fixed
        self._lens = Lens(PLAN)
        self._as_guest_sees = self._lens.with_own_mac
        self._plug: socket.socket | None = None
        self._dropped: Counter[str] = Counter()
        self._to_switch: deque[bytes] = deque()
        self._to_gateway: deque[Message] = deque()
        self._asking: dict[int, Relay] = {}
        self._asked = 0
        self._known: set[bytes] = set()
        self._proven = self._answered = False
        # Those that may have to read what the guest has sent, in this order.
        self._touched: dict[Relay, None] = {}
        self._silent: set[Relay] = set()
        self._doubted: dict[Relay, float] = {}
        self._switch_gone: Timer | None = None
        self._heard = 0.0
        self._stack = Stack(
            self.loop,
            PLAN,
            nat=nat,
            clock_ns=time.monotonic_ns,
            send=self._send,
            say=self._complain,
            failed=self._fail,
        )
        self.network = self._stack.network
        self.input, self.turn, self.hold = self._stack.input, self._stack.turn, self._stack.hold

    def leave_to(self, rest: Rest) -> None:
        """What this does not do is for C{rest}."""
        self.rest = rest

    def run(self, mac: bytes, frames: socket.socket, channel: Channel, forward: Forward) -> None:
        """Go on as long as the loop does."""
        self._mac, self._frames, self._channel, self._forward = mac, frames, channel, forward
        self._find_segment = self._lens.from_guest(mac)
        loop = self.loop
        loop.begin()
        self._stack.begin()
        self._heard = loop.seconds()
        loop.add_reader(frames.fileno(), self.read)
        loop.add_reader(channel.socket.fileno(), self._told)
        loop.call_later(IDLE_SECONDS, self._look_whether_idle)
        self.tell({"up": os.getpid()})
        # The plug, before there is a frame that is answered.
        self._told()
        loop.run()

    def _complain(self, line: str) -> None:
        self.rest.complain(line)

    def _fail(self, line: str) -> None:
        self.rest.fail(line)

    # To and from the gateway

    def tell(self, message: Message) -> None:
        """Tell the gateway something, as soon as it can be."""
        if self._to_gateway or not self._channel.send(message):
            if len(self._to_gateway) < MOST_MESSAGES:
                self._to_gateway.append(message)
            self.loop.add_writer(self._channel.socket.fileno(), self._tell_more)

    def _tell_more(self) -> None:
        while self._to_gateway and self._channel.send(self._to_gateway[0]):
            self._to_gateway.popleft()
        if not self._to_gateway:
            self.loop.remove_writer(self._channel.socket.fileno())

    def _told(self) -> None:
        while True:
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            if received is None:
                self.rest.gone()
            self.rest.heed(*received)

    # From the guest

    def read(self) -> None:
        """Deal with some batches of frames, and have libslirp go on."""
        receive = self._frames.recv
        frames: list[bytes] = []
        for _ in range(BATCHES_AT_ONCE):
            try:
                batch = receive(LONGEST_BATCH)
            except BlockingIOError:
                break
            if not batch:
                self.rest.gone()
            frames += frames_of(batch)
        self._heard = self.loop.seconds()
        received = self.rest.received
        if self._proven:
            for frame, segment in merged(frames, self._find_segment):
                if segment is None or segment.flags & SYN:
                    received(frame)
                    continue
                if segment.address not in self._known:
                    self.introduce(segment.address)
                self.segment(frame, segment)
        else:
            for frame in frames:
                received(frame)
        touched, self._touched = self._touched, {}
        for relay in touched:
            relay.read_guest()
        self.turn()

    @property
    def is_proven(self) -> bool:
        """Whether the guest is there, and takes part in what it is answered."""
        return self._proven or bool(self.relays)

    def prove(self, segment: Segment | None, answered: bool) -> None:
        """The guest is there if it goes on after it was answered."""
        self._answered = self._answered or answered
        if self._answered and not self._proven and not (segment and segment.flags & SYN):
            self._proven = True
            self.tell({"proven": True})

    def introduce(self, address: bytes) -> None:
        """Tell libslirp the MAC address of one of the guest's addresses, if it was not told yet."""
        if address in self._known:
            return
        if len(self._known) >= ADDRESSES:
            self._known.clear()
        self._known.add(address)
        # As if the guest had asked for its own address, RFC 826.
        who = self._mac + address
        self.input(_ANNOUNCEMENT % (self._mac, who, bytes(6) + address))

    def take_flows(self) -> list[tuple[bytes, bytes, bytes, int, float]]:
        """None: L{Rest.received} is asked for each."""
        return []

    def segment(self, frame: bytes, segment: Segment) -> None:
        """Hand libslirp a segment for the master, and its relay what comes of it."""
        relay = self.relays.get((segment.address, segment.port))
        if relay is not None and relay.progress.begins_anew(segment):
            # It was started again and has the same port, or libslirp would be puzzled.
            relay.abort("begins anew", to_guest=False)
            relay = None
        if relay is not None:
            relay.progress.guest_sent(segment)
            if self._silent or self._doubted:
                self._silent.discard(relay)
                self._doubted.pop(relay, None)
        self.input(frame)
        if relay is not None:
            self._touched[relay] = None
        elif not segment.flags & (SYN | RST):
            self._accept(Guest(segment.address, self._mac), Progress(segment))

    # To the guest

    def show_outward(self, *, every: bool) -> None:
        """Ask for L{Rest.outward} from now on; it does not mind if that is for every frame."""
        self._as_guest_sees = self.rest.outward

    def _send(self, frame: bytearray) -> None:
        segment = self._lens.from_master(frame)
        if segment is not None:
            relay = self.relays.get(segment[:2])
            if relay is not None:
                relay.progress.master_sent(segment)
                if relay.waits:
                    relay.went_on()
        self._answered = True
        self.put(self._as_guest_sees(frame))

    def put(self, frame: bytes | bytearray) -> None:
        """Send the guest a frame; it is dropped if there is no switch, or no room."""
        if self._plug is None:
            self._dropped["no switch"] += 1
        elif not self._to_switch and self._put_now(frame):
            pass
        elif len(self._to_switch) < MOST_WAITING:
            self._to_switch.append(bytes(frame))
            self.loop.add_writer(self._plug.fileno(), self.flush)
        else:
            self._dropped["full"] += 1

    def _put_now(self, frame: bytes | bytearray) -> bool:
        assert self._plug is not None
        try:
            self._plug.send(frame)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._dropped[error.strerror or str(error)] += 1
        return True

    def flush(self) -> None:
        """Send what waits to be, as far as the switch has room."""
        if self._plug is None:
            return
        while self._to_switch and self._put_now(self._to_switch[0]):
            self._to_switch.popleft()
        if not self._to_switch:
            self.loop.remove_writer(self._plug.fileno())

    def dropped(self) -> Counter[str]:
        """Frames that were not sent, by the reason."""
        return self._dropped

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
                self.put(self._lens.probe(self._mac, old.progress))
        relay = Relay(
            self.loop,
            guest,
            progress,
            sock,
            find=self._find,
            say=self.rest.say,
            hand_over=self.turn,
            reset=self._reset,
            over=self._over,
        )
        self.relays[progress.address, progress.port] = relay
        self.tell({"open": [progress.address.hex(), progress.port]})

    def _relays_of(self, address: bytes) -> list[Relay]:
        return [relay for relay in self.relays.values() if relay.guest.address == address]

    def _find(self, relay: Relay) -> None:
        self._asked += 1
        self._asking[self._asked] = relay
        self.tell({"find": self._asked, "address": relay.guest.address.hex()})

    def found(self, message: Message) -> None:
        """The gateway has found the master, or has not."""
        relay = self._asking.pop(message["found"], None)
        if relay is None:
            return
        if "path" in message:
            relay.found(UnixAddress(message["path"]), cuts=message.get("cut", False))
        elif "host" in message:
            relay.found(TcpAddress(message["host"], message["port"]), cuts=False)
        else:
            relay.not_found(message["why"])

    def doubt(self, address: bytes) -> None:
        """Ask whether the guest is there, since another one connects from an address of its."""
        for relay in self._relays_of(address):
            self.put(self._lens.probe(self._mac, relay.progress))
            # However often that happens, the time to answer is that since the first.
            if address in self._fixed and relay not in self._doubted:
                self._doubted[relay] = self.loop.seconds() + DOUBT_SECONDS
                self.loop.call_later(DOUBT_SECONDS, self._give_up_doubted)

    def _give_up_doubted(self) -> None:
        now = self.loop.seconds()
        for relay in [each for each, until in self._doubted.items() if until <= now]:
            relay.abort("connects again", to_guest=False)

    def abort_all(self, why: str, *, to_guest: bool) -> None:
        """End all connections to the master. C{to_guest}: it is to know."""
        for relay in list(self.relays.values()):
            relay.abort(why, to_guest=to_guest)

    def _reset(self, relay: Relay, to_guest: bool) -> None:
        mac, progress = relay.guest.mac, relay.progress
        self.input(self._lens.reset(mac, progress, to_guest=False))
        if to_guest:
            self.put(self._lens.reset(mac, progress, to_guest=True))

    def _over(self, relay: Relay) -> None:
        key = relay.progress.address, relay.progress.port
        if self.relays.get(key) is relay:
            del self.relays[key]
        self._asking = {each: other for each, other in self._asking.items() if other is not relay}
        self._silent.discard(relay)
        self._doubted.pop(relay, None)
        self.tell({"over": [key[0].hex(), key[1]]})
        self.turn()

    # The switch

    def change_plug(self, descriptor: int) -> None:
        """The guest has another plug, or none: -1."""
        before, self._plug = self._plug, None
        if before is not None:
            self.loop.remove_writer(before.fileno())
            before.close()
            self._to_switch.clear()
        if self._switch_gone is not None:
            self._switch_gone.cancel()
        if descriptor >= 0:
            self._plug = socket.socket(fileno=descriptor)
        else:
            # Most clients of VDE do not plug in again; one that does sends what was not
            # acknowledged.
            self._silent = set(self.relays.values())
        if self._silent:
            self._switch_gone = self.loop.call_later(SWITCH_GONE_SECONDS, self._give_up_silent)

    def _give_up_silent(self) -> None:
        for relay in list(self._silent):
            relay.abort("was not heard of since the switch had gone", to_guest=False)

    def _look_whether_idle(self) -> None:
        silent = self.loop.seconds() - self._heard
        if silent >= IDLE_SECONDS and not self.relays:
            self.rest.idle()
        self.loop.call_later(IDLE_SECONDS, self._look_whether_idle)
