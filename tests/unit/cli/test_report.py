"""The status as text."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.cli.report import show_status

NOTHING = {"messages": 0, "bytes": 0}
ONE = {"messages": 1, "bytes": 520}


def status(**changes: Any) -> dict[str, Any]:
    """What C{/status} says of a master with nothing to do, changed."""
    return {
        "distnet": "1.0",
        "pid": 7,
        "started": 100.0,
        "ids": "sequential",
        "listeners": [],
        "nodes": [],
        "mailboxes": [],
        "counters": {
            "received": NOTHING,
            "delivered": NOTHING,
            "undelivered": {"gone": NOTHING, "left": NOTHING},
        },
        **changes,
    }


def node(**changes: Any) -> dict[str, Any]:
    """What it says of a node, changed."""
    return {
        "id": 3,
        "state": "settled",
        "peer": "tcp 127.0.0.1:5",
        "since": 100.0,
        "paused_for": None,
        "received": ONE,
        "delivered": NOTHING,
        "waiting": NOTHING,
        **changes,
    }


class StatusTests(SynchronousTestCase):
    """Tests for C{show_status}."""

    def test_nothing(self) -> None:
        """A master with nothing to do says so."""
        self.assertEqual(
            show_status(status(), 112.5).splitlines(),
            [
                "distnet 1.0, pid 7, up 12s, sequential ids",
                "",
                "no nodes are connected",
                "",
                "received 0 messages (0 B)",
                "delivered 0 messages (0 B)",
            ],
        )

    def test_listeners(self) -> None:
        """Each listener is shown with whom it is for."""
        listeners = [
            {"address": "tcp:127.0.0.1:1234", "node": None, "tools": False, "tls": False},
            {"address": "unix:/n", "node": 0, "tools": False, "tls": False},
            {"address": "unix:/t", "node": None, "tools": True, "tls": False},
        ]
        self.assertEqual(
            show_status(status(listeners=listeners), 100).splitlines()[1:4],
            [
                "  listening at tcp:127.0.0.1:1234 for kernels",
                "  listening at unix:/n for node 0",
                "  listening at unix:/t for tools",
            ],
        )

    def test_nodes(self) -> None:
        """Nodes are a table, with what each waits for."""
        nodes = [node(), node(id=12, state="paused", paused_for=3, waiting=ONE)]
        self.assertEqual(
            show_status(status(nodes=nodes), 165).splitlines()[2:5],
            [
                "ID  STATE         FROM             SINCE  SENT               GOT"
                "               WAITING",
                "3   settled       tcp 127.0.0.1:5  1m05s  1 message (520 B)  0 messages (0 B)  -",
                "12  paused for 3  tcp 127.0.0.1:5  1m05s  1 message (520 B)  0 messages (0 B)"
                "  1 message (520 B)",
            ],
        )

    def test_mailboxes(self) -> None:
        """What waits is shown for ids that are not connected; the others are in the table."""
        mailboxes = [
            {"id": 0, "waiting": ONE, "connected": True, "dropping": False},
            {"id": 9, "waiting": ONE, "connected": False, "dropping": False},
        ]
        lines = show_status(status(mailboxes=mailboxes), 100).splitlines()
        self.assertIn("waiting for node 9: 1 message (520 B)", lines)
        self.assertFalse(any("node 0" in line for line in lines))

    def test_reasons(self) -> None:
        """Only reasons that there were are shown."""
        counters = {
            "received": ONE,
            "delivered": NOTHING,
            "undelivered": {"gone": ONE, "left": NOTHING},
        }
        self.assertEqual(
            show_status(status(counters=counters), 100).splitlines()[-3:],
            [
                "received 1 message (520 B)",
                "delivered 0 messages (0 B)",
                "not delivered, gone: 1 message (520 B)",
            ],
        )
