"""The blocking client over real sockets, against whatever C{master_address} names."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from distnet.address import parse
from distnet.client.blocking import Client
from distnet.client.channel import SocketChannel, dial
from distnet.wire import encode_message
from tests.certificates import Authority
from tests.daemons import PATIENCE
from tests.integration.clients import MAX_PAYLOAD, Script, Where, reset, scripted, unused_address


@contextlib.contextmanager
def borrowed(client: Client) -> Iterator[socket.socket]:
    """The client's socket, for its options."""
    with socket.socket(fileno=os.dup(client.fileno())) as stream:
        yield stream


def exactly(connection: socket.socket, size: int) -> bytes:
    """The next C{size} bytes; MSG_WAITALL does not work with TLS."""
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        assert more, f"closed after {len(data)} bytes"
        data += more
    return data


def test_messages_both_ways(master_address: Where) -> None:
    """Two nodes with ids 0 and 1 get each other's messages, whole and with their source."""
    with master_address.client() as first, master_address.client() as second:
        assert (first.id, second.id) == (0, 1)
        for data in (b"", b"x", bytes(range(256)) * 4, bytes(MAX_PAYLOAD)):
            assert first.send(1, data) == len(data) + 8
            assert second.recv(PATIENCE) == (0, data)
            second.send(0, data)
            assert first.recv(PATIENCE) == (1, data)


def test_recv_into(master_address: Where) -> None:
    """A message is received into a buffer; one that does not fit is lost, and only that one."""
    buffer = bytearray(4)
    with master_address.client() as me:
        me.send(me.id, b"too long")
        me.send(me.id, b"fits")
        with pytest.raises(OSError, match="thrown away") as caught:
            me.recv_into(buffer, PATIENCE)
        assert caught.value.errno == errno.ENOBUFS
        assert me.recv_into(buffer, PATIENCE) == (me.id, 4)
    assert buffer == b"fits"


def test_recv_timeout(master_address: Where) -> None:
    """recv() with a timeout ends when nothing comes, and the client can go on."""
    with master_address.client() as me:
        with pytest.raises(TimeoutError):
            me.recv(0.01)
        me.send(me.id, b"x")
        assert me.recv(PATIENCE) == (me.id, b"x")


def test_nonblocking_and_select(master_address: Where) -> None:
    """With select, fileno() and pending, a nonblocking node misses none of many messages."""
    sent = [bytes([number % 256]) * (number * 37 % 3000) for number in range(300)]
    with master_address.client() as sender, master_address.client() as receiver:
        receiver.set_nonblock()
        with pytest.raises(BlockingIOError):
            receiver.recv()
        thread = threading.Thread(target=lambda: [sender.send(1, each) for each in sent])
        thread.start()
        received: list[bytes] = []
        while len(received) < len(sent):
            if not receiver.pending:
                assert select.select([receiver], [], [], PATIENCE)[0], "nothing comes"
            with contextlib.suppress(BlockingIOError):
                received.append(receiver.recv()[1])
        thread.join()
    assert received == sent


def test_nonblocking_send(master_address: Where) -> None:
    """What a nonblocking send accepts arrives whole and in order, however full the way is."""
    sent = [struct.pack("<I", number) * 2000 for number in range(1000)]
    received: list[bytes] = []
    accepted = 0
    with master_address.client() as me:
        me.set_nonblock()
        with borrowed(me) as stream:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        while len(received) < len(sent):
            if accepted < len(sent):
                try:
                    me.send(me.id, sent[accepted])
                    accepted += 1
                    continue
                except BlockingIOError:
                    pass
            if not me.pending:
                writers = [me] if me.unsent else []
                assert any(select.select([me], writers, [], PATIENCE)), "nothing moves"
            with contextlib.suppress(BlockingIOError):
                received.append(me.recv()[1])
    assert received == sent


@pytest.mark.parametrize("tls", [False, True])
def test_nonblocking_send_to_a_full_master(tls: bool, authority: Authority) -> None:
    """When the master reads nothing, send is EAGAIN; the message that was begun then arrives."""
    reading = threading.Event()
    message = encode_message(1, bytes(range(256)) * 240)
    received: list[bytes] = []
    counts: list[int] = []

    def script(connection: socket.socket) -> None:
        connection.sendall(b"0")
        assert reading.wait(PATIENCE)
        received.extend(exactly(connection, len(message)) for _ in range(counts[0]))
        assert exactly(connection, 4) == b"quit"

    with scripted(script, issuer=authority if tls else None) as where, where.client() as me:
        me.set_nonblock()
        accepted = 0
        with pytest.raises(BlockingIOError):
            while True:
                me.send(1, message[8:])
                accepted += 1
        unsent = me.unsent
        with pytest.raises(BlockingIOError):
            me.send(1, b"in between")
        assert me.unsent == unsent
        counts.append(accepted)
        reading.set()
        while not me.flush():
            assert select.select([], [me], [], PATIENCE)[1]
    assert received == [message] * accepted


