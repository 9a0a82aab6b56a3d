"""Connections from this machine's ports, as guests see them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.aliases import MOST_ALIASES, Aliases
from distnet.gateway.packets import checksum
from distnet.gateway.segments import ACK, SYN, bare_segment
from distnet.guestnet import PLAN
from tests.gateways import packed

ETHERNET = bytes(range(12))
GUEST = packed("10.0.2.17")
HOST = packed("10.0.2.2")
CLIENT, ANOTHER = packed("192.0.2.1"), packed("198.51.100.77")


def out(source: bytes, port: int, flags: int = SYN, to: int = 22) -> bytes:
    """A segment of libslirp's to the guest."""
    return bare_segment(ETHERNET, source + GUEST, (port, to), (1000, 7), flags)


def back(target: bytes, port: int, flags: int = ACK) -> bytes:
    """A segment of the guest's."""
    return bare_segment(ETHERNET, GUEST + target, (22, port), (7, 1000), flags)


class AliasesTests(SynchronousTestCase):
    """All come from 10.0.2.2."""

    def setUp(self) -> None:
        self.aliases = Aliases(PLAN)

    def test_both_ways(self) -> None:
        """The guest sees 10.0.2.2, and libslirp who has connected; sums are right."""
        for port in (1, 40000, 65535):
            for client in (CLIENT, ANOTHER, packed("255.255.255.254")):
                made = self.aliases.outward(out(client, port))
                alias = int.from_bytes(made[34:36])
                self.assertEqual(made, out(HOST, alias))
                data = self.aliases.outward(out(client, port, ACK))
                self.assertEqual(data, out(HOST, alias, ACK))
                answer = self.aliases.inward(back(HOST, alias, SYN | ACK))
                self.assertEqual(answer, back(client, port, SYN | ACK))
                self.assertEqual(checksum(answer[14:34]), bytes(2))

    def test_the_same_port(self) -> None:
        """Two with the same port are told apart, whichever comes by the loopback."""
        for first, second in ((CLIENT, ANOTHER), (HOST, CLIENT), (CLIENT, HOST)):
            self.aliases = Aliases(PLAN)
            self.assertEqual(self.aliases.outward(out(first, 40000)), out(HOST, 40000))
            self.assertEqual(self.aliases.outward(out(second, 40000)), out(HOST, 40001))
            self.assertEqual(self.aliases.inward(back(HOST, 40000)), back(first, 40000))
            self.assertEqual(self.aliases.inward(back(HOST, 40001)), back(second, 40000))

    def test_other_ports_of_the_guest(self) -> None:
        """To another port of the guest's the same port is free."""
        self.aliases.outward(out(CLIENT, 40000))
        self.assertEqual(self.aliases.outward(out(ANOTHER, 40000, to=80)), out(HOST, 40000, to=80))

    def test_what_is_not_changed(self) -> None:
        """What the guest has begun, the master's segments, and what is not TCP."""
        self.aliases.outward(out(CLIENT, 40000))
        unchanged: list[tuple[Callable[[bytes], bytes], bytes]] = [
            (self.aliases.outward, out(ANOTHER, 443, SYN | ACK)),
            (self.aliases.outward, out(ANOTHER, 443, ACK)),
            (self.aliases.outward, out(PLAN.master.packed, 1234)),
            (self.aliases.outward, out(CLIENT, 40000)[:23] + b"\x11" + out(CLIENT, 40000)[24:]),
            (self.aliases.outward, ETHERNET + b"\x08\x06"),
            (self.aliases.inward, back(ANOTHER, 443)),
            (self.aliases.inward, back(HOST, 40001)),
            (self.aliases.inward, back(HOST, 40000)[:23] + b"\x11" + back(HOST, 40000)[24:]),
        ]
        for change, frame in unchanged:
            self.assertEqual(change(frame), frame)

    def test_most(self) -> None:
        """The oldest is forgotten when there are too many."""
        for port in range(1, MOST_ALIASES + 2):
            self.aliases.outward(out(CLIENT, port))
        self.assertEqual(self.aliases.inward(back(HOST, 1)), back(HOST, 1))
        self.assertEqual(self.aliases.inward(back(HOST, 2)), back(CLIENT, 2))
