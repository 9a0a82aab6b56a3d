"""Which guest has an address that ports of this machine lead to, and whether it is there. No I/O.

The guest is found by ARP, as any machine would find it. One that was started again may have another
MAC address; as long as the first one answers, the address is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from distnet.gateway.hostforward import HostForward

ASK_SECONDS: Final = 2.0
"""How often a guest is asked for that is not known, or is in doubt."""
QUIET_SECONDS: Final = 10.0
"""How long a guest may say nothing but TCP until it is asked whether it is there."""
MOST_UNANSWERED: Final = 25
"""How often it may not answer: it may be stopped in a debugger, and nobody else has its address."""
MOST_DOUBTED: Final = 3
"""How often it may not answer while another one has its address."""


class _Address:
    """
    An address of a guest's.

    @ivar mac: the guest's, or None if it is not known.
    @ivar rival: another one that has the address now, or None.
    @ivar heard: when the guest was heard last.
    @ivar unanswered: how often it was asked since.
    """

    __slots__ = ("forwards", "heard", "mac", "rival", "unanswered")

    def __init__(self, forwards: list[HostForward]) -> None:
        self.forwards = forwards
        self.mac: bytes | None = None
        self.rival: bytes | None = None
        self.heard = 0.0
        self.unanswered = 0


class Forwarded:
    """
    All such addresses.

    @ivar addresses: in 4 bytes each; what is sent from others is of no interest.
    """

    def __init__(
        self,
        forwards: Sequence[HostForward],
        *,
        ask: Callable[[bytes, bytes | None], object],
        changed: Callable[[bytes, list[HostForward]], object],
        seconds: Callable[[], float],
    ) -> None:
        """
        @param ask: asks who has an address, of everybody or of a MAC address.
        @param changed: called when other ports are to lead to a guest than before: with its MAC
            address, and all of them.
        @param seconds: a clock that only goes forward.
        """
        self._ask, self._changed, self._seconds = ask, changed, seconds
        self._addresses: dict[bytes, _Address] = {}
        for forward in forwards:
            its = self._addresses.setdefault(forward.guest.packed, _Address([]))
            its.forwards.append(forward)
        self.addresses = frozenset(self._addresses)

    def seen(self, mac: bytes, address: bytes) -> None:
        """A guest has sent something from one of the addresses."""
        its = self._addresses[address]
        if its.mac is None:
            self._give(its, mac)
        elif its.mac == mac:
            its.heard, its.unanswered, its.rival = self._seconds(), 0, None
        elif its.rival is None:
            its.rival, its.unanswered = mac, 0
            self._ask_for(address, its)
        else:
            its.rival = mac

    def lost(self, mac: bytes) -> None:
        """A guest has gone, or its process has: it is to be found anew."""
        addresses = [its for its in self._addresses.values() if its.mac == mac]
        for its in addresses:
            its.mac = its.rival = None
        if addresses:
            self._changed(mac, [])

    def look(self) -> None:
        """Every L{ASK_SECONDS}, while there is a switch."""
        for address, its in self._addresses.items():
            if its.mac is None:
                self._ask(address, None)
            elif its.unanswered >= (MOST_UNANSWERED if its.rival is None else MOST_DOUBTED):
                self._give(its, its.rival)
            elif its.rival is not None or self._seconds() - its.heard >= QUIET_SECONDS:
                self._ask_for(address, its)

    def _ask_for(self, address: bytes, its: _Address) -> None:
        # Everybody, if it does not answer: another one may have its address, and say nothing else.
        to_all = its.unanswered and its.rival is None
        its.unanswered += 1
        self._ask(address, None if to_all else its.mac)

    def _give(self, its: _Address, mac: bytes | None) -> None:
        before, its.mac, its.rival = its.mac, mac, None
        its.heard, its.unanswered = self._seconds(), 0
        # The one that had it first: it must stop listening before another one can.
        for each in (before, mac):
            if each is not None:
                self._changed(each, self._of(each))

    def _of(self, mac: bytes) -> list[HostForward]:
        return [
            forward
            for its in self._addresses.values()
            if its.mac == mac
            for forward in its.forwards
        ]
