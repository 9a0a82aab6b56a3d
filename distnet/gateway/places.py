"""Where the master can be for the gateway. No I/O."""

from __future__ import annotations

from typing import Any, Final

from distnet.address import Address, TcpAddress, UnixAddress, parse
from distnet.errors import DistnetError

USUAL: Final = TcpAddress("127.0.0.1", 1234)

Near = TcpAddress | UnixAddress


class NoPlace(DistnetError):
    """There is no place for a guest; the message says why, and what to do."""


def choose(listeners: list[dict[str, Any]], node: int | None) -> Near:
    """
    The listener for a node, or for all kernels.

    @param listeners: as C{/status} of the master has them.
    @raise NoPlace: there is none that the gateway can use.
    """
    for listener in listeners:
        if listener["node"] == node and not (listener["tools"] or listener["tls"]):
            return near(parse(listener["address"]))
    if node is None:
        raise NoPlace(
            "the master has no listener for kernels without TLS: start it with --port or --listen"
        )
    raise NoPlace(
        f"the master has no listener for node {node}: start it with --node {node}=unix:PATH"
    )


def near(address: Address) -> Near:
    """An address that the gateway can connect to. Raises L{NoPlace} if it is on TLS."""
    if isinstance(address, TcpAddress | UnixAddress):
        return address
    raise NoPlace(f"{address}: the gateway does not speak TLS; run it where the master is")
