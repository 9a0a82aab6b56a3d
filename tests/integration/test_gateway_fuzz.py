"""The long run at a gateway, for a short time: see C{python -m tests.long gateway}."""

from __future__ import annotations

import os
import random
from ctypes.util import find_library

import pytest

from tests.long.gateway import GatewaySteps
from tests.long.run import run

pytestmark = pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")

STEPS = 1500


@pytest.mark.parametrize("seed", [1, 2], ids=["nat", "restricted"])
def test_fuzz(seed: int) -> None:
    """Frames of all kinds from one guest change not a byte of what others send and receive."""
    done = run("gateway", GatewaySteps, STEPS, seed, print)
    # Only root can see to it that nothing gets out.
    assert ("--nat" in done) == (seed == 1 and os.geteuid() == 0)


def test_another_fuzz() -> None:
    """The same with another seed each time, which is printed; DISTNET_SEED is one to try again."""
    seed = int(os.environ.get("DISTNET_SEED", random.randrange(1 << 32)))
    print(run("gateway", GatewaySteps, STEPS, seed, print))
