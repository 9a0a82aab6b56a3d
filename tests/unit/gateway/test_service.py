"""The gateway, with a plug that keeps what it sends, and processes that are none."""

from __future__ import annotations

import struct
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet.address import TcpAddress, UnixAddress
from distnet.errors import PeerError
from distnet.gateway import service, turns
from distnet.gateway.budget import Budget
from distnet.gateway.forwarded import ASK_SECONDS as LOOK_SECONDS
from distnet.gateway.hostforward import HostForward, parse_forwards
from distnet.gateway.packets import IPV4
from distnet.gateway.resets import question, reset_for
from distnet.gateway.segments import ACK, FIN, RST, SYN
from distnet.gateway.service import MOST_NAMED, MOST_WAYS_IN, GatewayService, Settings
from distnet.gateway.stale import ASK_SECONDS, ASK_TIMES
from distnet.gateway.state import Flow, State
from distnet.gateway.turns import AT_ONCE
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, dhcp_discover, gateway_mac, packed
from tests.switches import BROADCAST, mac
from tests.unit.gateway.reactors import Turning

MASTER = PLAN.master.packed


class Plug:
    """A port of a switch; see L{distnet.gateway.plug.Plug}."""

    def __init__(self, *_: object, **to: Any) -> None:
        self.received, self.plugged, self.unplugged = (
            to[name] for name in ("received", "plugged", "unplugged")
        )
        self.port: int | None = None
        self.socket = object()
        self.dropped: dict[str, int] = {}
        self.sent: list[bytes] = []

    def start(self) -> None:
        """There is a switch."""
        self.port = 1
        self.plugged()

    def stop(self) -> None:
        """There is none any more."""
        self.port = None

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        assert self.port is not None
        self.sent.append(frame)

    def take(self) -> list[bytes]:
        """What was sent since."""
        sent, self.sent = self.sent, []
        return sent


class Child:
    """A guest's process."""

    def __init__(self, mac: bytes, *opened: tuple[bytes, int]) -> None:
        self.mac = mac
        self.open = set(opened)
        self.got: list[bytes] = []
        self.ways_in: dict[Flow, None] = {}
        self.is_over = False
        self.ended: list[str] = []
        self.told: list[dict[str, Any]] = []

    def input(self, *frames: bytes) -> bool:
        """Frames."""
        self.got.extend(frames)
        return not self.is_over

    def end(self, why: str, *, reset: bool) -> None:
        """End."""
        self.ended.append(why)

    def tell(self, message: dict[str, Any]) -> None:
        """A message."""
        self.told.append(message)


class Children:
    """The processes; see L{distnet.gateway.children.Children}."""

    def __init__(self, *_: object) -> None:
        self.running: dict[bytes, Child] = {}
        self.wanted: list[bytes] = []
        self.pinned: dict[bytes, list[Any]] = {}
        self.plugs: list[object] = []
        self.stopped: Deferred[None] = succeed(None)

    def start(self) -> None:
        """Be ready."""

    def stop(self, why: str) -> Deferred[None]:
        """End all."""
        return self.stopped

    def plugged(self, plug: object) -> None:
        """Another plug."""
        self.plugs.append(plug)

    def input(self, mac: bytes, frame: bytes) -> None:
        """A guest needs a process."""
        self.wanted.append(mac)

    def pin(self, mac: bytes, forwards: list[Any]) -> None:
        """Ports of this machine lead to a guest, or do not any more."""
        self.pinned[mac] = forwards


class Whereabouts:
    """Where guests are; see L{distnet.gateway.whereabouts.Whereabouts}."""

    def __init__(self) -> None:
        self.followed: set[bytes] = set()
        self.follow, self.forget = self.followed.add, self.followed.discard


class Management:
    """A console; see L{distnet.gateway.management.Management}."""

    def __init__(self, reactor: object, where: str, gone: Any) -> None:
        self.whereabouts = Whereabouts()
        self.gone = gone

    def start(self) -> None:
        """There is one."""

    def stop(self) -> None:
        """There is none any more."""


