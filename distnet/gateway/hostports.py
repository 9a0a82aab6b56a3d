"""Ports of this machine that lead to a guest, in its process: libslirp's for TCP, ours for UDP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from distnet.gateway.datagrams import Datagrams
from distnet.gateway.datapath import AnyStack
from distnet.gateway.flows import parse_connection_info
from distnet.gateway.hostforward import HostForward, why_not
from distnet.gateway.loop import Loop, Timer

FIRST_SECONDS: Final = 0.25
MOST_SECONDS: Final = 4.0
"""How long until a port that cannot be listened at is tried again."""
SAID_SECONDS: Final = 1.0
"""How long it is tried before that is said: the process of the guest before may be ending."""
MOST_CONNECTIONS: Final = 32
"""
How many connections libslirp has by them, until others have to wait. Each costs 260 kB, and with
as many as the guest may begin itself they must fit into what its process may have.
"""
LOOK_SECONDS: Final = 0.25
"""How often it is looked whether there are less, while there are so many."""


class HostPorts:
    """
    All of them.

    @ivar wanted: what is to be listened at.
    @ivar open: what is.
    """

    def __init__(
        self,
        loop: Loop,
        stack: AnyStack,
        datagrams: Datagrams,
        say: Callable[[str], object],
        complain: Callable[[str], object],
    ) -> None:
        """
        @param say: takes a line for the log.
        @param complain: takes one that is a warning.
        """
        self.wanted: list[HostForward] = []
        self.open: list[HostForward] = []
        self._loop, self._stack, self._datagrams = loop, stack, datagrams
        self._say, self._complain = say, complain
        self._later: Timer | None = None
        self._seconds = FIRST_SECONDS
        self._listeners: frozenset[int] = frozenset()
        # No less than there are.
        self._connections = 0

    def want(self, forwards: list[HostForward]) -> None:
        """Listen at these, and no others."""
        self.wanted = forwards
        for forward in [each for each in self.open if each not in forwards]:
            self.open.remove(forward)
            if forward.is_udp:
                self._datagrams.remove(forward)
            else:
                self._stack.network.stop_forwarding_from_host((forward.address, forward.port))
            self._say(f"{forward}: not any more")
        self._seconds = FIRST_SECONDS
        self._open_all()

    def _open_all(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        for forward in self.wanted:
            if forward not in self.open:
                self._open(forward)
        if len(self.open) < len(self.wanted):
            self._later = self._loop.call_later(self._seconds, self._open_all)
            self._seconds = min(self._seconds * 2, MOST_SECONDS)
        # libslirp's descriptors are other ones now.
        self._look()

    def connects(self) -> None:
        """Somebody connects; libslirp is in the middle of it."""
        self._connections += 1
        if self._connections == MOST_CONNECTIONS:
            self._stack.hold(self._listeners)
            self._loop.call_later(0, self._look)

    def count(self) -> int:
        """How many connections there are, libslirp alone knows."""
        sockets = parse_connection_info(self._stack.network.connections())
        ends = {each.guest.packed + each.guest_port.to_bytes(2) for each in self.open}
        tcp = [each for each in sockets if each.protocol == "TCP"]
        self._listeners = frozenset(each.descriptor for each in tcp if each.state == "HOST_FORWARD")
        self._connections = sum(
            each.target in ends and each.descriptor not in self._listeners for each in tcp
        )
        return self._connections

    def _look(self) -> None:
        if self.count() < MOST_CONNECTIONS:
            self._stack.hold(frozenset())
        else:
            self._stack.hold(self._listeners)
            self._loop.call_later(LOOK_SECONDS, self._look)
        self._stack.turn()

    def _open(self, forward: HostForward) -> None:
        try:
            if forward.is_udp:
                self._datagrams.add(forward)
            else:
                self._stack.network.forward_from_host(
                    (forward.address, forward.port), (forward.guest, forward.guest_port)
                )
        except OSError as error:
            if self._seconds >= SAID_SECONDS:
                self._complain(f"--forward {forward}: {why_not(forward, error)}")
            return
        self.open.append(forward)
        self._say(f"{forward}: listens")
