"""Real guests on the switch find the master at 10.0.2.16:1234, as they do over guestfwd."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.daemons import eventually
from tests.gateways import Gateway, running_gateway
from tests.guest import wire
from tests.guest.burst import assert_reads_a_burst
from tests.guest.conftest import Boot
from tests.guest.qemu import Guest
from tests.masters import Kernel, Master
from tests.switches import Switch, switches

Start = Callable[..., Master]
Plugged = Callable[..., Guest]

pytestmark = pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")

DFS = "connect;bcast:0,1,2:512:4;expect:any:8;quit"
ADDRESSES = ("10.0.2.15", "10.0.2.17", "10.0.2.18")


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    """A switch with a management socket."""
    with switches(tmp_path) as start:
        yield start("-M", str(tmp_path / "mgmt"))


@pytest.fixture
def start_gateway(switch: Switch, tmp_path: Path) -> Iterator[Callable[[Master], Gateway]]:
    """Start gateways on it."""
    with contextlib.ExitStack() as stack:

        def start(master: Master) -> Gateway:
            words = ["--control", master.control, "--mgmt", str(tmp_path / "mgmt")]
            return stack.enter_context(running_gateway(Gateway(tmp_path, switch, *words)))

        yield start


@pytest.fixture
def plugged(boot: Boot, switch: Switch) -> Plugged:
    """Boot guests on the switch, each with addresses of its own."""

    def boot_plugged(number: int, script: str, **options: object) -> Guest:
        mac = f"52:54:00:00:00:{number:02x}"
        netdev = ["-netdev", f"vde,id=net1,sock={switch.sock}"]
        netdev += ["-device", f"e1000e,netdev=net1,mac={mac}"]
        name = f"guest{number}"
        return boot(netdev, script, name=name, ip=ADDRESSES[number], mac=mac, **options)

    return boot_plugged


def test_three_guests_come_up_together(
    start_master: Start,
    start_gateway: Callable[[Master], Gateway],
    plugged: Plugged,
) -> None:
    """Three kernels booted at once on the switch get clean ids, and all mail."""
    master = start_master("--port", "0")
    start_gateway(master)
    guests = [plugged(number, DFS) for number in range(3)]
    for guest in guests:
        guest.wait_for(r"^DN done ")
        assert guest.wait() == 0
    assert {line for guest in guests for line in guest.lines("DN id=")} == {
        "DN id=0",
        "DN id=1",
        "DN id=2",
    }
    assert master.undelivered() == {}


def test_a_guest_and_then_the_gateway_are_killed(
    start_master: Start,
    start_gateway: Callable[[Master], Gateway],
    plugged: Plugged,
) -> None:
    """A killed guest is gone for the master at once, and the others go on; so it is with new
    connections when the gateway was killed."""
    # The lowest free id is the one of the guest that connects again, whatever has settled.
    master = start_master("--port", "0", "--ids", "lowest")
    gateway = start_gateway(master)
    going_on = "connect;echo:400;close;sleep:5;connect;send:{0}:512:2;expect:{0}:2;quit"
    guests = [plugged(0, going_on.format(0))]
    guests[0].wait_for(r"^DN id=0")
    guests.append(plugged(1, "connect;wait"))
    guests[1].wait_for(r"^DN id=1")
    with Kernel(("127.0.0.1", master.port)) as probe:
        assert probe.read_id() == 2

        def echoes(first: int) -> None:
            for number in range(first, first + 200):
                probe.send(0, wire.payload(2, number, 512))
                assert probe.receive() == (0, wire.payload(2, number, 512))

        echoes(0)
        guests[1].kill()
        master.wait_until_left(1)
        gateway.wait_for_log("has left the switch")
        echoes(200)
    guests[0].wait_for(r"^DN echo ")
    gateway.stop(9)
    master.wait_until_left(0)
    start_gateway(master)
    guests[0].wait_for(r"^DN send n=2 ")
    guests[0].wait_for(r"^DN done ")
    assert guests[0].wait() == 0


def test_a_strict_reader_under_load(
    start_master: Start,
    start_gateway: Callable[[Master], Gateway],
    plugged: Plugged,
) -> None:
    """A kernel on the switch reads no header in two parts when 5,000 messages come back to back."""
    master = start_master("--port", "0")
    start_gateway(master)
    assert_reads_a_burst(
        ("127.0.0.1", master.port), lambda script: plugged(0, script), begins="^DN id=1"
    )
    eventually("all is delivered", lambda: master.undelivered() == {})
