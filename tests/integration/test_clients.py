"""Both clients over real TCP, unix and TLS sockets, against whatever C{master_address} names."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError

from distnet.address import parse
from distnet.aio import AsyncClient
from distnet.channel import SocketChannel, dial, tls_context
from distnet.client import Client
from distnet.core.wire import encode_message
from distnet.endpoints import TlsFiles
from tests.certificates import Authority, server_context, tls_options
from tests.masters import PATIENCE, Master

T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., Coroutine[Any, Any, None]])

Start = Callable[..., Master]

MAX_PAYLOAD = 65536
NAME = "localhost"


def on_reactor(test: Test) -> Test:
    """Run a coroutine as a test."""
    decorated: Test = pytest_twisted.ensureDeferred(test)
    return decorated


@dataclass
class Where:
    """
    A master to connect to.

    @ivar files: what a node needs for TLS, or None.
    """

    address: str
    files: TlsFiles | None = None

    def client(self, **options: Any) -> Client:
        """A blocking client."""
        files = self.files
        context = None if files is None else tls_context(files.ca, files.cert, files.key)
        return Client(self.address, tls=context, max_payload=MAX_PAYLOAD, **options)

    def async_client(self, **options: Any) -> AsyncClient:
        """A client for the reactor."""
        from twisted.internet import reactor

        return AsyncClient(
            self.address, reactor=reactor, tls=self.files, max_payload=MAX_PAYLOAD, **options
        )


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who has signed the certificates of the master and its nodes."""
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


@pytest.fixture(params=["tcp", "unix", "tls"])
def master_address(
    request: pytest.FixtureRequest, start_master: Start, tmp_path: Path, authority: Authority
) -> Where:
    """A master with no nodes, on each kind of listener."""
    server, node = authority.issue(NAME), authority.issue("node")
    options = {
        "tcp": ["--port", "0"],
        "unix": ["--port", f"unix:{tmp_path}/kernels"],
        "tls": ["--tls", "tcp:0", *tls_options(server)],
    }[request.param]
    master = start_master(*options)
    if request.param == "tls":
        port = master.address("tls:").rpartition(":")[2]
        return Where(f"tls:{NAME}:{port}", node)
    return Where(master.address(f"{request.param}:"))


Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def scripted(*scripts: Script, issuer: Authority | None = None) -> Iterator[Where]:
    """
    A master that treats its first connections by these scripts, one after the other.

    @param issuer: speak TLS with certificates of this authority.
    """
    done: Future[None] = Future()
    context = None if issuer is None else server_context(issuer.issue(NAME))

    def serve() -> None:
        try:
            for script in scripts:
                connection, _ = listener.accept()
                connection.settimeout(PATIENCE)
                if context is not None:
                    connection = context.wrap_socket(
                        connection, server_side=True, suppress_ragged_eofs=False
                    )
                with connection:
                    script(connection)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        yield Where(address) if issuer is None else Where(f"tls:{address}", issuer.issue("node"))
        thread.join()
    done.result()


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


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


