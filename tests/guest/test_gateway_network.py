"""Real guests on a switch with a gateway, which reach the master and each other at once."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from ctypes.util import find_library
from ipaddress import IPv4Address
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.console.scripts import ConsoleClient
from tests.daemons import PATIENCE, eventually
from tests.gateways import gateway_of
from tests.guest import wire
from tests.guest.conftest import Boot
from tests.guest.network import SERVED, GuestSwitch, assert_nothing_lost, on_vde, settings
from tests.guest.qemu import Guest
from tests.masters import Kernel, Master
from tests.masters import running as running_master
from tests.pcaps import frames_of
from tests.switches import running

pytestmark = pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")

LEASES = range(int(IPv4Address("10.0.2.31")), int(IPv4Address("10.0.2.47")))
FIXED = 7
"""The node that the third guest is."""
ROUNDS = 10
DFS = "connect;" + "bcast:0,1,7:512:4;expect:any:8;" * ROUNDS + "quit"
SOME = 20_000_000
ENDLESS = 2**32 - 1
LONG = 300
FIRST, LAST = 777, 778
"""Sizes of the pings between which frames are compared."""


class Network(NamedTuple):
    """A switch with a gateway, and its master."""

    master: Master
    switch: GuestSwitch


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Ids are used again, and one guest has its own."""
    directory = tmp_path_factory.mktemp("network")
    node = ["--node", f"{FIXED}=unix:{directory}/node"]
    mapped = ["--map", f"{settings(3)['ip']}={FIXED}"]
    with running_master(Master(directory, "--port", "0", "--ids", "lowest", *node)) as master:
        options = ["--gateway", "--master-control", master.control, *mapped]
        switch = GuestSwitch(directory, *options)
        with running(switch):
            switch.wait_for_gateway()
            yield Network(master, switch)


@pytest.fixture(scope="module")
def booted(network: Network, boot_for_all: Boot) -> list[Guest]:
    """Three guests; the first asks for its address."""
    netdev = on_vde(network.switch)
    guests = [
        boot_for_all(netdev, **settings(number, mtu=1500, dhcp=number == 1)) for number in (1, 2, 3)
    ]
    guests[0].ip = guests[0].wait_for(r"^DN up ip=(\S+) ")[1]
    return guests


@pytest.fixture
def guests(network: Network, booted: list[Guest]) -> Iterator[list[Guest]]:
    """The guests, who have left the master afterwards."""
    yield booted
    for guest in booted:
        guest.run("sleep:0")
    eventually("all have left", lambda: network.master.ask("/nodes") == [])


def test_an_address_by_dhcp(network: Network, guests: list[Guest]) -> None:
    """A guest whose own client asks by DHCP has an address of the range, and with it its id."""
    asking = guests[0]
    (leased,) = asking.lines("DN leased")
    # Without --nat there is nothing behind the gateway.
    assert leased == f"DN leased ip={asking.ip}/23 server=10.0.2.2 router=none"
    assert int(IPv4Address(asking.ip)) in LEASES
    assert "DN id=0" in asking.run("connect;quit")
    network.switch.wait_for_log(f"gateway: {asking.ip} (")


def test_captures_of_qemu_and_of_the_switch(
    network: Network, guests: list[Guest], tmp_path: Path
) -> None:
    """QEMU's dump of a guest's NIC and the switch's own have the same frames in the same order."""
    guest, other, _ = guests
    by_switch, by_qemu = network.switch.home / "pdump", tmp_path / "filter-dump"
    console = ConsoleClient(network.switch.management)
    for line in ("plugin/add pdump", f"pdump/filename {by_switch}", "pdump/active 1"):
        assert b"1000 Success" in console.ask(line)
    dump = {"qom-type": "filter-dump", "id": "dump", "netdev": "net1", "file": str(by_qemu)}
    guest.qmp("object-add", **dump)
    guest.run(
        f"ping:{other.ip}:1:{FIRST};ping:{other.ip}:20:1472;connect;send:0:1000:20;expect:0:20;"
        f"quit;ping:{other.ip}:1:{LAST}"
    )
    guest.qmp("object-del", id="dump")
    console.ask("pdump/active 0")
    console.close()
    mac = bytes.fromhex(str(settings(1)["mac"]).replace(":", ""))
    captured, dumped = (list(frames_of(path.read_bytes())) for path in (by_qemu, by_switch))
    for direction in (sent_by, received_by):
        ours, theirs = (between_pings(direction(mac, frames)) for frames in (captured, dumped))
        assert len(ours) > 40
        assert ours == theirs
    # What was flooded to it too.
    assert not Counter(captured) - Counter(dumped)


def sent_by(mac: bytes, frames: Sequence[bytes]) -> list[bytes]:
    """The frames that a guest has sent."""
    return [frame for frame in frames if frame[6:12] == mac]


def received_by(mac: bytes, frames: Sequence[bytes]) -> list[bytes]:
    """The frames that others have sent to it, or to all."""
    return [frame for frame in frames if frame[6:12] != mac and (frame[:6] == mac or frame[0] & 1)]