class ServiceTestCase(SynchronousTestCase):
    """A gateway in a switch."""

    nat = False
    flows: tuple[Flow, ...] = ()
    forwards: tuple[HostForward, ...] = ()
    management: str | None = None

    def setUp(self) -> None:
        """One that was started."""
        directory = self.mktemp()
        self.patch(service, "Management", Management)
        self.patch(service, "Plug", Plug)
        self.patch(service, "Children", Children)
        self.patch(service, "default_state", lambda _: f"{directory}.state")
        before = State.open(f"{directory}.state", lambda line: None)
        for flow in self.flows:
            before.add_flow(flow)
        before.close()
        self.reactor = Turning()
        self.gateway = GatewayService(
            self.reactor,
            Settings(directory, nat=self.nat, forwards=self.forwards, management=self.management),
        )
        self.console = cast(Any, self.gateway._management)
        self.plug = cast(Any, self.gateway._plug)
        self.children = cast(Any, self.gateway.children)
        self.gateway.startService()
        self.addCleanup(self.stop)
        self.guest = FrameGuest(self.sent, lambda: b"")

    def stop(self) -> None:
        """It stops, if it has not."""
        if self.gateway.running:
            self.successResultOf(self.gateway.stopService())

    def sent(self, *frames: bytes) -> None:
        """The switch has sent frames."""
        self.plug.received(list(frames))

    def child(self, *opened: tuple[bytes, int]) -> Child:
        """The guest has a process."""
        child = Child(self.guest.mac, *opened)
        self.children.running[child.mac] = child
        return child

    def flow(self, port: int = 4000) -> Flow:
        """A connection of the guest's."""
        return Flow(self.guest.mac, self.guest.address, port, MASTER, PLAN.port)

    def questions(self) -> int:
        """At how many connections guests were asked since."""
        return sum(frame[23] == 6 and frame[47] == ACK for frame in self.plug.take())


