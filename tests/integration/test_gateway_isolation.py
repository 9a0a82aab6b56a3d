"""What one guest sends, opens or forgets, and what that is to the others: nothing."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import signal
import socket
from collections.abc import Callable, Iterable
from ctypes.util import find_library
from itertools import chain

import pytest

from tests import attacks
from tests.crowds import Echo, all_have_ids, goes_on
from tests.daemons import eventually
from tests.footprint import MEGABYTE, Footprint, Watch, family
from tests.gateways import MASTER, Machine
from tests.hosts import other_machine
from tests.masters import Kernel
from tests.sites import Neighbour, Site
from tests.switches import RawClient, mac

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here"),
    pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here"),
]

MOST = 32 * MEGABYTE
"""What the worst that one guest can do may cost, in memory."""
MOST_DESCRIPTORS = 600
"""What it may have open in all processes of the gateway."""
SLACK = 4 * MEGABYTE
"""What an allocator may keep of what was given back."""
TARGETS = (attacks.HOST, attacks.NAMES, MASTER[0], attacks.ELSEWHERE)


def sent(client: RawClient, frames: Iterable[bytes], every: int = 50) -> None:
    """
    Send frames, as fast as all of them are looked at.

    Else the switch would drop those that the gateway has no time for, and with them what they do.
    """
    for number, frame in enumerate(frames):
        client.send(frame)
        if number % every == every - 1:
            looked_at(client)
    looked_at(client)


def looked_at(client: RawClient) -> None:
    """What was sent has been looked at, as a question after it is answered."""
    client.send(attacks.question())
    while not attacks.is_answered(client.receive()):
        pass


def works(site: Site, neighbour: Neighbour, address: str) -> None:
    """The neighbour's stream has not ended, and a new guest is a node."""
    neighbour.goes_on()
    with site.crowd() as crowd:
        echo = Echo(crowd.join(mac(int(address.rpartition(".")[2])), address))
        all_have_ids(crowd, [echo])
        goes_on(crowd, echo)
    assert "Traceback" not in site.gateway.log()


def is_as_before(site: Site, before: Footprint) -> None:
    """Eventually the gateway holds no more than before."""

    def look() -> bool:
        now = site.footprint()
        return (
            now.processes <= before.processes
            and now.descriptors <= before.descriptors
            and now.memory <= before.memory + SLACK
        )

    try:
        eventually(f"it holds no more than {before}", look)
    except AssertionError as error:
        raise AssertionError(f"{error}: it holds {site.footprint()}") from None


FRAGMENTS: dict[str, Callable[[str], Iterable[bytes]]] = {
    "last-without-first": attacks.last_without_first,
    "long-first-header": attacks.long_first_header,
    "all-orders-and-holes": lambda target: attacks.holes(target, 12),
}


@pytest.mark.parametrize("kind", FRAGMENTS)
def test_fragments(site: Site, kind: str) -> None:
    """Fragments that are no datagram, to whatever address, are their sender's trouble alone."""
    gateway = site.use_gateway("--nat")
    pid = gateway.process.pid
    with site.neighbour("10.0.2.15") as neighbour, site.attacker() as client:
        for target in TARGETS:
            print(target)
            sent(client, FRAGMENTS[kind](target))
            assert gateway.process.poll() is None
            neighbour.goes_on()
        assert family(pid)[0] == pid
        works(site, neighbour, "10.0.2.41")


def test_an_mtu_of_9000(site: Site) -> None:
    """A guest with longer frames than others may have sends datagrams of 9000 bytes by accident."""
    gateway = site.use_gateway("--nat")
    with site.neighbour("10.0.2.15") as neighbour, site.machine("10.0.2.17") as machine:
        machine.run("ip", "link", "set", "tap0", "mtu", "9000")
        machine.run("ip", "route", "add", "default", "via", attacks.HOST)
        with machine.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
            for target in TARGETS:
                for size in (8972, 8973, 9000, 20_000):
                    near.sendto(bytes(size), (target, 5000))
        assert machine.ping(attacks.HOST)
        assert gateway.process.poll() is None
        works(site, neighbour, "10.0.2.41")


def test_syns(site: Site) -> None:
    """3,000 connections that are only begun cost the gateway little, and others nothing."""
    gateway = site.use_gateway("--nat")
    with site.neighbour("10.0.2.15") as neighbour:
        neighbour.goes_on()
        with Watch(gateway.process.pid) as watch:
            with site.attacker() as client:
                sent(client, attacks.syns(3000))
                works(site, neighbour, "10.0.2.42")
            neighbour.goes_on()
        assert watch.growth < MOST
        assert watch.worst.descriptors - watch.before.descriptors < MOST_DESCRIPTORS
        is_as_before(site, watch.before)
        neighbour.goes_on()


def test_syns_of_many(site: Site) -> None:
    """So it is if each of these connections is another machine's, as far as anybody can see."""
    gateway = site.use_gateway("--nat")
    with site.neighbour("10.0.2.15") as neighbour:
        neighbour.goes_on()
        with Watch(gateway.process.pid) as watch, site.attacker() as client:
            sent(client, attacks.syns(3000, 3000))
            works(site, neighbour, "10.0.2.42")
        assert watch.growth < MOST
        assert watch.worst.descriptors - watch.before.descriptors < MOST_DESCRIPTORS
        neighbour.goes_on()


