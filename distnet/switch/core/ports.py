"""The ports there are, by number; who may plug in where."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from distnet.switch.core.counters import Counters
from distnet.switch.core.errors import (
    AlreadyExists,
    InUse,
    InvalidValue,
    NoFreePort,
    NoSuchThing,
    NotPermitted,
)
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import MAX_NUMPORTS
from distnet.switch.core.records import Endpoint, Port
from distnet.switch.core.vlans import DEFAULT_VLAN, VlanTable

DEFAULT_NUMPORTS = 32
ROOT = 0


class PortTable:
    """
    Ports 0 to C{numports - 1}, of which those exist that were created or asked for (C{port/*}).

    Once there, they stay until L{remove}, with their VLANs and counters, whether used or not.
    """

    def __init__(self, vlans: VlanTable, observer: IBridgeObserver, numports: int) -> None:
        self._vlans = vlans
        self._observer = observer
        self._ports: dict[int, Port] = {}
        self._removed = Counters()
        self._numports = DEFAULT_NUMPORTS
        self.set_numports(numports)

    @property
    def numports(self) -> int:
        """How many ports there can be, port 0 counted."""
        return self._numports

    def __iter__(self) -> Iterator[Port]:
        """All, by number; inactive ones too."""
        return (self._ports[number] for number in sorted(self._ports))

    def __len__(self) -> int:
        return len(self._ports)

    def __contains__(self, number: object) -> bool:
        return number in self._ports

    def __getitem__(self, number: int) -> Port:
        """Raises L{NoSuchThing}."""
        try:
            return self._ports[number]
        except KeyError:
            raise NoSuchThing(f"there is no port {number}") from None

    def set_numports(self, numports: int) -> None:
        """Raises L{InvalidValue}; L{InUse} if a port with such a number, or above, exists."""
        if not 0 < numports <= MAX_NUMPORTS:
            raise InvalidValue(f"{numports} is no number of ports: 1 to {MAX_NUMPORTS}")
        beyond = [number for number in self._ports if number >= numports]
        if beyond:
            raise InUse(f"port {min(beyond)} is there: remove it first")
        self._numports = numports

    def create(self, number: int) -> Port:
        """
        A port that is given only to those who ask for it by number.

        Raises L{InvalidValue}, L{AlreadyExists}.
        """
        self._check(number)
        if number in self._ports:
            raise AlreadyExists(f"there is a port {number}")
        return self._create(number, allocatable=False)

    def create_first(self) -> Port:
        """The same, with the first number from 1 that is not there. Raises L{NoFreePort}."""
        for number in range(1, self._numports):
            if number not in self._ports:
                return self._create(number, allocatable=False)
        raise NoFreePort(f"all {self._numports - 1} ports are there")

    def remove(self, number: int) -> None:
        """Raises L{NoSuchThing}; L{InUse} while something is plugged in."""
        port = self[number]
        if port.active:
            raise InUse(f"port {number} has endpoints")
        self._vlans.remove_port(port)
        del self._ports[number]
        self._removed.include(port.counters)
        self._observer.port_removed(port)

    def totals(self) -> Counters:
        """The sum over all ports and those that were removed, since they were last reset."""
        totals = Counters()
        totals.include(self._removed)
        for port in self:
            totals.include(port.counters)
        return totals

    def endpoint(self, number: int, endpoint_number: int) -> Endpoint:
        """An endpoint by its port and its number there. Raises L{NoSuchThing}."""
        for endpoint in self[number].endpoints:
            if endpoint.number == endpoint_number:
                return endpoint
        raise NoSuchThing(f"port {number} has no endpoint {endpoint_number}")

    def obtain(self, number: int | None, user: int | None, groups: Collection[int]) -> Port:
        """
        The port where somebody may plug in, created if need be.

        @param number: which, or None for the first free one from 1.
        @raise InvalidValue: there can be no such port.
        @raise InUse: somebody else has plugged in there.
        @raise NotPermitted: the port is for another user or group.
        @raise NoFreePort: none is free.
        """
        if number is None:
            return self._first_free(user, groups)
        self._check(number)
        port = self._ports.get(number)
        if port is None:
            return self._create(number, allocatable=True)
        if not is_allowed(port, user, groups):
            raise NotPermitted(f"port {number} is for another user or group")
        if port.endpoints and port.user != user:
            raise InUse(f"port {number} is in use by another user")
        return port

    def _first_free(self, user: int | None, groups: Collection[int]) -> Port:
        ports = self._ports
        for number in range(1, self._numports):
            port = ports.get(number)
            if port is None:
                return self._create(number, allocatable=True)
            if not port.endpoints and port.allocatable and is_allowed(port, user, groups):
                return port
        raise NoFreePort(f"none of {self._numports - 1} ports is free")

    def _check(self, number: int) -> None:
        if not 0 <= number < self._numports:
            raise InvalidValue(f"port {number} is not between 0 and {self._numports - 1}")

    def _create(self, number: int, allocatable: bool) -> Port:
        port = self._ports[number] = Port(number, allocatable)
        self._vlans.set_untagged(port, DEFAULT_VLAN)
        self._observer.port_created(port)
        return port


def is_allowed(port: Port, user: int | None, groups: Collection[int]) -> bool:
    """Whether somebody may use a port (C{port/setuser}, C{port/setgroup})."""
    if port.allowed_user is None and port.allowed_group is None:
        return True
    if user is None:
        return False
    return user in {ROOT, port.allowed_user} or port.allowed_group in groups