def test_no_delay() -> None:
    """Over TCP a message does not wait for the next one."""

    def script(connection: socket.socket) -> None:
        connection.sendall(b"0")
        connection.recv(4)

    with scripted(script) as where, where.client() as me, borrowed(me) as stream:
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_nothing_is_lost_by_disconnect(master_address: Where) -> None:
    """The last messages of a node arrive although it leaves with messages unread."""
    block = bytes(1000)
    with master_address.client() as stays, master_address.client() as leaves:
        for _ in range(100):
            stays.send(1, block)
        assert leaves.recv(PATIENCE) == (0, block)
        for number in range(200):
            leaves.send(0, struct.pack("<I", number))
        assert leaves.disconnect() == 4
        received = [struct.unpack("<I", stays.recv(PATIENCE)[1])[0] for _ in range(200)]
    assert received == list(range(200))


def test_a_new_connection_is_a_new_node(master_address: Where) -> None:
    """After disconnect() the same client connects again with another id."""
    client = master_address.client()
    assert client.connect(PATIENCE) == 0
    client.send(0, b"x")
    assert client.recv(PATIENCE) == (0, b"x")
    client.disconnect()
    with client:
        assert client.id == 1
        client.send(1, b"y")
        assert client.recv(PATIENCE) == (1, b"y")


def test_refused(tmp_path: Path) -> None:
    """Without a master connect() fails at once and says where it has looked."""
    address = unused_address()
    with pytest.raises(ConnectionRefusedError, match=address):
        Client(address).connect()
    with pytest.raises(FileNotFoundError, match="nothing"):
        Client(f"unix:{tmp_path}/nothing").connect()


def test_closed_without_id() -> None:
    """A master that closes or resets before the id has refused the connection."""
    connected = threading.Event()

    def dialled(timeout: float | None) -> SocketChannel:
        # A reset before this is connecting's own failure.
        channel = dial(parse(where.address), None, None, timeout)
        connected.set()
        return channel

    def reset_later(connection: socket.socket) -> None:
        assert connected.wait(PATIENCE)
        reset(connection)

    with scripted(lambda _: None, reset_later) as where:
        for options in ({}, {"open_channel": dialled}):
            with pytest.raises(ConnectionAbortedError, match="without giving an id"):
                where.client(**options).connect(PATIENCE)


def test_silent_master() -> None:
    """connect() with a timeout does not wait for a master that says nothing."""
    released = threading.Event()

    def wait(connection: socket.socket) -> None:
        released.wait(PATIENCE)

    with scripted(wait) as where:
        with pytest.raises(TimeoutError):
            where.client().connect(0.05)
        released.set()


@pytest.mark.parametrize("last", [lambda _: None, reset])
def test_master_gone(last: Script) -> None:
    """What came before the end is received, then ConnectionResetError; leaving is quiet."""
    gone = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(b"4")
        connection.recv(8, socket.MSG_WAITALL)
        connection.sendall(encode_message(1, b"a") + encode_message(2, b"b") + b"cut")
        connection.recv(8, socket.MSG_WAITALL)
        last(connection)
        connection.close()
        gone.set()

    with scripted(script) as where, where.client() as me:
        me.send(0, b"")
        assert me.recv(PATIENCE) == (1, b"a")
        me.send(0, b"")
        assert gone.wait(PATIENCE)
        assert me.recv(PATIENCE) == (2, b"b")
        for _ in range(2):
            with pytest.raises(ConnectionResetError):
                me.recv(PATIENCE)


def test_message_in_pieces() -> None:
    """A nonblocking recv keeps what came of a message until the rest comes."""
    message = encode_message(1, b"slow")
    steps = [threading.Event() for _ in message]

    def script(connection: socket.socket) -> None:
        connection.sendall(b"4")
        for position, step in enumerate(steps):
            assert step.wait(PATIENCE)
            connection.sendall(message[position : position + 1])

    with scripted(script) as where, where.client() as me:
        me.set_nonblock()
        for step in steps:
            with pytest.raises(BlockingIOError):
                me.recv()
            step.set()
            assert select.select([me], [], [], PATIENCE)[0]
        assert me.recv() == (1, b"slow")
