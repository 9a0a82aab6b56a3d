"""L{distnet.switch.core.frame}."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.switch.core.counters import Reason
from distnet.switch.core.frame import (
    insert_tag,
    problem,
    strip_tag,
    tag_of,
)
from tests.unit.switch.core.stations import frame

LIMIT = 100
good = st.binary(min_size=18, max_size=LIMIT) | st.binary(min_size=14, max_size=17).filter(
    lambda data: problem(data, LIMIT) is None
)


class FrameTests(SynchronousTestCase):
    """What frames say of themselves."""

    def test_tag(self) -> None:
        """The VLAN is in the lower 12 bits of a tag; half a tag, or another type, is none."""
        data = bytearray(frame(1, 2, b"abc", vlan=0x305))
        self.assertEqual(tag_of(bytes(data)), 0x305)
        data[14] |= 0xF0
        self.assertEqual(tag_of(bytes(data)), 0x305)
        self.assertIsNone(tag_of(bytes(data[:17])))
        self.assertIsNone(tag_of(frame(1, 2, b"abcdef")))

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
