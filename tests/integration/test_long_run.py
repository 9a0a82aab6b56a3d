"""The long run at a running switch, for a short time: see C{python -m tests.long}."""

from __future__ import annotations

from tests.long.run import run
from tests.long.sockets import SocketSteps

STEPS = 2000


def test_sockets() -> None:
    """Clients of all kinds crash nothing, leave nothing, and see only frames of their VLANs."""
    assert f"{STEPS} steps" in run("sockets", SocketSteps, STEPS, 1)
