"""What the bridge tells, as events for the console."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

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
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.records import Endpoint, FdbEntry, Port, SlowEpisode


def _nobody(category: Category, text: str) -> None:
    pass


@implementer(IBridgeObserver)
class ConsoleObserver:
    """
    Made before the bridge, which is made before the console.

    @ivar tell: C{Console.event}, once there is a console.
    """

    def __init__(self) -> None:
        self.tell: Callable[[Category, str], None] = _nobody

    def port_created(self, port: Port) -> None:
        """See L{IBridgeObserver}."""
        self.tell(PORT_ADDED, f"{port.number:02d}")

    def port_removed(self, port: Port) -> None:
        """It was told when its last endpoint left, as vde_switch does."""

    def endpoint_attached(self, endpoint: Endpoint) -> None:
        """See L{IBridgeObserver}."""
        self.tell(ENDPOINT_ADDED, _name(endpoint))
        self.endpoint_described(endpoint)

    def endpoint_described(self, endpoint: Endpoint) -> None:
        """See L{IBridgeObserver}."""
        self.tell(PORT_DESCRIPTION, f'{_name(endpoint)} -> "{endpoint.description}"')

    def endpoint_detached(self, endpoint: Endpoint) -> None:
        """See L{IBridgeObserver}."""
        self.tell(ENDPOINT_REMOVED, _name(endpoint))
        if not endpoint.port.active:
            self.tell(PORT_REMOVED, f"{endpoint.port.number:02d}")

    def address_learned(self, entry: FdbEntry) -> None:
        """See L{IBridgeObserver}."""
        self.tell(HASH_ADDED, _whereabouts(entry))

    def address_forgotten(self, entry: FdbEntry) -> None:
        """See L{IBridgeObserver}."""
        self.tell(HASH_REMOVED, _whereabouts(entry))

    def addresses_full(self) -> None:
        """There is no such event."""

    def slow(self, episode: SlowEpisode) -> None:
        """There is no such event."""

    def recovered(self, episode: SlowEpisode) -> None:
        """There is no such event."""


def _name(endpoint: Endpoint) -> str:
    return f"Port {endpoint.port.number:02d} FD {endpoint.number:2d}"


def _whereabouts(entry: FdbEntry) -> str:
    # The two bytes of the number, the lower one first: so it is with vde_switch on most machines.
    vlan = entry.vlan.to_bytes(2, "little").hex(":")
    return f"{entry.mac.hex(':')} VLAN {vlan} Port {entry.port.number}"
