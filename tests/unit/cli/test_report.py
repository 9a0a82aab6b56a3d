"""The status as text."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.cli.report import show_status, show_switch

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


def switch_status(*endpoints: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What C{/status} says of a switch with one port, changed."""
    none = {"frames": 0, "bytes": 0}
    return {
        "distnet": "1.0",
        "pid": 7,
        "started": 100.0,
        "hub": False,
        "directory": "/tmp/s",
        "listeners": [],
        "ports": [{"number": 4, "vlan": 0, "endpoints": list(endpoints)}],
        "counters": {
            "received": {"frames": 1, "bytes": 60},
            "sent": none,
            "undelivered": {"runt": none, "slow": {"frames": 2, "bytes": 3000}},
        },
        **changes,
    }


def endpoint(**changes: Any) -> dict[str, Any]:
    """What it says of something that is plugged in, changed."""
    return {
        "description": "a guest",
        "module": "unix prog",
        "waiting": {"frames": 0, "bytes": 0},
        "paused": False,
        "slow_since": None,
        **changes,
    }


class SwitchTests(SynchronousTestCase):
    """Tests for C{show_switch}."""

    def test_nothing(self) -> None:
        """A switch that is alone says so, and what it has counted."""
        self.assertEqual(
            show_switch(switch_status(hub=True), 112.5).splitlines(),
            [
                "distnet-vde 1.0, pid 7, up 12s, hub",
                "  listening in /tmp/s for VDE",
                "",
                "nothing is plugged in",
                "",
                "received 1 frame (60 B)",
                "sent 0 frames (0 B)",
                "not delivered, slow: 2 frames (3.0 kB)",
            ],
        )

    def test_listeners(self) -> None:
        """Where else guests plug in is shown, with the port that they get there."""
        listeners = [
            {"kind": "stream", "address": "unix:/s", "port": 7},
            {"kind": "dgram", "address": "udp:127.0.0.1:5", "port": None},
        ]
        self.assertEqual(
            show_switch(switch_status(listeners=listeners), 0.0).splitlines()[1:5],
            [
                "  listening in /tmp/s for VDE",
                "  listening at unix:/s for -netdev stream, port 7",
                "  listening at udp:127.0.0.1:5 for -netdev dgram",
                "",
            ],
        )

    def test_one_that_does_not_tell_its_listeners(self) -> None:
        """A switch that was started before an upgrade is shown too."""
        status = switch_status()
        del status["listeners"]
        self.assertEqual(show_switch(status, 0.0).splitlines()[2:4], ["", "nothing is plugged in"])

    def test_who_is_plugged_in(self) -> None:
        """Each endpoint has a line with its port, how it does, and who it is."""
        waiting = {"frames": 3, "bytes": 200}
        shown = show_switch(
            switch_status(
                endpoint(),
                endpoint(paused=True, description=""),
                endpoint(slow_since=110.0, waiting=waiting, description="\x1b[2J"),
            ),
            112.5,
        )
        self.assertEqual(
            shown.splitlines()[3:7],
            [
                "PORT  VLAN  STATE        WAITING           MODULE     WHO",
                "4     0     plugged in   -                 unix prog  a guest",
                "4     0     paused       -                 unix prog  -",
                "4     0     slow for 2s  3 frames (200 B)  unix prog  ?[2J",
            ],
        )

    def test_two_with_one_address(self) -> None:
        """That two ports send from one address is the last line, if it was so."""
        line = show_switch(switch_status(contested=7), 0.0).splitlines()[-1]
        self.assertEqual(line, "two ports took turns to send from one address: 7 times")
        last = show_switch(switch_status(contested=0), 0.0).splitlines()[-1]
        self.assertIn("not delivered", last)

    def test_a_port_without_a_vlan(self) -> None:
        """A port whose untagged frames are in no VLAN is shown with none."""
        port = {"number": 1, "vlan": None, "endpoints": [endpoint()]}
        line = show_switch(switch_status(ports=[port]), 0.0).splitlines()[4]
        self.assertTrue(line.startswith("1     -     plugged in"))
