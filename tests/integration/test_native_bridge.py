"""The native switch does what the pure one does: the same input to both, and all that comes out."""

from __future__ import annotations

import contextlib
import random
import socket
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.epollreactor import EPollReactor

from distnet._native import SWITCH, NotNative, load_bridge
from distnet.observers import broadcast
from distnet.switch.core.bridge import Bridge, Receive
from distnet.switch.core.counters import Counters, Reason
from distnet.switch.core.delivery import Deliver
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.fdb import DEFAULT_MIN_PERSISTENCE_SECONDS
from distnet.switch.core.frame import insert_tag
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.records import Endpoint
from distnet.switch.native import NativeBridge
from distnet.switch.plugs.descriptor import Errors, FrameDescriptor
from distnet.switch.plugs.vde import VdeService
from distnet.switch.plugs.vdedir import Permissions, VdeDirectory
from distnet.testing import NotingBridgeObserver
from tests.daemons import eventually
from tests.switches import BROADCAST, RawClient, StartSwitch, frame, mac

try:
    load_bridge()
except NotNative as why:
    pytestmark = pytest.mark.skip(reason=f"there is no native code: {why}")

TURNS = 4
"""Of the reactor, until it has dealt with what it was given."""
BUFFER = 4608
"""Of a socket, in bytes: the least that Linux gives."""
MAX_FRAME = 300
PORTS = 5
VLANS = (5, 6)
FOR_EVER = 3600.0
IDLE_SECONDS = 0.002


class Link(FrameDescriptor):
    """One end of a pair of sockets, as those of VDE are."""

    module = "test"
    is_only_read = True

    def __init__(self, world: World, near: socket.socket) -> None:
        super().__init__(
            world.reactor, world.bridge, world.errors, "", receive=near.recv, transmit=near.send
        )
        self._near = near

    def fileno(self) -> int:
        """The descriptor of the near socket."""
        return self._near.fileno()

    def close(self) -> None:
        """The bridge has ended the endpoint: close the near socket."""
        if self.release():
            self._near.close()

    def ended(self) -> None:
        """An empty frame has come: unplug it."""
        assert self._endpoint is not None
        self._bridge.detach(self._endpoint)
        self.close()


class ReadByPython(Link):
    """One of which the frames are read elsewhere."""

    is_only_read = False


class CountingBridge(Bridge):
    """
    Counts what comes this way.

    @ivar handed: how many frames were handed to it.
    """

    handed = 0

    def received(self, endpoint: Endpoint, frame: bytes) -> bool:
        """Count a frame, and go on with it."""
        self.handed += 1
        return super().received(endpoint, frame)


@dataclass
class Outcome:
    """
    What came of a script.

    @ivar got: what each station got, in order.
    @ivar counters: what each port has counted.
    @ivar addresses: what the switch knows.
    @ivar events: what observers were told.
    @ivar handed: how many frames Python was handed.
    """

    got: list[list[bytes]]
    counters: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)
    addresses: set[tuple[int, bytes, int]] = field(default_factory=set)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    handed: int = 0

    def pairs(self) -> dict[tuple[int, bytes], list[bytes]]:
        """What each station got from each address, in order."""
        found: dict[tuple[int, bytes], list[bytes]] = defaultdict(list)
        for number, frames in enumerate(self.got):
            for each in frames:
                found[number, each[6:12]].append(each)
        return found


