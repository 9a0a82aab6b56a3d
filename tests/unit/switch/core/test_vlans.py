"""L{distnet.switch.core.vlans}, and that a bridge keeps VLANs apart."""

from __future__ import annotations

from distnet.switch.core.counters import Reason
from distnet.switch.core.errors import AlreadyExists, InUse, InvalidValue, NoSuchThing
from distnet.switch.core.frame import insert_tag, strip_tag
from distnet.switch.core.records import NO_VLAN
from tests.unit.switch.core.stations import BROADCAST, BridgeTestCase, Station, frame


class VlanTestCase(BridgeTestCase):
    """Shorthand."""

    def access(self, vlan: int, *stations: Station) -> None:
        """The untagged frames of these are of this VLAN."""
        if vlan not in self.bridge.vlans:
            self.bridge.vlans.create(vlan)
        for each in stations:
            self.bridge.vlans.set_untagged(each.port, vlan)

    def trunk(self, vlan: int, *stations: Station) -> None:
        """These are tagged members of this VLAN."""
        if vlan not in self.bridge.vlans:
            self.bridge.vlans.create(vlan)
        for each in stations:
            self.bridge.vlans.add_tagged(vlan, each.port)


class TableTests(VlanTestCase):
    """VLANs come and go."""

    def test_create(self) -> None:
        """VLANs are from 0, which is always there, to 4094."""
        vlans = self.bridge.vlans
        vlans.create(4094)
        vlans.create(5)
        self.assertEqual([vlan.number for vlan in vlans], [0, 5, 4094])
        self.assertEqual(len(vlans), 3)
        for number in (-1, 4095, 4096):
            self.assertRaises(InvalidValue, vlans.create, number)
        for number in (0, 5):
            self.assertRaises(AlreadyExists, vlans.create, number)

    def test_remove(self) -> None:
        """A VLAN can be removed when no port is in it; 0 cannot."""
        vlans = self.bridge.vlans
        one, two = self.stations(2)
        self.access(5, one)
        self.trunk(6, two)
        for number in (0, 5, 6):
            self.assertRaises(InUse, vlans.remove, number)
        vlans.set_untagged(one.port, 0)
        vlans.remove_tagged(6, two.port)
        for number in (5, 6):
            vlans.remove(number)
            self.assertRaises(NoSuchThing, vlans.remove, number)
        self.bridge.detach(one.endpoint)
        self.bridge.detach(two.endpoint)
        self.bridge.ports.remove(1)
        self.bridge.ports.remove(2)
        self.assertRaises(InUse, vlans.remove, 0)

    def test_members(self) -> None:
        """A port has one untagged VLAN, and of that it is no tagged member."""
        vlans = self.bridge.vlans
        one = self.station()
        self.trunk(5, one)
        self.trunk(0, one)
        self.assertEqual((one.port.untagged, one.port.tagged), (0, {5}))
        vlans.set_untagged(one.port, 5)
        self.assertEqual((one.port.untagged, one.port.tagged), (5, set()))
        self.assertEqual((vlans[0].untagged, vlans[5].tagged), ({}, {}))
        self.assertEqual(vlans[5].untagged, {1: one.port})
        vlans.set_untagged(one.port, NO_VLAN)
        self.assertEqual((one.port.untagged, vlans[5].untagged), (NO_VLAN, {}))

    def test_refused(self) -> None:
        """There must be such a VLAN."""
        vlans = self.bridge.vlans
        port = self.station().port
        self.assertRaises(NoSuchThing, vlans.set_untagged, port, 5)
        self.assertRaises(NoSuchThing, vlans.add_tagged, 5, port)
        self.assertRaises(NoSuchThing, vlans.remove_tagged, 5, port)
        self.assertRaises(InvalidValue, vlans.set_untagged, port, 4096)
        self.assertRaises(InvalidValue, vlans.set_untagged, port, -1)
        vlans.create(5)
        vlans.remove_tagged(5, port)


