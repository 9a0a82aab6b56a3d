"""Connections that are no more, of which their guests do not know yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from distnet.gateway.packets import mac_of
from distnet.gateway.resets import NUMBERS_APART, question
from distnet.gateway.state import Flow, State

ASK_SECONDS: Final = 1.0
ASK_TIMES: Final = 3
"""How often a guest is asked at a connection that is no more, and how long it has to answer."""


class Stale:
    """
    Has guests tell how far they are with such connections, to be reset there.

    Nobody knows the numbers any more that a reset needs. A segment that is out of window is
    answered with them (RFC 9293, 3.10.7.4), and that answer, being of no connection, is answered
    with the reset.
    """

    def __init__(
        self,
        reactor: Any,
        state: State,
        *,
        send: Callable[[bytes], object],
        is_plugged: Callable[[], bool],
    ) -> None:
        """
        @param state: has those on record until their guests know.
        @param send: sends a frame to the switch.
        @param is_plugged: whether there is a switch.
        """
        self._reactor = reactor
        self._state = state
        self._send = send
        self._is_plugged = is_plugged
        # How often each guest is still to be asked.
        self._flows: dict[Flow, int] = {}
        self._later: Any = None

    def add(self, flows: Iterable[Flow]) -> None:
        """Ask at these, at once or as soon as there is a switch."""
        for flow in flows:
            self._flows[flow] = ASK_TIMES
        self.go_on()

    def go_on(self) -> None:
        """Ask, if there is something to ask for; there is a switch again, perhaps."""
        if self._later is None and self._flows:
            self._ask()

    def begun(self, flow: Flow) -> None:
        """A guest has begun one with the same addresses and ports: that one is to stay."""
        self._flows.pop(flow, None)

    def over(self, flow: Flow) -> None:
        """A guest knows."""
        if self._flows.pop(flow, None) is not None:
            self._state.drop_flow(flow)

    def stop(self) -> None:
        """Ask no more; what is left is for another gateway."""
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _ask(self) -> None:
        self._later = None
        if not self._is_plugged():
            return
        for flow, times in list(self._flows.items()):
            if times:
                self._flows[flow] = times - 1
                self._send(_question(flow, times * NUMBERS_APART))
            else:
                # It is not there.
                self.over(flow)
        if self._flows:
            self._later = self._reactor.callLater(ASK_SECONDS, self._ask)


def _question(flow: Flow, number: int) -> bytes:
    addresses, ports = flow.own + flow.address, (flow.own_port, flow.port)
    return question(flow.mac + mac_of(flow.own), addresses, ports, number)
