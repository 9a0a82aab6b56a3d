"""MAC addresses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.mac import format_mac, is_group, parse_mac
from tests.unit.switch.core.stations import BROADCAST, MULTICAST, address, frame


class MacTests(SynchronousTestCase):
    """What people write, and whose it is."""

    @given(st.binary(min_size=6, max_size=6))
    def test_there_and_back(self, mac: bytes) -> None:
        """An address that is printed can be read."""
        self.assertEqual(parse_mac(format_mac(mac)), mac)

    def test_parse(self) -> None:
        """Short numbers are read too; what is no address is not."""
        self.assertEqual(parse_mac("2:0:0:0:A:ff"), bytes([2, 0, 0, 0, 10, 255]))
        for bad in (
            "",
            "zz",
            "0:0:0:0:0",
            "0:0:0:0:0:0:0",
            "0:0:0:0:0:100",
            "0:0:0:0:0:",
            "g:::::",
        ):
            self.assertRaises(ValueError, parse_mac, bad)

    def test_groups(self) -> None:
        """Broadcast and multicast are for groups."""
        for group in (BROADCAST, MULTICAST):
            self.assertTrue(is_group(group))
            self.assertTrue(is_group(frame(group, 2)))
        self.assertFalse(is_group(address(1)))
        self.assertFalse(is_group(frame(1, MULTICAST)))
