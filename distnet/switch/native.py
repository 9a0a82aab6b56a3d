"""The native path of a switch: its usual frames do not reach Python, the rest does."""

from __future__ import annotations

import os
from typing import Any, Final

from zope.interface import implementer

from distnet._native import load_bridge
from distnet.sockets.native import NativePath, poller_of
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import Reason
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.link import INativeEndpoint
from distnet.switch.core.records import Endpoint, FdbEntry, Vlan
from distnet.switch.plugs.descriptor import FrameDescriptor

PATIENCE_SECONDS: Final = 0.01
"""
How long an endpoint is not read when one that it sends to takes nothing; never longer than a pause.
Only what that has not taken within this time is queued: a reader that is slower than its senders is
the usual case, and what was not read need not be queued. A sender to one that takes nothing is so
kept waiting for this and then for a pause (C{--pause-seconds}), one after the other.
"""

_FOREIGN: Final = (-1, False, False)
"""How native code knows an endpoint that has no descriptor of its own: only Python writes to it."""


@implementer(INativeEndpoint)
class NativeEndpoint:
    """
    The native half of an endpoint, as Python has it.

    @ivar compiled: the object of the module that does the work.
    """

    def __init__(self, path: NativeBridge, compiled_bridge: Any, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._path = path
        link: object = endpoint.link
        how = _FOREIGN
        if isinstance(link, FrameDescriptor) and link.is_sent_to:
            how = (link.fileno(), link.is_socket, link.is_only_read)
        self.compiled = path.module.Endpoint(compiled_bridge, endpoint.port.number, *how, self)

    def closed(self) -> None:
        """Frames wait for the endpoint: what else is for it is given to the bridge."""
        self._path.close(self)

    def let_go(self) -> None:
        """The endpoint is about to be detached: serve it no more, and hand over what has come."""
        self.endpoint.native = None
        self._path.forget(self)
        frames, size = self.compiled.detach()
        self.count()
        if frames:
            self.endpoint.port.counters.lose(Reason.RECEIVER_LEFT, size, frames)
        self.take()

    def show(self) -> bool:
        """Say how the bridge delivers to it now; whether that is at once."""
        module = self._path.module
        endpoint = self.endpoint
        if endpoint.slow is not None:
            state = module.SLOW
        else:
            state = module.CLOSED if endpoint.blocked else module.OPEN
        self.compiled.set_state(state)
        return bool(state == module.OPEN)

    def count(self) -> None:
        """Add what was counted natively to the counters of the port."""
        counts = self.compiled.counts()
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
        bridge, endpoint, take = self._path.bridge, self.endpoint, self.compiled.take
        while not (endpoint.paused and endpoint.native is self) and (item := take()) is not None:
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


class NativeBridge(NativePath):
    """
    Takes over what is plugged in.

    @ivar bridge: the bridge that it works for.
    @ivar module: the compiled one.
    """

    bridge: Bridge

    def __init__(
        self, reactor: Any, limits: BridgeLimits, patience: float = PATIENCE_SECONDS
    ) -> None:
        """
        @param patience: see L{PATIENCE_SECONDS}.
        @raise NotNative: it cannot be used here.
        """
        self.module = load_bridge()
        patience = min(patience, limits.pause_seconds)
        epoll = poller_of(reactor).fileno()
        super().__init__(reactor, self.module.Bridge(epoll, limits.max_frame, patience))
        self._seconds = reactor.seconds
        self._diverted = False
        self._endpoints: dict[Endpoint, NativeEndpoint] = {}
        # What is to be told of before the next frame.
        self._vlans: dict[Vlan, None] = {}
        self._closed: dict[NativeEndpoint, None] = {}

    def work_for(self, bridge: Bridge) -> None:
        """Once, before anything is plugged in."""
        self.bridge = bridge
        bridge.divert.changed = self._divert

    def stop(self) -> None:
        """Serve no more; deliver what has come."""
        for endpoint in list(self._endpoints.values()):
            endpoint.let_go()
        super().stop()

    def count(self) -> None:
        """Bring the counters of all ports up to date."""
        for endpoint in self._endpoints.values():
            endpoint.count()

    def close(self, endpoint: NativeEndpoint) -> None:
        """The bridge delivers to it in another way than at once, until it is seen not to."""
        if endpoint not in self._closed:
            self._closed[endpoint] = None
            endpoint.compiled.set_state(self.module.CLOSED)

    def forget(self, endpoint: NativeEndpoint) -> None:
        """An endpoint is not served natively any more."""
        self._closed.pop(endpoint, None)
        del self._endpoints[endpoint.endpoint]

    # What Twisted's reactor calls

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As C{select.epoll.poll}: events of descriptors that are not served here."""
        if self._vlans:
            self._tell_vlans()
        if self._closed:
            self._tell_closed()
        module = self.module
        mode = module.HUB if self.bridge.hub else module.SWITCH
        if self._diverted:
            mode = module.DIVERT
        events, counted, seen, closed, givers, failed = self._native.poll(timeout, mode)
        for endpoint in counted:
            endpoint.count()
        if seen:
            now, find = self._seconds(), self.bridge.fdb.find
            for vlan, mac, ago in seen:
                known = find(mac, vlan)
                if known is not None:
                    known.seen = now - ago
        for endpoint in closed:
            self._closed[endpoint] = None
        for endpoint in givers:
            endpoint.take()
        for endpoint, error in failed:
            endpoint.failed(error)
        return events

    def _tell_vlans(self) -> None:
        vlans, self._vlans = self._vlans, {}
        for vlan in vlans:
            members = [self._endpoints[endpoint].compiled for endpoint in vlan.plain_out]
            self._native.set_vlan(vlan.number, members, bool(vlan.tagged_out))

    def _tell_closed(self) -> None:
        for endpoint in list(self._closed):
            if endpoint.show():
                del self._closed[endpoint]

    # What the bridge says

    def _divert(self, diverted: bool) -> None:
        self._diverted = diverted

    def vlan_changed(self, vlan: Vlan) -> None:
        """Native code is told before the next frame where frames of this VLAN go."""
        self._vlans[vlan] = None

    def endpoint_attached(self, endpoint: Endpoint) -> None:
        """An endpoint is served from now on; it is written to once the bridge does so at once."""
        native = endpoint.native = NativeEndpoint(self, self._native, endpoint)
        self._endpoints[endpoint] = native
        self._closed[native] = None

    def address_learned(self, entry: FdbEntry) -> None:
        """Native code knows it too."""
        self._native.learn(entry.vlan, entry.mac, entry.port.number)

    def address_forgotten(self, entry: FdbEntry) -> None:
        """Nor does native code know it any more."""
        self._native.forget(entry.vlan, entry.mac)