def test_udp_flows(site: Site) -> None:
    """3,000 flows of UDP through --nat cost little, and are gone with their guest."""
    gateway = site.use_gateway("--nat")
    with site.neighbour("10.0.2.15") as neighbour, other_machine() as far:
        neighbour.goes_on()
        with Watch(gateway.process.pid) as watch, site.attacker() as client:
            sent(client, attacks.udp_flows(3000, far.address))
            works(site, neighbour, "10.0.2.43")
        assert watch.growth < MOST
        assert watch.worst.descriptors - watch.before.descriptors < MOST_DESCRIPTORS
        is_as_before(site, watch.before)


def test_many_connections_of_one_guest(site: Site) -> None:
    """400 connections of one guest, kept open, cost little; some of them may be refused."""
    gateway = site.use_gateway()
    with site.neighbour("10.0.2.15") as neighbour:
        neighbour.goes_on()
        with site.machine("10.0.2.17") as machine:
            with Watch(gateway.process.pid) as watch, contextlib.ExitStack() as stack:
                nodes = 0
                for kernel in many(machine.name, machine.entered, 400, stack):
                    with contextlib.suppress(OSError):
                        nodes += bool(kernel.recv(10))
                print(f"{nodes} nodes")
                assert nodes >= 4
                works(site, neighbour, "10.0.2.44")
            # As soon as enough of those are gone.
            eventually("it is a node again", lambda: is_a_node(machine))
        assert watch.growth < MOST
        assert watch.worst.descriptors - watch.before.descriptors < 4 * MOST_DESCRIPTORS
        is_as_before(site, watch.before)


def is_a_node(machine: Machine) -> bool:
    """Whether a machine that connects gets an id."""
    with contextlib.suppress(ConnectionError), machine.connect() as kernel:
        return kernel.read_id() >= 0
    return False


def many(
    name: str,
    entered: Callable[[], contextlib.AbstractContextManager[None]],
    count: int,
    stack: contextlib.ExitStack,
) -> list[socket.socket]:
    """So many connections of a machine that are begun at once; those that were not refused."""
    with entered():
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
    poller = select.poll()
    for each in sockets:
        each.setblocking(False)
        each.connect_ex(MASTER)
        poller.register(each, select.POLLIN | select.POLLHUP | select.POLLERR)
    pending = {each.fileno(): each for each in sockets}
    answered = []
    # Those that a gateway does not even refuse are left to begin again, or not.
    while pending and (ready := poller.poll(600)):
        for descriptor, _ in ready:
            poller.unregister(descriptor)
            answered.append(pending.pop(descriptor))
    print(f"{name}: {len(answered)} answered, {len(pending)} did not")
    return answered


def test_what_is_not_read(site: Site) -> None:
    """A guest that never reads what comes on many connections costs the gateway little."""
    gateway = site.use_gateway()
    with site.neighbour("10.0.2.15") as neighbour, site.crowd() as crowd:
        neighbour.goes_on()
        with Watch(gateway.process.pid) as watch:
            guest = crowd.join(attacks.MAC, "10.0.2.66")
            echoes = [Echo(guest) for _ in range(8)]
            all_have_ids(crowd, echoes)
            with contextlib.ExitStack() as stack:
                # Nobody takes frames from here on.
                for echo in echoes:
                    assert echo.id is not None
                    sender = stack.enter_context(Kernel(("127.0.0.1", site.master.port)))
                    sender.read_id()
                    sender.socket.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        for number in range(1000):
                            sender.send(echo.id, bytes([number % 256]) * 4000)
                neighbour.goes_on(100)
            works(site, neighbour, "10.0.2.45")
        assert watch.growth < MOST
        crowd.close()
        is_as_before(site, watch.before)


def test_an_address_claimed_by_another(site: Site) -> None:
    """Who says that it has a neighbour's address, in ARP and in TCP, harms the neighbour not."""
    site.use_gateway()
    with site.neighbour("10.0.2.15") as neighbour, site.attacker() as client:
        port = neighbour.kernel.socket.getsockname()[1]
        for _ in range(20):
            sent(client, [*attacks.arp_claims("10.0.2.15"), *attacks.lies("10.0.2.15", [port])])
            neighbour.goes_on(10)
        works(site, neighbour, "10.0.2.46")


@pytest.mark.parametrize("kind", [1, 3, None], ids=["discover", "request", "bootp"])
def test_floods_of_dhcp(site: Site, kind: int | None) -> None:
    """3,000 machines that ask for an address, which are one, keep nobody else from having one."""
    gateway = site.use_gateway()
    with site.neighbour("10.0.2.15") as neighbour, site.crowd() as crowd:
        leased = crowd.join(mac(0x71))
        leased.ask_for_address()
        crowd.until("it has an address", lambda: leased.address)
        before = leased.address
        with Watch(gateway.process.pid) as watch, site.attacker() as client:
            sent(client, attacks.dhcp(3000, kind, wanted=kind == 3), every=20)
            works(site, neighbour, "10.0.2.47")
        leased.renew()
        crowd.until("it has an address again", lambda: leased.address)
        assert leased.address == before
        newcomer = crowd.join(mac(0x72))
        newcomer.ask_for_address()
        crowd.until("the newcomer has an address", lambda: newcomer.address)
        assert watch.growth < MOST


