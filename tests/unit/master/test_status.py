"""The status of a master as records."""

from __future__ import annotations

import dataclasses

from distnet import __version__
from distnet.address import TcpAddress
from distnet.control.telling import as_json
from distnet.master import status
from distnet.master.core.counters import Reason
from distnet.master.core.registry import IdPolicy
from distnet.master.core.session import Kind
from distnet.master.listener import NodeListener
from distnet.master.options import answers_of
from distnet.master.service import MasterService
from distnet.master.status import (
    AbsentStatus,
    Amount,
    LastSettled,
    ListenerStatus,
    MailboxStatus,
)
from tests.unit.master.core.kernels import SETTLE_SECONDS, RouterTestCase

NOTHING = Amount(0, 0)
ONE = Amount(1, 12)
SAME = float
"""The date of a moment, where the clock counts from the epoch on."""


class StatusTests(RouterTestCase):
    """Tests for the functions of C{distnet.master.status}."""

    def test_a_node(self) -> None:
        """A node is told with all that is known of it, and what it sent to whom."""
        kernel = self.kernel()
        self.clock.advance(2)
        kernel.send(0, b"1234")
        kernel.send(70000, b"1234")
        told = status.of_node(self.router, 0, LastSettled(SAME), SAME)
        self.assertEqual(
            dataclasses.asdict(told),
            {
                "id": 0, "kind": "kernel", "state": "settled", "pinned": False, "peer": "test",
                "since": 0.0, "settled_at": 0.0, "settled_by": "its first byte",
                "paused_for": None, "received": {"messages": 2, "bytes": 24},
                "delivered": {"messages": 1, "bytes": 12},
                "undelivered": {"messages": 1, "bytes": 12},
                "waiting": {"messages": 0, "bytes": 0},
            },
        )  # fmt: skip
        self.assertEqual(list(status.of_nodes(self.router, SAME)), [told])
        kernel.read()

    def test_kinds_and_states(self) -> None:
        """Tools are told from kernels; being asked for settles those that have read their id."""
        silent, tool = self.connect(), self.connect(kind=Kind.TOOL)
        told = list(status.of_nodes(self.router, SAME))
        self.assertEqual(
            [(node.id, node.kind, node.state) for node in told],
            [(0, "kernel", "unsettled"), (tool.node, "tool", "unsettled")],
        )
        silent.link.read()
        list(status.of_nodes(self.router, SAME))
        self.clock.advance(SETTLE_SECONDS)
        self.assertEqual(
            [node.state for node in status.of_nodes(self.router, SAME)], ["settled", "unsettled"]
        )

    def test_ids_that_nobody_has(self) -> None:
        """Of these it is told whether somebody can get them."""
        self.kernel().leave()
        for node, state in ((0, "gone"), (1, "expected"), (70000, "impossible")):
            self.assertEqual(
                status.of_node(self.router, node, LastSettled(SAME), SAME),
                AbsentStatus(node, state),
            )

    def test_a_pinned_id_that_was_settled(self) -> None:
        """Of a pinned id it is told when the last node that has left had read it."""
        last = LastSettled(SAME)
        kernel = self.kernel()
        last.settled(kernel.session, "its queue")
        self.assertEqual(last.at, {})
        self.start(pinned=(5,))
        self.clock.advance(2)
        kernel = self.kernel(pinned=5)
        last.settled(kernel.session, "its queue")
        kernel.leave()
        at = self.clock.seconds()
        self.assertEqual(
            status.of_node(self.router, 5, last, SAME), AbsentStatus(5, "expected", at)
        )

    def test_what_waits(self) -> None:
        """Mailboxes are told in the order of their ids, connected or not."""
        kernel = self.kernel()
        kernel.send(5, b"1234")
        late = self.connect()
        kernel.send(late.node, b"1234")
        boxes = (MailboxStatus(1, ONE, True, False), MailboxStatus(5, ONE, False, False))
        self.assertEqual(tuple(status.of_mailboxes(self.router)), boxes)
        told = self.told()
        self.assertEqual((told.mailboxes, told.waiting), (boxes, 24))
        late.settle()
        told = self.told()
        self.assertEqual((told.mailboxes, told.waiting), (boxes[1:], 12))
        self.assertEqual(told.counters.delivered, ONE)

    def told(self) -> status.MasterStatus:
        """Everything."""
        return status.of_master(
            self.router,
            "1.2",
            3.0,
            (),
            nodes=tuple(status.of_nodes(self.router, SAME)),
            mailboxes=tuple(status.of_mailboxes(self.router)),
        )

    def test_what_goes_meanwhile(self) -> None:
        """Nodes and mailboxes are told one by one; one that has gone by then is not."""
        kernels = [self.kernel() for _ in range(3)]
        for node in (5, 6):
            kernels[0].send(node, b"1234")
        nodes = status.of_nodes(self.router, SAME)
        self.assertEqual(next(nodes).id, 0)
        kernels[1].leave()
        self.assertEqual([node.id for node in nodes], [2])
        boxes = status.of_mailboxes(self.router)
        self.assertEqual(next(boxes).id, 5)
        self.router.mailboxes.clear(6)
        self.router.counters.undelivered[Reason.LEFT].add(1, 12)
        self.assertEqual(list(boxes), [])

    def test_counters(self) -> None:
        """The totals have every reason, and do not change after they were told."""
        kernel = self.kernel()
        kernel.send(70000, b"1234")
        told = status.of_counters(self.router.counters)
        kernel.send(70000, b"1234")
        self.assertEqual((told.received, told.delivered), (ONE, NOTHING))
        self.assertEqual(
            told.undelivered, dict.fromkeys(Reason, NOTHING) | {Reason.NO_SUCH_ID: ONE}
        )

    def test_listeners(self) -> None:
        """A listener is told with the address where it can be reached."""
        listener = NodeListener("tcp:0", node=3)
        self.assertEqual(
            status.of_listener(listener, TcpAddress("127.0.0.1", 77)),
            ListenerStatus("tcp:127.0.0.1:77", 3, False, False, relays=False),
        )


class ServiceTests(RouterTestCase):
    """Tests for what C{MasterService} says of itself, and its control interface."""

    def test_the_parts_are_those_of_the_whole(self) -> None:
        """Each path of the control interface answers with what the whole status has."""
        master = MasterService(self.clock, [], self.router.limits, IdPolicy.LOWEST)
        told, answers = master.status(), answers_of(master)
        self.assertEqual((told.distnet, told.started, told.ids), (__version__, 0.0, "lowest"))
        self.assertEqual(told.limits, self.router.limits)
        self.assertEqual(as_json(answers["/status"]()), as_json(told))
        for part in ("nodes", "mailboxes", "counters"):
            self.assertEqual(as_json(answers[f"/{part}"]()), as_json(getattr(told, part)))
        self.assertEqual(answers["/nodes/ID"]("7"), AbsentStatus(7, "expected"))
        for text in ("", "x", "-1", "٣", "9" * 5000):
            self.assertIsNone(answers["/nodes/ID"](text))
