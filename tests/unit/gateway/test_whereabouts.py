"""Where guests are, as consoles tell; the words are those of vde_switch 2.3.2."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.whereabouts import Whereabouts

MAC = bytes.fromhex("020000000001")
OTHER = bytes.fromhex("020000000002")
GREETING = b"VDE switch V.2.3.2\n(C) Virtual Square Team - GPLv2\n\nvde$ "
DONE = b"1000 Success\n\nvde$ "


def table(**ports: int) -> bytes:
    """What hash/print answers; the last digit of an address is a name's."""
    lines = [
        f"Hash: 0043 Addr: 02:00:00:00:00:0{name[1]} VLAN 0000 to port: {port:03d}  age 1 secs\n"
        for name, port in ports.items()
    ]
    return b"0000 DATA END WITH '.'\n" + "".join(lines).encode() + b".\n" + DONE


class WhereaboutsTests(SynchronousTestCase):
    """A conversation with a console."""

    def setUp(self) -> None:
        self.asked: list[bytes] = []
        self.gone: list[tuple[bytes, int | None]] = []
        self.where = Whereabouts(self.asked.append, lambda mac, port: self.gone.append((mac, port)))

    def begin(self) -> None:
        """Connect, and get what is asked for at first."""
        self.where.connected()
        self.feed(GREETING, DONE, DONE, table())

    def feed(self, *said: bytes) -> None:
        """The console says something."""
        for each in said:
            self.where.feed(each)

    def test_the_beginning(self) -> None:
        """Events are asked for one command at a time: 2.3.2 takes a read for a command."""
        self.where.connected()
        for byte in GREETING:
            self.feed(bytes([byte]))
        self.assertEqual(self.asked, [b"debug/add port/-\n"])
        self.feed(DONE)
        self.assertEqual(self.asked[1:], [b"debug/add hash/+\n"])
        self.feed(DONE, table())
        self.assertEqual(self.asked[2:], [b"hash/print\n"])

    def test_its_port_leaves(self) -> None:
        """A guest whose port leaves is gone."""
        self.begin()
        self.where.follow(MAC)
        self.feed(table(m1=3))
        self.assertEqual(self.where.port_of(MAC), 3)
        self.feed(b"3022 port/- 03\n3012 hash/- 02:00:00:00:00:01 VLAN 00:00 Port 3\n", table())
        self.assertEqual(self.gone, [(MAC, 3)])

    def test_another_port_leaves(self) -> None:
        """A guest stays when another's port leaves, even if its address has expired."""
        self.begin()
        self.where.follow(MAC)
        self.feed(table(m1=3))
        self.feed(b"3012 hash/- 02:00:00:00:00:01 VLAN 00:00 Port 3\n")
        self.feed(b"3022 port/- 04\n", table())
        self.assertEqual(self.gone, [])

    def test_an_address_that_moved(self) -> None:
        """A guest that is found elsewhere when its old port leaves has moved."""
        self.begin()
        self.where.follow(MAC)
        self.feed(table(m1=3))
        self.feed(b"3022 port/- 03\n", table(m1=5))
        self.assertEqual(self.gone, [])
        self.assertEqual(self.where.port_of(MAC), 5)
        self.feed(b"3022 port/- 05\n", table())
        self.assertEqual(self.gone, [(MAC, 5)])

    def test_a_move_that_is_told(self) -> None:
        """Our switch tells of moves: the old port's end is no matter then."""
        self.begin()
        self.where.follow(MAC)
        self.feed(table(m1=3), b"3011 hash/+ 02:00:00:00:00:01 VLAN 00:00 Port 7\n")
        asked = len(self.asked)
        self.feed(b"3022 port/- 03\n")
        self.assertEqual(len(self.asked), asked)
        self.feed(b"3022 port/- 07\n", table())
        self.assertEqual(self.gone, [(MAC, 7)])

    def test_it_dies_before_it_is_found(self) -> None:
        """A guest whose port left between its connection and the answer is gone."""
        self.begin()
        self.where.follow(MAC)
        self.feed(b"3022 port/- 03\n")
        self.feed(table(), table())
        self.assertEqual(self.gone, [(MAC, None)])

    def test_one_that_was_never_found(self) -> None:
        """Of a guest that the switch does not know, no port that leaves is taken for its own."""
        self.begin()
        self.where.follow(MAC)
        self.feed(table())
        self.feed(b"3022 port/- 03\n", table())
        self.assertEqual(self.gone, [])

    def test_another_console(self) -> None:
        """After the console was away, nothing that was known is believed."""
        self.begin()
        self.where.follow(MAC)
        self.feed(table(m1=3))
        self.where.disconnected()
        self.where.connected()
        self.feed(GREETING, DONE, DONE, b"3022 port/- 03\n", table())
        self.assertEqual(self.gone, [])

    def test_the_same_port_again(self) -> None:
        """A guest that was plugged in again at the same port is another one."""
        self.begin()
        self.where.follow(MAC)
        self.feed(table(m1=3))
        self.feed(b"3022 port/- 03\n", table(m1=3))
        self.assertEqual(self.gone, [(MAC, 3)])

    def test_forgotten(self) -> None:
        """Of a guest that is not connected nothing is told."""
        self.begin()
        self.where.follow(MAC)
        self.where.follow(OTHER)
        self.feed(table(m1=3, m2=3), table(m1=3, m2=3))
        self.where.forget(MAC)
        self.feed(b"3022 port/- 03\n", table())
        self.assertEqual(self.gone, [(OTHER, 3)])

    def test_endless_lines(self) -> None:
        """A line without an end is not kept."""
        self.begin()
        for _ in range(100):
            self.feed(b"x" * 1000)
        self.feed(b"\n")
        self.where.follow(MAC)
        self.feed(table(m1=3))
        self.assertEqual(self.where.port_of(MAC), 3)
