"""The native path of a switch: its usual frames do not reach Python, the rest does."""

from __future__ import annotations

import os
from typing import Any, Final

from zope.interface import implementer

from distnet._native import load_bridge
from distnet.sockets.native import NativePath, poller_of
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import Reason
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.link import IHotEndpoint
from distnet.switch.core.records import Endpoint, FdbEntry, Port, SlowEpisode, Vlan
from distnet.switch.plugs.descriptor import FrameDescriptor

PATIENCE_SECONDS: Final = 0.01
"""
How long an endpoint is not read when one that it sends to takes nothing; never longer than a pause.
Only what that has not taken within this time is queued: a reader that is slower than its senders is
the usual case, and what was not read need not be queued.
"""

_FOREIGN: Final = (-1, False, False)
"""Of what has no descriptor that each write of a frame goes to: only Python writes to it."""


@implementer(IHotEndpoint)
class HotEndpoint:
    """The native half of an endpoint."""

    def __init__(self, path: HotBridge, native: Any, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._path = path
        link: object = endpoint.link
        how = _FOREIGN
        if isinstance(link, FrameDescriptor):
            how = (link.fileno(), link.is_socket, link.is_only_read)
        self.native = path.native.Endpoint(native, endpoint.port.number, *how, self)

    def closed(self) -> None:
        """See L{IHotEndpoint}."""
        self._path.close(self)

    def let_go(self) -> None:
        """See L{IHotEndpoint}."""
        self.endpoint.hot = None
        self._path.forget(self)
        frames, size = self.native.detach()
        self.count()
        if frames:
            self.endpoint.port.counters.lose(Reason.RECEIVER_LEFT, size, frames)
        self.take()

    def show(self) -> bool:
        """Say how the bridge delivers to it now; whether that is at once."""
        native = self._path.native
        endpoint = self.endpoint
        if endpoint.slow is not None:
            state = native.SLOW
        else:
            state = native.CLOSED if endpoint.blocked else native.OPEN
        self.native.set_state(state)
        return bool(state == native.OPEN)

    def count(self) -> None:
        """Add what was counted natively to the counters of the port."""
        counts = self.native.counts()
        endpoint = self.endpoint
        counters = endpoint.port.counters
        counters.received.frames += counts[0]
        counters.received.bytes += counts[1]
        counters.sent.frames += counts[2]
        counters.sent.bytes += counts[3]
        if counts[4]:
            counters.lose(Reason.SLOW, counts[5], counts[4])
            if endpoint.slow is not None:
                endpoint.slow.dropped.frames += counts[4]
                endpoint.slow.dropped.bytes += counts[5]
        if counts[6]:
            counters.lose(Reason.LOCAL, counts[7], counts[6])

    def take(self) -> None:
        """Hand over to the bridge what has come, as long as it is not paused."""
        bridge, endpoint, take = self._path.bridge, self.endpoint, self.native.take
        while not (endpoint.paused and endpoint.hot is self) and (item := take()) is not None:
            target, frame = item
            if target is None:
                bridge.received(endpoint, frame)
            else:
                bridge.received_for(endpoint, target.endpoint, frame)

    def failed(self, error: int) -> None:
        """It cannot be read, or with 0 has said that it ends."""
        link: Any = self.endpoint.link
        if error:
            link.unreadable(OSError(error, os.strerror(error)))
        else:
            link.ended()


@implementer(IBridgeObserver)
class HotBridge(NativePath):
    """
    Takes over what is plugged in.

    @ivar bridge: the bridge that it works for.
    @ivar native: the module.
    """

    bridge: Bridge

    def __init__(
        self, reactor: Any, limits: BridgeLimits, patience: float = PATIENCE_SECONDS
    ) -> None:
        """
        @param patience: see L{PATIENCE_SECONDS}.
        @raise NotNative: it cannot be used here.
        """
        self.native = load_bridge()
        patience = min(patience, limits.pause_seconds)
        epoll = poller_of(reactor).fileno()
        super().__init__(reactor, self.native.Bridge(epoll, limits.max_frame, patience))
        self._seconds = reactor.seconds
        self._hots: dict[Endpoint, HotEndpoint] = {}
        # What is to be told of before the next frame.
        self._vlans: dict[Vlan, None] = {}
        self._closed: dict[HotEndpoint, None] = {}

    def work_for(self, bridge: Bridge) -> None:
        """Once, before anything is plugged in."""
        self.bridge = bridge
        bridge.vlans.observe(self._vlan_changed)

    def stop(self) -> None:
        """Serve no more; deliver what has come."""
        for hot in list(self._hots.values()):
            hot.let_go()
        super().stop()

    def count(self) -> None:
        """Bring the counters of all ports up to date."""
        for hot in self._hots.values():
            hot.count()

    def close(self, hot: HotEndpoint) -> None:
        """The bridge delivers to it in another way than at once, until it is seen not to."""
        if hot not in self._closed:
            self._closed[hot] = None
            hot.native.set_state(self.native.CLOSED)

    def forget(self, hot: HotEndpoint) -> None:
        """It is not served any more."""
        self._closed.pop(hot, None)
        del self._hots[hot.endpoint]

    # What Twisted's reactor calls

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As of C{select.epoll}: events of descriptors that are not served here."""
        if self._vlans:
            self._tell_vlans()
        if self._closed:
            self._tell_closed()
        native = self.native
        if self.bridge.is_tapped:
            mode = native.DIVERT
        else:
            mode = native.HUB if self.bridge.hub else native.SWITCH
        events, counted, seen, closed, givers, failed = self._native.poll(timeout, mode)
        for hot in counted:
            hot.count()
        if seen:
            now, find = self._seconds(), self.bridge.fdb.find
            for vlan, address, ago in seen:
                known = find(address, vlan)
                if known is not None:
                    known.seen = now - ago
        for hot in closed:
            self._closed[hot] = None
        for hot in givers:
            hot.take()
        for hot, error in failed:
            hot.failed(error)
        return events

    def _tell_vlans(self) -> None:
        vlans, self._vlans = self._vlans, {}
        for vlan in vlans:
            members = [self._hots[endpoint].native for endpoint in vlan.plain_out]
            self._native.set_vlan(vlan.number, members, bool(vlan.tagged_out))

    def _tell_closed(self) -> None:
        for hot in list(self._closed):
            if hot.show():
                del self._closed[hot]

    # What the bridge says

    def _vlan_changed(self, vlan: Vlan) -> None:
        self._vlans[vlan] = None

    def endpoint_attached(self, endpoint: Endpoint) -> None:
        """See L{IBridgeObserver}."""
        hot = self._hots[endpoint] = endpoint.hot = HotEndpoint(self, self._native, endpoint)
        self._closed[hot] = None

    def address_learned(self, entry: FdbEntry) -> None:
        """See L{IBridgeObserver}."""
        self._native.learn(entry.vlan, entry.mac, entry.port.number)

    def address_forgotten(self, entry: FdbEntry) -> None:
        """See L{IBridgeObserver}."""
        self._native.forget(entry.vlan, entry.mac)

    def port_created(self, port: Port) -> None:
        """See L{IBridgeObserver}."""

    def port_removed(self, port: Port) -> None:
        """See L{IBridgeObserver}."""

    def endpoint_described(self, endpoint: Endpoint) -> None:
        """See L{IBridgeObserver}."""

    def endpoint_detached(self, endpoint: Endpoint) -> None:
        """See L{IBridgeObserver}."""

    def addresses_full(self) -> None:
        """See L{IBridgeObserver}."""

    def slow(self, episode: SlowEpisode) -> None:
        """See L{IBridgeObserver}."""

    def recovered(self, episode: SlowEpisode) -> None:
        """See L{IBridgeObserver}."""
