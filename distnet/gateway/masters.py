"""Where the master is for a guest: told, or asked for at its control socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.threads import deferToThreadPool

from distnet.control.ask import NoMaster, ask
from distnet.gateway.guests import Guest
from distnet.gateway.places import USUAL, Near, choose

ASK_SECONDS: Final = 2.0
"""How long the master has to answer at its control socket."""


@dataclass(frozen=True, slots=True)
class Masters:
    """
    @ivar control: path of the master's control socket.
    @ivar address: where the master is for guests that are no fixed node, or None to ask.
    @ivar nodes: which node each guest's address is, for those that are fixed.
    """

    reactor: Any
    control: str
    address: Near | None
    nodes: Mapping[bytes, int]

    async def find(self, guest: Guest) -> Near:
        """Where a guest is to be connected. Raises L{DistnetError}, in one line."""
        node = self.nodes.get(guest.address)
        if node is None and self.address is not None:
            return self.address
        try:
            # A master that does not answer must not hold up the others' frames.
            _, status = await deferToThreadPool(
                self.reactor,
                self.reactor.getThreadPool(),
                ask,
                self.control,
                "/status",
                ASK_SECONDS,
            )
        except NoMaster:
            if node is not None:
                raise
            # It may have been told to have no control socket.
            return USUAL
        return choose(status["listeners"], node)
