"""L{distnet.master.core.router} against a model: any order of coming, sending and leaving."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from struct import pack, unpack_from
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import Refused
from distnet.master.core.counters import Reason
from distnet.master.core.limits import Limits, Overflow
from distnet.master.core.registry import IdPolicy
from distnet.master.core.router import Router
from distnet.master.core.session import Kind
from distnet.testing import FakeLink, NotingObserver
from distnet.wire import HEADER, HEADER_SIZE, QUIT, Messages, encode_message
from tests.unit.machines import run_machine
from tests.unit.master.core.kernels import Kernel, sums

MAX_PAYLOAD = 40
RESERVE = MAX_PAYLOAD + HEADER_SIZE
HIGHEST = 5
PINNED = (1, 4)
CAPACITIES = st.sampled_from([None, 0, 0, 1, 7, 30, 100])

choices = st.integers(0, 1000)
all_limits = st.builds(
    Limits,
    max_payload=st.just(MAX_PAYLOAD),
    max_waiting_per_id=st.sampled_from([RESERVE, 150, 150, 100_000]),
    max_waiting=st.sampled_from([RESERVE, 350, 100_000, 100_000]),
    reserve=st.just(RESERVE),
    highest_id=st.just(HIGHEST),
    pause_seconds=st.sampled_from([1.0, float("inf"), 0]),
    overflow=st.sampled_from(Overflow),
    segment=st.sampled_from([None, 60]),
    settle_seconds=st.sampled_from([0, 0.25]),
    keep_pinned=st.booleans(),
    replace_pinned=st.booleans(),
)


class PacedLink(FakeLink):
    """A link that objects to what a strict reader could not read."""

    def __init__(self, segment: int | None, observable: bool) -> None:
        super().__init__(observable=observable)
        self.segment = segment
        self.rest = 0

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take whole messages, unread ones within a segment, a larger one alone, or a rest."""
        if self.segment is not None and self.sends:
            size = len(data)
            if self.rest:
                assert size == self.rest, "a rest is written alone"
            else:
                unread = self.unread() or 0
                alone = not unread and size == HEADER_SIZE + HEADER.unpack_from(data)[1]
                assert alone or unread + size <= self.segment, "more than a segment is unread"
            taken = super().send(data)
            end = 0
            while not self.rest and end < taken:
                end += HEADER_SIZE + HEADER.unpack_from(data, end)[1]
            self.rest = self.rest - taken if self.rest else end - taken
            return taken
        return super().send(data)


@dataclass(eq=False)
class Peer:
    """A kernel and what it has sent and received."""

    kernel: Kernel
    greeting: bytes
    reader: Messages = field(default_factory=Messages)
    seen: int = 0
    got: int = 0
    last: dict[int, int] = field(default_factory=lambda: defaultdict(int))


