"""L{distnet.client}: the six calls on a channel in memory, whatever it does to them."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.address import BadAddress, UnixAddress
from distnet.client import LINGER, Client, outgoing
from distnet.core.wire import QUIT, QUIT_ID, encode_message
from distnet.errors import LocalError
from tests.unit.strategies import messages

EVER = 10**9

cuts = st.lists(st.integers(1, 7), min_size=1, max_size=20)


def chunked(data: bytes, sizes: list[int]) -> list[bytes]:
    """C{data} in pieces of C{sizes} bytes, over and over."""
    pieces: list[bytes] = []
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        pieces.append(data[:size])
        data = data[size:]
        turn += 1
    return pieces


def next_of(channels: list[MemoryChannel], timeout: float | None) -> MemoryChannel:
    """Open the next channel."""
    return channels.pop(0)


class MemoryChannel:
    """
    A channel whose reads are given and whose writes are kept.

    @ivar reads: what the reads give one by one: bytes, None for "nothing now", an error to raise.
        When they are used up there is nothing now and never will be.
    @ivar room: how many bytes writes take before "nothing now".
    @ivar refills: how many more they take after each wait for writing.
    @ivar now: seconds; grows only by waiting in vain.
    """

    def __init__(self, *reads: bytes | OSError | None) -> None:
        self.reads = deque(reads)
        self.room = EVER
        self.refills: deque[int] = deque()
        self.write_error: OSError | None = None
        self.written = bytearray()
        self.closed = False
        self.now = 0.0

    def read(self, size: int) -> bytes | None:
        if not self.reads:
            return None
        data = self.reads.popleft()
        if isinstance(data, OSError):
            raise data
        if data is not None and len(data) > size:
            self.reads.appendleft(data[size:])
            data = data[:size]
        return data

    def write(self, data: memoryview) -> int:
        if self.write_error is not None:
            raise self.write_error
        taken = min(len(data), self.room)
        self.room -= taken
        self.written += data[:taken]
        return taken

    def writable(self) -> bool:
        return self.room > 0

    def wait(self, read: bool, write: bool, timeout: float | None) -> bool:
        if write and self.refills:
            self.room += self.refills.popleft()
            return True
        if (write and self.room) or (read and self.reads):
            return True
        if timeout is None:
            raise AssertionError("waits for ever")
        self.now += timeout
        return False

    def fileno(self) -> int:
        return 77

    def close(self) -> None:
        self.closed = True


class ClientCase(SynchronousTestCase):
    """What the cases share."""

    def client(self, channel: MemoryChannel, max_payload: int = 1024) -> Client:
        """A client that is not connected yet and will be through C{channel}."""
        return Client(
            max_payload=max_payload, open_channel=lambda _: channel, clock=lambda: channel.now
        )

    def connected(
        self, *reads: bytes | OSError | None, max_payload: int = 1024
    ) -> tuple[Client, MemoryChannel]:
        """A client with id 5 to which C{reads} come after its id."""
        # None: the greeting is a read of its own, and what follows is not there yet.
        channel = MemoryChannel(b"5", None, *reads)
        client = self.client(channel, max_payload)
        client.connect()
        return client, channel

    def fails(self, number: int, call: Callable[..., object], *arguments: object) -> OSError:
        """C{call} raises OSError with this errno."""
        error = self.assertRaises(OSError, call, *arguments)
        assert isinstance(error, OSError)
        self.assertEqual(error.errno, number, str(error))
        return error


class ConnectTests(ClientCase):
    """The greeting, and being connected or not."""

    def test_id(self) -> None:
        """connect() returns the id and getid() repeats it."""
        client = self.client(MemoryChannel(b"4294967295"))
        self.assertEqual(client.connect(), 2**32 - 1)
        self.assertEqual((client.getid(), client.id), (2**32 - 1, 2**32 - 1))

    def test_id_comes_later(self) -> None:
        """connect() waits for the id."""
        self.assertEqual(self.client(MemoryChannel(None, None, b"12")).connect(), 12)

    def test_waits_in_nonblocking_mode(self) -> None:
        """connect() waits for the id in nonblocking mode as well."""
        client = self.client(MemoryChannel(None, b"12"))
        client.set_nonblock()
        self.assertEqual(client.connect(), 12)

    def test_ten_bytes_at_most(self) -> None:
        """The first read ends after ten bytes, and a message right behind them is not lost."""
        client = self.client(MemoryChannel(b"2147483648" + encode_message(1, b"early")))
        self.assertEqual(client.connect(), 2**31)
        self.assertEqual(client.pending, 1)
        self.assertEqual(client.recv(), (1, b"early"))

    def test_closed_without_id(self) -> None:
        """A master that closes or resets before the id has refused the connection."""
        for first in (b"", ConnectionResetError(errno.ECONNRESET, "reset")):
            channel = MemoryChannel(first)
            error = self.fails(errno.ECONNABORTED, self.client(channel).connect)
            self.assertIsInstance(error, ConnectionAbortedError)
            self.assertIn("without giving an id", str(error))
            self.assertTrue(channel.closed)

    def test_not_an_id(self) -> None:
        """A first read that is not a number, and nothing else, is a protocol error."""
        for greeting in (b"HTTP/1.1 4", b"5\n", b"-1", b"9999999999", b"0" + b"\1\0\0\0\5\0\0\0x"):
            channel = MemoryChannel(greeting)
            client = self.client(channel)
            self.fails(errno.EPROTO, client.connect)
            self.assertTrue(channel.closed)
            self.fails(errno.ENOTCONN, client.getid)

    def test_timeout(self) -> None:
        """connect(timeout) gives up on an id that does not come and closes."""
        channel = MemoryChannel()
        client = self.client(channel)
        self.assertRaises(TimeoutError, client.connect, 3.0)
        self.assertEqual(channel.now, 3.0)
        self.assertTrue(channel.closed)

    def test_timeout_reaches_the_opener(self) -> None:
        """Connecting itself is limited by the same timeout."""
        asked: list[float | None] = []

        def open_channel(timeout: float | None) -> MemoryChannel:
            asked.append(timeout)
            return MemoryChannel(b"0")

        Client(open_channel=open_channel).connect(7.0)
        self.assertEqual(asked, [7.0])

    def test_refused(self) -> None:
        """What connecting raises comes out as it is."""

        def refuse(timeout: float | None) -> MemoryChannel:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

        self.assertRaises(ConnectionRefusedError, Client(open_channel=refuse).connect)

    def test_twice(self) -> None:
        """A second connect() of a connected client is refused and changes nothing."""
        client, channel = self.connected()
        self.fails(errno.EISCONN, client.connect)
        self.assertEqual((client.id, channel.closed), (5, False))

    def test_reconnect(self) -> None:
        """After disconnect(), connect() makes a new node that knows nothing of the old one."""
        old = MemoryChannel(b"5", None, encode_message(1, b"old") + b"rest", b"")
        channels = [old, MemoryChannel(b"6", None, encode_message(1, b"new"))]
        client = Client(open_channel=lambda _: channels.pop(0))
        client.connect()
        client.disconnect()
        self.assertTrue(old.closed)
        self.assertEqual(client.connect(), 6)
        self.assertEqual(client.recv(), (1, b"new"))

    def test_reconnect_when_the_master_is_gone(self) -> None:
        """When the master is gone, connect() needs no disconnect() before it."""
        for first in (MemoryChannel(b"5", None, b""), MemoryChannel(b"5")):
            channels = [first, MemoryChannel(b"6")]
            client = Client(open_channel=partial(next_of, channels))
            client.connect()
            if first.reads:
                self.assertRaises(ConnectionResetError, client.recv)
            else:
                first.write_error = BrokenPipeError(errno.EPIPE, "Broken pipe")
                self.assertRaises(ConnectionResetError, client.send, 1, b"")
            self.assertEqual(client.connect(), 6)
            self.assertTrue(first.closed)

    def test_not_connected(self) -> None:
        """Before connect() and after disconnect() every call says ENOTCONN."""
        client, _ = self.connected(b"")
        client.disconnect()
        for each in (Client(), client):
            for call in (each.getid, each.disconnect, each.recv, each.fileno, each.flush):
                self.fails(errno.ENOTCONN, call)
            self.fails(errno.ENOTCONN, each.send, 1, b"")
            self.fails(errno.ENOTCONN, each.recv_into, bytearray(1))
            self.assertEqual((each.pending, each.unsent), (0, 0))

    def test_fileno(self) -> None:
        """fileno() is the channel's, for select."""
        client, channel = self.connected()
        self.assertEqual(client.fileno(), channel.fileno())

    def test_address(self) -> None:
        """The address is parsed when the client is made, and a bad one refused then."""
        self.assertEqual(Client("unix:/run/master").address, UnixAddress("/run/master"))
        self.assertRaises(BadAddress, Client, "nowhere")

    def test_tls_without_context(self) -> None:
        """A tls: address without a context is refused: it would be plain text."""
        self.assertRaises(LocalError, Client, "tls:localhost:1234")


