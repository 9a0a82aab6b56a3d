"""What the console answers to commands that are refused, or are for a part of what there is."""

from __future__ import annotations

from tests.unit.switch.console.consoles import ConsoleTestCase
from tests.unit.switch.core.stations import BROADCAST, frame

SUCCESS = b"1000 Success\n"
EMPTY = b"0000 DATA END WITH '.'\n.\n"
IN_USE = b"1098 Address already in use\n"


class AnswerTests(ConsoleTestCase):
    """The form of answers."""

    def test_data_that_is_none(self) -> None:
        """A command that answers with data does so if there is none, and if it fails."""
        self.assertEqual(self.ask("port/print"), EMPTY + SUCCESS)
        self.ask("port/create 3")
        self.assertEqual(self.ask("port/print 3"), EMPTY + b"1006 No such device or address\n")
        self.assertEqual(self.ask("port/print 32"), EMPTY + b"1022 Invalid argument\n")

    def test_why_not(self) -> None:
        """What is refused is answered with the number of vde_switch for it."""
        self.plug(4)
        for line, answer in (
            ("port/create 4", b"1017 File exists\n"),
            ("port/create 32", b"1022 Invalid argument\n"),
            ("port/remove 4", IN_USE),
            ("port/remove 5", b"1006 No such device or address\n"),
            ("port/setvlan 4 9", b"1006 No such device or address\n"),
            ("port/epclose 4 99", b"1006 No such device or address\n"),
            ("port/setuser 4", b"1022 Invalid argument\n"),
            ("port/setuser 4 nobody has this", b"1022 Invalid argument\n"),
            ("vlan/create 4095", b"1022 Invalid argument\n"),
            ("hash/find 2:0:0:0:0:1", EMPTY + b"1019 No such device\n"),
            ("plugin/add /usr/lib/vde2/plugins/iplog.so", b"1095 Operation not supported\n"),
            ("plugin/add dump", b"1095 Operation not supported\n"),
            ("plugin/add /usr/lib/vde2/plugins/other.so", b"1002 No such file or directory\n"),
            ("iplog/showinfo", b"1038 Function not implemented\n"),
        ):
            self.assertEqual(self.ask(line), answer, line)

    def test_without_prompts(self) -> None:
        """Where nobody is at a terminal, there is no prompt."""
        output = bytearray()
        session = self.console.new_session(output.extend, prompts=False)
        assert session is not None
        session.greet()
        self.assertTrue(output.endswith(b" 2.3.2\n"), output)
        output.clear()
        session.feed(b"port/create 3\n\nport/create 3\n")
        self.assertEqual(output, SUCCESS + b"1017 File exists\n")

    def test_ends_of_lines(self) -> None:
        """A line may end as it does at a terminal."""
        self.scripts["rc"] = b"port/create 7\r\n\r\n"
        self.assertEqual(
            self.ask("load rc\r"),
            b"vde[rc]: port/create 7\r\n1000 Success\nvde[rc]: \r\n1000 Success\n",
        )
        self.assertIn(7, self.bridge.ports)


class PartTests(ConsoleTestCase):
    """Commands that are for a part."""

    def test_some_events(self) -> None:
        """Events can be wanted, and not, when some of them are wanted already."""
        self.assertEqual(self.ask("debug/add port/+"), SUCCESS)
        self.assertEqual(self.ask("debug/add port/+"), b"1017 File exists\n")
        self.assertEqual(self.ask("debug/add port"), SUCCESS)
        self.assertEqual(self.ask("debug/del port/ep"), SUCCESS)
        self.assertEqual(self.ask("debug/del port/ep"), b"1002 No such file or directory\n")
        self.plug(3)
        self.assertEqual(
            self.take(), b'3021 port/+ 03\n3023 port/descr Port 03 FD  1 -> "a test"\n'
        )
        self.assertEqual(self.ask("debug/del port"), SUCCESS)
        self.assertEqual(self.ask("debug/add nosuch"), b"1022 Invalid argument\n")

    def test_one_of_two_endpoints(self) -> None:
        """A port has gone when its last endpoint has."""
        self.plug(3)
        self.plug(3)
        self.ask("debug/add port")
        for number, more in ((1, b""), (2, b"3022 port/- 03\n")):
            told = self.ask(f"port/epclose 3 {number}").removesuffix(SUCCESS)
            self.assertEqual(told, b"3032 port/ep/- Port 03 FD  %d\n" % number + more)

    def test_counters_of_one(self) -> None:
        """Counters begin again for one port, or for all."""
        self.plug(1)
        self.plug(2)
        ports = [self.bridge.ports[number] for number in (1, 2)]
        for port in ports:
            self.bridge.received(port.endpoints[0], frame(BROADCAST, port.number))
        for line, expected in (("port/resetcounter 2", [1, 0]), ("port/resetcounter", [0, 0])):
            self.assertEqual(self.ask(line), SUCCESS)
            self.assertEqual([port.counters.received.frames for port in ports], expected)

    def test_members(self) -> None:
        """Ports are taken out of a VLAN in which they are with tags, and of no other."""
        for line in ("vlan/create 5", "port/create 3", "vlan/addport 5 3", "vlan/delport 5 3"):
            self.assertEqual(self.ask(line), SUCCESS, line)
        self.ask("port/setvlan 3 5")
        self.assertEqual(self.ask("vlan/delport 5 3"), IN_USE)
        self.assertEqual(self.ask("vlan/remove 5"), IN_USE)
        self.assertEqual(self.bridge.ports[3].untagged, 5)
