"""The wall clock is set, by NTP, say: what measures time is not, and dates follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.daemons import eventually
from tests.gateways import Gateway, running_gateway
from tests.masters import Kernel, Master, running
from tests.switches import StartSwitch
from tests.wallclock import WallClock

Connect = Callable[..., Kernel]

HOUR = 3600


@pytest.fixture
def wall_clock(tmp_path: Path) -> WallClock:
    """A wall clock that can be set."""
    return WallClock(tmp_path)


@pytest.fixture
def master(tmp_path: Path, wall_clock: WallClock) -> Iterator[Master]:
    """A master that goes by it."""
    with running(Master(tmp_path, "--port", "0", environment=wall_clock.environment)) as master:
        yield master


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_the_wall_clock_is_set(
    ahead: int, master: Master, wall_clock: WallClock, connect: Connect
) -> None:
    """Nothing that waits for a time waits longer, and everything is as long ago as it is."""
    first = connect(master)
    late = connect(master, read_id=False)
    first.send(1, b"for who has not read its id")
    eventually("it waits", lambda: master.node(1)["waiting"]["messages"])
    before = master.status()
    wall_clock.set_ahead(ahead)
    # The master looks whether it has read its id in a while, and then waits a moment.
    late.read_id()
    assert late.receive() == (0, b"for who has not read its id")
    after = master.status()
    moved = [after["started"] - before["started"]]
    moved += [after["nodes"][0][key] - before["nodes"][0][key] for key in ("since", "settled_at")]
    assert [round(seconds / HOUR) for seconds in moved] == [ahead / HOUR] * 3


@pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")
def test_a_gateway(tmp_path: Path, wall_clock: WallClock, start_switch: StartSwitch) -> None:
    """A gateway that has lost its switch plugs in again soon, whatever the wall clock says."""
    switch = start_switch()
    within = ["env", *(f"{name}={value}" for name, value in wall_clock.environment.items())]
    with running_gateway(Gateway(tmp_path, switch, within=within)) as gateway:
        switch.kill()
        gateway.wait_for_log("lost the switch")
        wall_clock.set_ahead(-HOUR)
        switch.start()
        gateway.wait_until("it is plugged in again", switch.gateways)
