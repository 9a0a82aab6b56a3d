"""The native path does what the pure one does: the same input to both, and all that comes out."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor

from distnet._native import SWITCH, NotNative, load_router
from distnet.control.telling import as_json
from distnet.master.core.limits import Limits
from distnet.master.listener import NodeListener
from distnet.master.service import MasterService
from distnet.testing import NotingObserver
from distnet.wire import HEADER, Messages, encode_message
from tests.masters import Master
from tests.unit.master.core.kernels import sums

try:
    load_router()
except NotNative as why:
    pytestmark = pytest.mark.skip(reason=f"there is no native code: {why}")

TURNS = 8
"""Of the reactor, until it has dealt with what it was given."""
BUFFER = 4608
"""Of a socket, in bytes: the least that Linux gives."""
PAUSE_SECONDS = 0.002
SEGMENT = 1460
NOBODY = 70000
"""An id above the highest."""


@dataclass
class Outcome:
    """
    What came of a script.

    @ivar got: the bytes that each node got, its id first.
    @ivar told: what the control interface says before the end.
    @ivar events: what observers were told before the end, in order.
    @ivar native: how many nodes had a native half, and were read natively.
    """

    got: dict[int, bytes] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    native: tuple[int, int] = (0, 0)

    def pairs(self) -> dict[tuple[int, int], list[bytes]]:
        """The payloads that each pair exchanged, in order, by (source, dest)."""
        found: dict[tuple[int, int], list[bytes]] = defaultdict(list)
        for dest, data in self.got.items():
            messages = Messages()
            for source, payload in messages.feed(data[len(str(dest)) :]):
                found[source, dest].append(payload)
            assert not messages.incomplete
        return found


class World:
    """A master in this process, on a reactor of its own that turns when it is told to."""

    def __init__(self, limits: Limits, patience: float) -> None:
        self.reactor: Any = EPollReactor()
        self.observer = NotingObserver()
        self.master = MasterService(
            self.reactor, [], limits, observers=[self.observer],
            patience_seconds=patience, grace_seconds=1.0,
        )  # fmt: skip
        self.master.startService()
        self.nodes: list[socket.socket] = []
        self.unsent: list[bytearray] = []
        self.got: list[bytearray] = []
        self.times_diverted = 0

    def connect(self, prompt: bool) -> int:
        """One more node; its number."""
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        factory = self.master.make_factory(NodeListener("unix:nowhere"))
        self.reactor.adoptStreamConnection(near.fileno(), socket.AF_UNIX, factory)
        near.close()
        far.setblocking(False)
        self.nodes.append(far)
        self.unsent.append(bytearray())
        self.got.append(bytearray())
        self.turn()
        if prompt:
            self.send(len(self.nodes) - 1, encode_message(NOBODY, b""))
        return len(self.nodes) - 1

    def turn(self) -> None:
        """Let the master deal with what has come."""
        for _ in range(TURNS):
            self.reactor.iterate(0)

    def send(self, node: int, data: bytes) -> None:
        """A node sends, as much as its socket takes, and the rest with what it sends next."""
        self.unsent[node] += data
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            del self.unsent[node][: self.nodes[node].send(self.unsent[node])]
        self.turn()

    def read(self, node: int, size: int, *, turn: bool = True) -> int:
        """A node reads; how much. Without a turn, the master notices with what comes next."""
        try:
            data = self.nodes[node].recv(size)
        except BlockingIOError:
            return 0
        self.got[node] += data
        if turn:
            self.turn()
        return len(data)

    def divert(self, diverted: list[Callable[[], None]]) -> None:
        """Go by Python if it does not, else as before; at once, without a turn of the reactor."""
        if diverted:
            diverted.pop()()
            return
        # In turn: everything goes by Python, or through a wrapper, which has the same come out.
        self.times_diverted += 1
        if self.times_diverted % 2:
            diverted.append(self.master.divert.begin())
        else:
            diverted.append(self.master.router.delivery.wrap(lambda deliver: deliver))
        assert self.master.native_nodes() == (0, 0)

    def settle(self) -> None:
        """All nodes send what they still have to, and read, until nothing more comes."""
        idle = 0
        while idle < 3:
            moved = 0
            for node in range(len(self.nodes)):
                if self.nodes[node].fileno() < 0:
                    continue
                before = len(self.unsent[node])
                self.send(node, b"")
                moved += before - len(self.unsent[node]) + self.read(node, 1 << 20)
            idle = 0 if moved or self.waits() else idle + 1
            self.reactor.iterate(0 if moved else PAUSE_SECONDS)

    def waits(self) -> bool:
        """Whether something waits for somebody who could be written to."""
        self.master.counters()
        router = self.master.router
        return any(router.undrained()) or bool(router.mailboxes.native)

    def close(self, node: int) -> None:
        """A node ends its connection."""
        self.nodes[node].close()
        self.turn()

    def end(self) -> Outcome:
        """Stop the master, and tell what came of it all."""
        events = list(self.observer.events)
        native = self.master.native_nodes()
        told: dict[str, Any] = {
            "counters": as_json(self.master.counters()),
            "nodes": as_json(self.master.each_node()),
        }
        for described in told["nodes"]:
            del described["since"], described["settled_at"], described["peer"]
        came, went = sums(self.master.router)
        assert came == went, (came, went)
        stopped = self.master.stopService()
        while not stopped.called:
            self.reactor.iterate(0.01)
        for node, far in enumerate(self.nodes):
            if far.fileno() >= 0:
                with contextlib.suppress(BlockingIOError, ConnectionResetError):
                    while data := far.recv(1 << 20):
                        self.got[node] += data
                far.close()
        poller = self.reactor._poller
        for selectable in self.reactor.removeAll():
            selectable.connectionLost(None)
        for waker in list(self.reactor._internalReaders):
            waker.connectionLost(None)
        poller.close()
        got = {node: bytes(data) for node, data in enumerate(self.got)}
        return Outcome(got, told, events, native)


def play(
    seed: int,
    native: bool,
    patience: float = 0.0,
    prompt: bool = False,
    diverting: bool = False,
    **limits: Any,
) -> Outcome:
    """
    What comes of the script that this seed makes: the same for every kind of master.

    @param prompt: nodes settle at once, so that each one's id is its number.
    @param diverting: again and again, everything goes by Python for a while; not at the end.
    """
    os.environ[SWITCH] = "1" if native else "0"
    choice, turns = random.Random(seed), random.Random(seed)
    diverted: list[Callable[[], None]] = []
    limits.setdefault("segment", None)
    world = World(Limits(max_payload=4000, reserve=8192, **limits), patience)
    numbers: dict[tuple[int, int], int] = defaultdict(int)
    alive: list[int] = []
    while len(alive) < 4:
        alive.append(world.connect(prompt))
    half: dict[int, bytes] = defaultdict(bytes)
    for _ in range(120):
        if diverting and turns.random() < 0.2:
            world.divert(diverted)
        node = choice.choice(alive)
        what = choice.random()
        if what < 0.6:
            data = bytearray(half.pop(node, b""))
            # The next one will be there, or not; beyond are those whom nobody can be.
            dests: list[int] = [*range(len(world.nodes) + 1), NOBODY]
            dest = choice.choice(dests)
            for _ in range(choice.randrange(1, 30)):
                if choice.random() < 0.3:
                    dest = choice.choice(dests)
                number = numbers[node, dest] = numbers[node, dest] + 1
                size = choice.randrange(40) if choice.random() < 0.9 else choice.randrange(3900)
                data += encode_message(dest, HEADER.pack(number, size) + bytes(size))
            cut = choice.randrange(len(data)) if choice.random() < 0.5 else len(data)
            half[node] = bytes(data[cut:])
            world.send(node, bytes(data[:cut]))
        elif what < 0.9:
            world.read(node, choice.choice([1, 100, 3000, 1 << 20]), turn=choice.random() < 0.3)
        elif what < 0.95 and len(world.nodes) < 12:
            alive.append(world.connect(prompt))
        elif len(alive) > 3:
            # Only once all has arrived: how much a socket holds is not the same in both.
            world.settle()
            alive.remove(node)
            if choice.random() < 0.3:
                world.send(node, half.pop(node, b"") + b"quit, and more")
            elif choice.random() < 0.5:
                world.send(node, half.pop(node, b"") + HEADER.pack(1, 4001) + bytes(100))
            half.pop(node, None)
            world.settle()
            world.close(node)
    while diverted:
        diverted.pop()()
    for node in alive:
        world.send(node, half.pop(node, b""))
    world.settle()
    return world.end()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the switch back afterwards."""
    monkeypatch.setenv(SWITCH, "1")