class World:
    """A bridge in this process, on a reactor of its own that turns when it is told to."""

    def __init__(self, native: bool, patience: float = 0.0, **limits: Any) -> None:
        self.reactor: Any = EPollReactor()
        self.errors = Errors()
        self.observer = NotingBridgeObserver()
        observers: list[Any] = [self.observer]
        bounds = BridgeLimits(**{"max_frame": MAX_FRAME, **limits})
        self.path = NativeBridge(self.reactor, bounds, patience) if native else None
        if self.path is not None:
            observers.append(self.path)
        self.bridge = CountingBridge(bounds, broadcast(IBridgeObserver, *observers), self.reactor)
        self.bridge.fdb.set_min_persistence(0)
        for vlan in VLANS:
            self.bridge.vlans.create(vlan)
        if self.path is not None:
            self.path.work_for(self.bridge)
            self.path.start()
        self.stations: list[socket.socket] = []
        self.endpoints: list[Endpoint] = []
        self.links: list[Link] = []
        self.got: list[list[bytes]] = []
        self.unsent: list[list[bytes]] = []

    def plug(self, port: int | None = None, kind: type[Link] = Link) -> int:
        """One more station; its number."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for each in (near, far):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        link = kind(self, near)
        endpoint = self.bridge.attach(link, port)
        link.start(endpoint)
        self.stations.append(far)
        self.endpoints.append(endpoint)
        self.links.append(link)
        self.got.append([])
        self.unsent.append([])
        self.turn()
        return len(self.stations) - 1

    def turn(self, seconds: float = 0) -> None:
        """Let the switch deal with what has come."""
        for _ in range(TURNS):
            self.reactor.iterate(seconds)

    def send(self, station: int, frames: list[bytes]) -> None:
        """A station sends, as much as its socket takes, and the rest with what it sends next."""
        unsent = self.unsent[station]
        unsent += frames
        with contextlib.suppress(BlockingIOError):
            while unsent:
                self.stations[station].send(unsent[0])
                del unsent[0]
        self.turn()

    def read(self, station: int, most: int = 1 << 20) -> int:
        """A station reads; how many frames."""
        for count in range(most):
            try:
                self.got[station].append(self.stations[station].recv(1 << 16))
            except BlockingIOError:
                return count
        return most

    def settle(self, seconds: float = 0) -> None:
        """
        All stations send what they still have to, and read, until nothing more comes.

        @param seconds: how long to wait for more, some times.
        """
        idle = 0
        while idle < 2:
            moved = 0
            for station, far in enumerate(self.stations):
                if far.fileno() < 0:
                    continue
                before = len(self.unsent[station])
                if before and not self.endpoints[station].gone:
                    self.send(station, [])
                    moved += before - len(self.unsent[station])
                moved += self.read(station)
            idle = 0 if moved else idle + 1
            self.turn(0 if moved else seconds)

    def end(self) -> Outcome:
        """Stop, and tell what came of it all."""
        bridge = self.bridge
        outcome = Outcome(
            self.got,
            {port.number: told(port.counters) for port in bridge.ports},
            {(known.vlan, known.mac, known.port.number) for known in bridge.fdb},
            list(self.observer.events),
            bridge.handed,
        )
        for endpoint in self.endpoints:
            if not endpoint.gone:
                bridge.detach(endpoint)
                endpoint.link.close()
        bridge.stop()
        poller = self.reactor._poller
        if self.path is not None:
            self.path.stop()
            assert self.reactor._poller is not poller
        for station in self.stations:
            station.close()
        for waker in list(self.reactor._internalReaders):
            self.reactor.removeReader(waker)
            waker.connectionLost(None)
        self.reactor._poller.close()
        return outcome


def told(counters: Counters) -> dict[str, tuple[int, int]]:
    """All that was counted."""
    traffic = {
        "received": counters.received,
        "sent": counters.sent,
        **{str(reason): lost for reason, lost in counters.undelivered.items()},
    }
    return {name: (each.frames, each.bytes) for name, each in traffic.items()}


class Script:
    """Random steps, the same for every kind of switch."""

    def __init__(self, seed: int, world: World) -> None:
        self.choice = random.Random(seed)
        self.world = world
        self.sent = 0
        self.watched: list[bytes] = []
        self._leave: Callable[[], None] | None = None

    def frames(self, station: int, *, honest: bool = False) -> list[bytes]:
        """Some that a station sends: most of them usual ones, from its own address if honest."""
        choice = self.choice
        made = []
        for _ in range(choice.randrange(1, 90)):
            self.sent += 1
            source = mac(station)
            if not honest and choice.random() < 0.01:
                source = mac(choice.randrange(8))
            what = choice.random()
            to = mac(choice.randrange(len(self.world.stations) + 1))
            if what < 0.2:
                to = BROADCAST
            payload = self.sent.to_bytes(4, "big") + bytes(choice.randrange(200))
            each = frame(to, source, payload)
            if what > 0.995:
                each = insert_tag(each, choice.choice([0, 5, 6, 7]))
            elif what > 0.992:
                each = each[: choice.randrange(1, 18)]
            elif what > 0.99:
                each += bytes(MAX_FRAME)
            made.append(each)
        return made

    def configure(self) -> None:
        """Somebody changes something."""
        choice, world = self.choice, self.world
        bridge = world.bridge
        port = choice.choice(list(bridge.ports))
        what = choice.randrange(7)
        if what == 0:
            bridge.vlans.set_untagged(port, choice.choice([0, *VLANS, 4095]))
        elif what == 1:
            bridge.vlans.add_tagged(choice.choice(VLANS), port)
        elif what == 2:
            bridge.vlans.remove_tagged(choice.choice(VLANS), port)
        elif what == 3:
            bridge.set_hub(not bridge.hub)
        elif what == 4 and len(world.stations) < 9:
            world.plug(
                choice.choice([None, *range(1, PORTS)]),
                Link if choice.random() < 0.7 else ReadByPython,
            )
        elif what == 5:
            self.watch(self._leave is None)
        else:
            alive = [each for each, at in enumerate(world.endpoints) if not at.gone]
            if len(alive) > 3:
                world.send(choice.choice(alive), [b""])

    def back_to_normal(self) -> None:
        """So that most of the time all is as usual."""
        bridge = self.world.bridge
        for port in bridge.ports:
            bridge.vlans.set_untagged(port, 0)
            for vlan in VLANS:
                bridge.vlans.remove_tagged(vlan, port)
        bridge.set_hub(False)
        self.watch(False)

    def watch(self, wanted: bool) -> None:
        """Somebody wants to see every frame, as the console's dump does, or does not any more."""

        def watching(received: Receive) -> Receive:
            def watched(endpoint: Endpoint, frame: bytes) -> bool:
                self.watched.append(frame)
                return received(endpoint, frame)

            return watched

        if self._leave is not None:
            self._leave()
        self._leave = self.world.bridge.wrap_received(watching) if wanted else None