class DisconnectTests(ClientCase):
    """quit and what comes after it."""

    def test_quit(self) -> None:
        """disconnect() writes quit and nothing else, returns 4 and closes."""
        client, channel = self.connected(b"")
        self.assertEqual(client.disconnect(), 4)
        self.assertEqual(channel.written, QUIT)
        self.assertTrue(channel.closed)

    def test_finishes_the_message(self) -> None:
        """quit comes after the rest of a message that was begun."""
        client, channel = self.connected(b"")
        client.set_nonblock()
        channel.room = 5
        client.send(1, b"cut")
        channel.room = EVER
        client.disconnect()
        self.assertEqual(channel.written, encode_message(1, b"cut") + QUIT)

    def test_reads_until_the_master_closes(self) -> None:
        """What is still coming is read, for closing with it unread would reset the connection."""
        client, channel = self.connected(encode_message(1, b"late"), None, b"more", b"")
        client.disconnect()
        self.assertFalse(channel.reads)

    def test_master_does_not_close(self) -> None:
        """A master that does not close after quit holds the client for LINGER seconds only."""
        client, channel = self.connected()
        self.assertEqual(client.disconnect(), 4)
        self.assertEqual(channel.now, LINGER)
        self.assertTrue(channel.closed)

    def test_timeout(self) -> None:
        """If quit cannot be written in time that is a TimeoutError, and closed nevertheless."""
        client, channel = self.connected()
        channel.room = 0
        self.assertRaises(TimeoutError, client.disconnect, 2.0)
        self.assertTrue(channel.closed)
        self.fails(errno.ENOTCONN, client.getid)

    def test_nonblocking(self) -> None:
        """In nonblocking mode disconnect() does not wait for anything."""
        client, channel = self.connected()
        client.set_nonblock()
        self.assertEqual(client.disconnect(), 4)
        self.assertEqual((channel.now, channel.closed), (0.0, True))

    def test_nonblocking_not_writable(self) -> None:
        """EAGAIN leaves a nonblocking client connected, to try again."""
        client, channel = self.connected()
        client.set_nonblock()
        channel.room = 0
        self.fails(errno.EAGAIN, client.disconnect)
        self.assertEqual((client.id, channel.closed), (5, False))
        channel.room = EVER
        self.assertEqual(client.disconnect(), 4)
        self.assertEqual(channel.written, QUIT)

    def test_master_gone(self) -> None:
        """disconnect() from a master that is gone says so and closes, in either mode."""
        for mode in (Client.set_block, Client.set_nonblock):
            client, channel = self.connected(b"")
            mode(client)
            self.assertRaises(ConnectionResetError, client.recv)
            channel.room = 0
            self.assertRaises(ConnectionResetError, client.disconnect)
            self.assertTrue(channel.closed)

    def test_with(self) -> None:
        """A with statement connects, and disconnects at its end."""
        channel = MemoryChannel(b"5", None, b"")
        with self.client(channel) as me:
            self.assertEqual(me.id, 5)
        self.assertEqual((channel.written, channel.closed), (QUIT, True))

    def test_with_master_gone(self) -> None:
        """The end of a with statement is quiet when the master is gone or takes nothing."""
        gone, stuck = MemoryChannel(b"5", None, b""), MemoryChannel(b"5")
        gone.write_error = BrokenPipeError(errno.EPIPE, "Broken pipe")
        stuck.room = 0
        for channel in (gone, stuck):
            with self.client(channel):
                pass
            self.assertTrue(channel.closed)

    def test_with_error(self) -> None:
        """An exception inside a with statement comes out, after quit."""
        channel = MemoryChannel(b"5", None, b"")

        def body() -> None:
            with self.client(channel):
                raise KeyError("mine")

        self.assertRaises(KeyError, body)
        self.assertEqual(channel.written, QUIT)

    def test_with_nonblocking(self) -> None:
        """The end of a with statement finishes in nonblocking mode what send has begun."""
        channel = MemoryChannel(b"5", None, b"")
        with self.client(channel) as me:
            me.set_nonblock()
            channel.room = 3
            me.send(1, b"cut")
            channel.refills.append(EVER)
        self.assertEqual(channel.written, encode_message(1, b"cut") + QUIT)

    def test_with_disconnected(self) -> None:
        """Disconnecting inside a with statement is allowed."""
        channel = MemoryChannel(b"5", None, b"")
        with self.client(channel) as me:
            me.disconnect()
        self.assertEqual(channel.written, QUIT)