class FramesTests(ServiceTestCase):
    """Who answers a frame."""

    def test_what_it_answers_itself(self) -> None:
        """ARP for its addresses, and pings of them; no process is needed for that."""
        self.guest.arp("10.0.2.2")
        (answer,) = self.plug.take()
        self.assertEqual(answer[28:32], packed("10.0.2.2"))
        self.guest.ip("10.0.2.16", 1, b"\x08\0\xf7\xff" + bytes(4))
        (answer,) = self.plug.take()
        self.assertEqual((answer[23], answer[34]), (1, 0))
        self.assertEqual(self.children.wanted, [])

    def test_dhcp(self) -> None:
        """It gives addresses."""
        dhcp_discover(self.guest)
        self.reactor.pump([0, 5])
        self.assertTrue([frame for frame in self.plug.take() if frame[34:36] == b"\0\x43"])

    def test_a_guest_connects(self) -> None:
        """Its process is started by its SYN; then its process has all that is for us."""
        self.guest.tcp(SYN)
        self.assertEqual(self.children.wanted, [self.guest.mac])
        child = self.child()
        self.guest.tcp(ACK)
        self.guest.tcp(ACK, b"data")
        self.guest.udp("10.0.2.2", (5, 7), b"data", b"\x52\x55" + packed("10.0.2.2"))
        self.assertEqual(len(child.got), 3)
        self.assertEqual(self.children.wanted, [self.guest.mac])
        self.assertEqual(self.plug.take(), [])
        # It has ended, and that was not told yet.
        child.is_over = True
        self.guest.tcp(ACK, b"data")
        self.assertEqual([frame[47] & RST for frame in self.plug.take()], [RST])

    def test_connections_that_nobody_has(self) -> None:
        """A segment of none starts nothing, and is answered by a reset; a reset is not."""
        frames: list[bytes] = []
        guest = FrameGuest(frames.append, lambda: b"")
        for flags in (ACK, FIN | ACK, SYN | ACK, 0):
            guest.tcp(flags)
            self.sent(frames[-1])
            self.assertEqual(self.plug.take(), [reset_for(frames[-1])])
        for flags in (RST, RST | ACK):
            guest.tcp(flags)
            self.sent(frames[-1])
        self.assertEqual(self.plug.take(), [])
        self.assertEqual(self.children.wanted, [])

    def test_other_ports(self) -> None:
        """A connection to any other port of its addresses is refused at once, by no process."""
        for target, port in (("10.0.2.16", 22), ("10.0.2.2", 1234), ("10.0.2.2", 80)):
            self.guest.tcp(SYN, target=target, port=port)
            (answer,) = self.plug.take()
            self.assertEqual(answer[47], RST | ACK)
            self.assertEqual(answer[26:30], packed(target))
        self.assertEqual(self.children.wanted, [])

    def test_udp_without_nat(self) -> None:
        """Without NAT UDP starts no process."""
        self.guest.udp("10.0.2.16", (5, 7), b"data", b"\x52\x55" + packed("10.0.2.16"))
        self.assertEqual(self.children.wanted, [])

    def test_too_many_requests(self) -> None:
        """Requests for addresses cost everybody's time: one guest has so many in a second."""
        now = [100.0]
        self.gateway._ingress._requests = Budget(20, 1000, lambda: now[0])
        taken: list[bytes] = []
        self.patch(self.gateway._dhcp, "take", taken.append)
        with capturedLogs() as events:
            for _ in range(50):
                dhcp_discover(self.guest)
        self.reactor.pump([0] * 3)
        self.assertEqual(len(taken), 20)
        self.assertEqual(sum("too many requests" in formatEvent(each) for each in events), 1)
        other = FrameGuest(self.sent, lambda: b"", "10.0.2.41", b"\2\0\0\0\0\x41")
        dhcp_discover(other)
        self.reactor.advance(0)
        self.assertEqual(len(taken), 21)

    def test_so_many_requests_wait(self) -> None:
        """Those beyond a limit are not taken, which is said; none is left when it stops."""
        self.patch(turns, "MOST_WAITING", 3)
        with capturedLogs() as events:
            for _ in range(5):
                dhcp_discover(self.guest)
        self.assertEqual(len([each for each in events if "too many" in formatEvent(each)]), 1)
        self.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_an_exception_at_a_request(self) -> None:
        """What a request brings about does not end the others; it is logged."""

        def fail(frame: bytes) -> None:
            raise ZeroDivisionError

        self.patch(self.gateway._dhcp, "take", fail)
        for _ in range(AT_ONCE + 1):
            dhcp_discover(self.guest)
        self.reactor.pump([0, 0])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), AT_ONCE + 1)

    def test_who_is_first(self) -> None:
        """What guests with a process send goes there before anything else is looked at."""
        child = self.child()
        got: list[int] = []
        self.patch(self.gateway._ingress._answers, "arp", lambda _: got.append(len(child.got)))
        frames: list[bytes] = []
        guest = FrameGuest(frames.append, lambda: b"")
        guest.arp("10.0.2.2")
        guest.tcp(ACK)
        self.sent(*frames)
        self.assertEqual(got, [1])

    def test_an_address_in_doubt(self) -> None:
        """Whoever had an address is asked for it when another one has it, but not at each frame."""
        self.gateway._ingress._doubts = Budget(2, 1000, lambda: 100.0)
        for number in range(10):
            FrameGuest(self.sent, lambda: b"", "10.0.2.41", mac(number)).arp("10.0.2.31")
        asked = [frame[:6] for frame in self.plug.take() if frame[38:42] == packed("10.0.2.41")]
        self.assertEqual(asked, [mac(0), mac(1)])

    def test_too_many_pings(self) -> None:
        """The same holds for pings, which everybody has more of."""
        self.gateway._ingress._pings = Budget(5, 1000, lambda: 100.0)
        for _ in range(50):
            self.guest.ip("10.0.2.16", 1, b"\x08\0\xf7\xff" + bytes(4))
        self.assertEqual(len(self.plug.take()), 5)

    def test_an_exception(self) -> None:
        """What one frame brings about does not end the others of its round; it is logged."""

        def fail(frame: bytes) -> None:
            if frame[12:14] != IPV4:
                raise ZeroDivisionError

        self.patch(self.gateway._ingress._answers, "arp", fail)
        frames: list[bytes] = []
        guest = FrameGuest(frames.append, lambda: b"")
        guest.arp("10.0.2.2")
        guest.tcp(SYN)
        self.sent(*frames)
        self.assertEqual(self.children.wanted, [guest.mac])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_strange_frames(self) -> None:
        """Whatever else comes is counted."""
        self.sent(b"", b"\xff" * 13, bytes(2000), self.guest.mac + b"\x52\x55" + bytes(100))
        self.assertEqual(sum(self.gateway.refused.values()), 4)
        self.assertEqual(self.plug.take(), [])


