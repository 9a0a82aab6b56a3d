"""VDE's data sockets when the operating system says no, and the control socket without one."""

from __future__ import annotations

import errno
import os
from collections import deque
from pathlib import Path
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.sockets.descriptor import RETRY_SECONDS, TRIES
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import Reason
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.link import IFrameLink
from distnet.switch.core.records import Endpoint
from distnet.switch.plugs.descriptor import FRAMES_AT_ONCE
from distnet.switch.plugs.vde import (
    REQUEST_SECONDS,
    ControlProtocol,
    DataSocket,
    VdeService,
    connect_to_client,
)
from distnet.switch.plugs.vdedir import Permissions, VdeDirectory
from distnet.testing import NotingBridgeObserver
from distnet.vdewire import BadRequest, Request, RequestType, encode_request

FRAME = b"\xff" * 6 + b"\x02\0\0\0\0\1" + b"\x88\xb5" + b"payload"


class FakeSocket:
    """
    A datagram socket whose operations succeed or fail as they are told to.

    @ivar coming: what C{recv} returns, or raises; when that is all, there is nothing to read.
    @ivar refusals: what C{send} raises, one after the other; or None to take the frame.
    """

    def __init__(self) -> None:
        self.coming: deque[bytes | OSError] = deque()
        self.refusals: deque[int | None] = deque()
        self.full = False
        self.sent: list[bytes] = []
        self.closed = False

    def fileno(self) -> int:
        """A descriptor."""
        return -1 if self.closed else 99

    def recv(self, size: int) -> bytes:
        """The next datagram."""
        if not self.coming:
            raise BlockingIOError(errno.EAGAIN, "again")
        next_one = self.coming.popleft()
        if isinstance(next_one, OSError):
            raise next_one
        return next_one[:size]

    def send(self, data: bytes) -> int:
        """Take a datagram, or not."""
        if self.full:
            raise OSError(errno.EAGAIN, "again")
        refusal = self.refusals.popleft() if self.refusals else None
        if refusal is not None:
            raise OSError(refusal, os.strerror(refusal))
        self.sent.append(data)
        return len(data)

    def close(self) -> None:
        """Close it."""
        self.closed = True


class Base(SynchronousTestCase):
    """A bridge and a control socket that is not open."""

    def setUp(self) -> None:
        """Make them."""
        self.reactor = MemoryReactorClock()
        self.bridge = Bridge(BridgeLimits(), NotingBridgeObserver(), self.reactor)
        directory = VdeDirectory(self.mktemp(), Permissions())
        self.vde = VdeService(self.reactor, self.bridge, directory)
        self.addCleanup(self.bridge.stop)

    def client(self) -> tuple[ControlProtocol, StringTransport]:
        """A connection to the control socket."""
        protocol, transport = self.vde.make_protocol(), StringTransport()
        protocol.makeConnection(cast(Any, transport))
        return protocol, transport

    def plug(self) -> tuple[FakeSocket, DataSocket, Endpoint]:
        """A client that is plugged in."""
        protocol, _ = self.client()
        protocol._timeout.cancel()
        sock = FakeSocket()
        data = DataSocket(self.vde, protocol, cast(Any, sock), "a test")
        endpoint = self.bridge.attach(data, description="a test")
        protocol._data, protocol._endpoint = data, endpoint
        data.bound(endpoint, self.mktemp())
        return sock, data, endpoint