class RouterMachine(RuleBasedStateMachine):
    """Does to a router what any kernels could do, and checks it after each step."""

    @initialize(limits=all_limits, policy=st.sampled_from(IdPolicy))
    def begin(self, limits: Limits, policy: IdPolicy) -> None:
        """A master with some options."""
        assert limits.problem() is None
        self.clock, self.observer, self.limits = Clock(), NotingObserver(), limits
        self.router = Router(limits, self.observer, self.clock, policy, PINNED)
        self.peers: list[Peer] = []
        self.all: list[Peer] = []
        self.serial = 0
        # Serial numbers that were sent, in order, by (connection that sent, dest).
        self.order: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.settled_ids: set[int] = set()
        self.paused_since: dict[int, float] = {}
        for pinned in (None, 1, None):
            self.connect(pinned=pinned, kind=Kind.KERNEL, seen=True, capacity=None)
            self.wake(self.peers[-1])

    # What kernels do

    @rule(
        pinned=st.sampled_from([None, None, None, *PINNED]),
        kind=st.sampled_from([Kind.KERNEL, Kind.KERNEL, Kind.TOOL]),
        seen=st.booleans(),
        capacity=CAPACITIES,
    )
    def connect(self, pinned: int | None, kind: Kind, seen: bool, capacity: int | None) -> None:
        """A connection comes."""
        link = PacedLink(self.limits.segment, seen)
        how: dict[str, Any] = {"pinned": pinned} if pinned is not None else {"kind": kind}
        try:
            kernel = Kernel(self.router, link, **how)
        except Refused:
            return
        if self.router.registry.policy is IdPolicy.SEQUENTIAL:
            assert kernel.node not in self.settled_ids, "an id was handed out twice"
        link.capacity = capacity
        peer = Peer(kernel, b"%d" % kernel.node)
        self.peers.append(peer)
        self.all.append(peer)

    def wake(self, peer: Peer) -> None:
        """A kernel reads its id, and has the master know."""
        self.look(peer)
        peer.kernel.link.read()
        peer.seen = 0
        self.router.received(peer.kernel.session, b"")

    def choose(self, choice: int) -> Peer:
        """One of those that are connected."""
        return self.peers[choice % len(self.peers)]

    @precondition(lambda self: self.peers)
    @rule(
        choice=choices,
        dests=st.lists(
            st.tuples(
                st.sampled_from([0, 1, 2, 0, 1, 2, *range(HIGHEST + 2)]),
                st.integers(0, MAX_PAYLOAD - 8),
            ),
            min_size=1,
            max_size=12,
        ),
        last=st.sampled_from([""] * 20 + ["half", "quit", "oversized"]),
        piece=st.integers(1, 400),
    )
    def send(self, choice: int, dests: list[tuple[int, int]], last: str, piece: int) -> None:
        """A kernel sends, in pieces; perhaps quits, breaks off, or sends nonsense at the end."""
        peer = self.choose(choice)
        if peer.kernel.link.paused:
            return
        if not peer.kernel.session.settled:
            self.wake(peer)
        stream = b""
        for dest, size in dests:
            self.serial += 1
            stream += encode_message(dest, pack("<Q", self.serial) + bytes(size))
            self.order[id(peer), dest].append(self.serial)
        end = {"half": HEADER.pack(0, 9)[:5], "quit": QUIT, "oversized": HEADER.pack(0, 99)}
        stream += end.get(last, b"")
        for start in range(0, len(stream), piece):
            peer.kernel.write(stream[start : start + piece])
        if last == "half":
            peer.kernel.leave("error: reset")

    @precondition(lambda self: self.peers)
    @rule(choice=choices)
    def read(self, choice: int) -> None:
        """A kernel reads all that has come."""
        peer = self.choose(choice)
        self.look(peer)
        peer.kernel.read_bytes()
        peer.seen = 0

    @precondition(lambda self: self.peers)
    @rule(choice=choices, capacity=CAPACITIES)
    def take(self, choice: int, capacity: int | None) -> None:
        """A kernel's link takes so many more bytes, or any number."""
        peer = self.choose(choice)
        if peer.kernel.session.settled:
            peer.kernel.take(capacity)

    @precondition(lambda self: self.peers)
    @rule(choice=choices)
    def leave(self, choice: int) -> None:
        """A connection ends."""
        self.choose(choice).kernel.leave()

    @rule(seconds=st.sampled_from([0, 0.1, 0.25, 0.5, 1.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.advance(seconds)

    # What must hold

    def look(self, peer: Peer) -> None:
        """Look at what has been sent to a kernel since the last look."""
        new = bytes(peer.kernel.link.sent[peer.seen :])
        peer.seen += len(new)
        if peer.greeting:
            greeting, peer.greeting = peer.greeting, b""
            assert new.startswith(greeting)
            new = new[len(greeting) :]
        for entry in peer.reader.feed(new):
            [serial] = unpack_from("<Q", entry[1])
            peer.got += 1
            senders = [
                sender
                for sender in self.all
                if sender.kernel.node == entry[0]
                and serial in self.order[id(sender), peer.kernel.node]
            ]
            assert senders, "nobody sent this to it"
            assert serial > peer.last[id(senders[0])], "out of order, or twice"
            peer.last[id(senders[0])] = serial

    @invariant()
    def nothing_but_the_id(self) -> None:
        """Before a node is settled it has been sent its id and nothing more."""
        for peer in self.all:
            greeting = b"%d" % peer.kernel.node
            if peer.kernel.session.settled:
                self.settled_ids.add(peer.kernel.node)
            else:
                assert b"".join(peer.kernel.link.sends) == greeting
        self.settled_ids -= set(PINNED)

    @invariant()
    def every_message_is_somewhere(self) -> None:
        """What came is delivered, waits, or is counted with a reason: in messages and bytes."""
        for peer in self.all:
            self.look(peer)
        came, went = sums(self.router)
        assert came == went, (came, went)
        counters = self.router.counters
        for reason, event in ((Reason.TRUNCATED, "truncated"), (Reason.CUT, "cut")):
            assert counters.undelivered[reason].messages == self.observer.names().count(event)
        assert counters.delivered.messages == sum(peer.got for peer in self.all)
        mailboxes = self.router.mailboxes
        assert mailboxes.waiting == sum(mailboxes.waiting_for(node).bytes for node in mailboxes)

    @invariant()
    def pauses_end(self) -> None:
        """Whoever is not read waits for a settled node, and not too long."""
        self.peers = [peer for peer in self.peers if not peer.kernel.session.gone]
        for peer in self.peers:
            session = peer.kernel.session
            assert peer.kernel.link.paused == (session.paused_for is not None)
            assert bool(session.runs) == (session.paused_for is not None)
            if session.paused_for is None:
                self.paused_since.pop(id(peer), None)
                continue
            assert self.limits.pause_seconds
            assert self.router.sessions[session.paused_for].settled
            since = self.paused_since.setdefault(id(peer), self.clock.seconds())
            assert self.clock.seconds() - since < self.limits.pause_seconds

    @invariant()
    def episodes_end(self) -> None:
        """Events come in their order, and a settled node that has read all is not congested."""
        said: dict[int, list[str]] = defaultdict(list)
        for name, dest, *_ in self.observer.events:
            if name in {"congested", "dropping", "relieved"}:
                said[dest].append(name)
        going_on = {episode.dest for episode in self.router.congestion}
        for dest, names in said.items():
            text = " ".join(names) + " "
            text = text.replace("congested dropping relieved ", "")
            text = text.replace("congested relieved ", "")
            assert text in ({"congested ", "congested dropping "} if dest in going_on else {""})
        for dest in going_on:
            session = self.router.sessions.get(dest)
            if session is not None and session.settled:
                assert self.router.mailboxes.get(dest) is not None
        for episode in self.router.congestion:
            assert not (episode.dropping and episode.paused)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """What waits for a node waits for something that is to happen."""
        for peer in self.peers:
            kernel = peer.kernel
            if kernel.session.gone or self.router.mailboxes.get(kernel.node) is None:
                continue
            if kernel.session.settled:
                assert kernel.link.full or kernel.link.watched
            elif kernel.link.observable:
                assert kernel.link.watched or self.clock.getDelayedCalls()

    def teardown(self) -> None:
        """In the end all that was sent to settled nodes arrives, and nobody is paused."""
        if not hasattr(self, "router"):
            return
        self.router.stop()
        for _ in range(2):
            for peer in self.peers:
                if peer.kernel.session.settled:
                    peer.kernel.take(None)
                    while peer.kernel.link.sent:
                        self.look(peer)
                        peer.kernel.read_bytes()
                        peer.seen = 0
        assert not any(self.router.undrained())
        assert all(session.paused_for is None for session in self.router.sessions.values())
        self.every_message_is_somewhere()


class ModelTests(SynchronousTestCase):
    """All of it."""

    def test_any_order(self) -> None:
        """Whatever kernels do, pairs keep their order, nothing is doubled, losses are counted."""
        run_machine(RouterMachine)
