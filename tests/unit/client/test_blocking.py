"""L{distnet.client.blocking}: connecting and leaving on a channel in memory."""

from __future__ import annotations

import errno
from functools import partial

from distnet.address import BadAddress, UnixAddress
from distnet.client.blocking import LINGER, Client
from distnet.errors import LocalError
from distnet.wire import QUIT, encode_message
from tests.unit.client.channels import EVER, ClientCase, MemoryChannel


def next_of(channels: list[MemoryChannel], timeout: float | None) -> MemoryChannel:
    """Open the next channel."""
    return channels.pop(0)


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
