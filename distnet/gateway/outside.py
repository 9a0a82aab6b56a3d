"""Whether a guest's connections to others than the master are in use. No I/O.

libslirp has a connection until one of its ends closes it, and does not notice that the guest has
gone. So a guest that says nothing is asked, as by a keep-alive (RFC 9293, 3.8.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from distnet.gateway.flows import parse_connection_info
from distnet.gateway.packets import mac_of
from distnet.gateway.resets import NUMBERS_APART, question
from distnet.gateway.segments import RST, ends_of
from distnet.guestnet import Plan

MOST_UNANSWERED: Final = 5
"""How often a guest may not answer."""

_IP: Final = 14
_LASTING: Final = frozenset({"ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT_1", "FIN_WAIT_2"})


class Outside:
    """
    One guest's connections.

    @ivar asked: those at which it was asked, by address and port of both ends, the guest's first.
    """

    def __init__(
        self, plan: Plan, *, listed: Callable[[], str], put: Callable[[bytes], object]
    ) -> None:
        """
        @param listed: what C{slirp_connection_info} says now.
        @param put: sends the guest a frame.
        """
        self.asked: set[bytes] = set()
        self._listed, self._put = listed, put
        self._host_mac = mac_of(plan.host.packed)
        self._unanswered = 0
        self._number = 0

    def are_in_use(self, mac: bytes) -> bool:
        """
        Whether there are any, and the guest has answered at one, or may yet.

        To be called now and then while the guest says nothing; it is asked at all of them.

        @param mac: the guest's.
        """
        self._unanswered = self._unanswered + 1 if self.asked else 0
        self.asked = {
            each.source + each.target
            for each in parse_connection_info(self._listed())
            if each.protocol == "TCP" and each.state in _LASTING
        }
        if self._unanswered >= MOST_UNANSWERED:
            self.asked.clear()
        self._number += NUMBERS_APART
        for key in self.asked:
            addresses = key[6:10] + key[:4]
            ports = int.from_bytes(key[10:]), int.from_bytes(key[4:6])
            self._put(question(mac + self._host_mac, addresses, ports, self._number))
        return bool(self.asked)

    def heard(self, frame: bytes) -> None:
        """A frame with a whole packet has come from the guest while it was L{asked}."""
        start = _IP + (frame[_IP] & 15) * 4
        is_asked = ends_of(frame, start) in self.asked
        if is_asked and len(frame) >= start + 14 and not frame[start + 13] & RST:
            self.asked.clear()