def play(seed: int, native: bool) -> tuple[Outcome, list[bytes]]:
    """What comes of a script in which everybody reads in time; and what was watched."""
    world = World(native)
    script = Script(seed, world)
    choice = script.choice
    for _ in range(4):
        world.plug()
    for step in range(150):
        if step % 15 == 0:
            script.back_to_normal()
        if choice.random() < 0.85:
            alive = [each for each, at in enumerate(world.endpoints) if not at.gone]
            station = choice.choice(alive)
            for each in script.frames(station):
                # One by one or in rows, but no more than all sockets have room for.
                world.unsent[station].append(each)
                if choice.random() < 0.3 or len(world.unsent[station]) >= 4:
                    world.send(station, [])
                    world.settle()
        else:
            script.configure()
        world.settle()
    return world.end(), script.watched


@pytest.mark.parametrize("seed", range(8))
def test_the_same_comes_out(seed: int) -> None:
    """Every frame to everybody, every counter, address and event is that of the pure version."""
    (pure, watched), (native, natively_watched) = play(seed, False), play(seed, True)
    assert native.handed * 2 < pure.handed
    assert native.got == pure.got
    assert native.counters == pure.counters
    assert native.addresses == pure.addresses
    assert native.events == pure.events
    assert natively_watched == watched


def crowd(seed: int, native: bool, patience: float) -> Outcome:
    """What comes of a script in which stations read when they please, but are waited for."""
    world = World(native, patience, pause_seconds=FOR_EVER, queue_frames=3)
    script = Script(seed, world)
    choice = script.choice
    for number in range(5):
        world.plug(kind=ReadByPython if number == 4 else Link)
    for station in range(5):
        world.send(station, [frame(BROADCAST, mac(station))])
        world.settle()
    for _ in range(60):
        station = choice.randrange(5)
        world.send(station, script.frames(station, honest=True))
        if choice.random() < 0.7:
            world.read(choice.randrange(5), choice.choice([1, 5, 50]))
            world.turn()
    world.settle(IDLE_SECONDS)
    return world.end()


@pytest.mark.parametrize("patience", [0.0, 0.0005, FOR_EVER])
@pytest.mark.parametrize("seed", range(4))
def test_whoever_is_full_loses_nothing(seed: int, patience: float) -> None:
    """Held up for readers that are full, everybody gets the same in order from each other."""
    pure = crowd(seed, native=False, patience=0)
    native = crowd(seed, native=True, patience=patience)
    assert native.handed < pure.handed
    assert native.pairs() == pure.pairs()
    assert native.counters == pure.counters


