"""Ports of this machine that lead to a guest, in its process: libslirp's for TCP, ours for UDP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from distnet.gateway.datagrams import Datagrams
from distnet.gateway.hostforward import HostForward, why_not
from distnet.gateway.loop import Loop, Timer
from distnet.gateway.stack import Stack

FIRST_SECONDS: Final = 0.25
MOST_SECONDS: Final = 4.0
"""How long until a port that cannot be listened at is tried again."""
SAID_SECONDS: Final = 1.0
"""How long it is tried before that is said: the process of the guest before may be ending."""


class HostPorts:
    """
    All of them.

    @ivar wanted: what is to be listened at.
    @ivar open: what is.
    """

    def __init__(
        self,
        loop: Loop,
        stack: Stack,
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
