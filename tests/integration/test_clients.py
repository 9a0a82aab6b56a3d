"""Both clients over real TCP, unix and TLS sockets, against whatever C{master_address} names."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import ipaddress
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_twisted  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError

from distnet.address import parse
from distnet.aio import AsyncClient, TlsFiles
from distnet.client import Client, SocketChannel, dial, tls_context
from distnet.core.wire import Splitter, encode_id, encode_message

T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., Coroutine[Any, Any, None]])

PATIENCE = 30.0
"""Seconds after which something that must happen is given up; no test waits so long."""
MAX_PAYLOAD = 65536
NAME = "localhost"


def on_reactor(test: Test) -> Test:
    """Run a coroutine as a test."""
    decorated: Test = pytest_twisted.ensureDeferred(test)
    return decorated


class Authority:
    """A certificate authority that signs what it is asked to, into PEM files."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.ca = str(directory / f"{name}.pem")
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = self._sign(self.name, self.key.public_key(), constraints, True)
        Path(self.ca).write_bytes(certificate)

    def issue(self, name: str) -> TlsFiles:
        """A key and a certificate for a host or a node called C{name}, and for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        names = x509.SubjectAlternativeName([x509.DNSName(name), loopback])
        cert, secret = self.directory / f"{name}.cert", self.directory / f"{name}.key"
        cert.write_bytes(self._sign(subject, key.public_key(), names, False))
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return TlsFiles(self.ca, str(cert), str(secret))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        extension: x509.ExtensionType,
        critical: bool,
    ) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(extension, critical)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


class Relay:
    """A small correct master in a thread: ids from 0, messages in order, slow readers slow us."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._nodes: dict[int, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._next = 0
        self._thread.start()

    def listen(self, kind: str, path: str, files: TlsFiles | None) -> str:
        """Listen as tcp, unix or tls; the address."""
        context = None
        if files is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=files.ca)
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_cert_chain(files.cert, files.key)

        async def start() -> str:
            if kind == "unix":
                self._server = await asyncio.start_unix_server(self._serve, path)
                return f"unix:{path}"
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
            port = self._server.sockets[0].getsockname()[1]
            return f"tls:{NAME}:{port}" if context else f"127.0.0.1:{port}"

        return asyncio.run_coroutine_threadsafe(start(), self._loop).result(PATIENCE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        node = self._next
        self._next += 1
        self._nodes[node] = writer
        splitter = Splitter(node, MAX_PAYLOAD)
        writer.write(encode_id(node))
        with contextlib.suppress(OSError):
            while not splitter.ended and (data := await reader.read(65536)):
                for run in splitter.feed(data):
                    with contextlib.suppress(KeyError, OSError):
                        self._nodes[run.dest].write(run.data)
                        await self._nodes[run.dest].drain()
        del self._nodes[node]
        writer.close()

    def stop(self) -> None:
        """End every connection and the thread."""

        async def stop() -> None:
            self._server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


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
    request: pytest.FixtureRequest, tmp_path: Path, authority: Authority
) -> Iterator[Where]:
    """A master with no nodes, on each kind of listener; the one thing to change for another."""
    tls = request.param == "tls"
    relay = Relay()
    try:
        server, node = authority.issue(NAME), authority.issue("node")
        address = relay.listen(request.param, str(tmp_path / "master"), server if tls else None)
        yield Where(address, node if tls else None)
    finally:
        relay.stop()


Script = Callable[[socket.socket], None]


@contextlib.contextmanager
def scripted(*scripts: Script) -> Iterator[Where]:
    """A master that treats its first connections by these scripts, one after the other."""
    done: Future[None] = Future()

    def serve() -> None:
        try:
            for script in scripts:
                connection, _ = listener.accept()
                connection.settimeout(PATIENCE)
                with connection:
                    script(connection)
            done.set_result(None)
        except BaseException as error:
            done.set_exception(error)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=serve)
        thread.start()
        yield Where(f"127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    done.result()


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


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
    accepted = refused = 0
    with master_address.client() as me:
        me.set_nonblock()
        while len(received) < len(sent):
            if accepted < len(sent):
                try:
                    me.send(me.id, sent[accepted])
                    accepted += 1
                    continue
                except BlockingIOError:
                    refused += 1
            if not me.pending:
                writers = [me] if me.unsent else []
                assert any(select.select([me], writers, [], PATIENCE)), "nothing moves"
            with contextlib.suppress(BlockingIOError):
                received.append(me.recv()[1])
    assert received == sent
    assert refused, "the way was never full"


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
def tls_address(tmp_path: Path, authority: Authority) -> Iterator[str]:
    """A master on TLS."""
    relay = Relay()
    try:
        yield relay.listen("tls", "", authority.issue(NAME))
    finally:
        relay.stop()


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

    def echo() -> None:
        with master_address.client() as blocking:
            source, data = blocking.recv(PATIENCE)
            blocking.send(source, data[::-1])

    async def body() -> None:
        async with master_address.async_client(reconnect=True) as me:
            echoing = deferToThread(echo)
            # Until the other has its id, what is sent to it may be lost with a simple master.
            answer = Deferred.fromCoroutine(me.recv())
            while not answer.called:
                await me.send(1, b"abc")
                await pause(0.01)
            assert await answer == (1, b"cba")
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