def test_pings_and_broken_frames(site: Site) -> None:
    """Many pings, long ones too, and frames of all lengths are answered or not, and that is all."""
    site.use_gateway("--nat")
    numbers = random.Random(3)
    broken = [
        attacks.to_gateway(numbers.randbytes(size), to=to)
        for size in (*range(64), 1500, 1522, 1523, 9000, 65000)
        for to in (attacks.HOST, MASTER[0])
    ]
    with site.neighbour("10.0.2.15") as neighbour, site.attacker() as client:
        sent(client, chain(attacks.pings(attacks.HOST, 500), broken), every=20)
        sent(client, attacks.pings(MASTER[0], 500, 1472), every=20)
        works(site, neighbour, "10.0.2.48")


def test_frames_that_are_not_taken(site: Site) -> None:
    """That frames are too long, which nobody else would notice, is said while the gateway runs."""
    site.use_gateway(within=["env"])
    with site.attacker() as client:
        sent(client, [attacks.to_gateway(bytes(9000))] * 20)
        site.gateway.wait_for_log("too short or too long")


def test_few_descriptors(site: Site) -> None:
    """A gateway that may open 64 descriptors is not deaf when guests have used up all."""
    site.use_gateway(within=["prlimit", "--nofile=64"])
    with site.machine("10.0.2.17") as machine, site.neighbour("10.0.2.15") as neighbour:
        with contextlib.ExitStack() as stack:
            many(machine.name, machine.entered, 60, stack)
            neighbour.goes_on()
        eventually("it is a node again", lambda: is_a_node(machine))
        works(site, neighbour, "10.0.2.49")
        with site.crowd() as crowd:
            # More than it can have; those that it can have it does.
            for number in range(80):
                crowd.join(mac(300 + number), f"10.0.2.{100 + number}").connect()
            crowd.rest(0.3)
            neighbour.goes_on()
        works(site, neighbour, "10.0.2.50")


def test_more_descriptors(site: Site) -> None:
    """A gateway that may open 64 descriptors, but more if it says so, has 80 guests."""
    site.use_gateway(within=["prlimit", "--nofile=64:4096"])
    with site.crowd() as crowd:
        guests = [crowd.join(mac(300 + n), f"10.0.2.{100 + n}") for n in range(80)]
        all_have_ids(crowd, [Echo(guest) for guest in guests])


def all_go_on_or_have_ended(neighbours: list[Neighbour]) -> None:
    """Wait until each stream has either ended, or brought back many more messages."""
    before = [neighbour.checked for neighbour in neighbours]
    eventually(
        "each stream goes on, or has ended",
        lambda: all(
            neighbour.failure is not None or neighbour.checked > count + 100
            for neighbour, count in zip(neighbours, before, strict=True)
        ),
    )


def test_each_process_is_killed_in_turn(site: Site) -> None:
    """
    After kill -9 of any process of the gateway new connections work, and most streams go on.

    That of the first process, which is the one that was started, ends all; any other at most one.
    """
    site.use_gateway("--nat")
    with contextlib.ExitStack() as stack:
        neighbours = [
            stack.enter_context(site.neighbour(f"10.0.2.{number}")) for number in (15, 17, 18)
        ]
        for neighbour in neighbours:
            neighbour.goes_on()
        first, *others = family(site.gateway.process.pid)
        before = site.footprint()
        print(before)
        for pid in others:
            os.kill(pid, signal.SIGKILL)
            eventually("it has ended", lambda pid=pid: pid not in family(first))
            all_go_on_or_have_ended(neighbours)
            broken = [neighbour for neighbour in neighbours if neighbour.failure is not None]
            print(f"{pid}: {len(broken)} ended")
            assert len(broken) <= 1
            for neighbour in broken:
                assert isinstance(neighbour.failure, ConnectionResetError)
                neighbours.remove(neighbour)
                neighbours.append(stack.enter_context(Neighbour(neighbour.machine)))
                neighbours[-1].goes_on()
            with site.crowd() as crowd:
                echo = Echo(crowd.join(mac(51), "10.0.2.51"))
                all_have_ids(crowd, [echo])
        is_as_before(site, before)
        os.kill(first, signal.SIGKILL)
        site.end_gateway()
        site.start_gateway_again()
        for neighbour in neighbours:
            # Reset, and not left to wait: it is about to receive.
            eventually("its stream has ended", lambda neighbour=neighbour: neighbour.failure)
            assert isinstance(neighbour.failure, ConnectionResetError)
            stack.enter_context(Neighbour(neighbour.machine)).goes_on()
        is_as_before(site, before)
