"""L{distnet.switch.core.fdb}, alone and in a bridge."""

from __future__ import annotations

from distnet.switch.core.errors import InvalidValue
from distnet.switch.core.fdb import DEFAULT_EXPIRE_SECONDS, DEFAULT_SWEEP_SECONDS, TURN_SECONDS
from tests.unit.switch.core.stations import BROADCAST, MULTICAST, BridgeTestCase, address, frame


class LearningTests(BridgeTestCase):
    """What is learned, and where it moves."""

    def where(self, number: int, vlan: int = 0) -> int | None:
        """The port behind which the address of a station is."""
        known = self.bridge.fdb.find(address(number), vlan)
        return None if known is None else known.port.number

    def test_learned(self) -> None:
        """The source of a frame is known then, and said once."""
        one, _ = self.station(), self.station()
        one.send(BROADCAST)
        one.send(BROADCAST)
        self.assertEqual(self.where(1), 1)
        self.assertIsNone(self.where(1, vlan=7))
        self.assertEqual(
            self.said("address_learned"), [("address_learned", 1, "02:00:00:00:00:01", 0)]
        )

    def test_never_learned(self) -> None:
        """Groups and the address of zeros are not learned."""
        one, two = self.stations(2)
        before = len(self.bridge.fdb)
        for source in (BROADCAST, MULTICAST, bytes(6)):
            self.bridge.received(one.endpoint, frame(2, source))
        self.assertEqual(len(self.bridge.fdb), before)
        self.assertEqual(len(two.read()), 3)

    def test_moves_after_persistence(self) -> None:
        """An address stays for 3 s where it was seen last, and then it may move."""
        one, two = self.stations(2)
        claim = frame(BROADCAST, 1)
        self.clock.advance(2.75)
        self.bridge.received(two.endpoint, claim)
        self.assertEqual(self.where(1), 1)
        one.send(BROADCAST)
        self.clock.advance(2.75)
        self.bridge.received(two.endpoint, claim)
        self.assertEqual(self.where(1), 1)
        self.clock.advance(0.25)
        self.bridge.received(two.endpoint, claim)
        self.assertEqual(self.where(1), 2)
        self.assertEqual(
            [event[:2] for event in self.said("address_learned", "address_forgotten")[-2:]],
            [("address_forgotten", 1), ("address_learned", 2)],
        )

    def test_seen_again(self) -> None:
        """Each frame makes an address young again, whether it is tagged or not."""
        one, two = self.stations(2)
        for vlan in (None, 5):
            self.clock.advance(2.75)
            one.send(two, vlan=vlan)
            self.clock.advance(2.75)
            self.bridge.received(two.endpoint, frame(BROADCAST, 1))
            self.assertEqual(self.where(1), 1)
            one.send(BROADCAST)

    def test_detached(self) -> None:
        """The addresses behind a port are forgotten when nothing is plugged in any more."""
        one, two = self.stations(2)
        also_one = self.station(1)
        self.bridge.detach(also_one.endpoint)
        self.assertEqual(self.where(1), 1)
        self.bridge.detach(one.endpoint)
        self.assertIsNone(self.where(1))
        self.assertEqual(self.where(2), two.number)
        self.assertEqual([event[1] for event in self.said("address_forgotten")], [1])

    def test_cap(self) -> None:
        """At the cap nothing more is learned, which is counted, and said once."""
        self.start(max_addresses=4)
        one, two = self.stations(2)
        for number in range(3, 9):
            self.bridge.received(one.endpoint, frame(2, number))
        self.assertEqual(len(self.bridge.fdb), 4)
        self.assertEqual(self.bridge.fdb.refused, 4)
        self.assertEqual(len(self.said("addresses_full")), 1)
        two.read()
        self.bridge.received(two.endpoint, frame(8, 2))
        self.assertEqual(len(one.read()), 1)
        self.bridge.detach(two.endpoint)
        self.bridge.received(one.endpoint, frame(2, 10))
        self.bridge.received(one.endpoint, frame(2, 11))
        self.assertEqual(len(self.said("addresses_full")), 2)

    def test_iterated(self) -> None:
        """All addresses can be listed, by VLAN."""
        one, _ = self.stations(2)
        self.bridge.vlans.create(7)
        self.bridge.vlans.add_tagged(7, one.port)
        one.send(BROADCAST, vlan=7)
        self.assertEqual(
            [(known.vlan, known.port.number) for known in self.bridge.fdb], [(0, 1), (0, 2), (7, 1)]
        )
        self.assertEqual(len(self.bridge.fdb), 3)
        self.bridge.fdb.clear()
        self.assertEqual((list(self.bridge.fdb), len(self.bridge.fdb)), ([], 0))