def assert_same(native: Outcome, pure: Outcome) -> None:
    """Both kinds of native code were at work, and all that can be seen is as without them."""
    assert native.native[0] and native.native[1]
    assert native.got == pure.got
    assert native.told == pure.told
    assert native.events == pure.events


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("seed", range(12))
def test_the_same_comes_out(seed: int) -> None:
    """Every byte to every node, every counter and every event is that of the pure version."""
    pure, native = play(seed, native=False), play(seed, native=True)
    assert pure.native == (0, 0)
    assert_same(native, pure)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("seed", range(12))
def test_with_patience_pairs_have_the_same(seed: int) -> None:
    """Held up for nodes that take no more, every pair exchanges the same messages in order."""
    pure = play(seed, native=False, prompt=True)
    native = play(seed, native=True, patience=3600.0, prompt=True)
    assert native.pairs() == pure.pairs()
    assert native.told["counters"] == pure.told["counters"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("pause", [0.0, PAUSE_SECONDS])
def test_at_the_limits_nothing_is_forgotten(pause: float) -> None:
    """With mailboxes that overflow, what came is what went, and no pair is out of order."""
    outcome = play(
        1, True, pause / 2, True, max_waiting_per_id=8192, max_waiting=16384, pause_seconds=pause
    )
    undelivered = outcome.told["counters"]["undelivered"]
    if not pause:
        assert undelivered["mailbox-full"]["messages"] or undelivered["memory-full"]["messages"]
    for payloads in outcome.pairs().values():
        numbers = [HEADER.unpack_from(payload)[0] for payload in payloads]
        assert numbers == sorted(set(numbers))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("seed", range(12))
def test_diverted_again_and_again_the_same_comes_out(seed: int) -> None:
    """Sent by Python for a while, nothing is lost, doubled, reordered or miscounted."""
    pure, native = play(seed, native=False), play(seed, native=True, diverting=True)
    assert_same(native, pure)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("seed", range(12))
def test_diverted_while_some_are_held_up(seed: int) -> None:
    """Nothing is lost, too, where native code keeps what nodes sent that it has to wait with."""
    pure = play(seed, native=False, prompt=True)
    native = play(seed, native=True, patience=3600.0, prompt=True, diverting=True)
    assert native.pairs() == pure.pairs()
    assert native.told["counters"] == pure.told["counters"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("diverting", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_at_the_default_pace_the_same_comes_out(seed: int, diverting: bool) -> None:
    """So it is where nodes are written to at their pace, and while that is done by both in turn."""
    # Nobody settles by time, of which the two need unlike amounts.
    pure = play(seed, native=False, segment=SEGMENT, settle_seconds=3600.0)
    native = play(seed, native=True, segment=SEGMENT, settle_seconds=3600.0, diverting=diverting)
    assert_same(native, pure)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("seed", range(6))
def test_at_the_default_pace_with_patience(seed: int) -> None:
    """Held up for nodes that read slowly, every pair exchanges the same messages in order."""
    pure = play(seed, native=False, prompt=True, segment=SEGMENT)
    native = play(seed, native=True, patience=3600.0, prompt=True, segment=SEGMENT)
    assert native.pairs() == pure.pairs()
    assert native.told["counters"] == pure.told["counters"]


@pytest.mark.usefixtures("environment")
def test_diverted_from_the_start() -> None:
    """Who is diverted when it begins is served by native code once that has ended."""
    world = World(Limits(segment=None), 0.0)
    end = world.master.divert.begin()
    node = world.connect(prompt=True)
    world.send(node, encode_message(node, b"by Python"))
    assert world.master.native_nodes() == (0, 0)
    end()
    world.send(node, encode_message(node, b"by native code"))
    assert world.master.native_nodes() == (1, 1)
    world.settle()
    assert world.end().pairs() == {(node, node): [b"by Python", b"by native code"]}


@pytest.mark.usefixtures("environment")
def test_who_sends_to_a_slow_mailbox_is_held() -> None:
    """While a node goes on taking what waits for it, its mailbox is not filled any further."""
    world = World(Limits(segment=None), 3600.0)
    sender, slow = world.connect(prompt=True), world.connect(prompt=False)
    payloads = [bytes([number]) * 1000 for number in range(100)]
    messages = [encode_message(slow, payload) for payload in payloads]
    # It has not read its id yet: what is for it waits.
    world.send(sender, b"".join(messages[:50]))
    world.send(slow, encode_message(NOBODY, b""))
    before = world.master.router.mailboxes.waiting
    assert world.read(slow, 1 << 20)
    waiting = world.master.router.mailboxes.waiting
    assert 0 < waiting < before
    world.send(sender, b"".join(messages[50:]))
    assert world.master.router.mailboxes.waiting == waiting
    world.settle()
    assert world.end().pairs() == {(sender, slow): payloads}


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.usefixtures("environment")
def test_no_descriptor_is_left_open() -> None:
    """After a master with native nodes has stopped, all its descriptors are closed."""
    before = descriptors()
    for seed in range(3):
        play(seed, native=True)
    assert descriptors() <= before


def test_both_say_which_they_are(tmp_path: Path) -> None:
    """The log and --version say whether native code runs, and if not, why."""
    for number, (switch, pace, says) in enumerate((
        ("1", "stream", "messages are routed by native code"),
        ("0", "stream", "not by native code: DISTNET_NATIVE is 0"),
        ("1", "segment", "messages are routed by native code"),
    )):  # fmt: skip
        directory = tmp_path / str(number)
        directory.mkdir()
        master = Master(directory, "--port", "0", "--pace", pace, environment={SWITCH: switch})
        try:
            assert says in master.start().log()
            # Before its reactor runs, a signal is nothing that it could answer.
            assert master.status()
        finally:
            assert master.stop() == 0
