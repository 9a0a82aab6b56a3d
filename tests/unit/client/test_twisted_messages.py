"""L{distnet.client.twisted}: messages as coroutines, in memory, and what holds them back."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from hypothesis import given
from twisted.internet.defer import CancelledError

from distnet.errors import LocalError
from distnet.wire import HEADER_SIZE, QUIT_ID, encode_message
from tests.unit.client.endpoints import AsyncCase, run
from tests.unit.strategies import chunked, cuts, messages

T = TypeVar("T")


def passthru(result: T, then: Callable[[], object]) -> T:
    """A callback that does something and hands its result on."""
    then()
    return result


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

    @given(messages, cuts)
    def test_chunks(self, sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
        """However the bytes are cut, the same messages come out."""
        client = self.connected()
        stream = b"".join(encode_message(*each) for each in sent)
        for chunk in chunked(stream, sizes):
            self.endpoint.says(chunk)
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
