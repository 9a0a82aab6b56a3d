"""
The network of the guests: who has which address. No I/O.

It is QEMU's user network, 10.0.2.0/24, with as much again behind it. A guest that has a netmask of
24 bits reaches everybody who has an address in 10.0.2.0/24, and the gateway's are all there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

NETWORK: Final = IPv4Network("10.0.2.0/23")
"""What DHCP tells of: 256 guests do not fit into 10.0.2.0/24, beside zCore's kernels."""
MASTER_PORT: Final = 1234

ZCORE_FIRST: Final = NETWORK[15]
"""The address of a zCore with C{IP=0}; the one with C{IP=n} has that which is n further."""
ZCORE_KERNELS: Final = range(16)
"""What C{IP=n} of a zCore can be."""


@dataclass(frozen=True, slots=True)
class Plan:
    """
    The addresses that are no guest's.

    @ivar host: the machine that the guests run on: their gateway, and their DHCP server.
    @ivar master: where guests find the master, at C{port}.
    @ivar pool: the addresses for DHCP, as the first and the last of each run, in the order in which
        they are given away. zCore's kernels have 10.0.2.15 to 10.0.2.30; 10.0.2.255 is none, since
        guests with 24 bits would take it for everybody's.
    """

    network: IPv4Network = NETWORK
    host: IPv4Address = NETWORK[2]
    name_server: IPv4Address = NETWORK[3]
    master: IPv4Address = NETWORK[16]
    pool: tuple[tuple[IPv4Address, IPv4Address], ...] = (
        (NETWORK[31], NETWORK[254]),
        (NETWORK[4], NETWORK[14]),
        (NETWORK[256], NETWORK[510]),
    )
    port: int = MASTER_PORT

    @property
    def own(self) -> tuple[IPv4Address, ...]:
        """What no guest may have."""
        return self.host, self.name_server, self.master

    def addresses(self) -> Iterator[IPv4Address]:
        """The addresses for DHCP, in the order in which they are given away."""
        for first, last in self.pool:
            for number in range(int(first), int(last) + 1):
                yield IPv4Address(number)


PLAN: Final = Plan()
GATEWAY: Final = "distnet gateway"
"""What the gateway says of itself where it plugs in."""
GUEST_MASTER: Final = f"{PLAN.master}:{PLAN.port}"
"""Where a kernel looks for its master."""


# The nodes of a cluster

_MASTERS_NUMBER: Final = int(PLAN.master) - int(ZCORE_FIRST)
"""A Linux that had the master's address would ask itself for the master."""
MAX_NODES: Final = int(NETWORK[254]) - int(ZCORE_FIRST)
"""
How many nodes there are addresses for, in a network of 24 bits. A zCore takes numbers up to 15, so
there are 15 of them at most.
"""


@dataclass(frozen=True, slots=True)
class NodeAddresses:
    """
    What a node of a cluster has.

    @ivar number: what follows C{IP=} on a zCore's command line.
    @ivar ip: 10.0.2.(15 + number).
    @ivar mac: 54:51:9F:71:C0:number; a zCore takes it whatever its NIC says.
    """

    number: int
    ip: str
    mac: str


def addresses_of(node: int) -> NodeAddresses:
    """The addresses of a node: as if numbered from 0 on, but for the master's."""
    number = node + (node >= _MASTERS_NUMBER)
    return NodeAddresses(number, str(ZCORE_FIRST + number), f"54:51:9F:71:C0:{number:02X}")
