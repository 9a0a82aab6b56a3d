"""A bridge, any number of stations, and a simple model of it that is compared after each step."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from twisted.internet.task import Clock

from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import OF_WHOLE_FRAMES, Reason, Traffic
from distnet.switch.core.errors import BridgeError
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.records import NO_VLAN, Endpoint, FdbEntry, Port, SlowEpisode
from distnet.testing import NotingBridgeObserver
from tests.unit.switch.core.stations import BROADCAST, PAUSE, Station, frame

MAX_FRAME = 60
LIMITS = BridgeLimits(
    max_frame=MAX_FRAME,
    queue_frames=4,
    queue_bytes=140,
    held_frames=6,
    held_bytes=160,
    pause_seconds=PAUSE,
    max_addresses=8,
)
PORTS = 5
VLANS = (0, 5, 6)

Fate = Reason | list[tuple[Endpoint, bytes, bool]]
"""Why a frame is refused, or its copies and whether to send them."""


class ModelObserver(NotingBridgeObserver):
    """
    Keeps what the model believes of addresses, and hears when they are forgotten.

    @ivar addresses: behind which port they are, and when they were seen.
    @ivar moving: what will be so when the bridge has said it.
    @ivar slow_now: who is slow, as far as that was said.
    """

    def __init__(self) -> None:
        super().__init__()
        self.addresses: dict[tuple[int, bytes], tuple[Port, float]] = {}
        self.moving: dict[tuple[int, bytes], tuple[Port, float]] = {}
        self.slow_now: set[Endpoint] = set()

    def address_forgotten(self, entry: FdbEntry) -> None:
        """An address that was known is known no more."""
        port, _ = self.addresses.pop((entry.vlan, entry.mac))
        assert port is entry.port

    def address_learned(self, entry: FdbEntry) -> None:
        """An address is new, or has moved as the model has foretold."""
        key = (entry.vlan, entry.mac)
        self.addresses[key] = self.moving.pop(key)

    def slow(self, episode: SlowEpisode) -> None:
        """An endpoint that was not slow is slow now."""
        assert episode.endpoint not in self.slow_now
        self.slow_now.add(episode.endpoint)

    def recovered(self, episode: SlowEpisode) -> None:
        """An endpoint that was slow is so no more."""
        self.slow_now.remove(episode.endpoint)


class ModelledBridge(Bridge):
    """Asks the model about each frame, when its turn has come."""

    world: World

    def _forward(self, endpoint: Endpoint, frame: bytes) -> None:
        self.world.foretell(endpoint, frame)
        super()._forward(endpoint, frame)


def shown_vlan(data: bytes) -> int | None:
    """The VLAN that a frame shows by its tag."""
    if len(data) >= 18 and data[12:14] == b"\x81\x00":
        return int.from_bytes(data[14:16], "big") % 4096
    return None


class World:
    """What can happen to a bridge, and what must hold then."""

    def __init__(self, strict: bool, limits: BridgeLimits = LIMITS) -> None:
        assert limits.problem() is None
        self.limits = limits
        self.clock = Clock()
        self.observer = ModelObserver()
        self.bridge = ModelledBridge(
            limits, self.observer, self.clock, numports=PORTS, strict=strict
        )
        self.bridge.world = self
        self.strict = strict
        self.stations: list[Station] = []
        self.serial = 0
        # Of ports: how many frames came, how many were refused, how many copies were made.
        self.came: Counter[Port] = Counter()
        self.refused: Counter[tuple[Port, Reason]] = Counter()
        self.copies: dict[Port, Traffic] = defaultdict(Traffic)
        # Of pairs of endpoints, the copies not seen yet, in order.
        self.expected: dict[tuple[Endpoint, Endpoint], list[bytes]] = defaultdict(list)
        self.sources: dict[bytes, Endpoint] = {}
        self.hindered: set[Port] = set()
        self.paused_since: dict[Endpoint, float] = {}
        for number in (1, 2, 3):
            self.attach(number, None)

    # What can happen

    def choose(self, choice: int) -> Station | None:
        """One of those that are plugged in."""
        return self.stations[choice % len(self.stations)] if self.stations else None

    def attach(self, number: int | None, capacity: int | None) -> None:
        """Something is plugged in."""
        if len(self.stations) >= 2 * PORTS:
            return
        try:
            station = Station(self.bridge, number)
        except BridgeError:
            return
        self.stations.append(station)
        self.take(len(self.stations) - 1, capacity)

    def detach(self, choice: int) -> None:
        """Something is unplugged."""
        station = self.choose(choice)
        if station is not None:
            self.hindered.add(station.port)
            self.bridge.detach(station.endpoint)
            self.look(station)
            self.stations.remove(station)

    def send(self, choice: int, to: int, claim: int, tags: tuple[int, ...], size: int) -> None:
        """
        A station sends a frame, whether it is paused or not.

        @param to: the number of a station, or 0 for all.
        @param claim: 0 for its own address, else that of another one.
        """
        station = self.choose(choice)
        if station is None:
            return
        self.serial += 1
        serial = self.serial.to_bytes(4, "big")
        data = frame(to or BROADCAST, claim or station.number, serial + bytes(max(size, 0)))
        for tag in tags:
            data = data[:12] + b"\x81\x00" + tag.to_bytes(2, "big") + data[12:]
        if size < 0:
            data = data[: 14 + size]
        self.sources[data] = station.endpoint
        self.came[station.port] += 1
        more = self.bridge.received(station.endpoint, data)
        assert more == (not station.link.paused)

    def take(self, choice: int, capacity: int | None) -> None:
        """A station takes so many more frames, or any number."""
        station = self.choose(choice)
        if station is not None:
            if capacity is not None:
                self.hindered.add(station.port)
            station.take(capacity)

    def make_room(self, choice: int) -> None:
        """The link of a station would take more, but has not said so yet."""
        station = self.choose(choice)
        if station is not None:
            self.hindered.add(station.port)
            station.link.capacity = 1

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    def configure(self, what: str, number: int, vlan: int) -> None:
        """Somebody changes ports and VLANs."""
        vlans, ports = self.bridge.vlans, self.bridge.ports
        try:
            if what == "untagged":
                vlans.set_untagged(ports[number], vlan)
            elif what == "tagged":
                vlans.add_tagged(vlan, ports[number])
            elif what == "untag":
                vlans.remove_tagged(vlan, ports[number])
            elif what == "vlan":
                vlans.create(vlan)
            elif what == "no-vlan":
                vlans.remove(vlan)
            elif what == "no-port":
                ports.remove(number)
            elif what == "hub":
                self.bridge.set_hub(number % 2 == 0)
        except BridgeError:
            pass

    # What the model says

    def foretell(self, endpoint: Endpoint, data: bytes) -> None:
        """Note what must become of a frame."""
        fate = self.fate(endpoint, data)
        if isinstance(fate, Reason):
            self.refused[endpoint.port, fate] += 1
            return
        for target, copy, to_send in fate:
            # Copies that must not be sent are counted like those that are lost.
            self.copies[target.port].add(len(copy))
            if not to_send:
                self.refused[target.port, Reason.HIDDEN_TAG] += 1
                continue
            self.expected[endpoint, target].append(copy)
            self.sources[copy] = endpoint

    def fate(self, endpoint: Endpoint, data: bytes) -> Fate:
        """What must become of a frame that comes now."""
        port = endpoint.port
        if len(data) > self.limits.max_frame:
            return Reason.OVERSIZE
        if len(data) < 14 or (data[12:14] == b"\x81\x00" and len(data) < 18):
            return Reason.RUNT
        tag, home = shown_vlan(data), port.untagged
        if tag is not None and (
            tag in port.tagged or (tag == home != NO_VLAN and (self.strict or tag))
        ):
            vlan, plain, tagged = tag, data[:12] + data[16:], data
        elif tag is not None and self.strict:
            return Reason.NOT_MEMBER
        elif home == NO_VLAN:
            return Reason.NO_VLAN
        else:
            vlan, plain = home, data
            tagged = data[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + data[12:]
        members = [
            each for each in self.bridge.ports if each.untagged == vlan or vlan in each.tagged
        ]
        reached = [each for each in members if each is not port and each.endpoints]
        if not self.bridge.hub:
            self.learn(vlan, data[6:12], port)
            key = (vlan, data[:6])
            known = self.observer.moving.get(key) or self.observer.addresses.get(key)
            if known is not None:
                if known[0] is port:
                    return Reason.LOCAL
                assert known[0] in reached
                reached = [known[0]]
        if not reached:
            return Reason.NOBODY
        copies = []
        for each in reached:
            copy = plain if each.untagged == vlan else tagged
            # What a port is shown it must take for a frame of the VLAN that it is of.
            shown = shown_vlan(copy)
            taken_for = shown if shown in each.tagged else each.untagged
            copies += [(target, copy, taken_for == vlan) for target in each.endpoints]
        return copies

    def learn(self, vlan: int, address: bytes, port: Port) -> None:
        """A frame came from there."""
        known, now = self.observer.addresses.get((vlan, address)), self.clock.seconds()
        if known is None:
            full = len(self.observer.addresses) == self.limits.max_addresses
            if not (full or address[0] % 2 or not any(address)):
                self.observer.moving[vlan, address] = (port, now)
        elif known[0] is port:
            self.observer.addresses[vlan, address] = (port, now)
        elif now - known[1] >= 3:
            self.observer.moving[vlan, address] = (port, now)

    # What must hold

    def look(self, station: Station) -> None:
        """Look at what has come to a station."""
        for data in station.read():
            source = self.sources[data]
            assert source.port is not station.port, "reflected"
            expected = self.expected[source, station.endpoint]
            # What was lost in between is counted; what is behind has not come yet.
            assert data in expected, "not for this station, twice, or out of order"
            del expected[: expected.index(data) + 1]

    def check(self) -> None:
        """All of it."""
        for station in self.stations:
            self.look(station)
        self.check_sums()
        self.check_pauses()
        self.check_addresses()
        self.check_episodes()

    def check_sums(self) -> None:
        """Every frame is refused, held, or copied; every copy sent, waiting, or lost."""
        for port in self.bridge.ports:
            counters = port.counters
            lost = counters.undelivered
            assert counters.received.frames == self.came[port]
            for reason in OF_WHOLE_FRAMES - {Reason.HELD_FULL} | {Reason.HIDDEN_TAG}:
                assert counters.lost(reason).frames == self.refused[port, reason], reason
            went = Traffic()
            went.include(counters.sent)
            for reason, traffic in lost.items():
                if reason not in OF_WHOLE_FRAMES:
                    went.include(traffic)
            for endpoint in port.endpoints:
                went.include(Traffic(len(endpoint.queue), endpoint.queued_bytes))
                assert endpoint.queued_bytes == sum(map(len, endpoint.queue))
                assert len(endpoint.queue) <= self.limits.queue_frames
                assert endpoint.queued_bytes <= self.limits.queue_bytes
                assert len(endpoint.held) <= self.limits.held_frames
                assert endpoint.held_bytes == sum(map(len, endpoint.held))
                assert endpoint.held_bytes <= self.limits.held_bytes
                for waiting in endpoint.waiters.values():
                    went.add(len(waiting))
            assert went == self.copies[port], (went, self.copies[port])
            if port not in self.hindered:
                assert not set(lost) & {Reason.SLOW, Reason.QUEUE_FULL, Reason.RECEIVER_LEFT}

    def check_pauses(self) -> None:
        """Whoever is paused waits for somebody who is not slow, and not too long."""
        for station in self.stations:
            endpoint = station.endpoint
            assert station.link.paused == endpoint.paused == bool(endpoint.awaited)
            assert endpoint.blocked == bool(endpoint.queue) == station.link.full
            assert not endpoint.held or endpoint.paused
            assert not endpoint.impatient
            for target in endpoint.awaited:
                assert endpoint in target.waiters
                assert target.blocked
                assert not target.slow
                assert not target.gone
            for waiter in endpoint.waiters:
                assert endpoint in waiter.awaited
            if not endpoint.paused:
                self.paused_since.pop(endpoint, None)
                assert endpoint.pause_timer is None
                continue
            since = self.paused_since.setdefault(endpoint, self.clock.seconds())
            assert self.clock.seconds() - since < PAUSE

    def check_addresses(self) -> None:
        """The forwarding database is what the model believes."""
        known = {(each.vlan, each.mac): (each.port, each.seen) for each in self.bridge.fdb}
        assert known == self.observer.addresses
        assert len(known) == len(self.bridge.fdb) <= self.limits.max_addresses
        assert all(port.endpoints for port, _ in known.values())

    def check_episodes(self) -> None:
        """Who is slow was said to be, and the others were not, or not any more."""
        slow = {each.endpoint for each in self.stations if each.endpoint.slow is not None}
        assert slow == self.observer.slow_now
        assert not self.observer.moving
        self.observer.events.clear()

    def end(self) -> None:
        """In the end all that waits arrives, and nobody is paused."""
        for _ in range(2):
            for choice in range(len(self.stations)):
                self.take(choice, None)
        self.check()
        for station in self.stations:
            assert not station.link.paused
            assert not station.endpoint.queue


def random_step(world: World, random: Any) -> None:
    """Let one thing happen."""
    choice = random.randrange(100)
    draw = random.random()
    if draw < 0.7:
        tags = random.choice([(), (), (), (5,), (6,), (0,), (7,), (4095,), (6, 5), (5, 5)])
        size = random.choice([0, 1, 10, 30, -4, 60] if random.random() < 0.2 else [0, 10, 30])
        claim = random.choice([0, 0, 0, 0, 1, 2, 3, 9])
        world.send(choice, random.choice([0, 1, 1, 2, 2, 3, 4, 9]), claim, tags, size)
    elif draw < 0.85:
        world.take(choice, random.choice([None, None, 0, 0, 1, 2, 3]))
    elif draw < 0.87:
        world.make_room(choice)
    elif draw < 0.93:
        world.wait(random.choice([0.001, 0.005, 0.01, 0.02, 0.02, 1, 3, 150]))
    elif draw < 0.95:
        world.attach(random.choice([None, 0, 1, 1, 2, 3, 4, 5]), random.choice([None, 0, 2]))
    elif draw < 0.96:
        world.detach(choice)
    else:
        what = random.choice(
            ["untagged", "tagged", "tagged", "untag", "vlan", "vlan", "no-vlan", "no-port", "hub"]
        )
        world.configure(what, random.randrange(PORTS), random.choice([*VLANS, *VLANS, NO_VLAN]))
