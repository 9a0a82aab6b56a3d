"""At which port of the switch guests are, as its management console tells. No I/O.

vde_switch 2.3.2 and ours say the same, but for this: C{hash/find} of 2.3.2 says a port too many
(C{hash/print} does not), and 2.3.2 tells of no address that moves from one port to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MAX_LINE: Final = 1024
"""Bytes of a line that are looked at; the console's own are shorter."""

_PROMPT: Final = b"vde$ "
_LEARNED: Final = re.compile(rb"3011 hash/\+ ([0-9a-f:]{17}) VLAN \S+ Port +(\d+)")
_LEFT: Final = re.compile(rb"3022 port/- 0*(\d+)")
_ENTRY: Final = re.compile(rb"Hash: \d+ Addr: ([0-9a-f:]{17}) VLAN \d+ to port: 0*(\d+) ")
_END_OF_DATA: Final = b"."
_COMMANDS: Final = (b"debug/add port/-", b"debug/add hash/+")
_TABLE: Final = b"hash/print"
_DONE: Final = re.compile(rb"1\d{3} ")


@dataclass(slots=True)
class _Place:
    """
    Where a guest is.

    @ivar port: its port, or None if it is not known.
    @ivar left: a port has left the switch that may have been the guest's.
    @ivar looked: the table has told of it, or not, since there is a console: a port that leaves is
        not its own, if its own is not known.
    """

    port: int | None = None
    left: bool = False
    looked: bool = False


@dataclass(slots=True)
class Whereabouts:
    """
    Follows the guests that have something here, a process or an address.

    @ivar ask: sends a line to the console.
    @ivar gone: called when a guest's port has left the switch, with the guest's MAC address and
        the number of the port.
    """

    ask: Callable[[bytes], None]
    gone: Callable[[bytes, int | None], None]
    _places: dict[bytes, _Place] = field(default_factory=dict)
    _listed: dict[bytes, int] = field(default_factory=dict)
    _buffer: bytes = b""
    _greeted: bool = False
    _listing: bool = False
    _answers: list[bytes] = field(default_factory=list)

    def port_of(self, mac: bytes) -> int | None:
        """The port that a guest is at, or None if that is not known."""
        place = self._places.get(mac)
        return place.port if place is not None else None

    def follow(self, mac: bytes) -> None:
        """A guest has something; it may have had before."""
        if mac not in self._places:
            self._places[mac] = _Place()
            self._ask_for_table()

    def forget(self, mac: bytes) -> None:
        """A guest has nothing any more."""
        self._places.pop(mac, None)

    def connected(self) -> None:
        """The console is connected, and will greet."""
        self._buffer, self._greeted, self._listing = b"", False, False
        self._answers.clear()

    def disconnected(self) -> None:
        """The console is gone: what is known now need not be true when there is one again."""
        for place in self._places.values():
            place.port, place.left, place.looked = None, False, True

    def feed(self, data: bytes) -> None:
        """Bytes have come from the console."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            # An event may stand behind a prompt.
            self._take(line.removeprefix(_PROMPT).rstrip(b"\r"))
        if self._buffer.startswith(_PROMPT):
            self._buffer = self._buffer.removeprefix(_PROMPT)
            self._prompted()
        elif len(self._buffer) > MAX_LINE:
            self._buffer = b""

    def _prompted(self) -> None:
        if self._greeted:
            return
        self._greeted = True
        for command in _COMMANDS:
            self._send(command)
        self._ask_for_table()

    def _send(self, command: bytes) -> None:
        # 2.3.2 takes what comes in one read for one command: the next follows the answer.
        self._answers.append(command)
        if len(self._answers) == 1:
            self.ask(command + b"\n")

    def _ask_for_table(self) -> None:
        # A table that was asked for and has not begun to come will tell of this too. One that comes
        # already need not.
        if self._greeted and _TABLE not in self._answers[1:]:
            self._send(_TABLE)

    def _take(self, line: bytes) -> None:
        if learned := _LEARNED.match(line):
            self._learned(_mac(learned[1]), int(learned[2]))
        elif left := _LEFT.match(line):
            self._left(int(left[1]))
        elif entry := _ENTRY.match(line):
            self._listed[_mac(entry[1])] = int(entry[2])
        elif _DONE.match(line) and self._answers:
            if self._answers.pop(0) == _TABLE:
                listed, self._listed = self._listed, {}
                self._compare(listed)
            if self._answers:
                self.ask(self._answers[0] + b"\n")

    def _learned(self, mac: bytes, port: int) -> None:
        place = self._places.get(mac)
        if place is not None and not place.left:
            place.port = port

    def _left(self, port: int) -> None:
        suspects = [
            place
            for place in self._places.values()
            if place.port == port or (place.port is None and not place.looked)
        ]
        for place in suspects:
            place.left = True
        if suspects:
            self._ask_for_table()

    def _compare(self, listed: dict[bytes, int]) -> None:
        for mac, place in list(self._places.items()):
            port = listed.get(mac)
            # The port that left may have been this guest's. If its address is at another port, it
            # had moved there. If it has expired, or is at that port again, it was at that port.
            moved = port is not None and port != place.port
            if moved or not place.left:
                place.port = place.port if port is None else port
                place.left, place.looked = False, True
            elif _TABLE not in self._answers:
                del self._places[mac]
                self.gone(mac, place.port)


def _mac(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b":", b"").decode())
