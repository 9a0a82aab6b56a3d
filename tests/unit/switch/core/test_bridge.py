"""L{distnet.switch.core.bridge}: where frames go."""

from __future__ import annotations

from distnet.switch.core.counters import Reason
from distnet.switch.core.limits import BridgeLimits
from tests.unit.switch.core.stations import BROADCAST, MULTICAST, BridgeTestCase, frame


class ForwardingTests(BridgeTestCase):
    """Without VLANs."""

    def test_known(self) -> None:
        """A frame for a known address goes there, whole, and to nobody else."""
        one, two, three = self.stations(3)
        more, data = one.send(two, b"hello")
        self.assertTrue(more)
        self.assertEqual((one.read(), two.read(), three.read()), ([], [data], []))

    def test_unknown(self) -> None:
        """A frame for an address that is not known goes to all others."""
        one, two, three = (self.station() for _ in range(3))
        _, data = one.send(two)
        self.assertEqual((one.read(), two.read(), three.read()), ([], [data], [data]))

    def test_groups(self) -> None:
        """Broadcast and multicast go to all others."""
        one, two, three = self.stations(3)
        for group in (BROADCAST, MULTICAST):
            _, data = one.send(group)
            self.assertEqual((one.read(), two.read(), three.read()), ([], [data], [data]))

    def test_not_reflected(self) -> None:
        """A frame for an address at its own port goes nowhere; that is counted."""
        one, two = self.stations(2)
        self.bridge.received(one.endpoint, frame(BROADCAST, 9))
        two.read()
        for vlan in (None, 5):
            self.bridge.received(one.endpoint, frame(9, 1, vlan=vlan))
        self.assertEqual((one.read(), two.read(), one.lost(Reason.LOCAL)), ([], [], 2))

    def test_shared_port(self) -> None:
        """All endpoints of a port get its frames, but nothing from each other."""
        one, two = self.stations(2)
        also_one = self.station(1)
        _, data = two.send(one)
        self.assertEqual((one.read(), also_one.read()), ([data], [data]))
        also_one.send(BROADCAST)
        self.assertEqual((one.read(), len(two.read())), ([], 1))

    def test_nobody(self) -> None:
        """A frame that has nowhere to go is counted, in a shared port too."""
        one, _ = self.station(), self.station(1)
        one.send(BROADCAST)
        one.send(BROADCAST, vlan=4)
        self.assertEqual(one.lost(Reason.NOBODY), 2)
        self.assertEqual(one.port.counters.lost(Reason.NOBODY).bytes, 14 + 18)

    def test_refused(self) -> None:
        """Frames that are too short or too long are counted, and nothing is learned from them."""
        self.start(max_frame=100)
        one, two = self.station(), self.station()
        for data in (b"", frame(2, 1)[:13], frame(2, 1, vlan=3)[:17]):
            self.bridge.received(one.endpoint, data)
        self.bridge.received(one.endpoint, frame(2, 1, bytes(87)))
        self.assertEqual((one.lost(Reason.RUNT), one.lost(Reason.OVERSIZE)), (3, 1))
        self.assertEqual((two.read(), len(self.bridge.fdb)), ([], 0))
        shortest, longest = frame(2, 1), frame(2, 1, bytes(86))
        self.bridge.received(one.endpoint, shortest)
        self.bridge.received(one.endpoint, longest)
        self.assertEqual(two.read(), [shortest, longest])

    def test_large(self) -> None:
        """Frames above 1518 bytes pass whole, up to the largest that QEMU has."""
        one, two = self.stations(2)
        for size in (1519, 1536, 9018, 65550, 68 * 1024):
            _, data = one.send(two, bytes(size - 14))
            self.assertEqual(two.read(), [data])

    def test_hub(self) -> None:
        """A hub sends everything to all others and learns nothing."""
        one, two, three = self.stations(3)
        self.bridge.set_hub(True)
        self.assertTrue(self.bridge.hub)
        for vlan in (None, 5):
            one.send(two, vlan=vlan)
            self.assertEqual([len(each.read()) for each in (one, two, three)], [0, 1, 1])
        self.assertEqual(len(self.bridge.fdb), 0)
        self.bridge.set_hub(False)
        self.announce(one, two, three)
        one.send(two)
        self.assertEqual([len(each.read()) for each in (one, two, three)], [0, 1, 0])


class LimitTests(BridgeTestCase):
    """What limits must be to be usable."""

    def test_defaults(self) -> None:
        """The defaults are usable."""
        self.assertIsNone(BridgeLimits().problem())

    def test_unusable(self) -> None:
        """What is unusable is named."""
        for name, value in (
            ("max_frame", 13),
            ("queue_frames", 0),
            ("queue_bytes", 68 * 1024 - 1),
            ("held_frames", 0),
            ("held_bytes", 0),
            ("pause_seconds", -1),
            ("pause_seconds", float("inf")),
            ("pause_seconds", float("nan")),
            ("max_addresses", 0),
        ):
            problem = BridgeLimits(**{name: value}).problem()  # type: ignore[arg-type]
            self.assertIn("--" + name.replace("_", "-"), problem or "")