class SendTests(ClientCase):
    """Messages to the master."""

    def test_size(self) -> None:
        """send() returns the size of the whole message and writes it."""
        client, channel = self.connected()
        self.assertEqual(client.send(3, b"hello"), 13)
        self.assertEqual(channel.written, b"\3\0\0\0\5\0\0\0hello")

    def test_buffers(self) -> None:
        """Anything with bytes in it is sent, wider items byte by byte."""
        client, channel = self.connected()
        wide = memoryview(b"abcdefgh").cast("I")
        for data in (bytearray(b"abcdefgh"), memoryview(b"abcdefgh"), wide):
            channel.written.clear()
            self.assertEqual(client.send(1, data), 16)
            self.assertEqual(channel.written, encode_message(1, b"abcdefgh"))

    def test_not_bytes(self) -> None:
        """A number or a text is not taken for bytes."""
        client, channel = self.connected()
        for data in (7, "text"):
            self.assertRaises(TypeError, client.send, 1, data)
        self.assertEqual(channel.written, b"")

    def test_at_the_limit(self) -> None:
        """A payload at the limit is sent; one byte more is ENOBUFS with nothing written."""
        client, channel = self.connected(max_payload=16)
        self.fails(errno.ENOBUFS, client.send, 1, bytes(17))
        self.assertEqual(channel.written, b"")
        self.assertEqual(client.send(1, bytes(16)), 24)

    def test_not_an_id(self) -> None:
        """A dest that is no id is refused, above all the one that reads quit."""
        client, channel = self.connected()
        for dest in (-1, 2**32, QUIT_ID):
            self.assertRaises(LocalError, client.send, dest, b"")
        self.assertEqual(channel.written, b"")

    @given(messages, cuts)
    def test_partial_writes(self, sent: list[tuple[int, bytes]], room: list[int]) -> None:
        """However few bytes are taken at a time, a blocking send writes every message whole."""
        client, channel = self.connected()
        channel.room = 0
        channel.refills.extend(room * 400)
        sent = [(dest, data) for dest, data in sent if dest != QUIT_ID]
        for dest, data in sent:
            client.send(dest, data)
        self.assertEqual(channel.written, b"".join(encode_message(*each) for each in sent))

    @given(messages, cuts)
    def test_nonblocking_partial_writes(
        self, sent: list[tuple[int, bytes]], room: list[int]
    ) -> None:
        """However few bytes are taken, a nonblocking send writes a message whole or refuses it."""
        client, channel = self.connected()
        client.set_nonblock()
        channel.room = 0
        expected = b""
        for turn, (dest, data) in enumerate(each for each in sent if each[0] != QUIT_ID):
            channel.room += room[turn % len(room)]
            try:
                client.send(dest, data)
            except BlockingIOError:
                self.assertTrue(expected.startswith(channel.written))
            else:
                expected += encode_message(dest, data)
        channel.room = EVER
        self.assertTrue(client.flush())
        self.assertEqual(channel.written, expected)

    def test_nonblocking_not_writable(self) -> None:
        """A nonblocking send that can write nothing is EAGAIN and leaves nothing behind."""
        client, channel = self.connected()
        client.set_nonblock()
        channel.room = 0
        self.assertIsInstance(self.fails(errno.EAGAIN, client.send, 1, b"x"), BlockingIOError)
        self.assertEqual(client.unsent, 0)
        channel.room = EVER
        client.flush()
        self.assertEqual(channel.written, b"")

    def test_nonblocking_rest_first(self) -> None:
        """While the rest of a message does not go, the next one is EAGAIN."""
        client, channel = self.connected()
        client.set_nonblock()
        channel.room = 4
        self.assertEqual(client.send(1, b"first"), 13)
        self.assertEqual(client.unsent, 9)
        self.assertFalse(client.flush())
        self.fails(errno.EAGAIN, client.send, 2, b"second")
        channel.room = 9
        self.fails(errno.EAGAIN, client.send, 2, b"second")
        self.assertEqual(channel.written, encode_message(1, b"first"))

    def test_blocking_again(self) -> None:
        """A blocking send writes the rest of an earlier message, waiting, before its own."""
        client, channel = self.connected()
        client.set_nonblock()
        channel.room = 4
        client.send(1, b"first")
        client.set_block()
        channel.refills.extend([3, EVER])
        client.send(2, b"second")
        self.assertEqual(
            channel.written, encode_message(1, b"first") + encode_message(2, b"second")
        )

    def test_recv_writes_on(self) -> None:
        """recv() writes the rest of a message too, and goes on doing so while it waits."""
        client, channel = self.connected()
        client.set_nonblock()
        channel.room = 4
        client.send(1, b"first")
        channel.room = 2
        self.fails(errno.EAGAIN, client.recv)
        self.assertEqual(client.unsent, 7)
        client.set_block()
        channel.refills.append(EVER)
        self.assertRaises(TimeoutError, client.recv, 1.0)
        self.assertEqual(channel.written, encode_message(1, b"first"))

    def test_master_gone(self) -> None:
        """Whatever the write fails with, the master is gone, now and in the next call."""
        for number in (errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOBUFS):
            client, channel = self.connected()
            channel.write_error = OSError(number, "broken")
            error = self.fails(errno.ECONNRESET, client.send, 1, b"x")
            self.assertIn("broken", str(error))
            channel.write_error = None
            self.assertEqual(client.unsent, 0)
            self.fails(errno.ECONNRESET, client.send, 1, b"x")
            self.assertEqual(channel.written, b"")

    def test_received_before_the_end(self) -> None:
        """After a send that failed, what had come before is still received."""
        client, channel = self.connected(encode_message(1, b"a"), encode_message(2, b"b"))
        channel.write_error = BrokenPipeError(errno.EPIPE, "Broken pipe")
        self.assertRaises(ConnectionResetError, client.send, 1, b"x")
        self.assertEqual([client.recv(), client.recv()], [(1, b"a"), (2, b"b")])
        self.assertRaises(ConnectionResetError, client.recv)

    def test_outgoing(self) -> None:
        """An empty payload is a message of its header alone."""
        self.assertEqual(outgoing(1, b"", 0), b"\1\0\0\0\0\0\0\0")


