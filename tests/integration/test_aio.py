"""The client for the reactor over real sockets, against whatever C{master_address} names."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from twisted.internet.error import ConnectError

from distnet.client.twisted import AsyncClient
from distnet.wire import encode_message
from tests.daemons import PATIENCE
from tests.integration.clients import (
    MAX_PAYLOAD,
    Script,
    Where,
    on_reactor,
    reset,
    scripted,
    soon,
    unused_address,
)


async def pause(seconds: float) -> None:
    """Let the reactor work."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    await deferLater(reactor, seconds)


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
