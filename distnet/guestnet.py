"""The network of the guests, 10.0.2.0/24 as QEMU's user network: who has which address. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

NETWORK: Final = IPv4Network("10.0.2.0/24")
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
    @ivar leases: the first address for DHCP. zCore's kernels have 10.0.2.15 to 10.0.2.30, of which
        10.0.2.16 would be the second one that libslirp gives away.
    """

    network: IPv4Network = NETWORK
    host: IPv4Address = NETWORK[2]
    name_server: IPv4Address = NETWORK[3]
    master: IPv4Address = NETWORK[16]
    leases: IPv4Address = NETWORK[31]
    port: int = MASTER_PORT

    @property
    def own(self) -> tuple[IPv4Address, ...]:
        """What no guest may have."""
        return self.host, self.name_server, self.master


PLAN: Final = Plan()
GATEWAY: Final = "distnet gateway"
"""What the gateway says of itself where it plugs in."""
GUEST_MASTER: Final = f"{PLAN.master}:{PLAN.port}"
"""Where a kernel looks for its master."""


# The nodes of a cluster

_MASTERS_NUMBER: Final = int(PLAN.master) - int(ZCORE_FIRST)
"""A Linux that had the master's address would ask itself for the master."""
MAX_NODES: Final = int(NETWORK[254]) - int(ZCORE_FIRST)
"""How many nodes there are addresses for. A zCore takes numbers up to 15, so 15 of them."""


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
