"""L{distnet.ethernet.frame}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.ethernet.counters import Reason
from distnet.ethernet.frame import (
    Frame,
    format_address,
    insert_tag,
    is_group,
    parse_address,
    problem,
    strip_tag,
    tag_of,
)
from tests.unit.ethernet.stations import BROADCAST, MULTICAST, address, frame

LIMIT = 100
anything = st.binary(max_size=LIMIT + 5)
good = anything.filter(lambda data: problem(data, LIMIT) is None)


class FrameTests(SynchronousTestCase):
    """What frames say of themselves."""

    def test_plain(self) -> None:
        """A frame has two addresses, a type and a payload."""
        view = Frame(frame(1, 2, b"abc"))
        self.assertEqual((view.destination, view.source), (address(1), address(2)))
        self.assertEqual((view.ethertype, view.vlan, view.payload), (0x0800, None, b"abc"))
        self.assertFalse(view.is_group)

    def test_tagged(self) -> None:
        """The type of a tagged frame is behind its tag; its priority is not of its VLAN."""
        data = bytearray(frame(1, 2, b"abc", vlan=5))
        data[14] |= 0xF0
        view = Frame(bytes(data))
        self.assertEqual((view.ethertype, view.vlan, view.payload), (0x0800, 5, b"abc"))

    def test_groups(self) -> None:
        """Broadcast and multicast are for groups."""
        self.assertTrue(is_group(BROADCAST))
        self.assertTrue(Frame(frame(MULTICAST, 2)).is_group)
        self.assertFalse(is_group(address(1)))

    def test_limits(self) -> None:
        """14 bytes are enough, 18 with a tag; the largest is allowed, one more is not."""
        self.assertEqual(problem(frame(1, 2)[:-1], LIMIT), Reason.RUNT)
        self.assertIsNone(problem(frame(1, 2), LIMIT))
        self.assertEqual(problem(frame(1, 2, vlan=5)[:-1], LIMIT), Reason.RUNT)
        self.assertIsNone(problem(frame(1, 2, vlan=5), LIMIT))
        self.assertIsNone(problem(frame(1, 2, bytes(LIMIT - 14)), LIMIT))
        self.assertEqual(problem(frame(1, 2, bytes(LIMIT - 13)), LIMIT), Reason.OVERSIZE)
        self.assertEqual(problem(b"", LIMIT), Reason.RUNT)

    @given(good, st.integers(0, 4095))
    def test_tag_and_back(self, data: bytes, vlan: int) -> None:
        """A tag can be inserted, read, and stripped, and nothing else changes."""
        tagged = insert_tag(data, vlan)
        self.assertEqual(tag_of(tagged), vlan)
        self.assertEqual(strip_tag(tagged), data)
        self.assertEqual(tagged[:12], data[:12])

    @given(anything)
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever bytes come are refused or can be looked at."""
        if problem(data, LIMIT) is None:
            view = Frame(data)
            self.assertEqual(len(view.destination + view.source), 12)
            self.assertLessEqual(len(view.payload), len(data) - 14)
            self.assertIn(view.ethertype, range(0x10000))

    @given(st.binary(min_size=6, max_size=6))
    def test_address_text(self, data: bytes) -> None:
        """An address that is printed can be read."""
        self.assertEqual(parse_address(format_address(data)), data)

    def test_addresses(self) -> None:
        """Short numbers are read too; what is no address is not."""
        self.assertEqual(parse_address("2:0:0:0:A:ff"), bytes([2, 0, 0, 0, 10, 255]))
        for bad in (
            "",
            "zz",
            "0:0:0:0:0",
            "0:0:0:0:0:0:0",
            "0:0:0:0:0:100",
            "0:0:0:0:0:",
            "g:::::",
        ):
            self.assertRaises(ValueError, parse_address, bad)