class NatTests(ServiceTestCase):
    """With NAT."""

    nat = True

    def test_what_starts_a_process(self) -> None:
        """UDP, pings and connections to others do."""
        gateway = b"\x52\x55" + packed("10.0.2.2")
        self.guest.udp("192.0.2.1", (5, 7), b"data", gateway)
        self.guest.ip("192.0.2.1", 1, b"\x08\0\xf7\xff" + bytes(4), gateway)
        self.guest.tcp(SYN, target="192.0.2.1", mac=gateway)
        self.guest.tcp(ACK, target="192.0.2.1", mac=gateway)
        self.assertEqual(self.children.wanted, [self.guest.mac] * 3)


class LookedForTests(ServiceTestCase):
    """Ports of this machine that lead to a guest."""

    forwards = parse_forwards(["65000=10.0.2.40:22"], PLAN)

    def asked(self) -> list[bytes]:
        """Whom it has asked for the guest's address since."""
        return [
            frame[:6]
            for frame in self.plug.take()
            if frame[12:14] == b"\x08\x06" and frame[38:42] == self.guest.address
        ]

    def answer(self) -> None:
        """The guest answers."""
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 2) + self.guest.mac + self.guest.address
        body += gateway_mac("10.0.2.2") + packed("10.0.2.2")
        self.sent(gateway_mac("10.0.2.2") + self.guest.mac + b"\x08\x06" + body)

    def test_the_guest_is_looked_for(self) -> None:
        """Everybody is asked, again and again, until the guest answers."""
        self.assertEqual(self.asked(), [BROADCAST])
        self.reactor.advance(LOOK_SECONDS)
        self.assertEqual(self.asked(), [BROADCAST])
        self.answer()
        self.assertEqual(self.children.pinned, {self.guest.mac: [self.forwards[0].to_list()]})
        self.reactor.advance(LOOK_SECONDS)
        self.assertEqual(self.asked(), [])

    def test_its_process_ends(self) -> None:
        """Then it is looked for again."""
        self.answer()
        self.gateway.gone(cast(Any, Child(self.guest.mac)), True)
        self.assertEqual(self.children.pinned, {self.guest.mac: []})
        self.asked()
        self.reactor.advance(LOOK_SECONDS)
        self.assertEqual(self.asked(), [BROADCAST])

    def test_it_leaves_before_it_has_one(self) -> None:
        """One that has left the switch needs no process."""
        self.answer()
        self.gateway._gone(self.guest.mac, 3)
        self.assertEqual(self.children.pinned, {self.guest.mac: []})


class LeftTests(ServiceTestCase):
    """Guests leave the switch, as its console tells."""

    management = "/console"

    def lease(self) -> None:
        """The guest has got an address."""
        leases = self.gateway._leases
        choice = leases.choose(self.guest.mac, self.guest.address)
        assert choice is not None
        assert leases.probed(self.guest.mac, choice.address)
        assert leases.confirm(self.guest.mac, choice.address)

    def followed(self) -> bool:
        """Whether it is known where the guest is, or it will be."""
        return self.guest.mac in self.console.whereabouts.followed

    def test_one_with_an_address(self) -> None:
        """One that has an address is followed, and its address may be another's when it leaves."""
        self.lease()
        self.assertTrue(self.followed())
        self.console.gone(self.guest.mac, 3)
        place = self.gateway._leases._by_mac[self.guest.mac]
        self.assertTrue(place.left)

    def test_without_a_process(self) -> None:
        """One whose process ends is followed for as long as it has an address."""
        self.lease()
        child = self.child()
        self.gateway.started(cast(Any, child))
        del self.children.running[child.mac]
        self.gateway.gone(cast(Any, child), True)
        self.assertTrue(self.followed())
        self.gateway._leases.release(self.guest.mac, self.guest.address)
        self.assertFalse(self.followed())

    def test_without_an_address(self) -> None:
        """One that gives its address back is followed for as long as it has a process."""
        self.lease()
        child = self.child()
        self.gateway.started(cast(Any, child))
        self.gateway._leases.release(self.guest.mac, self.guest.address)
        self.assertTrue(self.followed())
        del self.children.running[child.mac]
        self.gateway.gone(cast(Any, child), True)
        self.assertFalse(self.followed())


