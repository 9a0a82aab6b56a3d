"""L{distnet.switch.core.ports}, and who may plug in where."""

from __future__ import annotations

import errno

from distnet.switch.core.counters import Reason, Traffic
from distnet.switch.core.errors import (
    AlreadyExists,
    InUse,
    InvalidValue,
    NoFreePort,
    NoSuchThing,
    NotPermitted,
)
from tests.unit.switch.core.stations import BROADCAST, BridgeTestCase


class PortTests(BridgeTestCase):
    """Ports come and go."""

    def test_first_free(self) -> None:
        """Without a wish the first free port from 1 is given."""
        one, two, three = (self.station() for _ in range(3))
        self.assertEqual([each.number for each in (one, two, three)], [1, 2, 3])
        self.bridge.detach(two.endpoint)
        self.assertEqual(self.station().number, 2)
        self.assertEqual(self.station(0).number, 0)

    def test_wished(self) -> None:
        """A port can be asked for; several endpoints of one user share it."""
        first, second = self.station(7, user=5), self.station(7, user=5)
        self.assertIs(first.port, second.port)
        self.assertNotEqual(first.endpoint.number, second.endpoint.number)
        self.assertRaises(InUse, self.station, 7, user=6)
        self.bridge.detach(first.endpoint)
        self.bridge.detach(second.endpoint)
        self.assertIsNone(first.port.user)
        self.assertEqual(self.station(7, user=6).port.user, 6)

    def test_out_of_range(self) -> None:
        """Ports are from 0 to one below their number."""
        self.station(31)
        for number in (-1, 32, 256):
            self.assertRaises(InvalidValue, self.station, number)
            self.assertRaises(InvalidValue, self.bridge.ports.create, number)

    def test_none_free(self) -> None:
        """When all ports are in use there is an error."""
        self.start(numports=3)
        self.stations(2)
        self.assertRaises(NoFreePort, self.station)
        self.assertRaises(NoFreePort, self.bridge.ports.create_first)

    def test_created(self) -> None:
        """A created port is inactive, and only for those who ask for it."""
        port = self.bridge.ports.create(1)
        self.assertEqual((port.active, port.allocatable, port.untagged), (False, False, 0))
        self.assertRaises(AlreadyExists, self.bridge.ports.create, 1)
        self.assertEqual(self.station().number, 2)
        self.assertEqual(self.station(1).number, 1)
        self.assertEqual(self.bridge.ports.create_first().number, 3)
        self.assertEqual([each.number for each in self.bridge.ports], [1, 2, 3])
        self.assertEqual([event[1] for event in self.said("port_created")], [1, 2, 3])

    def test_stays(self) -> None:
        """A port that nothing is plugged in stays, is inactive, and given again."""
        one = self.station()
        self.bridge.detach(one.endpoint)
        self.assertFalse(one.port.active)
        self.assertTrue(one.port.allocatable)
        self.assertIs(self.station().port, one.port)

    def test_removed(self) -> None:
        """A port can be removed when nothing is plugged in; what it counted stays in the totals."""
        one, _ = self.stations(2)
        self.assertRaises(InUse, self.bridge.ports.remove, 1)
        self.bridge.vlans.create(3)
        self.bridge.vlans.add_tagged(3, one.port)
        before = self.bridge.ports.totals().received
        self.bridge.detach(one.endpoint)
        self.bridge.ports.remove(1)
        self.assertEqual(self.bridge.ports.totals().received, before)
        self.assertRaises(NoSuchThing, self.bridge.ports.remove, 1)
        self.assertNotIn(1, self.bridge.ports)
        self.assertEqual(len(self.bridge.ports), 1)
        self.bridge.vlans.remove(3)
        self.assertEqual(self.said("port_removed"), [("port_removed", 1)])

    def test_numports(self) -> None:
        """The number of ports can change, but not cut off one that is there."""
        self.bridge.ports.create(3)
        for numports in (2, 3):
            self.assertRaises(InUse, self.bridge.ports.set_numports, numports)
        self.bridge.ports.set_numports(4)
        self.assertRaises(InvalidValue, self.bridge.ports.create, 4)
        self.bridge.ports.set_numports(100_000)
        self.bridge.ports.create(99_999)
        for numports in (0, -1, 1 << 30):
            self.assertRaises(InvalidValue, self.bridge.ports.set_numports, numports)
        self.assertEqual(self.bridge.ports.numports, 100_000)

    def test_access(self) -> None:
        """A port for a user or a group takes that user, that group, and root."""
        port = self.bridge.ports.create(1)
        port.allowed_user = 5
        port.allowed_group = 50
        for user, groups in ((6, ()), (6, (51,)), (None, (50,))):
            self.assertRaises(NotPermitted, self.station, 1, user=user, groups=groups)
        for user, groups in ((5, ()), (0, ()), (6, (50,))):
            self.bridge.detach(self.station(1, user=user, groups=groups).endpoint)
        port.allocatable = True
        self.assertEqual(self.station(user=6).number, 2)
        self.assertEqual(self.station(user=5).number, 1)

    def test_errors(self) -> None:
        """Each refusal has the number that vde_switch answers."""
        refusals = (InvalidValue, NoSuchThing, AlreadyExists, InUse, NotPermitted)
        self.assertEqual(
            [refusal.number for refusal in refusals],
            [errno.EINVAL, errno.ENXIO, errno.EEXIST, errno.EADDRINUSE, errno.EPERM],
        )

    def test_thousand(self) -> None:
        """A thousand ports do, and broadcast reaches all of them."""
        self.start(numports=1002)
        stations = [self.station() for _ in range(1001)]
        stations[0].send(BROADCAST)
        self.assertEqual(sum(len(each.read()) for each in stations), 1000)


