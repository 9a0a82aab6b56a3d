"""Wrappers around what delivers runs: what comes by, and that all they do is accounted for."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from distnet.divert import Divert
from distnet.master.core.counters import Reason, Tally
from distnet.master.core.delivery import Deliver
from distnet.master.core.limits import Limits
from distnet.master.core.registry import IdPolicy
from distnet.master.core.router import Router
from distnet.master.core.session import Session
from distnet.testing import NotingObserver
from distnet.wire import Messages, Run
from tests.unit.master.core.kernels import Kernel, RouterTestCase


class WrappingTestCase(RouterTestCase):
    """Two nodes, and wrappers that the tests put around."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew, with two nodes."""
        super().start(*arguments, **limits)
        self.first, self.second = self.kernel(), self.kernel()


class SeenTests(WrappingTestCase):
    """Tests for what comes by."""

    def capture(self) -> tuple[list[tuple[int, int, bytes]], Callable[[], None]]:
        """
        Have a wrapper note (source, dest, payload) of what is passed on, once.

        @return: its notes, and what takes it away.
        """
        seen: list[tuple[int, int, bytes]] = []

        def wrapper(deliver: Deliver) -> Deliver:
            def note(source: Session, run: Run, may_pause: bool) -> Run | None:
                rest = deliver(source, run, may_pause)
                done = run.data if rest is None else run.data[: len(run.data) - len(rest.data)]
                seen.extend((source.node, run.dest, payload) for _, payload in decode(done))
                return rest

            return note

        return seen, self.router.delivery.wrap(wrapper)

    def test_in_order(self) -> None:
        """All that can be sent comes by, in order, whoever it is for; what is refused does not."""
        seen, _ = self.capture()
        self.first.send(1, b"a", b"b")
        self.first.send(5, b"waits")
        self.first.send(70000, b"refused")
        self.second.send(0, b"c")
        self.first.send(1, b"d")
        self.assertEqual(
            seen, [(0, 1, b"a"), (0, 1, b"b"), (0, 5, b"waits"), (1, 0, b"c"), (0, 1, b"d")]
        )
        self.assertEqual(self.second.read_all(), [(0, b"a"), (0, b"b"), (0, b"d")])
        self.assertEqual(self.first.read(), [(1, b"c")])

    def test_once(self) -> None:
        """What a paused sender has to wait with comes by again, and is seen once nevertheless."""
        self.start(max_waiting_per_id=256, reserve=256, max_payload=100, segment=None)
        seen, _ = self.capture()
        self.second.take(0)
        payloads = [b"%2d" % number * 10 for number in range(30)]
        self.first.send(1, *payloads)
        self.assertEqual(self.first.session.state, "paused")
        got: list[tuple[int, bytes]] = []
        while len(got) < len(payloads):
            self.second.take(56)
            got += self.second.read()
        self.assertEqual(got, [(0, payload) for payload in payloads])
        self.assertEqual(seen, [(0, 1, payload) for payload in payloads])

    def test_left_behind(self) -> None:
        """What a paused sender leaves behind comes by too."""
        self.start(max_waiting_per_id=64, reserve=64, max_payload=20)
        self.second.take(0)
        self.first.send(1, *[b"1234"] * 10)
        seen, _ = self.capture()
        self.first.leave()
        self.assertEqual(seen, [(0, 1, b"1234")] * 5)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(5, 60))

    def test_taken_away(self) -> None:
        """Without a wrapper what delivers is called itself, as if there never had been one."""
        bare = self.router.delivery.deliver
        seen, undo = self.capture()
        self.assertNotEqual(self.router.delivery.deliver, bare)
        undo()
        self.assertEqual(self.router.delivery.deliver, bare)
        self.first.send(1, b"a")
        self.assertEqual((seen, self.second.read()), ([], [(0, b"a")]))

    def test_diverted(self) -> None:
        """As long as there is a wrapper, all messages go by Python."""
        divert = Divert()
        router = Router(Limits(), NotingObserver(), self.clock, divert=divert)
        undo = router.delivery.wrap(lambda deliver: deliver)
        self.assertTrue(divert)
        undo()
        self.assertFalse(divert)


def decode(data: bytes) -> list[tuple[int, bytes]]:
    """The messages of a run, whose headers say the source."""
    return Messages().feed(data)


class Faults:
    """
    A wrapper that does with runs what a test has it do.

    @ivar held: runs that are kept, with their sources.
    @ivar plan: what is done with the next runs: C{pass}, C{hold}, C{drop}, C{double}.
    """

    def __init__(self, router: Router) -> None:
        self.held: list[tuple[Session, Run]] = []
        self.plan: Callable[[], str] = lambda: "hold"
        self.deliver: Deliver
        self._router = router
        self.undo = router.delivery.wrap(self._wrap)

    def _wrap(self, deliver: Deliver) -> Deliver:
        self.deliver = deliver
        return self._do

    def _do(self, source: Session, run: Run, may_pause: bool) -> Run | None:
        what = self.plan()
        if what == "hold":
            self.held.append((source, run))
        elif what == "drop":
            self._router.delivery.discard(source, run, Reason.MAILBOX_FULL)
        else:
            if what == "double":
                self._router.delivery.doubled(source, run)
                self.deliver(source, run, False)
            return self.deliver(source, run, may_pause)
        return None

    def release(self, place: int = 0) -> None:
        """Deliver one of the held runs."""
        self.deliver(*self.held.pop(place), False)


