"""Ports of this machine that lead to guests': as they are given, and to whom they lead."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import StartupError
from distnet.gateway import hostforward
from distnet.gateway.cli import BadForward, check_words
from distnet.gateway.forwarded import (
    ASK_SECONDS,
    MOST_DOUBTED,
    MOST_UNANSWERED,
    QUIET_SECONDS,
    Forwarded,
)
from distnet.gateway.hostforward import (
    MOST_FORWARDS,
    HostForward,
    check_forwards,
    parse_forwards,
)
from distnet.guestnet import PLAN
from distnet.switch.options import Options
from tests.gateways import packed

MAC = b"\x02\x00\x00\x00\x00\x01"
OTHER = b"\x02\x00\x00\x00\x00\x02"
SSH, WEB, DNS = parse_forwards(
    ["2222=10.0.2.17:22", "0.0.0.0:8080=10.0.2.17:80", "53=10.0.2.18:53/udp"], PLAN
)


class ParseTests(SynchronousTestCase):
    """What users write."""

    def test_as_given(self) -> None:
        """TCP and the loopback, unless something else is given."""
        guest = IPv4Address("10.0.2.17")
        self.assertEqual(SSH, HostForward(False, IPv4Address("127.0.0.1"), 2222, guest, 22))
        self.assertEqual(WEB, HostForward(False, IPv4Address("0.0.0.0"), 8080, guest, 80))
        self.assertEqual(
            DNS, HostForward(True, IPv4Address("127.0.0.1"), 53, IPv4Address("10.0.2.18"), 53)
        )

    def test_both_ways(self) -> None:
        """What is written is read again, and what the gateway tells a guest's process too."""
        for forward in (SSH, WEB, DNS):
            self.assertEqual(parse_forwards([str(forward)], PLAN), (forward,))
            self.assertEqual(HostForward.from_list(forward.to_list()), forward)

    def test_refused(self) -> None:
        """What cannot be is refused in one line that names what is wrong."""
        for texts, said in (
            (["2222"], "is not [ADDRESS:]PORT=IP:PORT[/udp]"),
            (["2222=10.0.2.17"], "is not [ADDRESS:]PORT=IP:PORT[/udp]"),
            (["2222=10.0.2.17:22/sctp"], "is not [ADDRESS:]PORT=IP:PORT[/udp]"),
            (["::1:2222=10.0.2.17:22"], "is not [ADDRESS:]PORT=IP:PORT[/udp]"),
            (["=10.0.2.17:22"], "'' is not the number of a port"),
            (["0=10.0.2.17:22"], "'0' is not the number of a port"),
            (["2222=10.0.2.17:0"], "'0' is not the number of a port"),
            (["65536=10.0.2.17:22"], "'65536' is not the number of a port"),
            (["-1=10.0.2.17:22"], "'-1' is not the number of a port"),
            (["\u0661=10.0.2.17:22"], "is not the number of a port"),
            (["2222=10.0.2.17:ssh"], "'ssh' is not the number of a port"),
            (["localhost:2222=10.0.2.17:22"], "'localhost' is not an IPv4 address"),
            ([":2222=10.0.2.17:22"], "'' is not an IPv4 address"),
            (["2222=guest:22"], "'guest' is not the address of a guest"),
            (["2222=192.168.1.1:22"], "192.168.1.1 is not an address of a guest in 10.0.2.0/23"),
            (["2222=10.0.2.0:22"], "10.0.2.0 is not an address of a guest"),
            (["2222=10.0.3.255:22"], "10.0.3.255 is not an address of a guest"),
            (["2222=10.0.2.2:22"], "10.0.2.2 is the gateway's own address"),
            (["2222=10.0.2.16:1234"], "10.0.2.16 is the gateway's own address"),
            (["22=10.0.2.17:22", "22=10.0.2.18:22"], "127.0.0.1:22=10.0.2.17:22 has the same"),
            (["22=10.0.2.17:22", "0.0.0.0:22=10.0.2.18:22"], "has the same port"),
        ):
            error = str(self.assertRaises(ValueError, parse_forwards, texts, PLAN))
            self.assertIn(said, error)
            self.assertNotIn("\n", error)

    def test_the_same_port_otherwise(self) -> None:
        """TCP and UDP have ports of their own, and so has each address."""
        texts = ["53=10.0.2.17:53", "53=10.0.2.17:53/udp", "127.0.0.2:53=10.0.2.17:53"]
        self.assertEqual(len(parse_forwards(texts, PLAN)), 3)

    def test_most(self) -> None:
        """So many may lead to one guest, and no more."""
        texts = [f"{port}=10.0.2.17:22" for port in range(1, MOST_FORWARDS + 2)]
        self.assertEqual(len(parse_forwards(texts[1:], PLAN)), MOST_FORWARDS)
        self.assertRaises(ValueError, parse_forwards, texts, PLAN)

    def test_words(self) -> None:
        """The command has the option, and the switch hands it on as it is."""
        words = ["--forward=2222=10.0.2.17:22", "--forward=53=10.0.2.18:53/udp"]
        self.assertEqual(check_words(words), words)
        self.assertRaises(BadForward, check_words, ["--forward=2222=10.0.2.16:22"])
        options = Options()
        options.parseOptions(["--gateway", "--sock=/x", *words])
        self.assertEqual(options.gateway, [*words, "--sock=/x"])