class EndpointTests(BridgeTestCase):
    """What is plugged in."""

    def test_said(self) -> None:
        """Coming, going, and what they say of themselves is told."""
        one = self.station(user=5, description="first")
        self.assertEqual(one.endpoint.description, "first")
        self.bridge.describe(one.endpoint, "second")
        self.bridge.detach(one.endpoint)
        self.bridge.detach(one.endpoint)
        number = one.endpoint.number
        self.assertEqual(
            self.observer.events,
            [
                ("vlan_changed", None, 0),
                ("port_created", 1),
                ("vlan_changed", None, 0),
                ("endpoint_attached", 1, number),
                ("endpoint_described", 1, "second"),
                ("vlan_changed", None, 0),
                ("endpoint_detached", 1, number),
            ],
        )

    def test_numbers(self) -> None:
        """An endpoint can be given a number, which is its own at its port."""
        one = self.station(1, endpoint_number=9)
        self.assertEqual(one.endpoint.number, 9)
        self.assertRaises(AlreadyExists, self.station, 1, endpoint_number=9)
        self.assertEqual(self.station(2, endpoint_number=9).endpoint.number, 9)
        self.assertIs(self.bridge.ports.endpoint(1, 9), one.endpoint)
        self.assertRaises(NoSuchThing, self.bridge.ports.endpoint, 1, 8)
        self.assertRaises(NoSuchThing, self.bridge.ports.endpoint, 3, 9)

    def test_own_numbers(self) -> None:
        """A number that is made up is none that was given."""
        self.station(1, endpoint_number=1)
        self.assertEqual(self.station(1).endpoint.number, 2)

    def test_closed(self) -> None:
        """An endpoint can be closed by its number."""
        one = self.station()
        self.bridge.close_endpoint(1, one.endpoint.number)
        self.assertTrue(one.link.closed)
        self.assertTrue(one.endpoint.gone)
        self.assertRaises(NoSuchThing, self.bridge.close_endpoint, 1, one.endpoint.number)

    def test_after_the_end(self) -> None:
        """What an endpoint sends, or asks for, after it was detached has no effect."""
        one, two = self.stations(2)
        self.bridge.detach(one.endpoint)
        before = one.port.counters.received.frames
        self.assertEqual(one.send(two)[0], False)
        self.bridge.writable(one.endpoint)
        self.assertEqual((two.read(), one.port.counters.received.frames), ([], before))

    def test_counters(self) -> None:
        """Frames and bytes are counted in both directions, and can be reset."""
        one, two = self.stations(2)
        one.port.counters.reset()
        two.port.counters.reset()
        one.send(two, bytes(46))
        self.assertEqual(one.port.counters.received, Traffic(1, 60))
        self.assertEqual(one.port.counters.sent, Traffic())
        self.assertEqual(two.port.counters.sent, Traffic(1, 60))
        self.assertEqual(self.bridge.ports.totals().sent, Traffic(1, 60))
        one.port.counters.reset()
        self.assertEqual(one.port.counters.received, Traffic())

    def test_send_failed(self) -> None:
        """What the operating system refused is counted so, and not as sent."""
        one, two = self.stations(2)
        before = two.port.counters.sent.frames
        _, data = one.send(two)
        self.bridge.send_failed(two.endpoint, data)
        self.assertEqual(two.port.counters.sent.frames, before)
        self.assertEqual(two.lost(Reason.SEND_FAILED), 1)
