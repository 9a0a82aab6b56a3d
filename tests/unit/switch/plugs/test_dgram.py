"""Peers of datagrams when the operating system says no, and where to listen for them."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import tempfile
from collections import deque
from pathlib import Path
from typing import Any, cast

from twisted.internet.interfaces import IReadDescriptor, IReadWriteDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import Reason
from distnet.switch.core.frame import problem
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.link import IFrameLink
from distnet.switch.options import parse_dgram
from distnet.switch.plugs.descriptor import Errors
from distnet.switch.plugs.dgram import PROBE, PROBE_SECONDS, DgramPeer, DgramService
from distnet.switch.plugs.dgram_udp import UdpDgramListener, UdpDgramService, UdpPeer
from distnet.switch.plugs.dgram_unix import UnixDgramListener, UnixPeer
from distnet.testing import FakeFrameLink, NotingBridgeObserver
from tests.unit.switch.core.stations import BROADCAST, frame

FRAME = frame(BROADCAST, 1, b"payload")


class FakeSocket:
    """
    A connected datagram socket whose operations succeed or fail as they are told to.

    @ivar refusals: what C{connect} and C{send} raise, one after the other, or None.
    @ivar coming: what C{recv} returns or raises.
    @ivar dropped: what the kernel says that it has dropped.
    """

    def __init__(self) -> None:
        self.refusals: deque[int | None] = deque()
        self.coming: deque[bytes | OSError] = deque()
        self.dropped = 0
        self.sent: list[bytes] = []
        self.connected: list[object] = []
        self.closed = False

    def _do(self) -> None:
        number = self.refusals.popleft() if self.refusals else None
        if number is not None:
            raise OSError(number, os.strerror(number))

    def fileno(self) -> int:
        """A descriptor."""
        return -1 if self.closed else 99

    def connect(self, address: object) -> None:
        """Connect again."""
        self._do()
        self.connected.append(address)

    def send(self, data: bytes) -> None:
        """Take a datagram, or not."""
        self._do()
        self.sent.append(data)

    def recv(self, size: int) -> bytes:
        """The next datagram."""
        if not self.coming:
            raise BlockingIOError(errno.EAGAIN, "again")
        coming = self.coming.popleft()
        if isinstance(coming, OSError):
            raise coming
        return coming[:size]

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """SO_MEMINFO."""
        return bytes(size - 4) + self.dropped.to_bytes(4, "little")

    def close(self) -> None:
        """Close it."""
        self.closed = True


class PeerCase(SynchronousTestCase):
    """A bridge, a service that does not listen, and somebody else on the bridge."""

    def setUp(self) -> None:
        """Make them."""
        self.reactor = MemoryReactorClock()
        self.bridge = Bridge(BridgeLimits(), NotingBridgeObserver(), self.reactor)
        self.errors = Errors()
        listener = UnixDgramListener("/nonexistent/place")
        self.service = listener.service(self.reactor, self.bridge, self.errors)
        self.service._socket = FakeSocket()
        self.other = FakeFrameLink()
        self.other_endpoint = self.bridge.attach(self.other)
        self.addCleanup(self.bridge.stop)

    def plug(self, kind: type[DgramPeer], address: object = "/a") -> tuple[FakeSocket, DgramPeer]:
        """A peer that is plugged in."""
        sock = FakeSocket()
        peer = kind(self.service, cast(Any, sock), address, "a test")
        peer.start(self.bridge.attach(peer))
        peer.begin()
        self.service.peers[address] = peer
        return sock, peer

    def say(self) -> None:
        """The other one sends a frame to everybody."""
        self.bridge.received(self.other_endpoint, FRAME)

    def lost(self, peer: DgramPeer, reason: Reason) -> int:
        """How many frames were not delivered at its port for a reason."""
        return peer.endpoint.port.counters.lost(reason).frames


class UnixPeerTests(PeerCase):
    """Tests for C{UnixPeer}."""

    def test_interfaces(self) -> None:
        """It is what the bridge and the reactor ask for, and the service what the reactor does."""
        _, peer = self.plug(UnixPeer)
        verifyObject(IFrameLink, peer)
        verifyObject(IReadWriteDescriptor, peer)
        verifyObject(IReadDescriptor, self.service)
        self.assertEqual(peer.module, "dgram")

    def test_connected_again(self) -> None:
        """When nobody is there any more, it is looked for at its path, and gets the same frame."""
        for number in (errno.ECONNREFUSED, errno.ENOTCONN):
            sock, peer = self.plug(UnixPeer)
            sock.refusals.append(number)
            self.say()
            self.assertEqual((sock.connected, sock.sent), (["/a"], [FRAME]))
            self.reactor.advance(1)
            self.assertFalse(peer.endpoint.gone)
            self.assertEqual(peer.endpoint.port.counters.sent.frames, 1)
            peer.endpoint.port.counters.reset()
            peer.ended()

    def test_connected_again_and_full(self) -> None:
        """Who is there again and full gets the frame later."""
        sock, peer = self.plug(UnixPeer)
        sock.refusals.extend([errno.ECONNREFUSED, None, errno.EAGAIN])
        self.say()
        self.assertEqual(sock.sent, [])
        self.assertIn(peer, self.reactor.getWriters())
        peer.doWrite()
        self.assertEqual(sock.sent, [FRAME])

    def test_not_there(self) -> None:
        """When nobody is at its path either, it is unplugged, but not while the bridge sends."""
        for refusals in ([errno.ECONNREFUSED, errno.ENOENT],
                         [errno.ECONNREFUSED, None, errno.ECONNREFUSED]):  # fmt: skip
            sock, peer = self.plug(UnixPeer)
            sock.refusals.extend(refusals)
            self.say()
            self.assertFalse(peer.endpoint.gone)
            self.assertEqual(self.lost(peer, Reason.SEND_FAILED), 1)
            self.reactor.advance(0)
            self.assertTrue(peer.endpoint.gone)
            self.assertTrue(sock.closed)
            self.assertEqual(self.service.peers, {})
            peer.endpoint.port.counters.reset()

    def test_other_errors(self) -> None:
        """A frame that cannot be sent is counted, and ends nothing."""
        sock, peer = self.plug(UnixPeer)
        sock.refusals.extend([errno.EMSGSIZE, errno.ENOBUFS])
        self.say()
        self.say()
        self.say()
        self.reactor.advance(1)
        self.assertFalse(peer.endpoint.gone)
        self.assertEqual((sock.connected, sock.sent), ([], [FRAME]))
        self.assertEqual(self.lost(peer, Reason.SEND_FAILED), 2)
        self.assertEqual(self.errors, {"EMSGSIZE": 1, "ENOBUFS": 1})

    def test_pause(self) -> None:
        """While one is paused, nothing is read where all send to; when both may, all is."""
        self.reactor.addReader(self.service)
        (_, one), (_, other) = self.plug(UnixPeer, "/a"), self.plug(UnixPeer, "/b")
        one.pause()
        other.pause()
        self.assertNotIn(self.service, self.reactor.getReaders())
        one.resume()
        self.assertNotIn(self.service, self.reactor.getReaders())
        other.resume()
        self.assertIn(self.service, self.reactor.getReaders())
        one.pause()
        one.close()
        self.assertIn(self.service, self.reactor.getReaders())

    def test_unanswerable(self) -> None:
        """Who has no address to be answered at, or not a whole one, is refused, and so counted."""
        for count, address in enumerate((None, "", "relative"), 1):
            self.service._arrived(FRAME, address)
            self.assertEqual((self.service.refusals.count, self.service.peers), (count, {}))
        self.assertEqual(self.other.read(), [])

    def test_closed_before_it_leaves(self) -> None:
        """Who is unplugged by the console when it is found gone is not unplugged again."""
        sock, peer = self.plug(UnixPeer)
        sock.refusals.extend([errno.ECONNREFUSED, errno.ENOENT])
        self.say()
        self.bridge.close_endpoint(peer.endpoint.port.number, peer.endpoint.number)
        self.reactor.advance(0)
        self.assertTrue(sock.closed)


class UdpPeerTests(PeerCase):
    """Tests for C{UdpPeer}."""

    def test_refused(self) -> None:
        """When its machine says that nobody is there, it is unplugged, whichever way that comes."""
        sock, peer = self.plug(UdpPeer)
        sock.refusals.append(errno.ECONNREFUSED)
        self.say()
        self.assertFalse(peer.endpoint.gone)
        self.reactor.advance(0)
        self.assertTrue(peer.endpoint.gone)
        sock, peer = self.plug(UdpPeer)
        sock.coming.append(ConnectionRefusedError(errno.ECONNREFUSED, "refused"))
        peer.doRead()
        self.assertEqual((peer.endpoint.gone, sock.closed), (True, True))

    def test_overrun(self) -> None:
        """What the kernel has dropped is counted once, when its count begins anew too."""
        sock, peer = self.plug(UdpPeer)
        for dropped, overrun in ((0, 0), (5, 5), (5, 5), (2**32 - 2, 2**32 - 2), (3, 2**32 + 3)):
            sock.dropped = dropped
            sock.coming.append(FRAME)
            peer.doRead()
            self.assertEqual(self.lost(peer, Reason.OVERRUN), overrun)
        counters = peer.endpoint.port.counters
        self.assertEqual((counters.received.frames, counters.lost(Reason.OVERRUN).bytes), (5, 0))
        self.assertEqual(len(self.other.read()), 5)

    def test_empty_datagrams(self) -> None:
        """One without a byte is a frame that is too short, and not an end."""
        sock, peer = self.plug(UdpPeer)
        sock.coming.extend([b"", FRAME])
        peer.doRead()
        self.assertEqual(self.other.read(), [FRAME])
        self.assertEqual(self.lost(peer, Reason.RUNT), 1)

    def test_not_read_before_it_may(self) -> None:
        """It is not read when it was closed or paused at once."""
        for method in ("close", "pause"):
            sock = FakeSocket()
            peer = UdpPeer(self.service, cast(Any, sock), ("127.0.0.1", 1), "a test")
            peer.start(self.bridge.attach(peer))
            getattr(peer, method)()
            peer.begin()
            self.assertNotIn(peer, self.reactor.getReaders())


class ListenerTests(SynchronousTestCase):
    """Tests for C{parse_dgram}."""

    def test_unix(self) -> None:
        """A path is made absolute, and may have a mode; a colon in it is quoted."""
        self.assertEqual(parse_dgram("unix:/x/y"), UnixDgramListener("/x/y", 0o600))
        self.assertEqual(parse_dgram("unix:x"), UnixDgramListener(str(Path("x").absolute())))
        self.assertEqual(parse_dgram("unix:/x:mode=660"), UnixDgramListener("/x", 0o660))
        self.assertEqual(parse_dgram("unix:/x\\:y"), UnixDgramListener("/x:y"))

    def test_udp(self) -> None:
        """A port is on loopback, unless a host is named."""
        for text, family, address in (
            ("udp:5", socket.AF_INET, ("127.0.0.1", 5)),
            ("udp:0.0.0.0:5", socket.AF_INET, ("0.0.0.0", 5)),
            ("udp:[::1]:5", socket.AF_INET6, ("::1", 5, 0, 0)),
        ):
            listener = parse_dgram(text)
            self.assertEqual(listener, UdpDgramListener(family, address))
            self.assertEqual(parse_dgram(str(listener)), listener)

    def test_refusals(self) -> None:
        """What is no place is refused in one line that has it."""
        for text in ("", "x", "5", "tcp:5", "unix:", "unix", "unix::mode=600", "unix:/x:mod=6",
                     "unix:/x:mode=9", "unix:/x:mode=", "unix:/x:mode=77777", "udp", "udp:",
                     "udp:x", "udp:65536", "udp:-1", "udp:" + "9" * 5000, "udp:٣",
                     "udp::5", "udp:host.example:5", "udp:::1:5", "udp:[::1]", "udp:[]:5",
                     "udp:[127.0.0.1:5"):  # fmt: skip
            error = self.assertRaises(ValueError, parse_dgram, text)
            self.assertIn(repr(text), str(error))
            self.assertNotIn("\n", str(error))

    def test_services(self) -> None:
        """Each kind has its service, which says where it listens."""
        clock = MemoryReactorClock()
        bridge = Bridge(BridgeLimits(), NotingBridgeObserver(), clock)
        for text in ("unix:/x", "udp:127.0.0.1:5"):
            service = parse_dgram(text).service(clock, bridge, Errors())
            self.assertEqual(service.where(), text)


class StraysTests(SynchronousTestCase):
    """Tests of UDP with real sockets, and no reactor that runs."""

    def test_strays(self) -> None:
        """What others send to a peer's socket before that is connected is theirs."""
        reactor = MemoryReactorClock()
        bridge = Bridge(BridgeLimits(), NotingBridgeObserver(), reactor)
        self.addCleanup(bridge.stop)
        service = parse_dgram("udp:0").service(reactor, bridge, Errors())
        assert isinstance(service, UdpDgramService)
        service.startService()
        self.addCleanup(service.stopService)
        where = service._socket.getsockname()
        senders = []
        for _ in range(2):
            senders.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            self.addCleanup(senders[-1].close)
            senders[-1].bind(("127.0.0.1", 0))
        known, stranger = senders

        class SlowSocket(socket.socket):
            """Somebody else is faster than its C{connect}."""

            def connect(self, address: Any) -> None:
                """Connect; the kernel gives a datagram for us to who has bound last."""
                if address == known.getsockname():
                    stranger.sendto(frame(BROADCAST, 2), where)
                super().connect(address)

        make_socket = service._make_socket
        self.patch(service, "_make_socket", lambda: SlowSocket(fileno=make_socket().detach()))
        other = FakeFrameLink()
        bridge.attach(other)
        known.sendto(frame(BROADCAST, 1), where)
        service.doRead()
        self.assertEqual(other.read(), [frame(BROADCAST, 1), frame(BROADCAST, 2)])
        self.assertEqual(
            [bridge.ports[number].counters.received.frames for number in (2, 3)], [1, 1]
        )
        self.assertEqual(len(service.peers), 2)


