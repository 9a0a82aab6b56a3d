"""Who the guests are: which node each is to be, and who has an address twice. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from distnet.gateway.packets import show_address
from distnet.guestnet import ZCORE_FIRST, ZCORE_KERNELS, Plan
from distnet.mac import format_mac
from distnet.once import Once
from distnet.wire import MAX_ID

MOST_TOLD: Final = 1024
"""How many addresses are remembered."""
AGAIN_SECONDS: Final = 600.0
"""When the same is said again."""


@dataclass(frozen=True, slots=True)
class Guest:
    """
    A guest, as far as a connection to the master is concerned.

    @ivar address: IPv4, 4 bytes.
    @ivar mac: 6 bytes.
    """

    address: bytes
    mac: bytes

    def __str__(self) -> str:
        return f"{show_address(self.address)} ({format_mac(self.mac)})"


def parse_maps(maps: Sequence[str], zcore: bool, plan: Plan) -> dict[bytes, int]:
    """
    Which node each address is, of IP=N as users give it.

    @param zcore: the scheme of zCore too, but for what is given otherwise.
    Raises ValueError in one line.
    """
    result: dict[bytes, int] = {}
    for text in maps:
        address, equals, node = text.partition("=")
        try:
            packed = IPv4Address(address).packed
        except AddressValueError:
            packed = b""
        if not packed or not equals or not (node.isascii() and node.isdigit() and len(node) < 20):
            raise ValueError(f"{text!r} is not IP=N, like 10.0.2.15=3")
        if int(node) > MAX_ID:
            raise ValueError(f"{text!r}: {node} is not an id")
        if not _is_guests(IPv4Address(packed), plan):
            raise ValueError(f"{text!r}: {address} is not an address of a guest in {plan.network}")
        if packed in result:
            raise ValueError(f"{address} is mapped twice")
        result[packed] = int(node)
    if zcore:
        for number in ZCORE_KERNELS:
            usual = ZCORE_FIRST + number
            if usual not in plan.own and number not in result.values():
                result.setdefault(usual.packed, number)
    nodes = list(result.values())
    for node_number in nodes:
        if nodes.count(node_number) > 1:
            raise ValueError(f"two addresses are mapped to node {node_number}")
    return result


def _is_guests(address: IPv4Address, plan: Plan) -> bool:
    """Whether a guest can have an address: it is none of the gateway's, nor of the network's."""
    network = plan.network
    edges = network.network_address, network.broadcast_address
    return address in network and address not in (*plan.own, *edges)


@dataclass(slots=True)
class Notes:
    """
    What is to be said once in a while: of machines with an address of ours, or of each other.

    A machine can have any number of MAC addresses: each address is told of, with the last that had
    it.
    """

    plan: Plan
    seconds: Callable[[], float] = time.monotonic
    _told: Once = field(init=False)
    _macs: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._told = Once(seconds=self.seconds, again=AGAIN_SECONDS)

    def owner_of_ours(self, mac: bytes, address: bytes | None) -> str | None:
        """What to say of a machine that has an address of the gateway's; None if it was said."""
        if not self._first(address):
            return None
        if address is None:
            return (
                f"another gateway is on this switch: it has the MAC address {format_mac(mac)} too;"
                f" stop one of them"
            )
        remedy = "give it another address"
        if address == self.plan.master.packed:
            remedy = "guests may find it in the master's place; start it with another IP= than 1"
        return (
            f"{format_mac(mac)} has the address {show_address(address)}, which is the gateway's:"
            f" {remedy}"
        )

    def seen(self, mac: bytes, address: bytes) -> tuple[str | None, bytes | None]:
        """
        A machine has an address.

        @return: what to say if two have it: that is if the one before has it again; and who is to
            be asked whether it has it still, if this one is new.
        """
        now, before = self._macs.get(address, (None, b""))
        if now == mac:
            return None, None
        if now is None:
            if len(self._macs) < MOST_TOLD:
                self._macs[address] = mac, b""
            return None, None
        self._macs[address] = mac, now
        if mac != before:
            # It may have been started again, with another MAC address.
            return None, now
        if not self._first(address, "twice"):
            return None, None
        return (
            f"{format_mac(mac)} and {format_mac(now)} both have the address"
            f" {show_address(address)}: each guest needs an address of its own"
        ), None

    def no_lease(self, mac: bytes) -> str | None:
        """What to say of a machine that gets no address from DHCP."""
        if not self._first(mac, "dhcp"):
            return None
        return (
            f"{format_mac(mac)} gets no address for now: all that there are for DHCP in"
            f" {self.plan.network} are in use, or were a minute ago"
        )

    def _first(self, *key: object) -> bool:
        return self._told.say(key) is not None
