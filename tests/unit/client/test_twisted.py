"""L{distnet.client.twisted}: connecting and leaving as coroutines, in memory and on our clock."""

from __future__ import annotations

import errno

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectionRefusedError as EndpointRefused
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from distnet.address import BadAddress
from distnet.client.blocking import LINGER
from distnet.client.endpoints import client_endpoint
from distnet.client.twisted import AsyncClient
from distnet.errors import LocalError
from distnet.wire import QUIT, encode_message
from tests.unit.client.endpoints import AsyncCase, MemoryTcpTransport, run


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
