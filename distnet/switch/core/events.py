"""What the bridge tells to whoever wants to know. Never of single frames."""

from __future__ import annotations

from zope.interface import Interface

from distnet.switch.core.records import Endpoint, FdbEntry, Port, SlowEpisode, Vlan


class IBridgeObserver(Interface):
    """
    Told what happens, for the log, the console and native code. Must not call the bridge.

    These are all events there are; what observes has methods for those that it wants to know
    (L{distnet.observers.broadcast}).
    """

    def port_created(port: Port) -> None:
        """A port is there, without endpoints."""

    def port_removed(port: Port) -> None:
        """A port is not there any more."""

    def endpoint_attached(endpoint: Endpoint) -> None:
        """Something was plugged in; C{endpoint.port.endpoints} has it already."""

    def endpoint_described(endpoint: Endpoint) -> None:
        """An endpoint has another description."""

    def endpoint_detached(endpoint: Endpoint) -> None:
        """Something was unplugged; C{endpoint.port.endpoints} does not have it any more."""

    def address_learned(entry: FdbEntry) -> None:
        """An address is known, or is known to be at another port."""

    def address_forgotten(entry: FdbEntry) -> None:
        """An address is not known any more, or is about to be known at another port."""

    def address_contested(entry: FdbEntry, port: Port) -> None:
        """Another port sends from an address in turns with its own: said at each turn."""

    def vlan_changed(vlan: Vlan) -> None:
        """The ports of a VLAN, or their endpoints, are others than before."""

    def addresses_full() -> None:
        """No more addresses are learned: said once, until a quarter is forgotten."""

    def slow(episode: SlowEpisode) -> None:
        """An endpoint does not drain, and frames for it are dropped: said once an episode."""

    def recovered(episode: SlowEpisode) -> None:
        """It has drained, or has left: the episode is over."""
