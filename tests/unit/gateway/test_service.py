"""What becomes of connections when the switch goes, and when a guest connects again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import service
from distnet.gateway.frames import ACK, SYN, Lens, Progress
from distnet.gateway.guests import Guest
from distnet.gateway.service import SWITCH_GONE_SECONDS, GatewayService, Settings
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, packed

ADDRESSES = ("10.0.2.15", "10.0.2.17")


class ToSwitch:
    """A plug; what the service is told is for the test to call."""

    def __init__(
        self,
        received: Callable[[list[bytes]], None],
        plugged: Callable[[], None],
        unplugged: Callable[[], None],
    ) -> None:
        self.received, self.unplugged = received, unplugged
        self.sent: list[bytes] = []
        self.dropped: dict[str, int] = {}

    def start(self) -> None:
        """There is a switch."""

    stop = start

    def send(self, frame: bytes) -> None:
        """A frame for the switch."""
        self.sent.append(frame)


class Slirp:
    """A libslirp that sees frames and does nothing."""

    version = "0"

    def __init__(self, *_: Any, **__: Any) -> None:
        self.network = self
        self.path = b""

    def forward(self, *_: Any) -> None:
        """Guests find the master somewhere."""

    input = forward
    turn = forward
    close = forward

    def accept(self) -> object:
        """What connects for a guest."""
        return object()


class Connection:
    """A relay without anybody at its ends."""

    def __init__(
        self, reactor: Clock, guest: Guest, progress: Progress, sock: object, **to: Any
    ) -> None:
        self.guest, self.progress = guest, progress
        self.ended = ""
        self._over = to["over"]

    def read_guest(self) -> None:
        """There is something."""

    went_on = read_guest

    def abort(self, why: str, *, to_guest: bool) -> None:
        """It ends."""
        self.ended = why
        self._over(self)


class ServiceTests(SynchronousTestCase):
    """A gateway with two guests that are connected to the master."""

    def setUp(self) -> None:
        plugs: list[ToSwitch] = []

        def plug(reactor: Clock, directory: str, port: int, **told: Any) -> ToSwitch:
            plugs.append(ToSwitch(**told))
            return plugs[-1]

        fakes = {"Plug": plug, "Stack": Slirp, "Forward": Slirp, "Relay": Connection}
        for name, fake in fakes.items():
            self.patch(service, name, fake)
        self.clock = Clock()
        self.gateway = GatewayService(self.clock, Settings("/nowhere", "/nowhere"))
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        (self.plug,) = plugs
        self.guests = [
            FrameGuest(self.sent, lambda: b"", address, b"\2" + packed(address) + b"\0")
            for address in ADDRESSES
        ]
        for guest in self.guests:
            guest.tcp(SYN)
            guest.tcp(ACK)
        self.silent, self.heard = (
            cast(Connection, relay) for relay in self.gateway.relays.values()
        )

    def sent(self, frame: bytes) -> None:
        """A guest has sent a frame."""
        self.plug.received([frame])

    def test_silent_after_the_switch_has_gone(self) -> None:
        """Guests that are not heard of for some time after the switch has gone are not there."""
        self.plug.unplugged()
        self.clock.advance(SWITCH_GONE_SECONDS / 2)
        self.guests[1].tcp(ACK, b"still here")
        self.clock.advance(SWITCH_GONE_SECONDS / 2 - 1)
        self.assertEqual(len(self.gateway.relays), 2)
        self.clock.advance(1)
        self.assertIn("not heard of", self.silent.ended)
        self.assertEqual(list(self.gateway.relays.values()), [self.heard])

    def test_the_switch_goes_again(self) -> None:
        """The time begins anew when it goes another time, for those that were heard of too."""
        self.plug.unplugged()
        self.guests[1].tcp(ACK, b"still here")
        self.clock.advance(SWITCH_GONE_SECONDS - 1)
        self.plug.unplugged()
        self.clock.advance(SWITCH_GONE_SECONDS - 1)
        self.assertEqual(len(self.gateway.relays), 2)
        self.clock.advance(1)
        self.assertEqual(self.gateway.relays, {})

    def test_new_guests_after_the_switch_has_gone(self) -> None:
        """A guest that connects only then is not taken for silent."""
        self.plug.unplugged()
        late = FrameGuest(self.sent, lambda: b"", "10.0.2.18", b"\2\0\0\0\0\x18")
        late.tcp(SYN)
        late.tcp(ACK)
        self.clock.advance(SWITCH_GONE_SECONDS)
        self.assertEqual([key[0] for key in self.gateway.relays], [packed("10.0.2.18")])

    def test_a_guest_that_connects_again(self) -> None:
        """It is asked at its former connections, and only there, whether it still has them."""
        guest = self.guests[0]
        guest.port += 1
        guest.tcp(SYN)
        self.assertEqual(self.plug.sent, [])
        guest.tcp(ACK)
        probe = Lens(PLAN).probe(guest.mac, self.silent.progress)
        self.assertEqual(self.plug.sent, [probe])
        self.assertEqual(len(self.gateway.relays), 3)