def between_pings(frames: Sequence[bytes]) -> list[bytes]:
    """The frames from the first ping to the last, which are of sizes that no other frame has."""
    first, last = (
        [len(frame) for frame in frames].index(14 + 20 + 8 + size) for size in (FIRST, LAST)
    )
    return list(frames[first : last + 1])


def exchange(probe: Kernel, node: int, numbers: range) -> None:
    """Messages that a node sends back."""
    for number in numbers:
        probe.send(node, wire.payload(probe.id, number, 512))
        assert probe.receive() == (node, wire.payload(probe.id, number, 512))


def test_guests_boot_again(network: Network, guests: list[Guest]) -> None:
    """
    Guests that boot again inside their QEMUs have ids again, a fixed one its own.

    Their old connections end at the master; another guest loses nothing meanwhile.
    """
    master, (going_on, *again) = network.master, guests
    going_on.begin("connect;echo")
    going_on.wait_for("^DN id=0$")
    with Kernel(("127.0.0.1", master.port)) as probe:
        assert probe.read_id() == 1
        for guest, node in zip(again, (2, FIXED), strict=True):
            guest.begin("connect;wait")
            guest.wait_for(f"^DN id={node}$")
        left = {node: master.log().count(f"node {node}: left") for node in (2, FIXED)}
        for guest in again:
            guest.system_reset()
        exchange(probe, 0, range(100))
        for guest in again:
            guest.begin("connect;echo")
        nodes = [int(guest.wait_for(r"^DN id=(\d+)$")[1]) for guest in again]
        # Whether its old connection has ended before the new one is there is a matter of luck.
        assert nodes[0] in (2, 3)
        assert nodes[1] == FIXED
        for node, before in left.items():
            eventually(
                f"the old node {node} has left",
                lambda node=node, before=before: (
                    master.log().count(f"node {node}: left") == before + 1
                ),
            )
        exchange(probe, 0, range(100, 200))
        for node in nodes:
            exchange(probe, node, range(10))


def test_all_at_the_same_time(network: Network, guests: list[Guest]) -> None:
    """Messages through the master, pings and TCP between guests, all at once, arrive whole."""
    before = network.master.undelivered()
    for guest, server, client in zip(guests, rotated(guests, 1), rotated(guests, 2), strict=True):
        guest.begin(
            f"serve:{SERVED}:{SOME}:{LONG}&fetch:{server.ip}:{SERVED}:{SOME}:{LONG}"
            f"&ping:{client.ip}:100:56:{LONG};ping:{server.ip}:100:1472:{LONG}&{DFS}"
        )
    for guest, server, client in zip(guests, rotated(guests, 1), rotated(guests, 2), strict=True):
        said = "\n".join(guest.finish(LONG))
        assert len(re.findall(r"^DN expect .* bad=0 lost=0 dup=0 .* ok$", said, re.M)) == ROUNDS
        assert len(re.findall(r"^DN ping .* n=100 .* ok$", said, re.M)) == 2
        assert f"DN fetch peer={server.ip} bytes={SOME} " in said
        assert f"DN serve peer={client.ip} bytes={SOME} " in said
    assert network.master.undelivered() == before
    assert_nothing_lost(network.switch)


def rotated(guests: list[Guest], count: int) -> list[Guest]:
    """The others, each once for each guest."""
    return guests[count:] + guests[:count]


def test_the_gateway_is_killed_meanwhile(network: Network, guests: list[Guest]) -> None:
    """
    When the gateway is killed, TCP between guests goes on, with nothing of it lost.

    The gateway is there again by itself, for new connections to the master.
    """
    (master, switch), (server, client, talking) = network, guests
    server.begin(f"serve:{SERVED}:{ENDLESS}:{LONG}")
    client.begin(f"fetch:{server.ip}:{SERVED}:{ENDLESS}:{LONG}")
    with Kernel(("127.0.0.1", master.port)) as probe:
        probe.read_id()
        talking.begin("connect;echo")
        talking.wait_for(f"^DN id={FIXED}$")
        exchange(probe, FIXED, range(50))
        goes_on(client)
        left = master.log().count(f"node {FIXED}: left")
        gateway = gateway_of(switch)
        assert gateway is not None
        os.kill(gateway, signal.SIGKILL)
        eventually(
            "its connection has ended",
            lambda: master.log().count(f"node {FIXED}: left") > left,
        )
        goes_on(client)
        eventually("there is another", lambda: gateway_of(switch) not in (None, gateway))
        switch.wait_for_gateway()
        talking.begin("connect;echo")
        talking.wait_for(f"^DN id={FIXED}$")
        exchange(probe, FIXED, range(50))
        goes_on(client)
    assert not [line for guest in (server, client) for line in guest.lines("DN FAIL")]
    assert_nothing_lost(switch)


def goes_on(client: Guest) -> None:
    """A guest reads on, and what it has read was right so far."""
    before = len(client.lines("DN fetched "))
    eventually("it reads on", lambda: len(client.lines("DN fetched ")) > before, 2 * PATIENCE)
