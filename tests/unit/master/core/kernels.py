"""Kernels that are tests, at the far ends of fake links to a router whose sums are checked."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.limits import Limits
from distnet.master.core.registry import IdPolicy
from distnet.master.core.router import Router
from distnet.testing import FakeLink, NotingObserver
from distnet.wire import HEADER_SIZE, encode_message

SETTLE_SECONDS = 0.25


def message(address: int, size: int, fill: bytes = b"x") -> bytes:
    """A message of C{size} bytes, header included."""
    return encode_message(address, fill * (size - HEADER_SIZE))


def sums(router: Router) -> tuple[Tally, Tally]:
    """
    What came, and where it is now: delivered, waiting, held up with a paused sender, or given up.

    The two are equal, always, in messages and in bytes.
    """
    came, went = Tally(), Tally()
    counters = router.counters
    truncated = counters.undelivered[Reason.TRUNCATED]
    for tally in (counters.received, truncated):
        came.add(tally.messages, tally.bytes)
    waiting = [router.mailboxes.waiting_for(node) for node in router.mailboxes]
    for tally in (counters.delivered, *waiting, *counters.undelivered.values()):
        went.add(tally.messages, tally.bytes)
    for session in router.sessions.values():
        for run in session.runs:
            went.add(run.count, len(run.data))
    return came, went


class Kernel:
    """
    A kernel: it connects and is told its id; the test says what it sends and when it reads.

    @ivar node: its id.
    """

    def __init__(
        self, router: Router, link: FakeLink | None = None, *, resume: bool = False, **how: Any
    ) -> None:
        self.router = router
        self.link = link or FakeLink()
        self.session = router.connect(self.link, **how)
        self.node = self.session.node
        if resume:
            router.resume(self.session)
        else:
            router.greet(self.session)

    def settle(self) -> Kernel:
        """Read the id, and say so before there is a message to send."""
        greeting = self.link.read()
        assert greeting == b"%d" % self.node, greeting
        self.router.received(self.session, b"")
        return self

    def send(self, dest: int, *payloads: bytes) -> None:
        """Send messages, in one write."""
        self.write(b"".join(encode_message(dest, payload) for payload in payloads))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.router.received(self.session, data)

    def read(self) -> list[tuple[int, bytes]]:
        """Read all messages that have come, once."""
        messages = self.link.messages()
        self.has_read()
        return messages

    def read_bytes(self) -> bytes:
        """Read all that has come, once."""
        data = self.link.read()
        self.has_read()
        return data

    def has_read(self) -> None:
        """The link notices that the kernel has read, if it was to look."""
        if self.link.watched:
            self.link.watched = False
            self.router.was_read(self.session)

    def take(self, capacity: int | None) -> None:
        """The link takes so many more bytes."""
        self.link.capacity = capacity
        if self.link.full:
            self.link.full = False
            self.router.writable(self.session)

    def read_all(self) -> list[tuple[int, bytes]]:
        """Read until nothing more comes."""
        messages = []
        while more := self.read():
            messages += more
        return messages

    def leave(self, why: str = "closed") -> None:
        """The connection ends."""
        self.router.lost(self.session, why)


class RouterTestCase(SynchronousTestCase):
    """
    A router, a clock and an observer; afterwards every message must be accounted for.

    @ivar elsewhere: what a test has removed with C{take_mail}, less what it has put in.
    """

    def setUp(self) -> None:
        self.elsewhere = Tally()
        self.start()

    def start(
        self,
        policy: IdPolicy = IdPolicy.SEQUENTIAL,
        pinned: tuple[int, ...] = (),
        **limits: Any,
    ) -> None:
        """Begin anew with these limits."""
        self.clock = Clock()
        self.observer = NotingObserver()
        limits.setdefault("settle_seconds", SETTLE_SECONDS)
        limits.setdefault("mailbox_overhead", 0)
        self.router = Router(Limits(**limits), self.observer, self.clock, policy, pinned)

    def tearDown(self) -> None:
        came, went = sums(self.router)
        went.add(self.elsewhere.messages, self.elsewhere.bytes)
        self.assertEqual(came, went, "messages that nobody accounts for")

    def connect(self, link: FakeLink | None = None, **how: Any) -> Kernel:
        """A kernel that has not read its id."""
        return Kernel(self.router, link, **how)

    def kernel(self, link: FakeLink | None = None, **how: Any) -> Kernel:
        """A kernel that has read its id."""
        return self.connect(link, **how).settle()

    def undelivered(self, reason: Reason) -> Tally:
        """What was not delivered for this reason."""
        return self.router.counters.undelivered[reason]

    def said(self, *names: str) -> list[tuple[Any, ...]]:
        """The events with these names."""
        return [event for event in self.observer.events if event[0] in names]
