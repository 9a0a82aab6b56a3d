"""L{distnet.aio}: the six calls as coroutines, on transports in memory and a clock of our own."""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as EndpointRefused
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer

from distnet.address import BadAddress
from distnet.aio import AsyncClient
from distnet.client import LINGER
from distnet.core.wire import HEADER_SIZE, QUIT, QUIT_ID, encode_message
from distnet.endpoints import client_endpoint
from distnet.errors import LocalError
from tests.unit.strategies import messages

T = TypeVar("T")

sizes = st.lists(st.integers(1, 7), min_size=1, max_size=20)


def passthru(result: T, then: Callable[[], object]) -> T:
    """A callback that does something and hands its result on."""
    then()
    return result


def run(coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Start a coroutine."""
    return Deferred.fromCoroutine(coroutine)


class MemoryTransport(StringTransportWithDisconnection):
    """
    A transport in memory that ends when it is told to, by either side.

    @ivar closes: losing the connection works; if not, only aborting does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.closes = True
        self.aborted = False

    def loseConnection(self) -> None:
        if self.closes:
            super().loseConnection()

    def abortConnection(self) -> None:
        self.aborted = self.closes = True
        self.loseConnection()


class MemoryTcpTransport(MemoryTransport):
    """
    The same as if it were TCP.

    @ivar no_delay: what was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.no_delay = False
        # As much of it as is asked for here.
        directlyProvides(self, ITCPTransport)

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    An endpoint whose connections are in memory.

    @ivar refuse: fail the attempts.
    @ivar hang: never answer them.
    @ivar kind: the transports' class.
    @ivar factory: of the newest attempt.
    @ivar cancelled: how many attempts were cancelled.
    @ivar links: protocol and transport of each connection that was made.
    """

    def __init__(self) -> None:
        self.refuse = False
        self.hang = False
        self.attempts = 0
        self.cancelled = 0
        self.kind = MemoryTransport
        self.factory: IProtocolFactory | None = None
        self.links: list[tuple[Any, MemoryTransport]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        self.factory = protocolFactory
        if self.refuse:
            return fail(EndpointRefused(111, "Connection refused"))
        connecting: Deferred[IProtocol] = Deferred(self.cancel)
        if self.hang:
            return connecting
        connecting.callback(self.make())
        return connecting

    def make(self) -> Any:
        """Make the connection that was asked for last; its protocol."""
        assert self.factory is not None
        protocol: Any = self.factory.buildProtocol(None)  # type: ignore[arg-type]
        transport = self.kind()
        transport.protocol = protocol
        self.links.append((protocol, transport))
        protocol.makeConnection(transport)
        return protocol

    def cancel(self, connecting: Deferred[IProtocol]) -> None:
        """An attempt is given up."""
        self.cancelled += 1

    def says(self, data: bytes) -> None:
        """The master of the newest connection writes this."""
        self.links[-1][0].dataReceived(data)

    def gone(self) -> None:
        """The master of the newest connection closes it."""
        transport = self.links[-1][1]
        transport.closes = True
        transport.loseConnection()

    @property
    def transport(self) -> MemoryTransport:
        """The client's side of the newest connection."""
        return self.links[-1][1]

    @property
    def producer(self) -> Any:
        """What the newest transport pauses when it is full."""
        return self.transport.producer

    @property
    def written(self) -> bytes:
        """What the client has written to the newest connection."""
        return bytes(self.transport.value())


class AsyncCase(SynchronousTestCase):
    """A client that is connected with id 5 when C{connected} is called."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint()

    def client(self, **options: Any) -> AsyncClient:
        """A client that is not connected."""
        return AsyncClient(self.endpoint, reactor=self.clock, **options)

    def connected(self, **options: Any) -> AsyncClient:
        """A client with id 5."""
        client = self.client(**options)
        connecting = run(client.connect())
        self.endpoint.says(b"5")
        self.assertEqual(self.successResultOf(connecting), 5)
        return client

    def fails(self, number: int, result: Deferred[Any]) -> OSError:
        """C{result} has failed with this errno."""
        error = self.failureResultOf(result, OSError).value
        assert isinstance(error, OSError)
        self.assertEqual(error.errno, number, str(error))
        return error


class ConnectTests(AsyncCase):
    """The greeting, and being connected or not."""

    def test_id(self) -> None:
        """connect() waits for the id and returns it."""
        client = self.client()
        connecting = run(client.connect())
        self.assertNoResult(connecting)
        self.endpoint.says(b"2147483649")
        self.assertEqual(self.successResultOf(connecting), 2**31 + 1)
        self.assertEqual((client.getid(), client.id), (2**31 + 1, 2**31 + 1))

    def test_ten_bytes_at_most(self) -> None:
        """What comes with an id of ten digits, but after it, are messages."""
        client = self.client()
        connecting = run(client.connect())
        self.endpoint.says(b"2147483649" + encode_message(1, b"early"))
        self.assertEqual(self.successResultOf(connecting), 2**31 + 1)
        self.assertEqual(self.successResultOf(run(client.recv())), (1, b"early"))

    def test_closed_without_id(self) -> None:
        """A master that closes before the id has refused the connection."""
        client = self.client()
        connecting = run(client.connect())
        self.endpoint.gone()
        self.fails(errno.ECONNABORTED, connecting)
        self.assertRaises(OSError, client.getid)

    def test_not_an_id(self) -> None:
        """A greeting that is not a number is a protocol error and ends the connection."""
        told: list[int] = []
        connecting = run(self.client(on_id=told.append).connect())
        self.endpoint.says(b"HTTP/1.1 400 Bad Request")
        self.fails(errno.EPROTO, connecting)
        self.assertTrue(self.endpoint.transport.aborted)
        self.endpoint.says(b"7")
        self.assertEqual(told, [])

    def test_refused(self) -> None:
        """What the endpoint fails with comes out as it is, and connecting again is possible."""
        client = self.client()
        self.endpoint.refuse = True
        self.failureResultOf(run(client.connect()), EndpointRefused)
        self.endpoint.refuse = False
        connecting = run(client.connect())
        self.endpoint.says(b"1")
        self.assertEqual(self.successResultOf(connecting), 1)

    def test_timeout(self) -> None:
        """connect(timeout) gives up on an id that does not come and closes."""
        connecting = run(self.client().connect(timeout=3.0))
        self.clock.advance(2.9)
        self.assertNoResult(connecting)
        self.clock.advance(0.1)
        self.failureResultOf(connecting, TimeoutError)
        self.assertTrue(self.endpoint.transport.aborted)

    def test_cancel(self) -> None:
        """Cancelling connect() ends the attempt, whichever step it has come to."""
        self.endpoint.hang = True
        connecting = run(self.client().connect())
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.endpoint.cancelled, 1)
        self.endpoint.make()
        self.assertTrue(self.endpoint.transport.aborted)
        self.endpoint.hang = False
        connecting = run(self.client().connect())
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(self.endpoint.transport.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_twice(self) -> None:
        """A second connect() of a connected client is refused and changes nothing."""
        client = self.connected()
        self.fails(errno.EISCONN, run(client.connect()))
        self.assertEqual(client.id, 5)

    def test_again(self) -> None:
        """After disconnect() and after the master has gone, connect() makes a new node."""
        client = self.connected()
        self.endpoint.says(encode_message(1, b"old"))
        leaving = run(client.disconnect())
        self.endpoint.gone()
        self.successResultOf(leaving)
        for node in (6, 7):
            connecting = run(client.connect())
            self.endpoint.says(b"%d" % node)
            self.assertEqual(self.successResultOf(connecting), node)
            receiving = run(client.recv())
            self.assertNoResult(receiving)
            receiving.cancel()
            self.failureResultOf(receiving, CancelledError)
            self.endpoint.says(encode_message(1, b"never taken"))
            self.endpoint.gone()

    def test_not_connected(self) -> None:
        """Before connect() every call says ENOTCONN."""
        client = self.client()
        for call in (client.recv(), client.send(1, b""), client.disconnect()):
            self.fails(errno.ENOTCONN, run(call))
        self.fails(errno.ENOTCONN, run(client.when_connected()))
        self.assertEqual(self.assertRaises(OSError, client.getid).errno, errno.ENOTCONN)
        self.assertEqual(self.assertRaises(OSError, client.__aiter__).errno, errno.ENOTCONN)

    def test_on_id(self) -> None:
        """on_id is told the id, and its failure does no harm."""
        told: list[int] = []

        def on_id(node: int) -> None:
            told.append(node)
            raise KeyError("theirs")

        self.connected(on_id=on_id)
        self.assertEqual(told, [5])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_no_delay(self) -> None:
        """Over TCP a message does not wait for the next one."""
        self.endpoint.kind = MemoryTcpTransport
        self.connected()
        transport = self.endpoint.transport
        assert isinstance(transport, MemoryTcpTransport)
        self.assertTrue(transport.no_delay)

    def test_when_connected(self) -> None:
        """when_connected() gives the id that there is."""
        self.assertEqual(self.successResultOf(run(self.connected().when_connected())), 5)


class SendTests(AsyncCase):
    """Messages to the master, and its backpressure."""

    def test_size(self) -> None:
        """send() returns the size of the whole message and writes it."""
        client = self.connected()
        self.assertEqual(self.successResultOf(run(client.send(3, b"hello"))), 13)
        self.assertEqual(self.endpoint.written, b"\3\0\0\0\5\0\0\0hello")

    def test_limits(self) -> None:
        """A payload at the limit is sent, a longer one and a dest that is no id are refused."""
        client = self.connected(max_payload=16)
        self.fails(errno.ENOBUFS, run(client.send(1, bytes(17))))
        self.failureResultOf(run(client.send(QUIT_ID, b"")), LocalError)
        self.assertEqual(self.endpoint.written, b"")
        self.assertEqual(self.successResultOf(run(client.send(1, bytes(16)))), 24)

    def test_waits_while_paused(self) -> None:
        """While the transport is full, senders wait, and go on in order as far as it takes them."""
        client = self.connected()
        producer = self.endpoint.producer
        producer.pauseProducing()
        sending = [run(client.send(1, data)) for data in (b"a", b"b", b"c")]
        for each in sending:
            self.assertNoResult(each)
        self.assertEqual(self.endpoint.written, b"")
        # Full again as soon as the first has written.
        sending[0].addBoth(passthru, producer.pauseProducing)
        producer.resumeProducing()
        self.assertEqual(self.endpoint.written, encode_message(1, b"a"))
        self.assertEqual(self.successResultOf(sending[0]), 9)
        self.assertNoResult(sending[1])
        producer.resumeProducing()
        self.assertEqual(
            self.endpoint.written, b"".join(encode_message(1, each) for each in (b"a", b"b", b"c"))
        )

    def test_cancel(self) -> None:
        """A cancelled send has written nothing and holds nobody up."""
        client = self.connected()
        producer = self.endpoint.producer
        producer.pauseProducing()
        first, second = run(client.send(1, b"a")), run(client.send(1, b"b"))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        producer.resumeProducing()
        self.successResultOf(second)
        self.assertEqual(self.endpoint.written, encode_message(1, b"b"))

    def test_master_gone(self) -> None:
        """A send that waits as the master goes is ConnectionResetError, and so is the next one."""
        client = self.connected()
        self.endpoint.producer.pauseProducing()
        sending = run(client.send(1, b"a"))
        self.endpoint.gone()
        self.fails(errno.ECONNRESET, sending)
        self.fails(errno.ECONNRESET, run(client.send(1, b"b")))
        self.assertEqual(self.endpoint.written, b"")


class ReceiveTests(AsyncCase):
    """Messages from the master."""

    @given(messages, sizes)
    def test_chunks(self, sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
        """However the bytes are cut, the same messages come out."""
        client = self.connected()
        stream = b"".join(encode_message(*each) for each in sent)
        turn = 0
        while stream:
            size = cuts[turn % len(cuts)]
            self.endpoint.says(stream[:size])
            stream = stream[size:]
            turn += 1
        self.assertEqual([self.successResultOf(run(client.recv())) for _ in sent], sent)
        self.assertNoResult(run(client.recv()))

    def test_waiters_in_order(self) -> None:
        """Those who wait are served first come first served, also by one read."""
        client = self.connected()
        waiting = [run(client.recv()) for _ in range(3)]
        self.endpoint.says(encode_message(1, b"a") + encode_message(1, b"b"))
        self.endpoint.says(encode_message(1, b"c") + encode_message(1, b"d"))
        results = [self.successResultOf(each)[1] for each in waiting]
        self.assertEqual(results, [b"a", b"b", b"c"])
        self.assertEqual(self.successResultOf(run(client.recv())), (1, b"d"))

    def test_turns(self) -> None:
        """Who asks again while being served comes after those who wait already."""
        client = self.connected()
        seen: list[tuple[str, bytes]] = []

        async def reader(name: str) -> None:
            while True:
                seen.append((name, (await client.recv())[1]))

        readers = [run(reader(name)) for name in ("first", "second")]
        self.endpoint.says(b"".join(encode_message(1, each) for each in (b"a", b"b", b"c")))
        self.assertEqual(seen, [("first", b"a"), ("second", b"b"), ("first", b"c")])
        self.endpoint.gone()
        for each in readers:
            self.fails(errno.ECONNRESET, each)

    def test_cancel(self) -> None:
        """A cancelled recv takes no message."""
        client = self.connected()
        first, second = run(client.recv()), run(client.recv())
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.endpoint.says(encode_message(1, b"a"))
        self.assertEqual(self.successResultOf(second), (1, b"a"))

    def test_master_gone(self) -> None:
        """Everything that came whole is received before ConnectionResetError, which then stays."""
        client = self.connected()
        self.endpoint.says(encode_message(1, b"a") + encode_message(2, b"b") + b"\3\0\0")
        self.endpoint.gone()
        received = [self.successResultOf(run(client.recv())) for _ in range(2)]
        self.assertEqual(received, [(1, b"a"), (2, b"b")])
        for _ in range(2):
            self.fails(errno.ECONNRESET, run(client.recv()))

    def test_oversized(self) -> None:
        """A message over the limit ends the connection after those before it."""
        client = self.connected(max_payload=16)
        self.endpoint.says(encode_message(1, b"ok") + encode_message(1, bytes(17)))
        self.assertTrue(self.endpoint.transport.aborted)
        self.assertEqual(self.successResultOf(run(client.recv())), (1, b"ok"))
        self.fails(errno.EPROTO, run(client.recv()))

    def test_backpressure(self) -> None:
        """Above max_waiting bytes unread nothing more is read, until half of them are taken."""
        message = encode_message(1, bytes(10 - HEADER_SIZE))
        client = self.connected(max_waiting=40)
        transport = self.endpoint.transport
        self.endpoint.says(message * 4)
        self.assertEqual(transport.producerState, "producing")
        self.endpoint.says(message)
        self.assertEqual(transport.producerState, "paused")
        states = []
        for _ in range(5):
            self.successResultOf(run(client.recv()))
            states.append(transport.producerState)
        self.assertEqual(states, ["paused", "paused", "producing", "producing", "producing"])

    def test_iterate(self) -> None:
        """Iterating gives the messages and ends when the client disconnects, without an error."""
        client = self.connected()
        seen: list[tuple[int, bytes]] = []

        async def read() -> None:
            async for message in client:
                seen.append(message)

        reading = run(read())
        self.endpoint.says(encode_message(1, b"a") + encode_message(2, b"b"))
        self.assertEqual(seen, [(1, b"a"), (2, b"b")])
        self.assertNoResult(reading)
        leaving = run(client.disconnect())
        self.endpoint.gone()
        self.successResultOf(leaving)
        self.successResultOf(reading)

    def test_iterate_master_gone(self) -> None:
        """Iterating ends with ConnectionResetError when the master is gone."""
        client = self.connected()

        async def read() -> None:
            async for _ in client:
                pass

        reading = run(read())
        self.endpoint.gone()
        self.fails(errno.ECONNRESET, reading)


class DisconnectTests(AsyncCase):
    """quit and what comes after it."""

    def test_quit(self) -> None:
        """disconnect() writes quit, waits for the master to close and returns 4."""
        client = self.connected()
        leaving = run(client.disconnect())
        self.assertEqual(self.endpoint.written, QUIT)
        self.assertNoResult(leaving)
        self.endpoint.gone()
        self.assertEqual(self.successResultOf(leaving), 4)
        self.assertEqual(self.assertRaises(OSError, client.getid).errno, errno.ENOTCONN)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_master_does_not_close(self) -> None:
        """After LINGER seconds the client closes itself."""
        leaving = run(self.connected().disconnect())
        self.clock.advance(LINGER)
        self.assertEqual(self.successResultOf(leaving), 4)
        self.assertFalse(self.endpoint.transport.connected)
        # With one registered, TLS would not close.
        self.assertIs(self.endpoint.producer, None)
        self.assertFalse(self.endpoint.transport.aborted)

    def test_closing_does_not_work(self) -> None:
        """A connection that does not close is aborted in the end."""
        leaving = run(self.connected().disconnect())
        self.endpoint.transport.closes = False
        self.clock.advance(LINGER)
        self.assertNoResult(leaving)
        self.clock.advance(LINGER)
        self.assertEqual(self.successResultOf(leaving), 4)
        self.assertTrue(self.endpoint.transport.aborted)

    def test_after_what_waits(self) -> None:
        """quit comes after the messages that waited before it, and nothing comes after quit."""
        client = self.connected()
        producer = self.endpoint.producer
        producer.pauseProducing()
        sending = run(client.send(1, b"a"))
        leaving = run(client.disconnect())
        self.fails(errno.ENOTCONN, run(client.send(1, b"b")))
        producer.resumeProducing()
        self.assertEqual(self.endpoint.written, encode_message(1, b"a") + QUIT)
        self.successResultOf(sending)
        self.endpoint.gone()
        self.assertEqual(self.successResultOf(leaving), 4)

    def test_timeout(self) -> None:
        """If quit cannot be written in time that is a TimeoutError, and all the same it is over."""
        client = self.connected()
        self.endpoint.producer.pauseProducing()
        sending = run(client.send(1, b"a"))
        leaving = run(client.disconnect(timeout=2.0))
        self.clock.advance(2.0)
        self.failureResultOf(leaving, TimeoutError)
        self.assertTrue(self.endpoint.transport.aborted)
        self.failureResultOf(sending, OSError)
        self.assertEqual(self.endpoint.written, b"")

    def test_reads_on(self) -> None:
        """Reading that was paused goes on, for closing with bytes unread would reset."""
        client = self.connected(max_waiting=1)
        self.endpoint.says(encode_message(1, b"a"))
        self.assertEqual(self.endpoint.transport.producerState, "paused")
        leaving = run(client.disconnect())
        self.assertEqual(self.endpoint.transport.producerState, "producing")
        self.endpoint.says(encode_message(1, b"b"))
        self.assertEqual(self.endpoint.transport.producerState, "producing")
        self.endpoint.gone()
        self.successResultOf(leaving)

    def test_receivers(self) -> None:
        """Whoever waits in recv() gets ENOTCONN at once."""
        client = self.connected()
        receiving = run(client.recv())
        leaving = run(client.disconnect())
        self.fails(errno.ENOTCONN, receiving)
        self.endpoint.gone()
        self.successResultOf(leaving)

    def test_master_gone(self) -> None:
        """disconnect() from a master that is gone says so once, then it is disconnected."""
        client = self.connected()
        self.endpoint.gone()
        self.fails(errno.ECONNRESET, run(client.disconnect()))
        self.fails(errno.ENOTCONN, run(client.disconnect()))

    def test_with(self) -> None:
        """async with connects, and disconnects at its end, quietly if the master is gone."""
        for gone_early in (False, True):
            client = self.client()

            async def body(client: AsyncClient = client) -> int:
                async with client as me:
                    await me.recv()
                    return me.id

            running = run(body())
            self.endpoint.says(b"5")
            if gone_early:
                self.endpoint.gone()
                self.fails(errno.ECONNRESET, running)
            else:
                self.endpoint.says(encode_message(1, b"a"))
                self.assertEqual(self.endpoint.written, QUIT)
                self.endpoint.gone()
                self.assertEqual(self.successResultOf(running), 5)


class ReconnectTests(AsyncCase):
    """A client that connects again."""

    def connected(self, **options: Any) -> AsyncClient:
        """A client with id 5 that comes back after a second."""
        return super().connected(reconnect=True, retry_policy=lambda failed: 1.0, **options)

    def test_waits_for_a_master(self) -> None:
        """connect() goes on until there is a master."""
        self.endpoint.refuse = True
        connecting = run(self.client(reconnect=True, retry_policy=lambda _: 1.0).connect())
        self.clock.pump([1.0, 1.0])
        self.assertEqual(self.endpoint.attempts, 3)
        self.assertNoResult(connecting)
        self.endpoint.refuse = False
        self.clock.advance(1.0)
        self.endpoint.says(b"8")
        self.assertEqual(self.successResultOf(connecting), 8)

    def test_gives_up(self) -> None:
        """connect(timeout) and cancelling end the attempts, between two of them and within one."""
        for within in (False, True):
            self.endpoint = MemoryEndpoint()
            self.endpoint.refuse, self.endpoint.hang = not within, within
            connecting = run(self.client(reconnect=True).connect(timeout=0.5))
            self.clock.advance(0.5)
            self.failureResultOf(connecting, TimeoutError)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_new_id(self) -> None:
        """Each connection has an id of its own, of which on_id and when_connected tell."""
        told: list[int] = []
        client = self.connected(on_id=told.append)
        self.endpoint.gone()
        self.assertEqual(self.assertRaises(OSError, client.getid).errno, errno.ENOTCONN)
        waiting = run(client.when_connected())
        self.clock.advance(1.0)
        self.assertNoResult(waiting)
        self.endpoint.says(b"6")
        self.assertEqual(self.successResultOf(waiting), 6)
        self.assertEqual((client.id, told), (6, [5, 6]))

    def test_recv_across(self) -> None:
        """recv() waits across the gap; half a message from before it is forgotten."""
        client = self.connected()
        receiving = run(client.recv())
        self.endpoint.says(encode_message(1, b"lost")[:9])
        self.endpoint.gone()
        self.clock.advance(1.0)
        self.endpoint.says(b"6")
        self.assertNoResult(receiving)
        self.endpoint.says(encode_message(1, b"new"))
        self.assertEqual(self.successResultOf(receiving), (1, b"new"))

    def test_send_across(self) -> None:
        """What waits to be sent is written once, to the next connection, after its id."""
        client = self.connected()
        self.endpoint.producer.pauseProducing()
        sending = [run(client.send(1, b"before"))]
        self.endpoint.gone()
        self.assertEqual(self.endpoint.written, b"")
        self.clock.advance(1.0)
        sending.append(run(client.send(1, b"between")))
        self.assertEqual(self.endpoint.written, b"")
        self.endpoint.says(b"6")
        self.assertEqual([self.successResultOf(each) for each in sending], [14, 15])
        self.assertEqual(
            self.endpoint.written, encode_message(1, b"before") + encode_message(1, b"between")
        )

    def test_paused_across(self) -> None:
        """A full receive queue keeps the next connection from reading, too."""
        client = self.connected(max_waiting=1)
        self.endpoint.says(encode_message(1, b"a"))
        self.endpoint.gone()
        self.clock.advance(1.0)
        self.endpoint.says(b"6")
        self.assertEqual(self.endpoint.transport.producerState, "paused")
        self.successResultOf(run(client.recv()))
        self.assertEqual(self.endpoint.transport.producerState, "producing")

    def test_no_id_is_a_failure(self) -> None:
        """Connections that end without an id make the next delays longer, as refused ones do."""
        asked: list[int] = []

        def policy(failed: int) -> float:
            asked.append(failed)
            return 1.0

        connecting = run(self.client(reconnect=True, retry_policy=policy).connect())
        self.endpoint.gone()
        self.clock.advance(1.0)
        self.endpoint.says(b"garbage")
        self.clock.advance(1.0)
        self.endpoint.says(b"3")
        self.assertEqual(self.successResultOf(connecting), 3)
        self.endpoint.gone()
        self.assertEqual(asked, [2, 3, 1])

    def test_disconnect(self) -> None:
        """disconnect() ends it for good."""
        client = self.connected()
        leaving = run(client.disconnect())
        self.endpoint.gone()
        self.assertEqual(self.successResultOf(leaving), 4)
        self.clock.advance(100)
        self.assertEqual(self.endpoint.attempts, 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_disconnect_between(self) -> None:
        """disconnect() in the gap writes nothing, and who waits gets an error."""
        client = self.connected()
        self.endpoint.gone()
        sending, receiving = run(client.send(1, b"a")), run(client.recv())
        self.assertEqual(self.successResultOf(run(client.disconnect())), 0)
        self.fails(errno.ENOTCONN, sending)
        self.fails(errno.ENOTCONN, receiving)
        self.clock.advance(100)
        self.assertEqual(self.endpoint.attempts, 1)

    def test_says_why_once(self) -> None:
        """Why there is no master is logged once until there is one again."""
        self.connected()
        self.endpoint.refuse = True
        with capturedLogs() as events:
            self.endpoint.gone()
            self.clock.pump([1.0] * 5)
        warnings = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual(len(warnings), 1)
        self.assertIn("trying again", str(formatEvent(warnings[0])))


class EndpointTests(SynchronousTestCase):
    """From an address to an endpoint."""

    def test_kinds(self) -> None:
        """An IP address is connected to without a resolver, a name with one, a path as unix."""
        reactor = MemoryReactorClock()
        self.assertIsInstance(client_endpoint(reactor, "1234"), TCP4ClientEndpoint)
        self.assertIsInstance(client_endpoint(reactor, "[::1]:1234"), TCP6ClientEndpoint)
        self.assertIsInstance(client_endpoint(reactor, "localhost:1234"), HostnameEndpoint)
        run(AsyncClient("unix:/run/master", reactor=reactor).connect())
        self.assertEqual(reactor.unixClients[0][0], "/run/master")

    def test_default(self) -> None:
        """Without an address it is the master's port on loopback."""
        reactor = MemoryReactorClock()
        run(AsyncClient(reactor=reactor).connect())
        self.assertEqual(reactor.tcpClients[0][:2], ("127.0.0.1", 1234))

    def test_bad_address(self) -> None:
        """A bad address is refused when the client is made."""
        self.assertRaises(BadAddress, AsyncClient, "nowhere", reactor=MemoryReactorClock())

    def test_tls_without_files(self) -> None:
        """A tls: address without certificates is refused: it would be plain text."""
        self.assertRaises(LocalError, client_endpoint, MemoryReactorClock(), "tls:localhost:1")