class RealPeersTests(SynchronousTestCase):
    """Tests with real sockets, in no reactor that runs, on a switch that has few ports."""

    PORTS = 5

    def setUp(self) -> None:
        """A switch with somebody plugged in; trial's directories are too long for sockets."""
        self.home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.home)
        self.reactor = MemoryReactorClock()
        self.bridge = Bridge(
            BridgeLimits(), NotingBridgeObserver(), self.reactor, numports=self.PORTS
        )
        self.addCleanup(self.bridge.stop)
        self.other = FakeFrameLink()
        self.bridge.attach(self.other)

    def listen(self, place: str) -> DgramService:
        """A service that listens."""
        service = parse_dgram(place).service(self.reactor, self.bridge, Errors())
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def guest(self, own: str | tuple[str, int] = ("127.0.0.1", 0)) -> socket.socket:
        """A guest's socket."""
        sock = socket.socket(
            socket.AF_UNIX if isinstance(own, str) else socket.AF_INET, socket.SOCK_DGRAM
        )
        self.addCleanup(sock.close)
        sock.setblocking(False)
        sock.bind(own)
        return sock

    def say(self, service: DgramService, guest: socket.socket, number: int) -> None:
        """A guest says something to everybody, and the switch reads it."""
        guest.sendto(frame(BROADCAST, number), service._socket.getsockname())
        service.doRead()

    def unix(self) -> DgramService:
        """One that listens at a path."""
        return self.listen(f"unix:{self.home}/frames")

    def test_connected(self) -> None:
        """Who takes frames from the switch's socket alone gets them from there."""
        service = self.unix()
        guest, another = self.guest(f"{self.home}/a"), self.guest(f"{self.home}/b")
        guest.connect(f"{self.home}/frames")
        guest.send(frame(BROADCAST, 1))
        service.doRead()
        self.say(service, another, 2)
        self.assertEqual(guest.recv(2000), frame(BROADCAST, 2))
        another.sendto(frame(1, 2), f"{self.home}/frames")
        guest.send(frame(2, 1))
        service.doRead()
        self.assertEqual(guest.recv(2000), frame(1, 2))
        self.assertEqual(another.recv(2000), frame(2, 1))
        self.assertEqual((service.refusals.count, service.errors), (0, {}))
        names = [peer.description for peer in service.peers.values()]
        self.assertEqual(names, [f"unix:{self.home}/a", f"unix:{self.home}/b"])

    def test_connected_and_gone(self) -> None:
        """When nobody is there any more it is unplugged, and the switch goes on."""
        service = self.unix()
        guest, another = self.guest(f"{self.home}/a"), self.guest(f"{self.home}/b")
        guest.connect(f"{self.home}/frames")
        guest.send(frame(BROADCAST, 1))
        service.doRead()
        guest.close()
        self.say(service, another, 2)
        self.reactor.advance(0)
        self.assertEqual(
            [peer.description for peer in service.peers.values()], [f"unix:{self.home}/b"]
        )
        self.say(service, another, 2)
        self.assertEqual(self.other.read()[-1], frame(BROADCAST, 2))

    def test_connected_later(self) -> None:
        """Who connects its socket when it is plugged in already is plugged in anew."""
        service = self.unix()
        guest, another = self.guest(f"{self.home}/a"), self.guest(f"{self.home}/b")
        self.say(service, guest, 1)
        self.say(service, another, 2)
        self.assertEqual(guest.recv(2000), frame(BROADCAST, 2))
        guest.connect(f"{self.home}/frames")
        self.say(service, another, 2)
        self.reactor.advance(0)
        guest.send(frame(BROADCAST, 1))
        service.doRead()
        self.say(service, another, 3)
        self.assertEqual(guest.recv(2000), frame(BROADCAST, 3))

    def test_senders_that_are_gone_give_their_ports_back(self) -> None:
        """Of 60 that send once, one after the other, each gets a port, of however few there are."""
        for place in ("udp:0", f"unix:{self.home}/frames"):
            service = self.listen(place)
            for number in range(60):
                one = ("127.0.0.1", 0) if place == "udp:0" else f"{self.home}/{number}"
                guest = self.guest(one)
                self.say(service, guest, number + 1)
                self.assertEqual(self.other.read(), [frame(BROADCAST, number + 1)])
                guest.close()
            self.assertEqual(service.refusals.count, 0)
            service.stopService()

    def test_for_other_kinds_too(self) -> None:
        """Whoever plugs in gets the port of a sender that is gone."""
        service = self.listen("udp:0")
        for number in range(self.PORTS - 2):
            guest = self.guest()
            self.say(service, guest, number + 1)
            guest.close()
        self.assertFalse(self.bridge.attach(FakeFrameLink()).gone)

    def test_who_is_there_stays(self) -> None:
        """Nobody who is there gives way, whether it reads or not; what it gets is for nobody."""
        for place in ("udp:0", f"unix:{self.home}/frames"):
            service = self.listen(place)
            names = "abcd"
            unix = place != "udp:0"
            guests = [self.guest(f"{self.home}/{n}" if unix else ("127.0.0.1", 0)) for n in names]
            for number, guest in enumerate(guests, 1):
                self.say(service, guest, number)
            self.assertEqual((len(service.peers), service.refusals.count), (3, 1))
            got = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    got.append(guests[0].recv(2000))
            self.assertEqual(got, [frame(BROADCAST, 2), frame(BROADCAST, 3), PROBE])
            self.assertIsNone(problem(PROBE, 1514))
            # Not for each frame of somebody for whom there is no port.
            self.say(service, guests[3], 4)
            self.assertRaises(BlockingIOError, guests[0].recv, 2000)
            guests[1].close()
            self.reactor.advance(PROBE_SECONDS)
            self.say(service, guests[3], 4)
            self.assertEqual(guests[0].recv(2000), PROBE)
            self.assertEqual(guests[0].recv(2000), frame(BROADCAST, 4))
            service.stopService()

    def test_the_longest_silent_gives_way(self) -> None:
        """On UDP, when all may be there, the one that was silent for longest, if for very long."""
        service = self.listen("udp:0")
        guests = [self.guest() for _ in range(4)]
        for number, guest in enumerate(guests[:3], 1):
            self.say(service, guest, number)
            self.reactor.advance(1)
        [first, second, third] = service.peers.values()
        first.begin()
        guests[0].sendto(frame(BROADCAST, 1), service._socket.getsockname())
        first.doRead()
        self.reactor.advance(self.bridge.fdb.expire_seconds - 3)
        self.say(service, guests[3], 4)
        self.assertEqual(list(service.peers.values()), [first, second, third])
        self.reactor.advance(1)
        self.say(service, guests[3], 4)
        self.assertEqual(list(service.peers.values())[:2], [first, third])
        self.assertEqual(len(service.peers), 3)
        self.assertTrue(second.endpoint.gone)
