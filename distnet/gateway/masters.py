"""Where the master is for a guest: told, or asked for at a control socket."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any, Final

from distnet.address import Address, TcpAddress, UnixAddress, parse
from distnet.control.ask import NoMaster, ask, find, find_master_at, listener_for
from distnet.errors import DistnetError
from distnet.gateway.channel import Message
from distnet.gateway.guests import Guest

USUAL: Final = TcpAddress("127.0.0.1", 1234)
ASK_SECONDS: Final = 2.0
"""How long the master has to answer at its control socket."""

Near = TcpAddress | UnixAddress
"""An address that the gateway can connect to."""

_HOW: Final = "--control PATH (--master-control PATH at the switch)"


class NoListener(DistnetError):
    """The master does not listen for a guest; the message says why, and what to do."""


class Masters:
    """
    Finds the master for each guest.

    Of several that run on this machine it takes none unless it is told which. One that it has found
    it stays with, also while that is away: a guest that waits is not to land at another one. It
    waits where that one was last, or for its control socket if that was told and nobody has
    answered there yet; nowhere else, not even at the usual port.
    """

    def __init__(
        self, reactor: Any, control: str | None, address: Near | None, nodes: Mapping[bytes, int]
    ) -> None:
        """
        @param control: path of the master's control socket, or None to look for it.
        @param address: where the master is for guests that are no fixed node, or None to ask.
        @param nodes: which node each guest's address is, for those that are fixed.
        """
        self._reactor = reactor
        self._control = control
        self._address = address
        self._nodes = nodes
        self._told = control is not None
        self._was_found = False
        self._last: Near | None = None
        self._paced = True

    async def find(self, guest: Guest) -> Near:
        """Where a guest is to be connected. Raises L{DistnetError}, in one line."""
        # Late, since the command line reads addresses without Twisted.
        from twisted.internet.threads import deferToThreadPool

        node = self._nodes.get(guest.address)
        if node is None and self._address is not None:
            return self._address
        # A master that does not answer must not hold up the others' frames.
        near: Near = await deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), self.look, node
        )
        return near

    async def place_for(self, guest: Guest) -> Message:
        """
        The same as guests' processes are told it, with a number in the place of a host's name.

        Raises L{DistnetError}, OSError.
        """
        address = await self.find(guest)
        if not isinstance(address, TcpAddress):
            # Last, so that it is found without understanding the rest.
            return {"path": address.path} | ({"cut": True} if self._paced else {})
        return {"host": await self._resolved(address), "port": address.port}

    async def _resolved(self, address: TcpAddress) -> str:
        from twisted.internet.threads import deferToThreadPool

        try:
            return str(ipaddress.ip_address(address.host))
        except ValueError:
            found: Any = await deferToThreadPool(
                self._reactor,
                self._reactor.getThreadPool(),
                socket.getaddrinfo,
                address.host,
                address.port,
                type=socket.SOCK_STREAM,
            )
            name, _, *more = found[0][4]
            # Of IPv6 there is the scope, which an address of a link means nothing without.
            scope = more[1] if more else 0
            return f"{name}%{scope}" if scope and "%" not in name else str(name)

    def look(self, node: int | None) -> Near:
        """Ask where a node, or a guest that is none, is to be connected. It blocks."""
        control = self._control
        if control is None and self._address is not None:
            control = find_master_at(self._address)
        elif control is None:
            control = find(how=_HOW)
        try:
            _, status = ask(control, "/status", ASK_SECONDS)
        except NoMaster:
            if node is not None:
                raise
            if self._last is not None:
                return self._last
            if self._was_found or self._told:
                raise
            # It may have been told to have no control socket.
            return USUAL
        self._control, self._was_found = control, True
        listeners = status["listeners"]
        self._paced = status["limits"]["segment"] is not None
        # Also if this guest is a fixed node: the next one may be none.
        last = self._best(listeners, None)
        self._last = near(last) if last is not None else None
        return self._choose(listeners, node)

    def _best(self, listeners: list[dict[str, Any]], node: int | None) -> Address | None:
        # There a stream comes, and is cut by the guest's process: that costs a tenth as much.
        places = [each["address"] for each in listeners if each.get("relays")]
        if node is None and self._paced and places:
            return parse(places[0])
        return listener_for(listeners, node)

    def _choose(self, listeners: list[dict[str, Any]], node: int | None) -> Near:
        address = self._best(listeners, node)
        if address is None and node is None:
            raise NoListener(
                "the master has no listener for kernels without TLS:"
                " start it with --port or --listen"
            )
        if address is None:
            raise NoListener(
                f"the master has no listener for node {node}: start it with --node {node}=unix:PATH"
            )
        return near(address)


def near(address: Address) -> Near:
    """An address that the gateway can connect to. Raises L{NoListener} if it is on TLS."""
    if isinstance(address, TcpAddress | UnixAddress):
        return address
    raise NoListener(f"{address}: the gateway does not speak TLS; run it where the master is")
