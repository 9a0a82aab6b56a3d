"""Who has which address on the gateway's network, and 256 guests who all have one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections.abc import Iterator
from ctypes.util import find_library
from ipaddress import IPv4Address

import pytest

from tests import attacks
from tests.crowds import Crowd, CrowdGuest, Echo, all_have_ids, goes_on
from tests.daemons import PATIENCE, eventually
from tests.sites import Site
from tests.switches import mac

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here"),
    pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here"),
]

MANY = 256
KEPT = {*range(int(IPv4Address("10.0.2.15")), int(IPv4Address("10.0.2.31")))} | {
    int(IPv4Address(f"10.0.2.{number}")) for number in (0, 1, 2, 3, 255)
}
"""Addresses that are not given away: zCore's kernels have them, or the gateway itself."""


def ask_all(crowd: Crowd, guests: list[CrowdGuest]) -> list[str]:
    """All ask at once for an address by DHCP; the addresses."""
    for guest in guests:
        guest.ask_for_address()
    pending = set(guests)

    def done() -> bool:
        pending.difference_update([guest for guest in pending if guest.address is not None])
        return not pending

    crowd.until("all have addresses", done, 2 * PATIENCE)
    return [guest.ip for guest in guests]


@pytest.fixture(scope="module")
def many(site: Site) -> Iterator[tuple[Crowd, list[CrowdGuest]]]:
    """256 guests, each at a port of its own."""
    site.use_gateway()
    with site.crowd() as crowd:
        yield crowd, [crowd.join(mac(0x1000 + number)) for number in range(MANY)]


def test_256_addresses(many: tuple[Crowd, list[CrowdGuest]]) -> None:
    """256 guests that ask at once have 256 addresses, and none that others have."""
    crowd, guests = many
    addresses = {int(IPv4Address(address)) for address in ask_all(crowd, guests)}
    assert len(addresses) == MANY
    assert not addresses & KEPT


def test_several_connect_at_once(site: Site) -> None:
    """
    64 guests with addresses of their own have ids, however many libslirp knows.

    Here and in the next one there are more than may be in the middle of it at once; 256 are in
    L{tests.long.crowd}.
    """
    site.use_gateway()
    with site.crowd() as crowd:
        guests = [crowd.join(mac(0x2000 + n), f"10.0.2.{100 + n}") for n in range(64)]
        echoes = [Echo(guest) for guest in guests]
        assert len(set(all_have_ids(crowd, echoes))) == len(guests)
        for echo in echoes:
            goes_on(crowd, echo, 2)


def test_newcomers(site: Site) -> None:
    """
    Guests with made-up MACs that come and go, ever so many, have addresses.

    C{qemu-args} makes up another one for each boot.
    """
    site.use_gateway()
    for batch in range(3):
        with site.crowd() as crowd:
            client = crowd.plug()
            guests = [
                crowd.join(mac(0x3000 + 180 * batch + number), client=client)
                for number in range(180)
            ]
            assert len(set(ask_all(crowd, guests))) == 180


def test_the_same_address_again(site: Site) -> None:
    """A guest that boots again, and one that asks after the gateway was killed, have theirs."""
    site.use_gateway()
    with site.crowd() as crowd:
        guests = [crowd.join(mac(0x4000 + number)) for number in range(3)]
        before = ask_all(crowd, guests)
        assert ask_all(crowd, guests) == before
        site.end_gateway(signal.SIGKILL)
        site.start_gateway_again()
        # Another asks first.
        other = crowd.join(mac(0x4100))
        assert ask_all(crowd, [other])[0] not in before
        assert ask_all(crowd, guests[:2]) == before[:2]
        guests[2].renew()
        crowd.until("it has an address", lambda: guests[2].address)
        assert guests[2].ip == before[2]


def test_addresses_in_use_are_not_given_away(site: Site) -> None:
    """What a living guest uses is not given to another, though nobody remembers it was leased."""
    site.use_gateway()
    with site.crowd() as crowd:
        # Nobody has asked for these: their owners have them from elsewhere, and say nothing.
        probe = crowd.join(mac(0x5000))
        first = int(IPv4Address(ask_all(crowd, [probe])[0]))
        used = [str(IPv4Address(first + number)) for number in range(1, 6)]
        with contextlib.ExitStack() as stack:
            for address in used[:2]:
                stack.enter_context(site.machine(address))
            for number, address in enumerate(used[2:]):
                crowd.join(mac(0x5100 + number), address)
            newcomers = [crowd.join(mac(0x5200 + number)) for number in range(6)]
            assert not set(ask_all(crowd, newcomers)) & set(used)


def test_guests_are_told_of_a_restart(site: Site) -> None:
    """Guests that wait for a message when the gateway was killed are reset; the log names them."""
    site.use_gateway()
    with contextlib.ExitStack() as stack:
        machines = [stack.enter_context(site.machine(f"10.0.2.{n}")) for n in (15, 17)]
        kernels = [stack.enter_context(machine.connect()) for machine in machines]
        crowd = stack.enter_context(site.crowd())
        strict = Echo(crowd.join(mac(18), "10.0.2.18"))
        for kernel in kernels:
            kernel.read_id()
        all_have_ids(crowd, [strict])
        site.end_gateway(signal.SIGKILL)
        site.start_gateway_again()
        # That one takes no reset but with the very number that is next.
        crowd.until("it was reset", lambda: strict.connection.was_reset)
        for kernel in kernels:
            with pytest.raises(ConnectionResetError):
                kernel.socket.recv(10)
        for number in (15, 17, 18):
            site.gateway.wait_for_log(f"10.0.2.{number} (")
        for machine in machines:
            with machine.connect() as again:
                again.read_id()


def test_two_guests_with_one_address(site: Site) -> None:
    """That two machines say they have one address is said, with both, and not again and again."""
    site.use_gateway()
    with site.crowd() as crowd:
        one, other = (crowd.join(mac(0x6000 + number), "10.0.2.77") for number in range(2))

        def said() -> list[str]:
            lines = site.gateway.log().splitlines()
            return [line for line in lines if "10.0.2.77" in line and other.mac.hex(":") in line]

        for _ in range(5):
            one.arp(attacks.HOST)
            other.arp(attacks.HOST)
            crowd.rest(0.05)
        eventually("it is said", lambda: any(one.mac.hex(":") in line for line in said()))
        # Each has it after the other.
        both = [line for line in said() if one.mac.hex(":") in line]
        assert len(both) <= 2, both
        assert re.search(r"10\.0\.2\.77\b", both[0])


def test_an_address_of_one_who_has_left(site: Site) -> None:
    """Whoever takes the address of a guest that has left is not told that it is another's."""
    site.use_gateway()
    for number in range(2):
        with site.crowd() as crowd:
            guest = crowd.join(mac(0x6100 + number), "10.0.2.78")
            goes_on(crowd, Echo(guest))
        site.gateway.wait_for_log(f"10.0.2.78 ({guest.mac.hex(':')}): has left the switch")
    assert not re.search(r"has the address 10\.0\.2\.78\b", site.gateway.log())