class CheckTests(SynchronousTestCase):
    """Before the gateway starts."""

    def test_free(self) -> None:
        """A port that is free is free afterwards."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        forwards = parse_forwards([f"{port}=10.0.2.17:22", f"{port}=10.0.2.17:22/udp"], PLAN)
        check_forwards(forwards)
        check_forwards(forwards)

    def test_in_use(self) -> None:
        """One that is in use, and stays so, is named."""
        self.patch(hostforward, "TRY_SECONDS", 0)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            (forward,) = parse_forwards([f"{taken.getsockname()[1]}=10.0.2.17:22"], PLAN)
            error = self.assertRaises(StartupError, check_forwards, [forward])
            self.assertIn(f"--forward {forward}: cannot listen at {forward.address}", str(error))

    def test_not_ours(self) -> None:
        """An address that this machine has not is named too: RFC 5737."""
        (forward,) = parse_forwards(["192.0.2.1:2222=10.0.2.17:22"], PLAN)
        self.assertRaises(StartupError, check_forwards, [forward])


class ForwardedTests(SynchronousTestCase):
    """Whose the addresses are."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[bytes, bytes | None]] = []
        self.given: dict[bytes, list[HostForward]] = {}
        self.forwarded = Forwarded(
            [SSH, WEB, DNS],
            ask=lambda *who: self.asked.append(who),
            changed=self.changed,
            seconds=self.clock.seconds,
        )
        self.address, self.second = packed("10.0.2.17"), packed("10.0.2.18")

    def changed(self, mac: bytes, forwards: list[HostForward]) -> None:
        """Other ports are to lead to a guest."""
        self.given[mac] = forwards
        everybody = [each for forwards in self.given.values() for each in forwards]
        # Nobody listens where another one still does.
        self.assertEqual(len(everybody), len(set(everybody)))

    def look(self, times: int = 1) -> None:
        """So often it is time to look."""
        for _ in range(times):
            self.clock.advance(ASK_SECONDS)
            self.forwarded.look()

    def test_who_is_not_known_is_asked_for(self) -> None:
        """Everybody is asked, until somebody is there."""
        self.assertEqual(self.forwarded.addresses, {self.address, self.second})
        self.look()
        self.assertEqual(self.asked, [(self.address, None), (self.second, None)])
        self.forwarded.seen(MAC, self.address)
        self.assertEqual(self.given, {MAC: [SSH, WEB]})
        self.asked.clear()
        self.look()
        self.assertEqual(self.asked, [(self.second, None)])

    def test_two_addresses_of_one(self) -> None:
        """A guest with two addresses has the ports of both."""
        self.forwarded.seen(MAC, self.address)
        self.forwarded.seen(MAC, self.second)
        self.assertEqual(self.given, {MAC: [SSH, WEB, DNS]})

    def test_the_first_one_stays(self) -> None:
        """Another one with the address has it only when the first one does not answer."""
        self.forwarded.seen(MAC, self.address)
        for _ in range(2 * MOST_DOUBTED):
            self.forwarded.seen(OTHER, self.address)
            self.assertIn((self.address, MAC), self.asked)
            self.look()
            self.forwarded.seen(MAC, self.address)
        self.assertEqual(self.given, {MAC: [SSH, WEB]})

    def test_another_one_in_its_place(self) -> None:
        """One that was started again has another MAC address, and gets the ports."""
        self.forwarded.seen(MAC, self.address)
        self.forwarded.seen(OTHER, self.address)
        self.look(MOST_DOUBTED - 1)
        self.assertEqual(self.given[MAC], [SSH, WEB])
        self.forwarded.seen(OTHER, self.address)
        self.look()
        self.assertEqual(self.given, {MAC: [], OTHER: [SSH, WEB]})

    def test_lost(self) -> None:
        """One that has left is looked for again."""
        self.forwarded.seen(MAC, self.address)
        self.forwarded.lost(OTHER)
        self.assertEqual(self.given, {MAC: [SSH, WEB]})
        self.forwarded.lost(MAC)
        self.assertEqual(self.given, {MAC: []})
        self.forwarded.seen(MAC, self.address)
        self.assertEqual(self.given, {MAC: [SSH, WEB]})

    def test_silent(self) -> None:
        """One that says nothing is asked after a while, and given up much later."""
        self.forwarded.seen(MAC, self.address)
        self.forwarded.seen(MAC, self.second)
        while self.clock.seconds() < QUIET_SECONDS - ASK_SECONDS:
            self.look()
        self.assertEqual(self.asked, [])
        self.look()
        self.assertEqual(self.asked, [(self.address, MAC), (self.second, MAC)])
        self.look()
        # Another one may have it, and say nothing else.
        self.assertEqual(self.asked[2:], [(self.address, None), (self.second, None)])
        self.look(MOST_UNANSWERED - 2)
        self.forwarded.seen(MAC, self.second)
        self.assertEqual(self.given, {MAC: [SSH, WEB, DNS]})
        self.look()
        self.assertEqual(self.given, {MAC: [DNS]})
