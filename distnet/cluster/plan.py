"""Which addresses the nodes of a cluster have: zCore's scheme. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MASTER: Final = 1
"""The number of 10.0.2.16, the master's address: a Linux that has it asks itself for the master."""
_FIRST: Final = 15
_LAST: Final = 254
MAX_NODES: Final = _LAST - _FIRST
"""How many nodes there are addresses for. A zCore takes numbers up to 15, so 15 of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """
    A node's addresses.

    @ivar nodes: how many nodes there are.
    @ivar number: what follows C{IP=} on a zCore's command line.
    @ivar ip: 10.0.2.(15 + number).
    @ivar mac: 54:51:9F:71:C0:number; a zCore takes it whatever its NIC says.
    """

    nodes: int
    number: int
    ip: str
    mac: str


def place(node: int, nodes: int) -> Place:
    """The addresses of a node: as if numbered from 0 on, but for the master's."""
    number = node + (node >= _MASTER)
    return Place(nodes, number, f"10.0.2.{_FIRST + number}", f"54:51:9F:71:C0:{number:02X}")