@pytest.mark.parametrize("native", [False, True], ids=["pure", "native"])
@pytest.mark.parametrize("pause", [0.0, 0.003])
def test_a_dead_reader(pause: float, native: bool) -> None:
    """What is for one that does not read is counted, and the others lose nothing."""
    world = World(native, patience=pause / 2, pause_seconds=pause, queue_frames=4)
    sender, dead, reader = (world.plug() for _ in range(3))
    for station in (sender, dead, reader):
        world.send(station, [frame(BROADCAST, mac(station))])
        world.settle()
    handed = world.bridge.handed
    sent = 0
    while sent < 1000:
        world.unsent[sender] += [
            frame(BROADCAST, mac(sender), (sent + each).to_bytes(4, "big")) for each in range(3)
        ]
        sent += 3
        while world.unsent[sender]:
            world.send(sender, [])
            world.read(reader)
        world.read(reader)
    for _ in range(3):
        world.turn(IDLE_SECONDS)
        world.read(reader)
    port = world.endpoints[dead].port
    episode = world.endpoints[dead].slow
    assert episode is not None
    lost = port.counters.lost(Reason.SLOW).frames + port.counters.lost(Reason.QUEUE_FULL).frames
    queued = len(world.endpoints[dead].queue)
    # One that was sent before by each of both others.
    assert port.counters.sent.frames - 2 + lost + queued == sent
    assert episode.dropped.frames == port.counters.lost(Reason.SLOW).frames
    numbers = [int.from_bytes(each[14:18], "big") for each in world.got[reader][2:]]
    assert numbers == list(range(sent))
    if native:
        # While it is slow, native code drops what is for it.
        assert world.bridge.handed - handed < sent / 2
    world.read(dead)
    world.settle(IDLE_SECONDS)
    assert world.endpoints[dead].slow is None
    world.send(sender, [frame(mac(dead), mac(sender), b"again")])
    world.settle()
    assert world.got[dead][-1].endswith(b"again")
    world.end()


def test_it_is_seen() -> None:
    """An address of which native code has forwarded a frame was seen then."""
    world = World(native=True)
    sender, reader = world.plug(), world.plug()
    for station in (sender, reader):
        world.send(station, [frame(BROADCAST, mac(station))])
    known = world.bridge.fdb.find(mac(sender))
    assert known is not None
    first, handed = known.seen, world.bridge.handed
    known.seen -= 1000
    world.send(sender, [frame(mac(reader), mac(sender), b"seen")])
    assert world.bridge.handed == handed
    assert known.seen >= first
    assert known.seen <= world.reactor.seconds()
    world.end()


def test_two_with_one_address() -> None:
    """That one sends from the address of another is noticed, though that is forwarded natively."""
    world = World(native=True)
    world.bridge.fdb.set_min_persistence(DEFAULT_MIN_PERSISTENCE_SECONDS)
    one, other, reader = world.plug(), world.plug(), world.plug()
    for station in (one, reader):
        world.send(station, [frame(BROADCAST, mac(station))])
    handed = world.bridge.handed
    for _ in range(5):
        world.send(other, [frame(mac(reader), mac(one), b"not its own")])
        world.send(one, [frame(mac(reader), mac(one), b"its own")])
    assert world.bridge.handed == handed + 5
    assert world.bridge.fdb.contested == 2
    world.end()


def test_what_waits_for_one_that_leaves() -> None:
    """What waits for one that leaves is counted at its port, and the sender goes on."""
    world = World(native=True, patience=FOR_EVER, pause_seconds=FOR_EVER)
    sender, leaver, reader = (world.plug() for _ in range(3))
    for station in (sender, leaver, reader):
        world.send(station, [frame(BROADCAST, mac(station))])
        world.settle()
    frames = [frame(mac(leaver), mac(sender), each.to_bytes(4, "big")) for each in range(40)]
    world.send(sender, frames)
    for _ in range(20):
        world.send(sender, [])
    assert world.unsent[sender]
    arrived = world.endpoints[leaver].port.counters.sent.frames
    counters = world.endpoints[leaver].port.counters
    world.bridge.detach(world.endpoints[leaver])
    world.endpoints[leaver].link.close()
    assert counters.lost(Reason.RECEIVER_LEFT).frames
    assert counters.sent.frames == arrived
    world.settle()
    world.send(sender, [frame(mac(reader), mac(sender), b"on")])
    world.settle()
    assert world.got[reader][-1].endswith(b"on")
    world.end()


