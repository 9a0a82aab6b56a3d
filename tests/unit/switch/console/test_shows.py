"""What the console shows of a switch in use: events, ports, addresses, frames."""

from __future__ import annotations

from distnet.switch.console.commands import COMMANDS
from distnet.switch.core.counters import Reason
from distnet.switch.core.limits import BridgeLimits
from tests.unit.switch.console.consoles import ConsoleTestCase
from tests.unit.switch.core.stations import BROADCAST, frame


class EventTests(ConsoleTestCase):
    """Events."""

    def test_told_at_once(self) -> None:
        """Events come as they happen, and none when they are not wanted any more."""
        self.ask("debug/add")
        link = self.plug(3, 'say "x"\n')
        self.assertEqual(
            self.take(),
            b"3021 port/+ 03\n3031 port/ep/+ Port 03 FD  1\n"
            b'3023 port/descr Port 03 FD  1 -> "say "x"?"\n',
        )
        [endpoint] = self.bridge.ports[3].endpoints
        self.assertIs(endpoint.link, link)
        self.bridge.received(endpoint, frame(BROADCAST, 0x1234))
        self.assertEqual(self.take(), b"3011 hash/+ 02:00:00:00:12:34 VLAN 00:00 Port 3\n")
        self.bridge.describe(endpoint, "other")
        self.assertEqual(self.take(), b'3023 port/descr Port 03 FD  1 -> "other"\n')
        self.bridge.detach(endpoint)
        self.assertEqual(
            self.take(),
            b"3012 hash/- 02:00:00:00:12:34 VLAN 00:00 Port 3\n"
            b"3032 port/ep/- Port 03 FD  1\n3022 port/- 03\n",
        )
        self.ask("debug/del")
        self.plug(4)
        self.assertEqual(self.take(), b"")

    def test_each_session_its_own(self) -> None:
        """A session is told what it wants, whatever others want."""
        other, output = self.new_session()
        self.ask("debug/add port")
        self.bridge.ports.create(3)
        self.assertEqual(self.take(), b"3021 port/+ 03\n")
        self.assertEqual(output, b"")
        other.close()

    def test_vlan_of_two_bytes(self) -> None:
        """The number of a VLAN is told lower byte first."""
        self.ask("debug/add hash")
        self.ask("vlan/create 300")
        self.ask("port/create 3")
        self.ask("port/setvlan 3 300")
        self.plug(3)
        [endpoint] = self.bridge.ports[3].endpoints
        self.bridge.received(endpoint, frame(BROADCAST, 1))
        self.assertIn(b" VLAN 2c:01 Port 3\n", self.take())


class PrintTests(ConsoleTestCase):
    """What only shows of a switch in use."""

    def test_info(self) -> None:
        """What it is told of itself is shown."""
        self.clock.advance(61.5)
        shown = self.ask("showinfo").decode().splitlines()
        self.assertEqual(shown[-4:-2], ["pid 7 MAC 00:ff:01:02:03:04 uptime 61",
                                        "mgmt /mgmt perm 0600"])  # fmt: skip
        self.assertIn(b"ctl dir /sock\nstd mode 0660\n", self.ask("ds/showinfo"))

    def test_port(self) -> None:
        """A port is shown with its user, its counters, and its endpoints, the newest first."""
        self.plug(3, "first")
        self.plug(3, "second\x1b")
        [endpoint, _] = self.bridge.ports[3].endpoints
        self.bridge.received(endpoint, frame(BROADCAST, 1, bytes(46)))
        self.assertEqual(
            self.ask("port/print").decode().splitlines()[1:-2],
            [
                "Port 0003 untagged_vlan=0000 ACTIVE - Unnamed Allocatable",
                " Current User: 0 Access Control: (User: NONE - Group: NONE)",
                " IN:  pkts          1          bytes                   60",
                " OUT: pkts          0          bytes                    0",
                " NOT: pkts          1          bytes                   60 (nobody)",
                "  -- endpoint ID 0002 module fake        : second?",
                "  -- endpoint ID 0001 module fake        : first",
            ],
        )

    def test_slow(self) -> None:
        """An endpoint that does not drain is shown as slow, with what waits and was dropped."""
        self.plug(1)
        slow = self.plug(2)
        slow.capacity = 0
        [sender] = self.bridge.ports[1].endpoints
        for _ in range(2 * BridgeLimits().queue_frames):
            self.bridge.received(sender, frame(BROADCAST, 1))
            self.clock.advance(0.001)
        self.clock.advance(3)
        shown = self.ask("port/print 2")
        self.assertRegex(
            shown, rb"\n     SLOW for 3 secs: 25[0-9] pkts wait, 2[0-9]+ pkts dropped since\n"
        )
        self.assertIn(f"({Reason.SLOW})".encode(), shown)

    def test_addresses(self) -> None:
        """Addresses are printed with their age, and found with their port."""
        self.plug(3)
        [endpoint] = self.bridge.ports[3].endpoints
        self.bridge.received(endpoint, frame(BROADCAST, 0x11))
        self.clock.advance(7)
        line = b"Hash: 0000 Addr: 02:00:00:00:00:11 VLAN 0000 to port: 003  age 7 secs\n"
        self.assertIn(line, self.ask("hash/print"))
        self.assertIn(line, self.ask("hash/find 2:0:0:0:0:11"))

    def test_spanning_tree(self) -> None:
        """What is not done is said when it is turned on, and as long as it is on."""
        self.assertNotIn(b"not done", self.ask("fstp/showinfo"))
        self.assertIn(b"not done", self.ask("fstp/setfstp 1"))
        self.assertIn(b"FSTP=false\nthe spanning tree is not done yet", self.ask("fstp/showinfo"))
        self.assertNotIn(b"not done", self.ask("fstp/setfstp 0"))

    def test_help_has_all(self) -> None:
        """help lists every command with its arguments at their place."""
        lines = self.ask("help").decode().splitlines()
        self.assertEqual(len(lines), len(COMMANDS) + 5)
        for line in lines[3:-2]:
            self.assertRegex(line, r"^\S{1,18} +(=+|\S.*)? +\S")
            self.assertEqual(line[18], " ")
            self.assertEqual(line[34], " ")
            self.assertLessEqual(len(line), 100)


class DumpTests(ConsoleTestCase):
    """The packet dump, on a bridge."""

    def test_frames(self) -> None:
        """Frames are dumped while it is active, and the bridge is as before when it is not."""
        self.plug(1)
        [endpoint] = self.bridge.ports[1].endpoints
        before = dict(vars(self.bridge))
        self.ask("pdump/active 1")
        self.clock.advance(5)
        self.assertTrue(self.bridge.received(endpoint, frame(BROADCAST, 1)))
        self.ask("pdump/active 0")
        self.assertEqual(vars(self.bridge).keys(), before.keys())
        self.bridge.received(endpoint, frame(BROADCAST, 2))
        self.ask("pdump/active 1")
        self.assertEqual(self.ask("plugin/del pdump"), b"1002 No such file or directory\n")
        self.assertEqual(self.ask("plugin/add /x/pdump.so"), b"1000 Success\n")
        self.assertEqual(self.ask("plugin/add /x/pdump.so"), b"1017 File exists\n")
        self.assertEqual(self.ask("plugin/del pdump"), b"1000 Success\n")
        self.assertEqual(vars(self.bridge).keys(), before.keys())
        [file] = self.files.values()
        self.assertTrue(file.closed)
        self.assertEqual(file.written[40:], frame(BROADCAST, 1))
        self.assertEqual(self.bridge.ports[1].counters.received.frames, 2)