class DataSocketTests(Base):
    """Tests for C{DataSocket}."""

    def test_interfaces(self) -> None:
        """It is what the bridge and the reactor ask for."""
        _, data, _ = self.plug()
        verifyObject(IFrameLink, data)
        verifyObject(IReadWriteDescriptor, data)
        self.assertIn(data, self.reactor.getReaders())

    def test_frames_pass(self) -> None:
        """What comes at one is sent by the other."""
        one, data, _ = self.plug()
        other, _, _ = self.plug()
        one.coming.extend([FRAME, FRAME + b"2"])
        data.doRead()
        self.assertEqual(other.sent, [FRAME, FRAME + b"2"])

    def test_no_more_than_a_fair_share_at_once(self) -> None:
        """A client that has sent much does not keep the others waiting."""
        one, data, _ = self.plug()
        other, _, _ = self.plug()
        one.coming.extend([FRAME] * (FRAMES_AT_ONCE + 1))
        data.doRead()
        self.assertEqual(len(other.sent), FRAMES_AT_ONCE)

    def test_errors_are_counted(self) -> None:
        """What can never be sent is counted by reason, and the next frame is sent."""
        one, data, _ = self.plug()
        other, _, endpoint = self.plug()
        numbers = [errno.ENOBUFS, errno.ECONNREFUSED, errno.EMSGSIZE, errno.ENOTCONN, errno.EPIPE]
        other.refusals.extend(numbers)
        one.coming.extend([FRAME] * (len(numbers) + 1))
        data.doRead()
        self.assertEqual(other.sent, [FRAME])
        self.assertEqual(self.vde.errors, {errno.errorcode[number]: 1 for number in numbers})
        counters = endpoint.port.counters
        self.assertEqual(counters.lost(Reason.SEND_FAILED).frames, len(numbers))
        self.assertEqual(counters.sent.frames, 1)

    def test_interrupted(self) -> None:
        """An interrupted operation is tried again."""
        one, data, _ = self.plug()
        other, receiver, _ = self.plug()
        one.coming.extend([InterruptedError(errno.EINTR, "interrupted"), FRAME])
        other.refusals.append(errno.EINTR)
        data.doRead()
        data.doRead()
        receiver.doWrite()
        self.assertEqual(other.sent, [FRAME])

    def test_an_error_of_reading_ends_nothing(self) -> None:
        """An error that reading brings is counted, and the next frame read."""
        one, data, _ = self.plug()
        other, _, _ = self.plug()
        one.coming.extend([ConnectionResetError(errno.ECONNRESET, "reset"), FRAME])
        data.doRead()
        data.doRead()
        self.assertEqual(other.sent, [FRAME])
        self.assertEqual(self.vde.errors, {"ECONNRESET": 1})

    def test_full_and_writable(self) -> None:
        """A client that is full gets its frames in order when poll says that it can."""
        one, data, _ = self.plug()
        other, receiver, _ = self.plug()
        other.full = True
        one.coming.extend([FRAME, FRAME + b"2"])
        data.doRead()
        self.assertIn(receiver, self.reactor.getWriters())
        other.full = False
        receiver.doWrite()
        self.assertEqual(other.sent, [FRAME, FRAME + b"2"])
        self.assertNotIn(receiver, self.reactor.getWriters())
        self.assertEqual(self.reactor.getDelayedCalls(), self.sweeps())

    def test_tried_before_poll_says_so(self) -> None:
        """A client that is full is tried again soon: poll asks for more room than we need."""
        one, data, _ = self.plug()
        other, receiver, _ = self.plug()
        other.full = True
        one.coming.append(FRAME)
        data.doRead()
        self.reactor.advance(RETRY_SECONDS)
        other.full = False
        self.reactor.advance(RETRY_SECONDS)
        self.assertEqual(other.sent, [FRAME])
        self.assertNotIn(receiver, self.reactor.getWriters())

    def test_a_dead_client_is_not_tried_for_ever(self) -> None:
        """A client that never reads costs no more time after a while, but is not given up."""
        one, data, _ = self.plug()
        other, receiver, _ = self.plug()
        other.full = True
        one.coming.append(FRAME)
        data.doRead()
        self.reactor.pump([RETRY_SECONDS] * (TRIES + 1))
        self.assertEqual(self.reactor.getDelayedCalls(), self.sweeps())
        other.full = False
        receiver.doWrite()
        self.assertEqual(other.sent, [FRAME])

    def test_pause_and_resume(self) -> None:
        """Nothing is read from one that is paused."""
        _, data, _ = self.plug()
        data.pause()
        self.assertNotIn(data, self.reactor.getReaders())
        data.resume()
        self.assertIn(data, self.reactor.getReaders())

    def test_a_paused_one_is_not_read_on(self) -> None:
        """When a frame pauses its sender, the rest stays in the operating system."""
        one, data, _ = self.plug()
        other, receiver, _ = self.plug()
        other.full = True
        frames = BridgeLimits().queue_frames + 10
        one.coming.extend([FRAME] * frames)
        for _ in range(frames // FRAMES_AT_ONCE + 1):
            if data in self.reactor.getReaders():
                data.doRead()
        self.assertNotIn(data, self.reactor.getReaders())
        self.assertTrue(one.coming)
        other.full = False
        receiver.doWrite()
        self.assertIn(data, self.reactor.getReaders())
        data.doRead()
        self.assertEqual(len(other.sent), frames)

    def test_goodbye(self) -> None:
        """An empty datagram ends the endpoint, and what follows is not read."""
        one, data, endpoint = self.plug()
        one.coming.extend([b"", FRAME])
        data.doRead()
        self.assertTrue(one.closed)
        self.assertTrue(endpoint.gone)
        self.assertNotIn(data, self.reactor.getReaders())

    def test_closed_by_the_bridge(self) -> None:
        """An endpoint that the bridge closes is closed, while a frame waits for it too."""
        one, data, _ = self.plug()
        other, receiver, endpoint = self.plug()
        other.full = True
        one.coming.append(FRAME)
        data.doRead()
        self.bridge.close_endpoint(endpoint.port.number, endpoint.number)
        self.assertTrue(other.closed)
        self.assertNotIn(receiver, self.reactor.getWriters())
        self.assertEqual(self.reactor.getDelayedCalls(), self.sweeps())

    def test_given_up_by_the_reactor(self) -> None:
        """What the reactor cannot watch is unplugged."""
        one, data, endpoint = self.plug()
        data.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(one.closed)
        self.assertTrue(endpoint.gone)

    def sweeps(self) -> list[Any]:
        """The calls that the bridge waits for, which looks for old addresses."""
        return [self.bridge._sweep_timer] if self.bridge._sweep_timer else []


class ControlProtocolTests(Base):
    """Tests for C{ControlProtocol}, with requests that lead nowhere."""

    def request(self) -> bytes:
        """A request of a client whose socket is not there."""
        own = os.fsencode(Path(self.mktemp()).name)
        return encode_request(Request(3, RequestType.NEW_PORT, 0, b"/nonexistent/" + own))

    def test_refused(self) -> None:
        """A bad request ends its connection; nothing is left."""
        for data in (b"x" * 200, self.request()):
            protocol, transport = self.client()
            protocol.dataReceived(data)
            self.assertTrue(transport.disconnecting)
            self.assertEqual(transport.value(), b"")
            protocol.connectionLost()
        self.assertEqual(self.vde.refusals.count, 2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_a_path_cannot_disturb_the_log(self) -> None:
        """Whatever is in the path of a client's socket, the refusal is one printable line."""
        with self.assertRaises(BadRequest) as raised:
            connect_to_client(b"/none/\x1b[2J\n\xd7\xe4", None)
        self.assertIn("/none/?[2J?", str(raised.exception))
        self.assertTrue(str(raised.exception).isprintable())

    def test_waits_for_the_rest_for_a_while(self) -> None:
        """What is no whole request is looked at when nothing more comes."""
        protocol, transport = self.client()
        protocol.dataReceived(self.request()[:40])
        self.reactor.advance(REQUEST_SECONDS / 2)
        self.assertFalse(transport.disconnecting)
        self.reactor.advance(REQUEST_SECONDS / 2)
        self.assertTrue(transport.disconnecting)

    def test_one_request(self) -> None:
        """What comes after the request is ignored."""
        protocol, _ = self.client()
        protocol.dataReceived(self.request())
        protocol.dataReceived(self.request())
        self.assertEqual(self.vde.refusals.count, 1)

    def test_gone_before_its_request(self) -> None:
        """A client that leaves without a request leaves nothing."""
        protocol, _ = self.client()
        protocol.connectionLost()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.vde.refusals.count, 0)