def test_what_came_from_one_that_leaves() -> None:
    """What was held back, or not read yet, when its sender left is delivered."""
    world = World(native=True, patience=FOR_EVER, pause_seconds=FOR_EVER)
    leaver, reader = world.plug(), world.plug()
    for station in (leaver, reader):
        world.send(station, [frame(BROADCAST, mac(station))])
        world.settle()
    frames = [frame(mac(reader), mac(leaver), each.to_bytes(4, "big")) for each in range(40)]
    for each in frames:
        world.send(leaver, [each])
    sent = len(frames) - len(world.unsent[leaver])
    assert 6 < world.endpoints[leaver].port.counters.received.frames < sent
    left = world.links[leaver].fileno()
    world.links[leaver].read_rest()
    world.bridge.detach(world.endpoints[leaver])
    world.endpoints[leaver].link.close()
    world.settle(IDLE_SECONDS)
    numbers = [int.from_bytes(each[14:18], "big") for each in world.got[reader][1:]]
    assert numbers == list(range(sent))
    # It has the descriptor of the one that has left.
    again = world.plug()
    assert world.links[again].fileno() == left
    world.send(again, [frame(mac(reader), mac(leaver), b"again")])
    world.settle()
    assert world.got[reader][-1].endswith(b"again")
    world.end()


def test_what_python_has_queued_comes_first() -> None:
    """Native code sends nothing to one for which Python has something waiting."""
    world = World(native=True, patience=FOR_EVER, pause_seconds=FOR_EVER)
    script = Script(0, world)
    sender, reader = world.plug(), world.plug()
    for station in (sender, reader):
        world.send(station, [frame(BROADCAST, mac(station))])
        world.settle()
    frames = [frame(mac(reader), mac(sender), each.to_bytes(4, "big")) for each in range(40)]
    script.watch(True)
    while not world.endpoints[reader].queue:
        world.send(sender, [frames.pop(0)])
    script.watch(False)
    for each in frames:
        world.send(sender, [each])
        world.read(reader, 1)
    world.settle(IDLE_SECONDS)
    numbers = [int.from_bytes(each[14:18], "big") for each in world.got[reader][1:]]
    assert numbers == list(range(40))
    world.end()


@pytest.mark.parametrize("seed", range(4))
def test_diverted_and_back(seed: int) -> None:
    """
    Somebody asks for Python and leaves again, over and over while frames come and readers are full.

    None is lost, doubled or late, and all are counted; those that come meanwhile are Python's, the
    others native code's.
    """
    choice = random.Random(seed)
    world = World(native=True, patience=choice.choice([0.0, 0.002]), pause_seconds=FOR_EVER)
    stations = range(3)
    for _ in stations:
        world.plug()
    for station in stations:
        world.send(station, [frame(BROADCAST, mac(station))])
        world.settle()
    sent: dict[tuple[int, int], list[int]] = defaultdict(list)
    ends: list[Callable[[], None]] = []
    number = 0
    for _ in range(300):
        if choice.random() < 0.3:
            ends.append(world.bridge.divert.begin())
        elif ends and choice.random() < 0.4:
            ends.pop(choice.randrange(len(ends)))()
        sender = choice.choice(stations)
        to = [each for each in stations if each != sender]
        burst = []
        for _ in range(choice.randrange(12)):
            number += 1
            everybody = choice.random() < 0.2
            readers = to if everybody else [choice.choice(to)]
            target = BROADCAST if everybody else mac(readers[0])
            burst.append(frame(target, mac(sender), number.to_bytes(4, "big") + bytes(200)))
            for reader in readers:
                sent[reader, sender].append(number)
        world.send(sender, burst)
        world.read(choice.choice(stations), choice.randrange(4))
    for end in ends:
        end()
    assert not world.bridge.divert
    world.settle(IDLE_SECONDS)
    got: dict[tuple[int, int], list[int]] = defaultdict(list)
    for reader in stations:
        for each in world.got[reader]:
            if len(each) > 100:
                got[reader, each[11]].append(int.from_bytes(each[14:18], "big"))
    assert got == sent
    counters = [world.endpoints[station].port.counters for station in stations]
    for reader in stations:
        assert counters[reader].sent.frames == len(world.got[reader])
        # The first ones had nobody to go to.
        assert not counters[reader].undelivered.keys() - {Reason.NOBODY}
    assert sum(each.received.frames for each in counters) == number + len(stations)
    for diverted in (False, True, False):
        handed = world.bridge.handed
        held = world.bridge.divert.begin() if diverted else None
        world.send(0, [frame(mac(1), mac(0), b"once more")] * 5)
        world.settle()
        assert world.bridge.handed - handed == (5 if diverted else 0)
        if held is not None:
            held()
    world.end()


