"""Real guests on the switch: they reach each other, and nothing is lost between them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from tests.daemons import PATIENCE
from tests.guest.conftest import Boot
from tests.guest.network import (
    SERVED,
    GuestSwitch,
    MixedSwitch,
    all_ping,
    as_told,
    assert_nothing_lost,
    move,
    on_vde,
    settings,
)
from tests.guest.qemu import Guest
from tests.switches import running


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestSwitch]:
    """A switch started as vde_switch was."""
    switch = GuestSwitch(tmp_path_factory.mktemp("plain"))
    with running(switch):
        yield switch


@pytest.fixture(scope="module")
def pair(plain: GuestSwitch, boot_for_all: Boot) -> list[Guest]:
    """Two guests on it."""
    return [boot_for_all(on_vde(plain), **settings(number)) for number in (1, 2)]


def test_in_the_place_of_vde_switch(plain: GuestSwitch, pair: list[Guest]) -> None:
    """
    With the options that vde_switch was given, and QEMU for it, guests reach each other and move
    50 MB whole, with no frame lost.
    """
    all_ping(pair)
    move(pair[0], pair[1])
    assert_nothing_lost(plain)


def test_a_killed_guest(plain: GuestSwitch, pair: list[Guest], boot: Boot) -> None:
    """When a guest is killed while it exchanges data with another, that one talks on to a third."""
    served, going_on = pair
    victim = boot(on_vde(plain), **settings(3))
    victim.begin(f"fetch:{served.ip}:{SERVED}:{2**32 - 1}:300")
    served.begin(f"serve:{SERVED}:{2**32 - 1}:300")
    served.wait_for(f"^DN serves peer={victim.ip}$")
    going_on.run(f"ping:{served.ip}:3")
    victim.kill()
    plain.wait_for_log(f"pid={victim.pid}) is unplugged")
    all_ping(pair)
    move(going_on, served)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MixedSwitch]:
    """A switch that guests reach in every way."""
    switch = MixedSwitch(tmp_path_factory.mktemp("mixed"))
    with running(switch):
        yield switch


@pytest.fixture(scope="module")
def trio(mixed: MixedSwitch, boot_for_all: Boot) -> list[Guest]:
    """Three guests on it, connected as users are told: over VDE, a stream, and datagrams."""
    ways = [
        ("--vde", str(mixed.sock)),
        ("--stream", f"unix:{mixed.stream}"),
        ("--dgram", f"unix:{mixed.dgram}"),
    ]
    guests = [
        # The address is the one of the options here.
        boot_for_all(as_told(*way, "--guest", str(number)), **settings(number, mac=""))
        for number, way in enumerate(ways, 11)
    ]
    # Without a connection, the switch knows of a guest from its first frame on.
    guests[-1].run(f"ping:{guests[0].ip}")
    return guests


def test_every_way_into_the_switch(mixed: MixedSwitch, trio: list[Guest]) -> None:
    """Guests over VDE, a stream, and datagrams reach each other, with no frame lost."""
    all_ping(trio)
    assert_nothing_lost(mixed)


@pytest.mark.parametrize("direction", ["from VDE to a stream", "from a stream to VDE"])
def test_much_between_two_ways(direction: str, mixed: MixedSwitch, trio: list[Guest]) -> None:
    """50 MB come whole from a guest over VDE to one over a stream, and back; no frame is lost."""
    vde, stream, _ = trio
    if direction == "from VDE to a stream":
        move(vde, stream)
    else:
        move(stream, vde)
    assert_nothing_lost(mixed)


def test_datagrams_outlive_the_switch(tmp_path: Path, boot: Boot) -> None:
    """Guests over datagrams go on when the switch was killed and is there again."""
    switch = MixedSwitch(tmp_path)
    with running(switch):
        guests = [
            boot(
                as_told("--dgram", f"unix:{switch.dgram}", "--guest", str(number)),
                **settings(number, mac=""),
            )
            for number in (21, 22)
        ]
        for killed in (False, True):
            if killed:
                switch.stop(signal.SIGKILL)
                switch.start()
            # At once, since the switch knows of neither before it has sent something.
            for one, other in permutations(guests):
                one.begin(f"ping:{other.ip}:3:56:{PATIENCE}")
            for guest in guests:
                guest.finish()