def unused_address() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def soon(coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Start a coroutine that must end."""
    from twisted.internet import reactor

    result: Deferred[T] = Deferred.fromCoroutine(coroutine).addTimeout(PATIENCE, reactor)
    return result


# Blocking


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


def test_tls_goodbye(authority: Authority) -> None:
    """The end of a TLS connection is announced: the master can tell it from a cut."""

    def script(connection: socket.socket) -> None:
        connection.sendall(b"0")
        # Raises SSLEOFError for a cut.
        assert connection.recv(1) == b""

    with scripted(script, issuer=authority) as where:
        client = where.client()
        client.connect(PATIENCE)
        client.close()


class Contrary:
    """A socket whose TLS must write in order to read, and the other way round."""

    def __init__(self, stream: socket.socket) -> None:
        self.fileno = stream.fileno
        self.setblocking = stream.setblocking

    def recv(self, size: int) -> bytes:
        raise ssl.SSLWantWriteError

    def send(self, data: memoryview) -> int:
        raise ssl.SSLWantReadError


def test_tls_waits_for_what_it_needs() -> None:
    """A read that needs to write waits for that, and a write that needs to read as well."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        channel = SocketChannel(cast(socket.socket, Contrary(ours)))
        # Nothing to read there, and room to write.
        assert channel.read(1) is None
        assert channel.wait(read=True, write=False, timeout=0)
        assert channel.write(memoryview(b"x")) == 0
        assert not channel.wait(read=False, write=True, timeout=0)
        theirs.send(b"x")
        assert channel.wait(read=False, write=True, timeout=0)


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


# TLS


@pytest.fixture
def tls_address(start_master: Start, authority: Authority) -> str:
    """A master on TLS."""
    master = start_master("--tls", "tcp:0", *tls_options(authority.issue(NAME)))
    return f"tls:{NAME}:{master.address('tls:').rpartition(':')[2]}"


def test_tls_checks_the_name(tls_address: str, authority: Authority) -> None:
    """A certificate for another host is refused, although the right authority signed it."""
    files = authority.issue("node")
    context = tls_context(files.ca, files.cert, files.key)
    with pytest.raises(ssl.SSLCertVerificationError, match="ostname"):
        Client(tls_address, tls=context, server_hostname="other.example").connect(PATIENCE)
    with Client(tls_address.replace(NAME, "127.0.0.1"), tls=context, server_hostname=NAME) as me:
        assert me.id == 0


def test_tls_checks_the_signer(tls_address: str, authority: Authority, tmp_path: Path) -> None:
    """A certificate by another authority is refused."""
    files = authority.issue("node")
    context = tls_context(Authority(tmp_path, "other").ca, files.cert, files.key)
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(tls_address, tls=context).connect(PATIENCE)


def test_tls_with_a_foreign_certificate(
    tls_address: str, authority: Authority, tmp_path: Path
) -> None:
    """A node that the master does not trust gets no id."""
    files = Authority(tmp_path, "other").issue("node")
    context = tls_context(authority.ca, files.cert, files.key)
    with pytest.raises(OSError):
        Client(tls_address, tls=context).connect(PATIENCE)


@on_reactor
async def test_async_tls_checks(tls_address: str, authority: Authority, tmp_path: Path) -> None:
    """On the reactor, too: another name, another authority and a foreign node are refused."""
    from twisted.internet import reactor

    good = authority.issue("node")
    other = Authority(tmp_path, "other")
    foreign = other.issue("node")
    wrong: list[tuple[TlsFiles, str]] = [
        (good, "other.example"),
        (TlsFiles(other.ca, good.cert, good.key), NAME),
        (TlsFiles(authority.ca, foreign.cert, foreign.key), NAME),
    ]
    for files, name in wrong:
        client = AsyncClient(tls_address, reactor=reactor, tls=files, server_hostname=name)
        with pytest.raises(ConnectionAbortedError):
            await soon(client.connect())
    client = AsyncClient(tls_address, reactor=reactor, tls=good)
    await soon(client.connect())
    await soon(client.disconnect())


# On the reactor


@on_reactor
async def test_async_messages_both_ways(master_address: Where) -> None:
    """Two nodes on the reactor get each other's messages, whole and with their source."""

    async def body() -> None:
        first, second = master_address.async_client(), master_address.async_client()
        async with first, second:
            assert (first.id, second.id) == (0, 1)
            for data in (b"", b"x", bytes(range(256)) * 4, bytes(MAX_PAYLOAD)):
                assert await first.send(1, data) == len(data) + 8
                assert await second.recv() == (0, data)
                await second.send(0, data)
                assert await first.recv() == (1, data)

    await soon(body())


@on_reactor
async def test_async_backpressure(master_address: Where) -> None:
    """A node that reads late, with a small queue, gets everything in order."""
    sent = [struct.pack("<I", number) * 500 for number in range(1500)]

    async def write(sender: AsyncClient) -> None:
        for each in sent:
            await sender.send(1, each)

    async def read(receiver: AsyncClient) -> list[bytes]:
        received: list[bytes] = []
        async for _, data in receiver:
            received.append(data)
            if len(received) == len(sent):
                break
        return received

    async def body() -> list[bytes]:
        sender = master_address.async_client()
        receiver = master_address.async_client(max_waiting=5000)
        async with sender, receiver:
            writing = soon(write(sender))
            received = await read(receiver)
            await writing
            return received

    assert await soon(body()) == sent


@on_reactor
async def test_async_nothing_is_lost_by_disconnect(master_address: Where) -> None:
    """The last messages of a node on the reactor arrive although it leaves with some unread."""

    async def body() -> list[int]:
        async with master_address.async_client() as stays:
            leaves = master_address.async_client(max_waiting=1)
            await leaves.connect()
            for _ in range(100):
                await stays.send(1, bytes(1000))
            await leaves.recv()
            for number in range(200):
                await leaves.send(0, struct.pack("<I", number))
            assert await leaves.disconnect() == 4
            return [struct.unpack("<I", (await stays.recv())[1])[0] for _ in range(200)]

    assert await soon(body()) == list(range(200))


@on_reactor
async def test_async_and_blocking(master_address: Where) -> None:
    """A node on the reactor and a blocking one understand each other."""
    from twisted.internet.threads import deferToThread

    blocking = master_address.client()

    def echo() -> None:
        with contextlib.closing(blocking):
            source, data = blocking.recv(PATIENCE)
            blocking.send(source, data[::-1])
            blocking.disconnect()

    async def body() -> None:
        async with master_address.async_client(reconnect=True) as me:
            node = await deferToThread(blocking.connect, PATIENCE)
            echoing = deferToThread(echo)
            await me.send(node, b"abc")
            assert await me.recv() == (node, b"cba")
            await echoing

    await soon(body())


async def pause(seconds: float) -> None:
    """Let the reactor work."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    await deferLater(reactor, seconds)


@on_reactor
async def test_async_refused() -> None:
    """Without a master connect() fails with what the endpoint says."""
    from twisted.internet import reactor

    with pytest.raises(ConnectError):
        await soon(AsyncClient(unused_address(), reactor=reactor).connect())


@on_reactor
async def test_async_reconnect() -> None:
    """Over connections that are closed, reset or give no id, messages go on with each new id."""

    def script(node: int, last: Script) -> Script:
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"%d" % node)
            assert connection.recv(9, socket.MSG_WAITALL) == encode_message(node, b"x")
            connection.sendall(encode_message(node, b"y") + b"cut")
            # Waits until that was read: RST throws away what was not.
            connection.recv(9, socket.MSG_WAITALL)
            last(connection)

        return serve

    told: list[int] = []
    scripts = [script(3, lambda _: None), lambda _: None, script(4, reset), script(5, reset)]

    async def body(where: Where) -> list[tuple[int, bytes]]:
        received: list[tuple[int, bytes]] = []
        client = where.async_client(
            reconnect=True, retry_policy=lambda failed: 0.01, on_id=told.append
        )
        await client.connect()
        for _ in range(3):
            node = await client.when_connected()
            await client.send(node, b"x")
            received.append(await client.recv())
            await client.send(node, b"x")
            while told[-1] == node and node != 5:
                await pause(0.001)
        with contextlib.suppress(OSError):
            await client.disconnect()
        return received

    with scripted(*scripts) as where:
        assert await soon(body(where)) == [(3, b"y"), (4, b"y"), (5, b"y")]
    assert told == [3, 4, 5]