def test_every_delivery_is_wrapped() -> None:
    """What native code had decided on and could not deliver passes a wrapper too, once."""
    world = World(native=True, patience=0.0, pause_seconds=FOR_EVER)
    sender, full, reader = (world.plug() for _ in range(3))
    for station in (sender, full, reader):
        world.send(station, [frame(BROADCAST, mac(station))])
        world.settle()
    late: list[tuple[Endpoint, bytes]] = []
    received_for = world.bridge.received_for

    def noting(endpoint: Endpoint, target: Endpoint, frame: bytes) -> None:
        late.append((target, frame))
        received_for(endpoint, target, frame)

    passed: list[tuple[Endpoint, bytes]] = []

    def wrapper(deliver: Deliver) -> Deliver:
        def delivering(source: Endpoint, targets: Iterable[Endpoint], frame: bytes) -> None:
            passed.extend((target, frame) for target in targets)
            deliver(source, targets, frame)

        return delivering

    world.bridge.received_for = noting  # type: ignore[method-assign]
    frames = [frame(BROADCAST, mac(sender), each.to_bytes(4, "big")) for each in range(60)]
    world.stations[sender].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    for each in frames:
        world.stations[sender].send(each)
    # In one turn native code reads them all, and is told only in the next one that it is wrapped.
    undo = world.bridge.wrap_deliver(wrapper)
    world.path._diverted = False  # type: ignore[union-attr]
    world.reactor.iterate(0)
    assert late
    assert late == passed[: len(late)]
    undo()
    world.settle(IDLE_SECONDS)
    for station in (full, reader):
        assert world.got[station][-60:] == frames
    world.end()


def test_where_it_floods() -> None:
    """A hub's frames are native code's; those of a VLAN that somebody gets tagged are not."""
    world = World(native=True)
    sender, reader, other = (world.plug() for _ in range(3))
    world.bridge.set_hub(True)
    world.send(sender, [frame(mac(reader), mac(sender), b"to all")])
    world.settle()
    assert world.bridge.handed == 0
    assert world.got[reader] == world.got[other] == [frame(mac(reader), mac(sender), b"to all")]
    for station in (sender, reader):
        world.bridge.vlans.set_untagged(world.endpoints[station].port, VLANS[0])
    world.bridge.vlans.add_tagged(VLANS[0], world.endpoints[other].port)
    tagged = frame(mac(reader), mac(sender), b"tagged")
    world.send(sender, [tagged])
    world.settle()
    assert world.got[reader][1:] == [tagged]
    assert world.got[other][1:] == [insert_tag(tagged, VLANS[0])]
    world.end()


def test_it_serves_clients_of_vde() -> None:
    """What clients of VDE send to each other does not pass through Python."""
    world = World(native=True)
    with tempfile.TemporaryDirectory(prefix="switch") as name:
        directory = VdeDirectory(f"{name}/s", Permissions())
        vde = VdeService(world.reactor, world.bridge, directory)
        vde.startService()

        def exchange() -> list[bytes]:
            with RawClient(Path(directory.path)) as one, RawClient(Path(directory.path)) as other:
                one.plug().send(frame(BROADCAST, mac(0)))
                other.plug().send(frame(BROADCAST, mac(1)))
                # By then the switch knows both.
                assert one.receive() == frame(BROADCAST, mac(1))
                for number in range(20):
                    one.send(frame(mac(1), mac(0), number.to_bytes(4, "big")))
                # The first broadcast, too, if the second client was in time for it.
                got = [other.receive() for _ in range(20)]
                return [*got, other.receive()][1:] if got[0][:6] == BROADCAST else got

        with ThreadPoolExecutor(1) as threads:
            exchanged = threads.submit(exchange)
            while not exchanged.done():
                world.turn(IDLE_SECONDS)
        numbers = [int.from_bytes(each[14:18], "big") for each in exchanged.result()]
        assert numbers == list(range(20))
        assert world.bridge.handed < 5
        closed = maybeDeferred(vde.stopService)
        while not closed.called:
            world.turn(IDLE_SECONDS)
    world.end()


def test_no_descriptor_is_left_open() -> None:
    """After a switch with native endpoints has stopped, all its descriptors are closed."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for seed in range(2):
        play(seed, native=True)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_both_say_which_they_are(
    start_switch: StartSwitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says whether native code runs, and if not, why; frames pass in both."""
    for switch, says in (
        ("1", "frames are forwarded by native code"),
        ("0", "frames are forwarded by Python, not by native code: DISTNET_NATIVE is 0"),
    ):
        monkeypatch.setenv(SWITCH, switch)
        running = start_switch()
        assert says in running.log()
        with RawClient(running.sock).plug() as one, RawClient(running.sock).plug() as other:
            for _ in range(2):
                one.send(frame(BROADCAST, mac(1)))
                assert eventually("it arrives", other.receive) == frame(BROADCAST, mac(1))
