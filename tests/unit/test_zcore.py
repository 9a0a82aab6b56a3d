"""How the acceptance of real zCores tells the network's faults from theirs."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.zcore.verdict import lost, told


def amount(messages: int) -> dict[str, int]:
    """As the master counts."""
    return {"messages": messages, "bytes": 16 * messages}


def master(received: int, delivered: int, waiting: int = 0, **undelivered: int) -> dict[str, Any]:
    """What a master says."""
    reasons = {"gone": 0, "mailbox-full": 0, **undelivered}
    return {
        "counters": {
            "received": amount(received),
            "delivered": amount(delivered),
            "undelivered": {reason: amount(count) for reason, count in reasons.items()},
        },
        "mailboxes": [{"id": 2, "waiting": amount(waiting)}],
        "nodes": [
            {"id": 0, "state": "settled", "received": amount(received), "delivered": amount(0),
             "waiting": amount(0)},
        ],
    }  # fmt: skip


def switch(**undelivered: int) -> dict[str, Any]:
    """What a switch says."""
    reasons = {"slow": 0, "nobody": 0, **undelivered}
    return {"undelivered": {reason: {"frames": count} for reason, count in reasons.items()}}


class VerdictTests(SynchronousTestCase):
    """What is lost, by what the daemons count."""

    def test_all_is_well(self) -> None:
        """What was delivered or waits is not lost, nor are frames that nobody was there for."""
        self.assertEqual(lost(master(3, 3)), [])
        self.assertEqual(lost(master(5, 3, waiting=2), switch(nobody=7)), [])

    def test_undelivered(self) -> None:
        """What the daemons say that they could not deliver is lost, with the reason."""
        self.assertEqual(
            lost(master(5, 3, gone=2), switch(slow=4)),
            [
                "the master has not delivered 2 messages: gone",
                "the switch has not delivered 4 frames: slow",
            ],
        )

    def test_vanished(self) -> None:
        """What was received and is neither delivered nor anywhere is lost."""
        self.assertEqual(
            lost(master(5, 3)), ["the master does not know what has become of 2 messages"]
        )

    def test_told(self) -> None:
        """How far the kernels have come is one line."""
        self.assertEqual(told(master(5, 3)), "node 0 settled, sent 5, got 0, 0 wait")