class ReceiveTests(ClientCase):
    """Messages from the master."""

    @given(messages, cuts)
    def test_chunks(self, sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
        """However the bytes are cut, the same messages come out."""
        stream = b"".join(encode_message(*each) for each in sent)
        client, _ = self.connected(*chunked(stream, sizes), b"")
        self.assertEqual([client.recv() for _ in sent], sent)
        self.assertRaises(ConnectionResetError, client.recv)

    @given(messages, cuts)
    def test_nonblocking_chunks(self, sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
        """With nothing between any two chunks, a nonblocking recv loses nothing either."""
        stream = b"".join(encode_message(*each) for each in sent)
        reads: list[bytes | None] = []
        for chunk in chunked(stream, sizes):
            reads += [None, chunk]
        client, _ = self.connected(*reads)
        client.set_nonblock()
        received: list[tuple[int, bytes]] = []
        for _ in range(len(reads) + len(sent)):
            try:
                received.append(client.recv())
            except BlockingIOError:
                continue
        self.assertEqual(received, sent)

    def test_nothing_there(self) -> None:
        """A nonblocking recv without a whole message is EAGAIN, timeout or not."""
        client, channel = self.connected(encode_message(1, b"half")[:9])
        client.set_nonblock()
        self.assertIsInstance(self.fails(errno.EAGAIN, client.recv), BlockingIOError)
        self.fails(errno.EAGAIN, client.recv, 5.0)
        self.assertEqual(channel.now, 0.0)

    def test_timeout(self) -> None:
        """recv(timeout) gives up at the time, and what came of a message stays."""
        whole = encode_message(1, b"slow")
        client, channel = self.connected(whole[:9])
        self.assertRaises(TimeoutError, client.recv, 2.5)
        self.assertEqual(channel.now, 2.5)
        channel.reads.append(whole[9:])
        self.assertEqual(client.recv(2.5), (1, b"slow"))

    def test_pending(self) -> None:
        """Messages that came in one read are pending, as select will not tell of them."""
        client, _ = self.connected(encode_message(1, b"a") + encode_message(2, b"b"))
        self.assertEqual(client.pending, 0)
        client.recv()
        self.assertEqual(client.pending, 1)
        client.recv()
        self.assertEqual(client.pending, 0)

    def test_master_gone(self) -> None:
        """Everything that came whole is received before ConnectionResetError, which then stays."""
        for end in (b"", OSError(errno.ECONNRESET, "reset"), OSError(errno.ETIMEDOUT, "dead")):
            both = encode_message(1, b"a") + encode_message(2, b"b")
            client, _ = self.connected(both + b"\3\0\0", end)
            self.assertEqual([client.recv(), client.recv()], [(1, b"a"), (2, b"b")])
            for _ in range(2):
                self.assertIsInstance(
                    self.fails(errno.ECONNRESET, client.recv), ConnectionResetError
                )
            self.fails(errno.ECONNRESET, client.send, 1, b"x")

    def test_cut_message(self) -> None:
        """An end in the middle of a message says how much of it is lost."""
        client, _ = self.connected(encode_message(1, b"cut")[:10], b"")
        self.assertIn("after 10 bytes of a message", str(self.fails(errno.ECONNRESET, client.recv)))

    def test_into(self) -> None:
        """recv_into() fills the start of the buffer and says how much of it."""
        client, _ = self.connected(encode_message(7, b"abc"))
        buffer = bytearray(b"------")
        self.assertEqual(client.recv_into(buffer), (7, 3))
        self.assertEqual(buffer, b"abc---")

    def test_into_exactly(self) -> None:
        """A buffer of the message's size is large enough, whatever its items are."""
        client, _ = self.connected(encode_message(7, b"abcd"))
        buffer = bytearray(4)
        self.assertEqual(client.recv_into(memoryview(buffer).cast("I")), (7, 4))
        self.assertEqual(buffer, b"abcd")

    def test_into_too_small(self) -> None:
        """A message that does not fit is ENOBUFS and gone; the next one is received."""
        client, _ = self.connected(encode_message(7, b"abcd"), encode_message(8, b"x"))
        buffer = bytearray(3)
        self.fails(errno.ENOBUFS, client.recv_into, buffer)
        self.assertEqual(buffer, bytes(3))
        self.assertEqual(client.recv_into(buffer), (8, 1))

    def test_into_read_only(self) -> None:
        """A buffer that cannot be written is refused before a message is lost for it."""
        client, _ = self.connected(encode_message(7, b"abc"))
        self.assertRaises(TypeError, client.recv_into, b"----")
        self.assertEqual(client.recv(), (7, b"abc"))

    def test_oversized(self) -> None:
        """A message over the limit ends the connection after those before it."""
        client, _ = self.connected(
            encode_message(1, bytes(16)) + encode_message(2, bytes(17)), max_payload=16
        )
        self.assertEqual(client.recv(), (1, bytes(16)))
        self.fails(errno.EPROTO, client.recv)
        self.fails(errno.EPROTO, client.send, 1, b"")
