"""The native path of the switch, fed with random input by a program in its caller's place."""

from __future__ import annotations

import pytest

from distnet._native import NotNative, load_bridge
from tests.fuzzing import SIZES, fuzz

try:
    load_bridge()
except NotNative as why:
    pytestmark = pytest.mark.skip(reason=f"there is no native code: {why}")


@pytest.mark.parametrize("size", SIZES)
def test_random_input(size: str) -> None:
    """No frame is lost, doubled, reordered or miscounted, and no memory misused."""
    assert "delivered natively" in fuzz("bridge_fuzz", "bridge", size)
