"""Stations that are tests, plugged into a bridge through fake links."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import Reason
from distnet.switch.core.frame import insert_tag
from distnet.switch.core.limits import BridgeLimits
from distnet.testing import FakeFrameLink, NotingBridgeObserver

BROADCAST = b"\xff" * 6
MULTICAST = bytes.fromhex("0100 5e00 0001")
IPV4 = b"\x08\x00"
PAUSE = 0.02


def address(number: int) -> bytes:
    """The address of the station with this number."""
    return b"\x02\x00\x00\x00" + number.to_bytes(2, "big")


def frame(
    destination: int | bytes, source: int | bytes, payload: bytes = b"", vlan: int | None = None
) -> bytes:
    """An Ethernet frame, tagged if there is a VLAN."""
    ends = [each if isinstance(each, bytes) else address(each) for each in (destination, source)]
    plain = b"".join(ends) + IPV4 + payload
    return plain if vlan is None else insert_tag(plain, vlan)


class Station:
    """
    Something that is plugged in.

    @ivar number: of its port, and of its address.
    """

    def __init__(self, bridge: Bridge, number: int | None = None, **how: Any) -> None:
        self.bridge = bridge
        self.link = FakeFrameLink()
        self.endpoint = bridge.attach(self.link, number, **how)
        self.port = self.endpoint.port
        self.number = self.port.number

    def send(
        self, to: Station | bytes, payload: bytes = b"", vlan: int | None = None
    ) -> tuple[bool, bytes]:
        """Send a frame; return whether the bridge takes more, and the frame."""
        destination = to if isinstance(to, bytes) else to.number
        data = frame(destination, self.number, payload, vlan)
        return self.bridge.received(self.endpoint, data), data

    def take(self, capacity: int | None) -> None:
        """Its link takes so many more frames, or any number."""
        self.link.capacity = capacity
        if self.link.full and capacity != 0:
            self.bridge.writable(self.endpoint)

    def read(self) -> list[bytes]:
        """What has come."""
        return self.link.read()

    def lost(self, reason: Reason) -> int:
        """How many frames its port has counted for this reason."""
        return self.port.counters.lost(reason).frames


class BridgeTestCase(SynchronousTestCase):
    """A bridge with a clock and an observer."""

    def setUp(self) -> None:
        self.start()

    def start(
        self, *, numports: int = 32, hub: bool = False, strict: bool = False, **limits: Any
    ) -> None:
        """Begin anew, with these limits."""
        self.clock = Clock()
        self.observer = NotingBridgeObserver()
        self.bridge = Bridge(
            BridgeLimits(**limits),
            self.observer,
            self.clock,
            numports=numports,
            hub=hub,
            strict=strict,
        )
        self.assertIsNone(self.bridge.limits.problem())

    def station(self, number: int | None = None, **how: Any) -> Station:
        """Plug something in."""
        return Station(self.bridge, number, **how)

    def stations(self, count: int) -> list[Station]:
        """Plug several in, each at a port of its own, and have their addresses known."""
        stations = [self.station() for _ in range(count)]
        self.announce(*stations)
        return stations

    def announce(self, *stations: Station) -> None:
        """Have the addresses of stations known."""
        for each in stations:
            each.send(BROADCAST)
        for each in stations:
            each.read()

    def said(self, *names: str) -> list[tuple[Any, ...]]:
        """What was said of these events."""
        return [event for event in self.observer.events if event[0] in names]