class MemberTests(VlanTestCase):
    """Frames of VLANs that ports are in."""

    def test_apart(self) -> None:
        """Untagged frames go to the ports of their VLAN alone, whatever their destination."""
        one, two, three, four = self.stations(4)
        self.access(5, three, four)
        self.announce(one, two, three, four)
        for source, destination, reached in ((one, three, two), (three, one, four)):
            for to in (destination, BROADCAST):
                _, data = source.send(to)
                for each in (one, two, three, four):
                    self.assertEqual(each.read(), [data] if each is reached else [])

    def test_tags_change(self) -> None:
        """Frames have a tag at tagged ports and none at the others."""
        one, two, three = self.stations(3)
        self.access(5, one)
        self.trunk(5, two, three)
        _, plain = one.send(BROADCAST)
        tagged = insert_tag(plain, 5)
        self.assertEqual((two.read(), three.read()), ([tagged], [tagged]))
        _, tagged = two.send(one, b"x", vlan=5)
        self.assertEqual((one.read(), three.read()), ([strip_tag(tagged)], []))
        _, plain = one.send(two, b"y")
        self.assertEqual((two.read(), three.read()), ([insert_tag(plain, 5)], []))
        _, tagged = three.send(two, b"z", vlan=5)
        self.assertEqual((one.read(), two.read()), ([], [tagged]))

    def test_own_tag(self) -> None:
        """A frame tagged for its port's untagged VLAN is of that."""
        one, two, three = self.stations(3)
        self.access(5, one, two)
        _, data = one.send(BROADCAST, vlan=5)
        self.assertEqual((two.read(), three.read()), ([strip_tag(data)], []))

    def test_priority_kept(self) -> None:
        """A tag that goes on keeps its priority."""
        one, two = self.stations(2)
        self.trunk(5, one, two)
        data = bytearray(frame(BROADCAST, 1, vlan=5))
        data[14] |= 0xE0
        self.bridge.received(one.endpoint, bytes(data))
        self.assertEqual(two.read(), [bytes(data)])

    def test_no_untagged(self) -> None:
        """A port without an untagged VLAN takes no untagged frames, and gets none."""
        one, two, three = self.stations(3)
        self.bridge.vlans.set_untagged(one.port, NO_VLAN)
        self.trunk(5, one, two)
        one.send(BROADCAST)
        one.send(BROADCAST, vlan=7)
        one.send(BROADCAST, vlan=4095)
        self.assertEqual((two.read(), three.read(), one.lost(Reason.NO_VLAN)), ([], [], 3))
        three.send(BROADCAST)
        self.assertEqual((one.read(), len(two.read())), ([], 1))
        two.send(one, vlan=5)
        self.assertEqual(len(one.read()), 1)

    def test_addresses_by_vlan(self) -> None:
        """The same address can be at different ports in different VLANs."""
        one, two, three = self.stations(3)
        self.access(5, two)
        self.trunk(5, three)
        self.bridge.received(one.endpoint, frame(BROADCAST, 9))
        self.bridge.received(two.endpoint, frame(BROADCAST, 9))
        three.read()
        three.send(frame(9, 3)[:6])
        three.send(frame(9, 3)[:6], vlan=5)
        self.assertEqual((len(one.read()), len(two.read())), (1, 1))

    def test_moved_port(self) -> None:
        """What was known of a port in a VLAN is forgotten when it leaves that."""
        one, two, three = self.stations(3)
        self.access(5, one)
        self.assertIsNone(self.bridge.fdb.find(frame(1, 2)[:6], 0))
        two.send(one)
        self.assertEqual((one.read(), len(three.read())), ([], 1))
        self.trunk(6, two)
        two.send(BROADCAST, vlan=6)
        self.bridge.vlans.remove_tagged(6, two.port)
        self.assertEqual([known.vlan for known in self.bridge.fdb], [0, 0])

    def test_left_flood(self) -> None:
        """A port that is no tagged member any more gets nothing of that VLAN."""
        one, two = self.stations(2)
        self.trunk(5, one, two)
        one.send(BROADCAST, vlan=5)
        self.assertEqual(len(two.read()), 1)
        self.bridge.vlans.remove_tagged(5, two.port)
        one.send(BROADCAST, vlan=5)
        self.assertEqual((two.read(), one.lost(Reason.NOBODY)), ([], 1))


class PassingTests(VlanTestCase):
    """Frames tagged for VLANs that their port is not in."""

    def test_pass(self) -> None:
        """By default tags pass, known destination or not, as they are."""
        one, two, three = self.stations(3)
        for vlan in (5, 0, 4095):
            _, data = one.send(two, b"x", vlan=vlan)
            self.assertEqual((two.read(), three.read()), ([data], []))
            _, data = one.send(BROADCAST, vlan=vlan)
            self.assertEqual((two.read(), three.read()), ([data], [data]))

    def test_in_their_vlan(self) -> None:
        """They stay in the untagged VLAN of their port."""
        one, two, three = self.stations(3)
        self.access(9, one, two)
        _, data = one.send(BROADCAST, vlan=5)
        self.assertEqual((two.read(), three.read()), ([data], []))

    def test_not_into_a_vlan(self) -> None:
        """They do not go where they would be taken for a VLAN that their port is not in."""
        one, two, three = self.stations(3)
        self.trunk(5, two)
        _, data = one.send(BROADCAST, vlan=5)
        self.assertEqual((two.read(), three.read()), ([], [data]))
        one.send(two, vlan=5)
        self.assertEqual((two.read(), three.read()), ([], []))
        self.assertEqual(two.lost(Reason.HIDDEN_TAG), 2)
        self.assertEqual(one.lost(Reason.HIDDEN_TAG), 0)

    def test_hidden_tag(self) -> None:
        """A second tag behind the first does not take a frame into another VLAN."""
        one, two, three = self.stations(3)
        self.trunk(5, one)
        self.access(5, two, three)
        self.trunk(6, two)
        data = insert_tag(frame(BROADCAST, 1, vlan=6), 5)
        self.bridge.received(one.endpoint, data)
        self.assertEqual((two.read(), three.read()), ([], [strip_tag(data)]))
        self.assertEqual(two.lost(Reason.HIDDEN_TAG), 1)

    def test_through_a_trunk(self) -> None:
        """Where their untagged VLAN is tagged they have both tags."""
        one, two = self.stations(2)
        self.access(9, one)
        self.trunk(9, two)
        _, data = one.send(BROADCAST, vlan=5)
        self.assertEqual(two.read(), [insert_tag(data, 9)])
        self.bridge.received(two.endpoint, insert_tag(frame(1, 2, b"back", vlan=5), 9))
        self.assertEqual(one.read(), [frame(1, 2, b"back", vlan=5)])

    def test_strict(self) -> None:
        """By the option they are refused and counted, and VLAN 0 is one like the others."""
        self.start(strict=True)
        one, two = self.stations(2)
        one.send(two, vlan=5)
        self.assertEqual((two.read(), one.lost(Reason.NOT_MEMBER)), ([], 1))
        _, data = one.send(two, vlan=0)
        self.assertEqual(two.read(), [strip_tag(data)])
        self.access(5, one)
        one.send(two, vlan=0)
        self.assertEqual(one.lost(Reason.NOT_MEMBER), 2)
        self.bridge.vlans.set_untagged(one.port, NO_VLAN)
        one.send(two, vlan=4095)
        self.assertEqual(one.lost(Reason.NOT_MEMBER), 3)
