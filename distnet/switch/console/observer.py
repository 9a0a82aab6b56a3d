"""What the bridge tells, as events for the console."""

from __future__ import annotations

from collections.abc import Callable

from distnet.switch.console.events import (
    ENDPOINT_ADDED,
    ENDPOINT_REMOVED,
    HASH_ADDED,
    HASH_REMOVED,
    PORT_ADDED,
    PORT_DESCRIPTION,
    PORT_REMOVED,
    Category,
)
from distnet.switch.core.records import Endpoint, FdbEntry, Port


def _nobody(category: Category, show: Callable[..., str], *what: object) -> None:
    """There is no console yet."""


class ConsoleObserver:
    """
    Made before the bridge, which is made before the console.

    @ivar tell: C{Console.event}, once there is a console.
    """

    def __init__(self) -> None:
        self.tell: Callable[..., None] = _nobody

    def port_created(self, port: Port) -> None:
        """Tell sessions of a new port, as C{port/+}."""
        self.tell(PORT_ADDED, _number, port)

    def endpoint_attached(self, endpoint: Endpoint) -> None:
        """Tell sessions of an endpoint, as C{port/ep/+}, and of its C{port/descr}."""
        self.tell(ENDPOINT_ADDED, _name, endpoint)
        self.endpoint_described(endpoint)

    def endpoint_described(self, endpoint: Endpoint) -> None:
        """Tell sessions of a description, as C{port/descr}."""
        self.tell(PORT_DESCRIPTION, _description, endpoint)

    def endpoint_detached(self, endpoint: Endpoint) -> None:
        """Tell of C{port/ep/-}, and of C{port/-} after the last one, as vde_switch does."""
        self.tell(ENDPOINT_REMOVED, _name, endpoint)
        if not endpoint.port.active:
            self.tell(PORT_REMOVED, _number, endpoint.port)

    def address_learned(self, entry: FdbEntry) -> None:
        """Tell sessions of an address that is known now, as C{hash/+}."""
        self.tell(HASH_ADDED, _whereabouts, entry)

    def address_forgotten(self, entry: FdbEntry) -> None:
        """Tell sessions of an address that is known no more, as C{hash/-}."""
        self.tell(HASH_REMOVED, _whereabouts, entry)


def _number(port: Port) -> str:
    return f"{port.number:02d}"


def _name(endpoint: Endpoint) -> str:
    return f"Port {endpoint.port.number:02d} FD {endpoint.number:2d}"


def _description(endpoint: Endpoint) -> str:
    return f'{_name(endpoint)} -> "{endpoint.description}"'


def _whereabouts(entry: FdbEntry) -> str:
    # The two bytes of the number, the lower one first: so it is with vde_switch on most machines.
    vlan = entry.vlan.to_bytes(2, "little").hex(":")
    return f"{entry.mac.hex(':')} VLAN {vlan} Port {entry.port.number}"
