"""Native code, fed with random input by programs in the place of its callers."""

from __future__ import annotations

import pytest

from distnet._native import NotNative, load_bridge, load_guest, load_router
from tests.fuzzing import SIZES, fuzz

try:
    load_router()
    load_bridge()
    load_guest()
except NotNative as why:
    pytestmark = pytest.mark.skip(reason=f"there is no native code: {why}")


@pytest.mark.parametrize("size", SIZES)
def test_random_messages(size: str) -> None:
    """No message is lost, doubled, reordered or miscounted, and no memory misused."""
    assert "messages" in fuzz("native_fuzz", "router", size)


@pytest.mark.parametrize("size", SIZES)
def test_random_frames(size: str) -> None:
    """No frame is lost, doubled, reordered or miscounted, and no memory misused."""
    assert "delivered natively" in fuzz("bridge_fuzz", "bridge", size)


def test_random_guest() -> None:
    """No byte of a guest's connections is lost or changed, and no memory or descriptor misused."""
    assert "came to the master" in fuzz("guest_fuzz", "guest", "full-size")
