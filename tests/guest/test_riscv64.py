"""Guests of the architecture that the kernels are for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.guest import wire
from tests.guest.conftest import Boot
from tests.guest.network import GuestSwitch, all_ping, assert_nothing_lost, move, on_vde, settings
from tests.guest.test_master import assert_done, qemu_args
from tests.masters import Kernel, Master
from tests.switches import running

SOME = 5_000_000


def test_one_with_its_master(start_master: Callable[..., Master], boot: Boot) -> None:
    """Connected as documented, a riscv64 guest settles and sends back what it is sent."""
    master = start_master("--port", "0")
    with Kernel(("127.0.0.1", master.port)) as probe:
        probe.read_id()
        netdev = qemu_args(master, "--arch", "riscv64")
        guest = boot(netdev, "connect;echo:3;quit", arch="riscv64", name="riscv64")
        payloads = [wire.payload(0, number, 512) for number in range(3)]
        for payload in payloads:
            probe.send(1, payload)
        guest.wait_for("^DN id=1$")
        assert [probe.receive() for _ in payloads] == [(1, payload) for payload in payloads]
        assert_done(guest)
    master.wait_for_log("node 1: settled")
    assert master.undelivered() == {}


def test_two_and_one_of_another_architecture(boot: Boot, tmp_path: Path) -> None:
    """On one switch riscv64 guests reach each other and an x86_64 one, in both directions."""
    switch = GuestSwitch(tmp_path)
    with running(switch):
        archs = ["riscv64", "riscv64", "x86_64"]
        guests = [
            boot(on_vde(switch), **settings(number, arch=arch))
            for number, arch in enumerate(archs, 1)
        ]
        all_ping(guests)
        for server, client in zip(guests, [*guests[1:], guests[0]], strict=True):
            move(server, client, SOME)
        assert_nothing_lost(switch)
