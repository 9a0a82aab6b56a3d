"""Which node each guest is, what is said of guests, and where the master is for them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.address import TlsAddress
from distnet.gateway.backoff import Backoff
from distnet.gateway.guests import MOST_TOLD, Notes, parse_maps
from distnet.gateway.libslirp import IN, OUT, only_asked
from distnet.gateway.masters import NoListener, near
from distnet.guestnet import PLAN
from distnet.once import MOST_REASONS
from tests.gateways import packed

MAC = b"\x02\x00\x00\x00\x00\x01"
OTHER = b"\x02\x00\x00\x00\x00\x02"


class MapTests(SynchronousTestCase):
    """Maps of addresses to nodes."""

    def test_as_given(self) -> None:
        """IP=N is the node of an address."""
        for address in ("10.0.2.15", "10.0.2.255", "10.0.3.7"):
            self.assertEqual(parse_maps([f"{address}=3"], False, PLAN), {packed(address): 3})

    def test_zcore(self) -> None:
        """IP=n is node n at 10.0.2.(15+n), but not the master's own address, 10.0.2.16."""
        nodes = parse_maps([], True, PLAN)
        self.assertEqual(nodes[packed("10.0.2.15")], 0)
        self.assertEqual(nodes[packed("10.0.2.30")], 15)
        self.assertNotIn(packed("10.0.2.16"), nodes)
        self.assertEqual(len(nodes), 15)

    def test_what_is_given_comes_first(self) -> None:
        """What is given stands before the scheme, as to addresses and as to nodes."""
        nodes = parse_maps(["10.0.2.17=0", "10.0.2.99=5"], True, PLAN)
        self.assertEqual(nodes[packed("10.0.2.17")], 0)
        self.assertNotIn(packed("10.0.2.15"), nodes)
        self.assertNotIn(packed("10.0.2.20"), nodes)

    def test_refused(self) -> None:
        """What is no map is refused in one line."""
        for maps in (
            ["10.0.2.15"], ["10.0.2.15="], ["=3"], ["10.0.2.15=-1"], ["10.0.2.15=4294967296"],
            ["10.0.4.15=1"], ["10.0.2.2=1"], ["10.0.2.0=1"], ["10.0.3.255=1"],
            ["10.0.2.15=1", "10.0.2.15=2"], ["10.0.2.15=1", "10.0.2.17=1"],
        ):  # fmt: skip
            self.assertNotIn(
                "\n", str(self.assertRaises(ValueError, parse_maps, maps, False, PLAN))
            )


class NoteTests(SynchronousTestCase):
    """What is said once."""

    def test_a_machine_with_our_address(self) -> None:
        """It is said once of each machine, with the remedy."""
        notes = Notes(PLAN)
        said = notes.owner_of_ours(MAC, packed("10.0.2.16"))
        self.assertIn("02:00:00:00:00:01 has the address 10.0.2.16", str(said))
        self.assertIn("another IP= than 1", str(said))
        self.assertIsNone(notes.owner_of_ours(MAC, packed("10.0.2.16")))
        self.assertIsNotNone(notes.owner_of_ours(OTHER, packed("10.0.2.2")))

    def test_two_guests_with_one_address(self) -> None:
        """Two machines with one address are told of once, when both are there."""
        notes, address, nothing = Notes(PLAN), packed("10.0.2.15"), (None, None)
        self.assertEqual([notes.seen(MAC, address), notes.seen(MAC, address)], [nothing] * 2)
        self.assertEqual(notes.seen(OTHER, address), (None, MAC))
        self.assertEqual(notes.seen(OTHER, address), nothing)
        line, _ = notes.seen(MAC, address)
        self.assertIn("each guest needs an address of its own", str(line))
        self.assertEqual([notes.seen(OTHER, address), notes.seen(MAC, address)], [nothing] * 2)

    def test_a_guest_with_another_mac(self) -> None:
        """One that was started again with another MAC address is not told of."""
        notes, address = Notes(PLAN), packed("10.0.2.15")
        said = [notes.seen(bytes([2, 0, 0, 0, 0, each]), address)[0] for each in range(9)]
        self.assertEqual(said, [None] * 9)

    def test_the_limit(self) -> None:
        """No more is remembered than there is room for."""
        notes = Notes(PLAN, seconds=lambda: 0)
        said = [notes.no_lease(number.to_bytes(6)) for number in range(MOST_REASONS * 2)]
        self.assertEqual(len([line for line in said if line is not None]), MOST_REASONS)
        for number in range(MOST_TOLD + 5):
            notes.seen(MAC, number.to_bytes(4))
        self.assertEqual(len(notes._macs), MOST_TOLD)

    def test_made_up_machines(self) -> None:
        """Any number of machines with one of our addresses is told of in one line."""
        notes = Notes(PLAN, seconds=lambda: 0)
        address = packed("10.0.2.16")
        said = [notes.owner_of_ours(bytes([2, 0, 0, 0, 0, each]), address) for each in range(9)]
        self.assertEqual(said[1:], [None] * 8)


class NearTests(SynchronousTestCase):
    """Which addresses of the master the gateway can use."""

    def test_tls(self) -> None:
        """The gateway says that it does not speak TLS."""
        self.assertRaises(NoListener, near, TlsAddress("h", 1))


class SmallTests(SynchronousTestCase):
    """Small rules."""

    def test_backoff(self) -> None:
        """Waits double up to the limit, and begin again after success."""
        backoff = Backoff(0.5, 2.0)
        self.assertEqual([backoff.next() for _ in range(4)], [0.5, 1.0, 2.0, 2.0])
        backoff.reset()
        self.assertEqual(backoff.next(), 0.5)

    def test_only_what_was_asked_for(self) -> None:
        """A hang-up is not told of what is only to be written, and is of what is to be read."""
        hup = 16
        self.assertEqual(only_asked(OUT | hup, OUT), OUT)
        self.assertEqual(only_asked(hup, OUT), 0)
        self.assertEqual(only_asked(IN | hup, IN | OUT), IN | hup)
