"""L{distnet.client.blocking}: messages on a channel in memory, however it cuts and delays them."""

from __future__ import annotations

import errno

from hypothesis import given

from distnet.client.blocking import outgoing
from distnet.errors import LocalError
from distnet.wire import QUIT_ID, encode_message
from tests.unit.client.channels import EVER, ClientCase
from tests.unit.strategies import chunked, cuts, messages


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
