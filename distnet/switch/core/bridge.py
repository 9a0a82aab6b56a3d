"""The bridge: where a frame goes. It learns, floods, and keeps VLANs apart; no spanning tree."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from distnet.divert import Divert
from distnet.seam import Seam
from distnet.switch.core.counters import Reason
from distnet.switch.core.delivery import Deliver, Delivery
from distnet.switch.core.errors import AlreadyExists, InvalidValue, NoFreePort
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.fdb import ForwardingDatabase
from distnet.switch.core.frame import (
    MIN_TAGGED_FRAME,
    TAG_TYPE,
    insert_tag,
    problem,
    strip_tag,
    tag_of,
    vlan_in_tag,
)
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.link import IFrameLink
from distnet.switch.core.ports import DEFAULT_NUMPORTS, PortTable
from distnet.switch.core.records import Endpoint, FdbEntry, Vlan
from distnet.switch.core.vlans import VlanTable

Receive = Callable[[Endpoint, bytes], bool]
"""What takes a frame from an endpoint, and says whether to hand over more: L{Bridge.received}."""


class Bridge:
    """
    A switch.

    What is tagged for a VLAN that its port is a member of is of that VLAN. Any other tag passes:
    such a frame is, tag and all, of its port's untagged VLAN, as if the bridge knew nothing of
    tags; on a C{strict} one it is refused. A frame is never sent to where its tag, or one that was
    hidden behind its tag, would show it as of a VLAN that it is not in.

    @ivar ports: create, look at, and remove ports.
    @ivar vlans: create, look at, and remove VLANs; which ports are in them.
    @ivar fdb: which address is where; its tunables.
    @ivar strict: refuse tags of VLANs that a port is not in, as vde_switch does.
    @ivar limits: which may not be changed.
    @ivar make_room: each can unplug who is not there any more, and says whether anybody was. They
        are asked when somebody is to be plugged in and no port is free.
    @ivar divert: who needs all frames to go by Python, by L{received} and L{wrap_deliver}.
    """

    def __init__(
        self,
        limits: BridgeLimits,
        observer: IBridgeObserver,
        clock: Any,
        *,
        numports: int = DEFAULT_NUMPORTS,
        hub: bool = False,
        strict: bool = False,
    ) -> None:
        self.limits = limits
        self.strict = strict
        self._observer = observer
        self._clock = clock
        self._seconds = clock.seconds
        self._hub = hub
        self._max_frame = limits.max_frame
        self._sweep_timer: Any = None
        self._endpoints_ever = 0
        self.fdb = ForwardingDatabase(
            limits.max_addresses,
            learned=self._address_learned,
            forgotten=observer.address_forgotten,
            full=observer.addresses_full,
            contest=observer.address_contested,
        )
        self.vlans = VlanTable(self.fdb, observer.vlan_changed)
        self.ports = PortTable(self.vlans, observer, numports)
        self.make_room: list[Callable[[], bool]] = []
        self._delivery = Delivery(limits, observer, clock, self._forward)
        self.divert = Divert()
        self._receiving = Seam[Receive](self.received, self._receive_by, self.divert)
        self._delivering = Seam[Deliver](self._delivery.deliver_late, self._deliver_by, self.divert)
        self._deliver_by(None)

    # Endpoints

    def attach(
        self,
        link: IFrameLink,
        number: int | None = None,
        *,
        user: int | None = None,
        groups: Collection[int] = (),
        description: str = "",
        endpoint_number: int | None = None,
    ) -> Endpoint:
        """
        Plug something in.

        @param number: the port, or None for the first free one from 1.
        @param user: the uid of whoever it is, if known; all endpoints of a port have the same.
        @param groups: the gids of whoever it is.
        @param endpoint_number: its number at its port; else one that no endpoint had before.
        @raise InvalidValue: there can be no such port.
        @raise InUse: somebody else has plugged in there.
        @raise NotPermitted: the port is for another user or group.
        @raise NoFreePort: none is free.
        @raise AlreadyExists: the port has an endpoint of this number.
        """
        try:
            port = self.ports.obtain(number, user, groups)
        except NoFreePort:
            if not any(make_room() for make_room in self.make_room):
                raise
            port = self.ports.obtain(number, user, groups)
        taken = {endpoint.number for endpoint in port.endpoints}
        if endpoint_number is None:
            self._endpoints_ever += 1
            while self._endpoints_ever in taken:
                self._endpoints_ever += 1
            endpoint_number = self._endpoints_ever
        elif endpoint_number in taken:
            raise AlreadyExists(f"port {port.number} has an endpoint {endpoint_number}")
        endpoint = Endpoint(port, link, endpoint_number, user, description)
        port.user = user
        port.endpoints = (*port.endpoints, endpoint)
        self.vlans.endpoints_changed(port)
        self._observer.endpoint_attached(endpoint)
        return endpoint

    def detach(self, endpoint: Endpoint) -> None:
        """Something was unplugged. Nothing happens if that was known."""
        if endpoint.gone:
            return
        if endpoint.native is not None:
            endpoint.native.let_go()
        port = endpoint.port
        port.endpoints = tuple(each for each in port.endpoints if each is not endpoint)
        self.vlans.endpoints_changed(port)
        if not port.endpoints:
            port.user = None
            self.fdb.forget_port(port)
        self._delivery.detach(endpoint)
        if not port.endpoints:
            # What was held of it may have been learned from just now.
            self.fdb.forget_port(port)
        self._observer.endpoint_detached(endpoint)

    def close_endpoint(self, number: int, endpoint_number: int) -> None:
        """Unplug an endpoint of a port and end its connection (C{port/epclose})."""
        endpoint = self.ports.endpoint(number, endpoint_number)
        self.detach(endpoint)
        endpoint.link.close()

    def describe(self, endpoint: Endpoint, description: str) -> None:
        """An endpoint says what it is."""
        endpoint.description = description
        self._observer.endpoint_described(endpoint)

    def writable(self, endpoint: Endpoint) -> None:
        """The link of an endpoint, which has refused a frame, takes more."""
        if not endpoint.gone:
            self._delivery.writable(endpoint)

    def send_failed(self, endpoint: Endpoint, frame: bytes) -> None:
        """
        The operating system has refused a frame for good that a link took or is about to take.

        It is counted so, and not as sent. A link may say so from within its C{send}.
        """
        self._delivery.send_failed(endpoint, frame)

    def overrun(self, endpoint: Endpoint, frames: int) -> None:
        """The operating system has dropped frames of an endpoint, before they could be read."""
        endpoint.port.counters.lose(Reason.OVERRUN, 0, frames)

    def received_for(self, endpoint: Endpoint, target: Endpoint, frame: bytes) -> None:
        """
        A frame that has come from an endpoint is still to be delivered to one other.

        It was counted as received, and all else was done with it, by native code.
        """
        self._deliver_late(endpoint, (target,), frame)

    # Seams

    def wrap_received(self, wrapper: Callable[[Receive], Receive]) -> Callable[[], None]:
        """
        Put something around L{received}, for a capture say. All frames are diverted meanwhile.

        @param wrapper: called once with what it is put around, which is called as L{received}; it
            returns what all links call in its place.
        @return: what takes it away again; calling it twice is the same as once.
        """
        return self._receiving.wrap(wrapper)

    def wrap_deliver(self, wrapper: Callable[[Deliver], Deliver]) -> Callable[[], None]:
        """
        Put something between where a frame goes was decided and its delivery, for faults say.

        All frames pass it: those that were held while their source was paused, and those that
        native code had read too. All are diverted meanwhile.

        @param wrapper: called once, with a callable that delivers: C{(source, targets, frame)}. It
            returns what is called in its place for each frame, or each of the two forms of one (a
            flooded frame goes to some with a tag and to others without). The frame was counted as
            received; targets may be endpoints of the port it came from too, to which it is not
            delivered; what is not delivered after all is not counted by anybody else.

            What it was given may be called never, often and later, with other frames and targets;
            when the source or a target has gone, and when the wrapper has been taken away. Each
            copy for a target is then sent, queued, or counted as not delivered. A source may be
            paused by it, but one that is paused or has gone already does not wait twice for the
            same target: what finds no room then is dropped (L{Reason.QUEUE_FULL}).
        @return: what takes it away again; calling it twice is the same as once.
        """
        return self._delivering.wrap(wrapper)

    def _receive_by(self, received: Receive | None) -> None:
        # In front of the method of this name, which is what is called while this is not there.
        if received is None:
            del self.received
        else:
            self.received = received  # type: ignore[assignment,method-assign]

    def _deliver_by(self, deliver: Deliver | None) -> None:
        self._deliver = deliver or self._delivery.deliver
        self._deliver_late = deliver or self._delivery.deliver_late

    # Configuration that is not of ports, VLANs, or addresses alone

    @property
    def hub(self) -> bool:
        """Every frame goes to all ports of its VLAN, and no address is learned."""
        return self._hub

    def set_hub(self, hub: bool) -> None:
        """Be a hub, or a switch; all addresses are forgotten."""
        self._hub = hub
        self.fdb.clear()

    def set_sweep(self, seconds: float) -> None:
        """Look for old addresses so often; 0 never. Raises L{InvalidValue} if negative."""
        if not seconds >= 0:
            raise InvalidValue(f"{seconds} is not a number of seconds")
        self.fdb.sweep_seconds = seconds
        self.stop()
        self._sweep_later()

    def stop(self) -> None:
        """Look for old addresses no more; the endpoints' owners detach them."""
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None

    # Frames

    def received(self, endpoint: Endpoint, frame: bytes) -> bool:
        """
        A frame has come from an endpoint. It is kept if it cannot be delivered at once.

        @return: whether to hand over more now. If not, C{link.resume} will be called; what is
            handed over nevertheless is held in order, within limits.
        """
        if endpoint.paused:
            if not endpoint.gone:
                endpoint.port.counters.received.add(len(frame))
                self._delivery.hold(endpoint, frame)
            return False
        received = endpoint.port.counters.received
        received.frames += 1
        received.bytes += len(frame)
        self._forward(endpoint, frame)
        return not endpoint.paused

    def _forward(self, endpoint: Endpoint, frame: bytes) -> None:
        """Decide where a frame goes. The case of one known destination is fast."""
        port = endpoint.port
        if not MIN_TAGGED_FRAME <= len(frame) <= self._max_frame:
            reason = problem(frame, self._max_frame)
            if reason is not None:
                port.counters.lose(reason, len(frame))
                return
        if frame[12:14] == TAG_TYPE:
            self._forward_tagged(endpoint, frame)
            return
        vlan = port.home
        if vlan is None:
            port.counters.lose(Reason.NO_VLAN, len(frame))
            return
        if self._hub:
            self._flood(endpoint, vlan, frame, frame, None)
            return
        fdb = vlan.fdb
        known = fdb.get(frame[6:12])
        if known is not None and known.port is port:
            known.seen = self._seconds()
        else:
            self.fdb.learn(vlan.number, frame[6:12], port, self._seconds())
        known = fdb.get(frame[:6])
        if known is None:
            self._flood(endpoint, vlan, frame, frame, None)
        elif known.port is port:
            port.counters.lose(Reason.LOCAL, len(frame))
        elif known.port.home is vlan:
            self._deliver(endpoint, known.port.endpoints, frame)
        else:
            self._deliver(endpoint, known.port.endpoints, insert_tag(frame, vlan.number))

    def _forward_tagged(self, endpoint: Endpoint, frame: bytes) -> None:
        port = endpoint.port
        number = vlan_in_tag(frame)
        home = port.home
        if number in port.tagged:
            vlan, plain, tagged = self.vlans[number], strip_tag(frame), frame
        elif home is not None and number == home.number and (number or self.strict):
            # But a tag of VLAN 0 says a priority and no VLAN, which vde_switch does not know.
            vlan, plain, tagged = home, strip_tag(frame), frame
        elif self.strict or home is None:
            reason = Reason.NOT_MEMBER if self.strict else Reason.NO_VLAN
            port.counters.lose(reason, len(frame))
            return
        else:
            vlan, plain, tagged = home, frame, insert_tag(frame, home.number)
        known = None
        if not self._hub:
            self.fdb.learn(vlan.number, frame[6:12], port, self._seconds())
            known = vlan.fdb.get(frame[:6])
        if known is None:
            self._flood(endpoint, vlan, frame, plain, tagged)
        elif known.port is port:
            port.counters.lose(Reason.LOCAL, len(frame))
        elif known.port.home is vlan:
            self._deliver_plain(endpoint, known.port.endpoints, plain)
        else:
            self._deliver(endpoint, known.port.endpoints, tagged)

    def _flood(
        self, endpoint: Endpoint, vlan: Vlan, frame: bytes, plain: bytes, tagged: bytes | None
    ) -> None:
        """
        To all ports of a VLAN but the one it came from.

        @param frame: as it came.
        @param plain: without a tag of this VLAN.
        @param tagged: with it, if that is at hand; if not, C{plain} has no tag at all.
        """
        if vlan.is_alone(endpoint.port):
            endpoint.port.counters.lose(Reason.NOBODY, len(frame))
            return
        if tagged is None:
            self._deliver(endpoint, vlan.plain_out, plain)
        else:
            self._deliver_plain(endpoint, vlan.plain_out, plain)
        if vlan.tagged_out:
            self._deliver(endpoint, vlan.tagged_out, tagged or insert_tag(plain, vlan.number))

    def _deliver_plain(
        self, endpoint: Endpoint, targets: tuple[Endpoint, ...], frame: bytes
    ) -> None:
        """Deliver what may show a tag where that is not taken for one of a VLAN it is not in."""
        shown = tag_of(frame)
        misled = [target for target in targets if shown in target.port.tagged]
        if not misled:
            self._deliver(endpoint, targets, frame)
            return
        for target in misled:
            if target.port is not endpoint.port:
                target.port.counters.lose(Reason.HIDDEN_TAG, len(frame))
        others = [target for target in targets if shown not in target.port.tagged]
        self._deliver(endpoint, others, frame)

    # Addresses

    def _address_learned(self, entry: FdbEntry) -> None:
        self._observer.address_learned(entry)
        if self._sweep_timer is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        if self.fdb.sweep_seconds and len(self.fdb):
            self._sweep_timer = self._clock.callLater(self.fdb.sweep_seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweep_timer = None
        self.fdb.sweep(self._seconds())
        self._sweep_later()