class StaleTests(ServiceTestCase):
    """Connections that are no more: of a process that was killed, or of a gateway that was."""

    def test_a_process_was_killed(self) -> None:
        """Its guest is asked, three times if it does not answer; then they are forgotten."""
        self.gateway._state.add_flow(self.flow())
        child = Child(self.guest.mac, (self.guest.address, 4000))
        self.gateway.gone(cast(Any, child), False)
        asked = self.plug.take()
        for _ in range(ASK_TIMES - 1):
            self.assertEqual(self.gateway._state.flows(), [self.flow()])
            self.reactor.advance(ASK_SECONDS)
            asked += self.plug.take()
        numbers = {frame[38:42] for frame in asked}
        self.assertEqual(len(numbers), ASK_TIMES)
        number = int.from_bytes(asked[0][38:42])
        addresses, ports = MASTER + self.guest.address, (PLAN.port, 4000)
        self.assertEqual(
            asked[0], question(self.guest.mac + gateway_mac("10.0.2.16"), addresses, ports, number)
        )
        self.reactor.advance(ASK_SECONDS)
        self.assertEqual(self.plug.take(), [])
        self.assertEqual(self.gateway._state.flows(), [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_it_answers(self) -> None:
        """A guest that answers is reset, and not asked again; the log says so."""
        self.gateway.gone(cast(Any, Child(self.guest.mac, (self.guest.address, 4000))), False)
        self.plug.take()
        with capturedLogs() as events:
            self.guest.tcp(ACK)
        (answer,) = self.plug.take()
        self.assertEqual(answer[47], RST)
        self.assertIn("is no more: reset", formatEvent(events[0]))
        self.reactor.advance(ASK_SECONDS)
        self.assertEqual(self.plug.take(), [])

    def test_it_has_begun_another(self) -> None:
        """It is asked at its old ones though it has a process again, but not at one of that."""
        opened = [(self.guest.address, port) for port in (4000, 4001)]
        self.gateway.gone(cast(Any, Child(self.guest.mac, *opened)), False)
        self.assertEqual(self.questions(), 2)
        self.gateway.opened(cast(Any, self.child()), *opened[1])
        self.reactor.advance(ASK_SECONDS)
        self.assertEqual(self.questions(), 1)
        # The one that it has begun is on record for as long as it lasts.
        self.reactor.pump([ASK_SECONDS] * ASK_TIMES)
        self.assertEqual(self.gateway._state.flows(), [self.flow(4001)])

    def test_it_took_leave(self) -> None:
        """Of one that has taken leave nobody is asked, and nothing is remembered."""
        self.gateway._state.add_flow(self.flow())
        child = Child(self.guest.mac, (self.guest.address, 4000))
        self.gateway.gone(cast(Any, child), True)
        self.assertEqual(self.plug.take(), [])
        self.assertEqual(self.gateway._state.flows(), [])

    def test_without_a_switch(self) -> None:
        """While there is no switch nobody is asked, and all are when there is one again."""
        self.plug.stop()
        self.plug.unplugged()
        self.gateway.gone(cast(Any, Child(self.guest.mac, (self.guest.address, 4000))), False)
        self.reactor.advance(10 * ASK_SECONDS)
        self.plug.start()
        self.assertEqual(self.questions(), 1)
        self.assertEqual(self.children.plugs[-2:], [None, self.plug.socket])

    def test_the_switch_goes_meanwhile(self) -> None:
        """So it is if it goes between two questions."""
        self.gateway.gone(cast(Any, Child(self.guest.mac, (self.guest.address, 4000))), False)
        self.assertEqual(self.questions(), 1)
        self.plug.stop()
        self.reactor.advance(10 * ASK_SECONDS)
        self.plug.start()
        self.assertEqual(self.questions(), 1)

    def test_when_it_stops(self) -> None:
        """What a process that was killed at the end had is left to the next gateway."""
        self.children.stopped = Deferred()
        self.gateway._state.add_flow(self.flow())
        stopped = self.gateway.stopService()
        self.gateway.gone(cast(Any, Child(self.guest.mac, (self.guest.address, 4000))), False)
        self.assertEqual(self.plug.take(), [])
        self.assertEqual(self.gateway._state.flows(), [self.flow()])
        self.children.stopped.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class WaysInTests(ServiceTestCase):
    """Connections from ports of this machine."""

    def let_in(self, child: Child, *ports: int) -> None:
        """Somebody connects, from these ports of 10.0.2.2's as the guest sees it."""
        for port in ports:
            self.gateway.let_in(cast(Any, child), self.way_in(port))

    def way_in(self, port: int) -> Flow:
        """Such a connection."""
        return Flow(self.guest.mac, self.guest.address, 22, packed("10.0.2.2"), port)

    def test_its_process_ends(self) -> None:
        """The guest is asked at each, as if by 10.0.2.2, however its process has ended."""
        for expected in (False, True):
            child = self.child()
            self.let_in(child, 5000, 5001)
            del self.children.running[child.mac]
            self.gateway.gone(cast(Any, child), expected)
            asked = self.plug.take()
            source = self.guest.mac + gateway_mac("10.0.2.2")
            self.assertEqual({frame[:12] for frame in asked}, {source})
            ends = [(5000).to_bytes(2) + b"\0\x16", (5001).to_bytes(2) + b"\0\x16"]
            self.assertEqual([frame[34:38] for frame in asked], ends)
            self.guest.port = 22
            for port in (5000, 5001):
                mac_of_it = gateway_mac("10.0.2.2")
                self.guest.tcp(ACK, target="10.0.2.2", port=port, mac=mac_of_it)
            self.assertEqual([frame[47] for frame in self.plug.take()], [RST, RST])
            self.assertEqual(self.gateway._state.flows(), [])
            self.reactor.advance(ASK_SECONDS)
            self.assertEqual(self.plug.take(), [])

    def test_none_is_left(self) -> None:
        """When all have ended nothing is on record, and nobody asked."""
        child = self.child()
        self.let_in(child, 5000, 5001)
        self.assertEqual(len(self.gateway._state.flows()), 2)
        self.gateway.let_none_in(cast(Any, child))
        self.assertEqual(self.gateway._state.flows(), [])
        self.gateway.gone(cast(Any, child), False)
        self.assertEqual(self.plug.take(), [])

    def test_the_guest_has_left(self) -> None:
        """Nobody is asked for a guest that has left the switch."""
        child = self.child()
        self.let_in(child, 5000)
        self.gateway._gone(self.guest.mac, 3)
        self.assertEqual(len(child.ended), 1)
        self.gateway.gone(cast(Any, child), True)
        self.assertEqual(self.plug.take(), [])
        self.assertEqual(self.gateway._state.flows(), [])

    def test_so_many(self) -> None:
        """No more than so many are on record, the newest."""
        child = self.child()
        self.let_in(child, *range(5000, 5000 + MOST_WAYS_IN + 3))
        kept = [self.way_in(port) for port in range(5003, 5003 + MOST_WAYS_IN)]
        self.assertEqual(list(child.ways_in), kept)
        self.assertEqual(self.gateway._state.flows(), kept)

    def test_one_like_it(self) -> None:
        """One that begins with the ports of one that is no more stays."""
        child = self.child()
        self.let_in(child, 5000)
        self.gateway.gone(cast(Any, child), False)
        self.plug.take()
        self.let_in(child, 5000)
        self.reactor.pump([ASK_SECONDS] * (ASK_TIMES + 1))
        self.assertEqual(self.plug.take(), [])
        self.assertEqual(self.gateway._state.flows(), [self.way_in(5000)])


class RestartedTests(ServiceTestCase):
    """After a gateway that was killed."""

    flows = (Flow(b"\2\0\0\0\0\x40", packed("10.0.2.40"), 4000, MASTER, PLAN.port),)

    def test_guests_are_asked(self) -> None:
        """Those that it had connections with are asked at once, and forgotten in the end."""
        self.assertEqual(self.questions(), 1)
        self.plug.stop()
        self.plug.start()
        self.reactor.advance(ASK_SECONDS)
        self.assertEqual(self.questions(), 1)
        self.reactor.pump([ASK_SECONDS] * ASK_TIMES)
        self.assertEqual(self.gateway._state.flows(), [])


class ManyOfBeforeTests(ServiceTestCase):
    """After a gateway that was killed, with many guests."""

    flows = tuple(
        Flow(b"\2\0\0\0\0" + bytes([n]), bytes((10, 0, 3, n)), 4000, MASTER, PLAN.port)
        for n in range(100)
    )

    def setUp(self) -> None:
        """What it has said."""
        with capturedLogs() as events:
            super().setUp()
        self.said = [line for line in map(formatEvent, events) if "of before" in line]

    def test_all_are_named(self) -> None:
        """The log names all, some in each line."""
        for flow in self.flows:
            name = f"10.0.3.{flow.address[3]} ("
            self.assertEqual(sum(name in line for line in self.said), 1, name)
        self.assertEqual(len(self.said), -(-100 // MOST_NAMED))

    def test_so_many_are_named(self) -> None:
        """Beyond a limit it tells how many there are."""
        self.patch(service, "MOST_LINES", 2)
        with capturedLogs() as events:
            self.gateway._take_over()
        self.assertEqual(len(events), 3)
        self.assertIn(f"{100 - 2 * MOST_NAMED} others", formatEvent(events[-1]))


class ParentTests(ServiceTestCase):
    """What guests' processes ask."""

    def find(self, result: Any) -> dict[str, Any]:
        """What a process is told of a master."""

        async def find(guest: object) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        self.patch(self.gateway._masters, "find", find)
        child = self.child()
        self.gateway.find(cast(Any, child), 7, self.guest.address)
        (told,) = child.told
        return told

    def test_find(self) -> None:
        """A process is told where the master is, or why there is none."""
        self.assertEqual(
            self.find(UnixAddress("/there")), {"found": 7, "path": "/there", "cut": True}
        )
        told = self.find(TcpAddress("127.0.0.1", 1234))
        self.assertEqual(told, {"found": 7, "host": "127.0.0.1", "port": 1234})
        told = self.find(TcpAddress("::1", 1234))
        self.assertEqual(told, {"found": 7, "host": "::1", "port": 1234})
        self.assertEqual(self.find(PeerError("no master")), {"found": 7, "why": "no master"})
        told = self.find(ConnectionRefusedError(111, "Connection refused"))
        self.assertEqual(told, {"found": 7, "why": "Connection refused"})

    def test_a_mistake_of_ours(self) -> None:
        """It is logged, and the process told."""
        self.assertEqual(self.find(ZeroDivisionError("oh")), {"found": 7, "why": "oh"})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_connections_are_remembered(self) -> None:
        """Those that are open are, for the next gateway; the others with the address are told."""
        child = self.child()
        other = Child(b"\2\0\0\0\0\x41", (self.guest.address, 5000))
        third = Child(b"\2\0\0\0\0\x42", (packed("10.0.2.42"), 5000))
        self.children.running.update({each.mac: each for each in (other, third)})
        self.gateway.opened(cast(Any, child), self.guest.address, 4000)
        self.assertEqual(self.gateway._state.flows(), [self.flow()])
        self.assertEqual(other.told, [{"again": self.guest.address.hex()}])
        self.assertEqual(child.told + third.told, [])
        self.gateway.closed(cast(Any, child), self.guest.address, 4000)
        self.assertEqual(self.gateway._state.flows(), [])