class ContestTests(BridgeTestCase):
    """Two guests with one address, and one that moves."""

    def claims(self, *ports: int, seconds: float = 0.5) -> list[tuple[object, ...]]:
        """What is said when the ports send from one address, in turn, with so long between."""
        before = len(self.said("address_contested"))
        for number in ports:
            [endpoint] = self.bridge.ports[number].endpoints
            self.clock.advance(seconds)
            self.bridge.received(endpoint, frame(BROADCAST, 9))
        return self.said("address_contested")[before:]

    def test_in_turns(self) -> None:
        """Who sends in turns with another has its address too: said at each turn, and counted."""
        self.stations(2)
        self.assertEqual(self.claims(1, 2, 1, 2, 1, 2), [])
        self.assertEqual(self.claims(1, 2, 2, 2, 1, 2), 2 * [("address_contested", 2, 1)])
        self.assertEqual(self.bridge.fdb.contested, 2)

    def test_in_turns_slowly(self) -> None:
        """So it is when each is silent for so long that the address moves every time."""
        self.stations(2)
        self.assertEqual(self.claims(1, 2, 1, 2, seconds=9), [])
        self.assertEqual(
            self.claims(1, 2, seconds=9),
            [("address_contested", 1, 2), ("address_contested", 2, 1)],
        )

    def test_three(self) -> None:
        """So it is when they are three."""
        self.stations(3)
        self.assertEqual(self.claims(1, 2, 1, 3, 1, 2), [])
        self.assertEqual(self.claims(1, 3), [("address_contested", 3, 1)])

    def test_tagged(self) -> None:
        """So it is in a VLAN."""
        self.stations(2)
        for _ in range(4):
            for number in (1, 2):
                [endpoint] = self.bridge.ports[number].endpoints
                self.clock.advance(0.5)
                self.bridge.received(endpoint, frame(BROADCAST, 9, vlan=0))
        self.assertEqual(self.said("address_contested"), [("address_contested", 2, 1)])

    def test_moved(self) -> None:
        """Who has moved, and is heard where it was a last time, is one; and when it moves back."""
        self.stations(2)
        self.assertEqual(self.claims(1, 1, 2, 1, *([2] * 20)), [])
        self.assertEqual(self.claims(*([1] * 20)), [])
        for _ in range(9):
            self.clock.advance(TURN_SECONDS)
            self.assertEqual(self.claims(1, *([2] * 20), 1, *([1] * 20)), [])
        self.assertEqual(self.bridge.fdb.contested, 0)


class AgeTests(BridgeTestCase):
    """How long addresses are known."""

    def test_expire(self) -> None:
        """An address not seen for 100 s is forgotten by the next sweep; others are not."""
        one, _ = self.stations(2)
        self.clock.pump([DEFAULT_SWEEP_SECONDS] * 30)
        one.send(BROADCAST)
        self.clock.pump([DEFAULT_SWEEP_SECONDS] * 19)
        self.assertEqual(len(self.bridge.fdb), 2)
        self.clock.advance(DEFAULT_SWEEP_SECONDS)
        self.assertEqual([known.port.number for known in self.bridge.fdb], [1])

    def test_idle(self) -> None:
        """Without addresses there is no timer, so an idle switch sleeps."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.stations(2)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.pump([DEFAULT_SWEEP_SECONDS] * (DEFAULT_EXPIRE_SECONDS // 2 + 1))
        self.assertEqual((len(self.bridge.fdb), self.clock.getDelayedCalls()), (0, []))

    def test_stopped(self) -> None:
        """A bridge that was stopped has no timer."""
        self.stations(2)
        self.bridge.stop()
        self.bridge.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_tunables(self) -> None:
        """The times can be changed at any time; those that are none are refused."""
        self.stations(2)
        self.bridge.set_sweep(0.5)
        self.bridge.fdb.set_expire(1)
        self.clock.pump([0.5, 0.5])
        self.assertEqual(len(self.bridge.fdb), 0)
        self.bridge.fdb.set_min_persistence(0)
        for change in (
            self.bridge.set_sweep,
            self.bridge.fdb.set_expire,
            self.bridge.fdb.set_min_persistence,
        ):
            self.assertRaises(InvalidValue, change, -1)

    def test_no_sweep(self) -> None:
        """With an interval of 0 nothing is forgotten for its age."""
        self.stations(2)
        self.bridge.set_sweep(0)
        self.clock.advance(1000)
        self.assertEqual((len(self.bridge.fdb), self.clock.getDelayedCalls()), (2, []))

    def test_size(self) -> None:
        """A size is rounded up to a power of 2, as vde_switch does."""
        fdb = self.bridge.fdb
        self.assertEqual([fdb.set_size(size) for size in (1, 2, 3, 100, 128)], [1, 2, 4, 128, 128])
        self.assertEqual(fdb.size, 128)
        self.assertRaises(InvalidValue, fdb.set_size, 0)
