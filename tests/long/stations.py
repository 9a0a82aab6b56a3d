"""A bridge with stations that send anything, while its ports and VLANs change; and an oracle."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.internet.task import Clock

from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import OF_WHOLE_FRAMES, Counters, Reason, Traffic
from distnet.switch.core.errors import BridgeError
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.records import NO_VLAN
from distnet.testing import NotingBridgeObserver
from tests.long.plugs import Plug, Sent
from tests.long.vlans import TAG, History, Member, tag_of, views

PORTS = 7
MOST_PLUGS = 10
VLANS = (0, 5, 6, 7, 4094)
TAGS = (*VLANS, *VLANS, 4095, 9, 261)
BROADCAST = b"\xff" * 6
STRANGERS = (bytes(6), b"\x01\0\x5e\0\0\1", b"\x02\xff\0\0\0\1", b"\x02\xff\0\0\0\2")
# Of a frame that has no room for more, the source says which one it is.
SHORT = 0x06
TRAILER = 8
COPY_REASONS = tuple(reason for reason in Reason if reason not in OF_WHOLE_FRAMES)


def address(port: int) -> bytes:
    """Of the stations at a port."""
    return b"\x02\0\0\0\0" + bytes([port])


class StationSteps:
    """
    One bridge and all that is done to it.

    A frame says which one it is in its last 8 bytes (VLAN, port, number), or if it is too short
    for that in its source. What becomes of it must be what L{views} says.

    @ivar fair: all links take all, so that everything is known exactly.
    @ivar copies: how many arrived.
    @ivar frames: how many were sent.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.clock = Clock()
        self.strict = random.random() < 0.4
        self.fair = random.random() < 0.4
        self.limits = BridgeLimits(
            max_frame=random.choice((64, 300, 1514)),
            queue_frames=random.choice((2, 4, 50)),
            queue_bytes=4000,
            held_frames=random.choice((2, 50)),
            held_bytes=4000,
            pause_seconds=random.choice((0.02, 0.02, 0)),
            max_addresses=random.choice((4, 1000)),
        )
        assert self.limits.problem() is None
        hub = random.random() < 0.1
        self.bridge = Bridge(
            self.limits,
            NotingBridgeObserver(),
            self.clock,
            numports=PORTS,
            hub=hub,
            strict=self.strict,
        )
        self.history = History(self.strict, {})
        self.plugs: list[Plug] = []
        self.left: list[Plug] = []
        self.frames = 0
        self.copies = 0
        self._sent: dict[int, Sent] = {}
        self._announced: set[tuple[bytes, int]] = set()
        # What the counters must say. A frame that is decided later could become anything.
        self._came: dict[int, Traffic] = {}
        self._took: dict[int, Traffic] = {}
        self._failed: Counter[int] = Counter()
        self._sure: Counter[Reason] = Counter()
        self._sure_copies = 0
        self._unsure = 0
        for vlan in VLANS[1:3]:
            self.bridge.vlans.create(vlan)
        for _ in range(4):
            self._attach()
        self._steps = 0

    # What happens

    def step(self) -> None:
        """One thing happens."""
        self._steps += 1
        draw = self.random.random()
        if draw < 0.86:
            if self.plugs:
                self._send(self.plugs[int(self.random.random() * len(self.plugs))])
        elif draw < 0.91:
            if self.plugs and not self.fair:
                self._change_link(self.random.choice(self.plugs))
        elif draw < 0.93:
            self.clock.advance(self.random.choice((0.001, 0.005, 0.01, 0.02, 0.02, 1, 3, 150)))
        elif draw < 0.95:
            self._attach()
        elif draw < 0.96:
            if self.plugs:
                self._detach(self.random.choice(self.plugs))
        elif draw < 0.965:
            self._send_from_the_gone()
        else:
            self._configure()
        if self._steps % 250 == 0:
            self.check_counters()
            self.check_addresses()

    def _attach(self) -> None:
        if len(self.plugs) >= MOST_PLUGS:
            return
        plug = Plug(self.arrived)
        number = None if self.random.random() < 0.5 else self.random.randrange(PORTS + 1)
        try:
            plug.endpoint = self.bridge.attach(plug, number, user=self.random.choice((7, 7, 8)))
        except BridgeError:
            return
        plug.port = plug.endpoint.port.number
        self._port_is_there(plug.port)
        self.plugs.append(plug)
        if not self.fair and self.random.random() < 0.2:
            plug.room = self.random.choice((0, 3, 30))

    def _detach(self, plug: Plug) -> None:
        plug.gone = True
        self.plugs.remove(plug)
        if self.random.random() < 0.3:
            self.bridge.close_endpoint(plug.port, plug.endpoint.number)
        else:
            self.bridge.detach(plug.endpoint)
        self.left = [*self.left[-3:], plug]

    def _change_link(self, plug: Plug) -> None:
        plug.failing = self.random.random() < 0.1
        plug.room = self.random.choice((None, None, None, 0, 1, 2, 5, 30))
        if plug.full and plug.room != 0 and self.random.random() < 0.8:
            self.bridge.writable(plug.endpoint)

    def _configure(self) -> None:
        bridge, what = self.bridge, self.random.randrange(14)
        port, vlan = self.random.randrange(PORTS), self.random.choice(VLANS)
        member = self.history.members.get(port)
        try:
            if what < 3:
                home = NO_VLAN if self.random.random() < 0.15 else vlan
                bridge.vlans.set_untagged(bridge.ports[port], home)
                assert member is not None
                self.history.change(
                    port, Member(None if home == NO_VLAN else home, member.tagged - {home})
                )
            elif what < 6:
                bridge.vlans.add_tagged(vlan, bridge.ports[port])
                assert member is not None
                if vlan != member.home:
                    self.history.change(port, Member(member.home, member.tagged | {vlan}))
            elif what < 8:
                bridge.vlans.remove_tagged(vlan, bridge.ports[port])
                assert member is not None
                self.history.change(port, Member(member.home, member.tagged - {vlan}))
            elif what < 10:
                bridge.vlans.create(vlan)
            elif what == 10:
                bridge.vlans.remove(vlan)
                for other in self.history.members.values():
                    assert vlan != other.home and vlan not in other.tagged, "removed in use"
            elif what == 11:
                bridge.ports.create(port)
                self._port_is_there(port)
            elif what == 12:
                bridge.ports.remove(port)
                assert not self._at(port), "a port was removed that is in use"
                self.history.change(port, None)
                del self._came[port], self._took[port], self._failed[port]
            elif self.random.random() < 0.3:
                bridge.set_hub(self.random.random() < 0.3)
        except BridgeError:
            pass

    def _port_is_there(self, port: int) -> None:
        if port not in self.history.members:
            self.history.change(port, Member())
            self._came[port], self._took[port] = Traffic(), Traffic()

    def _at(self, port: int) -> list[Plug]:
        return [plug for plug in self.plugs if plug.port == port]

    # Frames

    def _make_frame(self, plug: Plug) -> bytes:
        """Of any length, to and from anybody, with up to three tags; it says which one it is."""
        random = self.random
        self.frames += 1
        draw = random.random()
        if draw < 0.02:
            return random.randbytes(random.randrange(14))
        source = address(plug.port) if random.random() < 0.9 else self._any_address()
        destination = BROADCAST if random.random() < 0.2 else self._any_address()
        if destination == source:
            destination = BROADCAST
        tags = b""
        if random.random() < 0.4:
            for _ in range(random.choice((1, 1, 1, 2, 2, 3))):
                tag = random.choice(TAGS) if random.random() < 0.95 else random.getrandbits(12)
                tags += TAG + (tag | random.choice((0, 0, 0xE000))).to_bytes(2, "big")
        if draw < 0.05:
            # No room for a payload, and perhaps not even for a whole tag.
            source = bytes([SHORT]) + self.frames.to_bytes(4, "big") + b"\0"
            frame = destination + source + tags + b"\x88\xb5" + bytes(random.randrange(TRAILER))
            return frame if draw < 0.04 else frame[: random.randrange(14, len(frame) + 1)]
        home = self.history.members[plug.port].home
        vlan = int.from_bytes(tags[2:4], "big") & 4095 if tags else home
        size = random.choice((0, 0, 0, 1, 10, 30))
        if draw < 0.07:
            size = self.limits.max_frame - 14 - len(tags) - TRAILER + random.randrange(-3, 4)
        trailer = (
            (NO_VLAN if vlan is None else vlan).to_bytes(2, "big")
            + plug.port.to_bytes(2, "big")
            + self.frames.to_bytes(4, "big")
        )
        return destination + source + tags + b"\x88\xb5" + bytes(size) + trailer

    def _any_address(self) -> bytes:
        if self.random.random() < 0.85:
            return address(int(self.random.random() * PORTS))
        return self.random.choice(STRANGERS)

    def _send(self, plug: Plug) -> None:
        if plug.paused and self.random.random() < 0.7:
            return
        frame = self._make_frame(plug)
        sent = self._sent[self.frames] = Sent(plug, self.history.moment, frame, None)
        self._came[plug.port].add(len(frame))
        if plug.paused:
            # It is held, and decided when nobody knows yet who is where.
            self._unsure += 1
        else:
            sent.seen = self._foretell(plug, frame)
        more = self.bridge.received(plug.endpoint, frame)
        assert more == (not plug.paused), "a pause and its answer differ"

    def _send_from_the_gone(self) -> None:
        if self.left:
            plug = self.random.choice(self.left)
            if plug.port in self.history.members:
                frame = self._make_frame(plug)
                self._sent[self.frames] = Sent(plug, self.history.moment, frame, {})
                assert not self.bridge.received(plug.endpoint, frame)

    def _foretell(self, plug: Plug, frame: bytes) -> dict[int, bytes]:
        """How others must see a frame that is decided now; what the counters must say is noted."""
        reason, seen, hidden = self._fate(plug, frame)
        if reason is not None:
            self._sure[reason] += 1
            return {}
        for other in self.plugs:
            if other.port in seen:
                self._sure_copies += 1
            elif other.port in hidden:
                self._sure_copies += 1
                self._sure[Reason.HIDDEN_TAG] += 1
        return seen

    def _fate(self, plug: Plug, frame: bytes) -> tuple[Reason | None, dict[int, bytes], list[int]]:
        if len(frame) > self.limits.max_frame:
            return Reason.OVERSIZE, {}, []
        if len(frame) < 14 or (frame[12:14] == TAG and len(frame) < 18):
            return Reason.RUNT, {}, []
        may = views(self.history.members, self.strict, plug.port, frame)
        if may is None:
            tagged = tag_of(frame) is not None
            return Reason.NOT_MEMBER if self.strict and tagged else Reason.NO_VLAN, {}, []
        self._announced.add((frame[6:12], plug.port))
        seen, hidden = may.seen, may.hidden
        known = None if self.bridge.hub else self.bridge.fdb.find(frame[:6], may.vlan)
        if known is not None:
            number = known.port.number
            if number == plug.port:
                return Reason.LOCAL, {}, []
            assert number in seen or number in hidden, "an address of another VLAN is known"
            seen = {number: seen[number]} if number in seen else {}
            hidden = [number] if number in hidden else []
        elif not any(each.port in seen or each.port in hidden for each in self.plugs):
            return Reason.NOBODY, {}, []
        return None, seen, hidden

    def arrived(self, plug: Plug, data: bytes) -> None:
        """A frame comes to a station."""
        assert not plug.gone, "a frame comes to one who has left"
        if data[6] == SHORT:
            number = int.from_bytes(data[7:11], "big")
        else:
            number = int.from_bytes(data[-4:], "big")
        sent = self._sent.get(number)
        assert sent is not None, f"nobody has sent {data.hex()}"
        source = sent.source
        assert source.port != plug.port, "reflected"
        assert number > plug.latest.get(source, 0), "twice, or out of order"
        plug.latest[source] = number
        if sent.seen is not None:
            assert sent.seen.get(plug.port) == data, (
                f"port {plug.port} sees {data.hex()} of {sent.frame.hex()} from port {source.port};"
                f" it is there for {sent.seen.get(plug.port, b'nobody').hex()}"
            )
        else:
            assert self.history.allows(sent.moment, source.port, plug.port, sent.frame, data), (
                f"port {plug.port} sees {data.hex()} of {sent.frame.hex()}, which was held"
            )
        self.copies += 1
        if plug.failing and self.random.random() < 0.5:
            self._failed[plug.port] += 1
            self.bridge.send_failed(plug.endpoint, data)
        else:
            self._took[plug.port].add(len(data))

    # What must hold

    def check_counters(self) -> None:
        """Each frame that came is refused, held, or copied; each copy sent, waiting, or lost."""
        for number, came in self._came.items():
            counters = self.bridge.ports[number].counters
            assert counters.received == came, f"received at {number}: {counters.received}, {came}"
            took = self._took[number]
            assert counters.sent == took, f"sent to {number}: {counters.sent}, {took}"
            assert counters.lost(Reason.SEND_FAILED).frames == self._failed[number]
        totals = self.bridge.ports.totals()
        for reason in OF_WHOLE_FRAMES | {Reason.HIDDEN_TAG}:
            most = self._unsure * (MOST_PLUGS if reason is Reason.HIDDEN_TAG else 1)
            beyond = totals.lost(reason).frames - self._sure[reason]
            assert 0 <= beyond <= most, f"{reason}: {beyond} beyond what is sure, {most} are not"
        held = sum(len(plug.endpoint.held) for plug in self.plugs)
        assert totals.lost(Reason.HELD_FULL).frames + held <= self._unsure
        beyond = self._copies_of(totals) - self._sure_copies
        assert 0 <= beyond <= self._unsure * MOST_PLUGS, f"{beyond} copies beyond what is sure"

    def _copies_of(self, totals: Counters) -> int:
        waiting = sum(len(plug.endpoint.queue) + len(plug.endpoint.waiters) for plug in self.plugs)
        return (
            totals.sent.frames
            + sum(totals.lost(reason).frames for reason in COPY_REASONS)
            + waiting
        )

    def check_addresses(self) -> None:
        """Who is known behind a port has sent from there, and the port is in that VLAN."""
        for known in self.bridge.fdb:
            member = self.history.members[known.port.number]
            assert known.vlan == member.home or known.vlan in member.tagged
            if not self._unsure:
                assert (known.mac, known.port.number) in self._announced
        assert len(self.bridge.fdb) <= self.limits.max_addresses

    def end(self) -> None:
        """All that waits arrives, and nobody is paused."""
        for _ in range(3):
            for plug in self.plugs:
                plug.room = None
                if plug.full:
                    self.bridge.writable(plug.endpoint)
            self.clock.advance(0.02)
        for plug in self.plugs:
            assert not (plug.paused or plug.endpoint.held or plug.endpoint.queue)
        self.check_counters()
        self.check_addresses()
        self.bridge.stop()
        assert not self.clock.getDelayedCalls(), "a timer is left"