class FaultTests(WrappingTestCase):
    """Tests for runs that are delivered later, never, or more than once."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew, with a wrapper that holds what comes."""
        super().start(*arguments, **limits)
        self.faults = Faults(self.router)

    def test_dropped(self) -> None:
        """What is not passed on is counted by its reason, for its sender too."""
        self.faults.plan = lambda: "drop"
        self.first.send(1, b"a", b"b")
        self.assertEqual(self.second.read(), [])
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(2, 18))
        self.assertEqual(self.first.session.undelivered, Tally(2, 18))

    def test_doubled(self) -> None:
        """What is passed on twice arrives twice, and counts as if it had come twice."""
        self.faults.plan = lambda: "double"
        self.first.send(1, b"a", b"b")
        self.assertEqual(self.second.read_all(), [(0, b"a"), (0, b"b")] * 2)
        self.assertEqual(self.first.session.received, Tally(4, 36))
        self.assertEqual(self.router.counters.received, Tally(4, 36))

    def test_later(self) -> None:
        """What is held is in no counter but that of what came; it arrives when it is released."""
        self.first.send(1, b"a")
        self.first.send(1, b"b")
        self.assertEqual(self.router.counters.received, Tally(2, 18))
        self.faults.release(1)
        self.faults.release()
        self.assertEqual(self.second.read_all(), [(0, b"b"), (0, b"a")])

    def test_later_than_the_wrapper(self) -> None:
        """What was held can be delivered when the wrapper has been taken away."""
        self.first.send(1, b"a")
        self.faults.undo()
        self.first.send(1, b"b")
        self.faults.release()
        self.assertEqual(self.second.read_all(), [(0, b"b"), (0, b"a")])

    def test_the_dest_has_left(self) -> None:
        """What is released when its dest has left is refused as any message is then."""
        self.first.send(1, b"a")
        self.second.leave()
        self.faults.release()
        self.assertEqual(self.undelivered(Reason.GONE), Tally(1, 9))

    def test_another_has_the_id(self) -> None:
        """It goes to whoever has the id by then, and waits if that one has not read it."""
        self.start(IdPolicy.LOWEST)
        self.first.send(1, b"a")
        self.second.leave()
        third = self.connect()
        self.faults.release()
        self.assertEqual(third.link.read(), b"1")
        third.write(b"")
        self.assertEqual((third.node, third.read()), (1, [(0, b"a")]))

    def test_the_source_has_left(self) -> None:
        """It arrives, and nobody is paused for it."""
        self.first.send(1, b"a")
        self.first.leave()
        self.faults.release()
        self.assertEqual(self.second.read(), [(0, b"a")])

    def test_too_late_to_pause(self) -> None:
        """What does not fit is dropped, though its source could have waited with it before."""
        self.start(max_waiting_per_id=64, reserve=64, max_payload=20)
        self.second.take(0)
        self.first.send(1, *[b"1234"] * 7)
        self.faults.release()
        self.assertEqual(self.first.session.state, "settled")
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(2, 24))

    def test_paused_already(self) -> None:
        """A source that is paused, or gone, is not paused again, even if somebody asks for it."""
        self.start(max_waiting_per_id=64, reserve=64, max_payload=20)
        third = self.kernel()
        self.second.take(0)
        third.take(0)
        self.first.send(2, *[b"1234"] * 7)
        self.faults.plan = lambda: "pass"
        self.first.send(1, *[b"1234"] * 7)
        self.assertEqual(self.first.session.paused_for, 1)
        source, run = self.faults.held.pop()
        self.assertIsNone(self.faults.deliver(source, run, True))
        self.assertEqual(self.first.session.paused_for, 1)
        self.second.take(None)
        self.assertEqual(len(self.second.read_all()), 7)
        self.assertEqual(self.undelivered(Reason.MAILBOX_FULL), Tally(2, 24))

    def test_anything_at_any_time(self) -> None:
        """Dropped, doubled, held and released in any order, each message is whole and counted."""
        for seed in range(20):
            choice = random.Random(seed)
            self.start(segment=choice.choice([None, 1460]), max_waiting_per_id=4096, reserve=4096,
                       max_payload=500)  # fmt: skip
            nodes = [self.first, self.second, self.kernel()]
            self.faults.plan = partial(choice.choice, ["pass", "hold", "drop", "double"])
            for _ in range(200):
                node = choice.choice(nodes)
                what = choice.random()
                if what < 0.5:
                    size = choice.choice([0, 10, 300])
                    node.send(choice.randrange(3), *[bytes(size)] * choice.randrange(1, 8))
                elif what < 0.7:
                    node.take(choice.choice([3, 50, None]))
                elif what < 0.8 and self.faults.held:
                    self.faults.release(choice.randrange(len(self.faults.held)))
                else:
                    self.clock.advance(0.3)
            while self.faults.held:
                self.faults.release()
            self.faults.plan = lambda: "pass"
            while any(self.drain(node) for node in nodes):
                self.clock.advance(2)
            got = sum(node.session.delivered.messages for node in nodes)
            counters = self.router.counters
            lost = sum(tally.messages for tally in counters.undelivered.values())
            self.assertEqual(counters.received.messages, got + lost)
            self.assertEqual(self.router.mailboxes.waiting, 0)
            self.assertTrue(got)

    def drain(self, kernel: Kernel) -> int:
        """Have a kernel read all that it can get; how many messages, each of them whole."""
        kernel.take(None)
        messages = kernel.read_all()
        for source, payload in messages:
            self.assertIn(source, range(3))
            self.assertIn(payload, [bytes(size) for size in (0, 10, 300)])
        return len(messages)
