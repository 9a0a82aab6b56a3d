"""Connections of frames without sockets, and where they may be listened for."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any, cast

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IPullProducer
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.sockets.alive import IDLE_SECONDS
from distnet.sockets.descriptor import RETRY_SECONDS, SEND_BUFFER, TRIES
from distnet.sockets.listen import BACKLOG
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import Reason
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.link import IFrameLink
from distnet.switch.core.records import Endpoint
from distnet.switch.core.streamwire import encode_frame
from distnet.switch.plugs.descriptor import FRAMES_AT_ONCE
from distnet.switch.plugs.stream import (
    FrameConnection,
    FrameStreamService,
    StreamListener,
    parse_stream,
)
from distnet.testing import FakeFrameLink, NotingBridgeObserver
from tests.unit.switch.core.stations import BROADCAST, PAUSE, frame

FRAME = frame(BROADCAST, 1, b"payload")
WIRE = encode_frame(FRAME)


class FakeSocket:
    """
    A TCP socket that only has options.

    @ivar gone: its peer has gone before anybody looked.
    """

    family = socket.AF_INET
    gone = False

    def __init__(self, number: int) -> None:
        self.number = number
        self.options: list[int] = []

    def fileno(self) -> int:
        """A descriptor."""
        return self.number

    def getpeername(self) -> tuple[str, int]:
        """Who is at the other end."""
        if self.gone:
            raise OSError(errno.ENOTCONN, "not connected")
        return "127.0.0.1", 40000 + self.number

    def getsockname(self) -> tuple[str, int]:
        """Where it was connected to."""
        return "127.0.0.1", 5555

    def setsockopt(self, level: int, name: int, value: int) -> None:
        """Note the value that an option is set to."""
        self.options.append(value)


class FakeTransport:
    """
    A transport that takes as much as it is told to.

    @ivar room: bytes that it takes, or None for any number.
    @ivar broken: it takes none any more.
    @ivar written: what it has taken.
    @ivar writing: it says when it takes more.
    @ivar reading: it hands over what comes.
    """

    def __init__(self, number: int) -> None:
        self.socket = FakeSocket(number)
        self.room: int | None = None
        self.broken = False
        self.written = bytearray()
        self.writing = self.aborted = self.no_delay = False
        self.reading = True
        self.producer: Any = None

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """A pull producer is called at once."""
        assert not streaming
        self.producer = producer
        self.producer.resumeProducing()

    def writeSomeData(self, data: bytes) -> int | BaseException:
        """Take what there is room for."""
        if self.broken:
            return ConnectionLost()
        size = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= size
        self.written += data[:size]
        return size

    def startWriting(self) -> None:
        """Tell the producer when there is room."""
        self.writing = True

    def drain(self, room: int | None) -> None:
        """There is room: what the reactor does."""
        self.room = room
        if self.writing:
            self.writing = False
            self.producer.resumeProducing()

    def pauseProducing(self) -> None:
        """Hand over nothing."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Hand over what comes."""
        self.reading = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Note whether small writes wait for no acknowledgement."""
        self.no_delay = enabled

    def abortConnection(self) -> None:
        """Note that the connection is to end; the test says when it has."""
        self.aborted = True

    def take(self) -> bytes:
        """What was written since the last time."""
        data = bytes(self.written)
        self.written.clear()
        return data


class Base(SynchronousTestCase):
    """A bridge with one fake station, and a service that does not listen."""

    def setUp(self) -> None:
        """Make them."""
        self.start()

    def start(self, numports: int = 32, **limits: Any) -> None:
        """Begin anew, with these limits."""
        self.reactor = MemoryReactorClock()
        self.observer = NotingBridgeObserver()
        self.bridge = Bridge(BridgeLimits(**limits), self.observer, self.reactor, numports=numports)
        self.bridge.set_sweep(0)
        self.service = FrameStreamService(self.reactor, self.bridge, ())
        self.station = FakeFrameLink()
        self.station_endpoint = self.bridge.attach(self.station)
        self.connections = 0

    def connect(
        self, port: int | None = None, gone: bool = False
    ) -> tuple[FrameConnection, FakeTransport]:
        """Somebody connects."""
        self.connections += 1
        connection = self.service.make_factory(port).buildProtocol(None)
        transport = FakeTransport(self.connections + 10)
        transport.socket.gone = gone
        connection.makeConnection(cast(Any, transport))
        return connection, transport

    def endpoint(self, connection: FrameConnection) -> Endpoint:
        """Where a connection is plugged in."""
        endpoint = connection._endpoint
        assert endpoint is not None
        return endpoint

    def turn(self) -> None:
        """What was put off to the next turn of the reactor is done."""
        self.reactor.advance(0)


class ComingTests(Base):
    """What comes from a connection."""

    def test_interfaces(self) -> None:
        """It is what the bridge and the transport ask for."""
        connection, transport = self.connect()
        verifyObject(IFrameLink, connection)
        verifyObject(IPullProducer, connection)
        self.assertEqual(connection.module, "stream")
        self.assertEqual(connection.description, "tcp 127.0.0.1:40011")
        self.assertTrue(transport.no_delay)
        self.assertIn(SEND_BUFFER, transport.socket.options)
        self.assertIn(IDLE_SECONDS, transport.socket.options)
        self.assertEqual(self.endpoint(connection).number, 11)

    def test_frames_pass(self) -> None:
        """Frames come out of the bytes that come, however these were cut."""
        connection, _ = self.connect()
        for byte in WIRE * 2:
            connection.dataReceived(bytes([byte]))
        connection.dataReceived(WIRE * 3)
        self.assertEqual(self.station.read(), [FRAME] * 5)

    def test_ports(self) -> None:
        """Each has the first free port, or the one that its listener is for."""
        ports = [self.endpoint(self.connect(port)[0]).port.number for port in (None, 7, None)]
        self.assertEqual(ports, [2, 7, 3])

    def test_no_port(self) -> None:
        """Who can have no port is disconnected, and that is told once in a while."""
        self.start(numports=2)
        with capturedLogs() as events:
            for _ in range(3):
                connection, transport = self.connect()
                self.assertTrue(transport.aborted)
                connection.dataReceived(WIRE)
                connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.service.refusals.count, 3)
        said = [line for event in events if "refused" in (line := str(formatEvent(event)))]
        self.assertEqual(len(said), 1)
        self.assertEqual(self.station.read(), [])

    def test_gone_at_once(self) -> None:
        """Who has gone before it is looked at leaves nothing behind."""
        connection, transport = self.connect(gone=True)
        self.assertTrue(transport.aborted)
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.observer.names().count("endpoint_attached"), 1)
        self.assertEqual(self.service._connections, set())

    def test_lengths_of_frames(self) -> None:
        """Too long and too short frames are counted, and the stream goes on behind them."""
        connection, transport = self.connect()
        most = self.bridge.limits.max_frame
        connection.dataReceived(
            encode_frame(bytes(most + 1000)) + encode_frame(b"") + encode_frame(b"x" * 13) + WIRE
        )
        counters = self.endpoint(connection).port.counters
        self.assertEqual(counters.lost(Reason.OVERSIZE).frames, 1)
        self.assertEqual(counters.lost(Reason.RUNT).frames, 2)
        self.assertEqual(counters.received.frames, 4)
        self.assertEqual(self.station.read(), [FRAME])
        self.assertFalse(transport.aborted)

    def test_another_protocol(self) -> None:
        """What is no stream of frames is cut off, behind the frames that came before."""
        connection, transport = self.connect(7)
        connection.dataReceived(WIRE + b"GET / HTTP/1.1\r\n\r\n" + WIRE)
        self.assertEqual(self.station.read(), [FRAME])
        self.assertTrue(transport.aborted)
        self.assertEqual(self.observer.names()[-1], "endpoint_detached")
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.observer.names().count("endpoint_detached"), 1)

    def test_others_have_their_turn(self) -> None:
        """Of what has come at once some frames are dealt with, then it is the turn of others."""
        connection, transport = self.connect()
        connection.dataReceived(WIRE * (2 * FRAMES_AT_ONCE + 1))
        for count, reading in ((FRAMES_AT_ONCE, False), (FRAMES_AT_ONCE + 1, True)):
            self.assertEqual(len(self.station.read()), count)
            self.assertEqual(transport.reading, reading)
            self.turn()

    def test_pause(self) -> None:
        """A paused connection is not read, and keeps what has been read already, in order."""
        self.start(queue_frames=1)
        connection, transport = self.connect()
        frames = [frame(BROADCAST, 1, b"%d" % number) for number in range(9)]
        self.station.capacity = 0
        connection.dataReceived(b"".join(map(encode_frame, frames)))
        # The first one waits, the second one pauses, and the others are not the bridge's yet.
        self.assertEqual(self.endpoint(connection).port.counters.received.frames, 2)
        self.assertFalse(transport.reading)
        self.station.capacity = None
        self.bridge.writable(self.station_endpoint)
        self.assertEqual(self.station.read(), frames[:2])
        self.turn()
        self.assertEqual(self.station.read(), frames[2:])
        self.assertTrue(transport.reading)

    def test_pause_at_the_last_frame(self) -> None:
        """A connection of which nothing is kept is read again at once after a pause."""
        self.start(queue_frames=1)
        connection, transport = self.connect()
        self.station.capacity = 0
        connection.dataReceived(WIRE * 2)
        self.assertFalse(transport.reading)
        self.reactor.advance(PAUSE)
        self.assertTrue(transport.reading)

    def test_the_end(self) -> None:
        """What had come before the end is delivered, and the port is free."""
        self.start(queue_frames=1)
        connection, _ = self.connect()
        self.station.capacity = 0
        connection.dataReceived(WIRE * 4)
        self.station.capacity = None
        connection.connectionLost(Failure(ConnectionDone()))
        self.bridge.writable(self.station_endpoint)
        received = self.bridge.ports[2].counters.received.frames
        self.assertEqual((received, self.bridge.ports[2].active), (4, False))
        self.assertEqual(self.service._connections, set())
        self.turn()

    def test_the_end_in_a_turn(self) -> None:
        """A connection that ends between two turns has no other one."""
        connection, _ = self.connect()
        connection.dataReceived(WIRE * (FRAMES_AT_ONCE + 5))
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(self.station.read()), FRAMES_AT_ONCE + 5)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class GoingTests(Base):
    """What goes out to a connection."""

    def send(self, *frames: bytes) -> None:
        """The station sends."""
        for each in frames:
            self.bridge.received(self.station_endpoint, each)

    def test_at_once(self) -> None:
        """A frame is written at once, behind its length."""
        _, transport = self.connect()
        self.send(FRAME)
        self.assertEqual(transport.take(), WIRE)

    def test_in_part(self) -> None:
        """What was taken in part goes on first, and no frame gets between."""
        connection, transport = self.connect()
        transport.room = 5
        self.send(FRAME, FRAME)
        self.assertEqual(transport.take(), WIRE[:5])
        # The first one is the socket's, as far as the bridge knows; the second one waits.
        self.assertEqual(self.endpoint(connection).port.counters.sent.frames, 1)
        self.assertEqual(len(self.endpoint(connection).queue), 1)
        transport.drain(3)
        self.assertEqual(transport.take(), WIRE[5:8])
        self.send(FRAME)
        self.assertEqual(transport.take(), b"")
        transport.drain(None)
        self.assertEqual(transport.take(), WIRE[8:] + WIRE * 2)
        self.assertFalse(transport.writing)

    def test_alone_in_part(self) -> None:
        """The rest of a frame goes out although nothing waits behind it."""
        _, transport = self.connect()
        transport.room = 5
        self.send(FRAME)
        transport.drain(None)
        self.assertEqual(transport.take(), WIRE)
        self.send(FRAME)
        self.assertEqual(transport.take(), WIRE)

    def test_nothing_gets_between(self) -> None:
        """A frame waits for the rest of another one, even if there is room for it by now."""
        _, transport = self.connect()
        transport.room = 5
        self.send(FRAME)
        transport.room = None
        self.send(FRAME)
        self.assertEqual(transport.take(), WIRE[:5])
        transport.drain(None)
        self.assertEqual(transport.take(), WIRE[5:] + WIRE)

    def test_tried_again(self) -> None:
        """A full one is tried again soon, without a word of poll(2), but not for ever."""
        connection, transport = self.connect()
        transport.room = 0
        self.send(FRAME)
        self.reactor.advance(RETRY_SECONDS)
        self.assertEqual(transport.take(), b"")
        transport.room = 5
        self.reactor.advance(RETRY_SECONDS)
        self.assertEqual(transport.take(), WIRE[:5])
        transport.room = 0
        self.reactor.pump([RETRY_SECONDS] * (TRIES + 1))
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertTrue(transport.writing)
        transport.drain(None)
        self.assertEqual(transport.take(), WIRE[5:])
        transport.room = 0
        self.send(FRAME)
        transport.room = None
        self.reactor.advance(RETRY_SECONDS)
        self.assertEqual(transport.take(), WIRE)
        connection.connectionLost(Failure(ConnectionDone()))

    def test_slow(self) -> None:
        """One that does not read is slow after a pause, and others get what it does not."""
        self.start(queue_frames=2)
        slow, full = self.connect()
        _, other = self.connect()
        full.room = 5
        self.send(*[FRAME] * 4)
        self.assertEqual(other.take(), WIRE * 4)
        self.assertTrue(self.station.paused)
        self.reactor.advance(PAUSE)
        self.assertFalse(self.station.paused)
        self.assertIsNotNone(self.endpoint(slow).slow)
        self.send(*[FRAME] * 100)
        self.assertEqual(other.take(), WIRE * 100)
        full.drain(None)
        self.assertEqual(full.take(), WIRE * 3)
        self.assertIsNone(self.endpoint(slow).slow)

    def test_broken(self) -> None:
        """What cannot be written is counted; what it has sent before is still read."""
        connection, transport = self.connect()
        transport.broken = True
        self.send(FRAME)
        counters = self.endpoint(connection).port.counters
        self.assertEqual((counters.sent.frames, counters.lost(Reason.SEND_FAILED).frames), (0, 1))
        self.assertFalse(transport.aborted)
        connection.dataReceived(WIRE)
        self.assertEqual(self.station.read(), [FRAME])

    def test_broken_within_a_frame(self) -> None:
        """A connection of which a frame was cut is ended."""
        _, transport = self.connect()
        transport.room = 5
        self.send(FRAME)
        transport.broken = True
        transport.drain(None)
        self.assertTrue(transport.aborted)
        self.assertEqual(self.observer.names()[-1], "endpoint_detached")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_closed(self) -> None:
        """An endpoint that is closed at the console is disconnected, and nothing more comes."""
        connection, transport = self.connect()
        self.bridge.close_endpoint(2, self.endpoint(connection).number)
        self.assertTrue(transport.aborted)
        connection.dataReceived(WIRE)
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.station.read(), [])
        self.assertEqual(self.observer.names().count("endpoint_detached"), 1)


class PlaceTests(SynchronousTestCase):
    """Tests for C{parse_stream}."""

    def parse(self, text: str) -> StreamListener:
        """The place that a text means."""
        return parse_stream(MemoryReactorClock(), text)

    def test_tcp(self) -> None:
        """TCP is on loopback unless an interface is named; a number before it is of a port."""
        rest = f":backlog={BACKLOG}"
        self.assertEqual(
            self.parse("5555"), StreamListener(f"tcp:5555:interface=127.0.0.1{rest}", None)
        )
        self.assertEqual(
            self.parse("7=tcp:5555:interface=0.0.0.0"),
            StreamListener(f"tcp:5555:interface=0.0.0.0{rest}", 7),
        )

    def test_unix(self) -> None:
        """A unix socket is this user's alone unless a mode is given; its path becomes absolute."""
        here = str(Path.cwd())
        for text, mode in (("unix:s", "600"), ("3=unix:s:mode=660", "660")):
            with self.subTest(text):
                self.assertIn(f"mode={mode}", self.parse(text).description)
        plain = self.parse("unix:/tmp/s\\:x").description
        self.assertIn("address=/tmp/s\\:x", plain)
        self.assertIn(f"address={here}/s", self.parse("2=unix:s").description)

    def test_nonsense(self) -> None:
        """What is no place is refused in one line."""
        for text in ("", "x=unix:/a", "tcp:x", "3=", "unix:", "frob:3", "3=tcp:70000"):
            error = self.assertRaises(ValueError, self.parse, text)
            self.assertIn("is not a place to listen at", str(error))
            self.assertNotIn("\n", str(error))
