"""What one command line takes of this machine, so that no other process is blamed for it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from distnet.sockets.listen import Listener, split_description


@dataclass(frozen=True, slots=True)
class Place:
    """
    What can be taken once.

    @ivar kind: C{tcp} or C{udp}, which have ports; or C{path} and so on, with a name alone.
    @ivar name: the IP address of a port, or else what it is called.
    @ivar port: the number of a port.
    """

    kind: str
    name: str
    port: int = 0

    def clashes_with(self, other: Place) -> bool:
        """Whether both cannot be had at the same time."""
        if (self.kind, self.port) != (other.kind, other.port):
            return False
        return self.name == other.name or (self.port != 0 and _overlap(self.name, other.name))


def place_of(description: str) -> Place | None:
    """
    Where a complete endpoint description listens; None for any free port, and what systemd has.
    """
    listener = Listener(description)
    if listener.path is not None:
        return Place("path", listener.path)
    if not listener.port:
        return None
    _, arguments = split_description(description)
    return Place("tcp", arguments["interface"], listener.port)


class Taken:
    """What the options before have taken."""

    def __init__(self) -> None:
        self._places: dict[Place, str] = {}

    def add(self, place: Place | None, option: str) -> None:
        """
        An option takes a place.

        @param option: as it was given, with its value.
        @raise ValueError: another one has it; in one line that names both.
        """
        if place is None:
            return
        for other, first in self._places.items():
            if place.clashes_with(other):
                raise ValueError(
                    f"{option}: {first} has that already; give each a place of its own"
                )
        self._places[place] = option


def _overlap(one: str, other: str) -> bool:
    """Whether who listens at one address has the other one's ports too, as Linux has it."""
    try:
        first, second = (ip_address(host or "0.0.0.0") for host in (one, other))
    except ValueError:
        # A name, which may mean anything.
        return False
    if first.version == second.version:
        return first == second or first.is_unspecified or second.is_unspecified
    sixth = first if first.version == 6 else second
    return sixth.is_unspecified
