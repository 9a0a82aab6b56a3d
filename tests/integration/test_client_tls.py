"""Both clients on TLS: whom they trust, who trusts them, and how it ends."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import cast

import pytest

from distnet.client.blocking import Client
from distnet.client.channel import SocketChannel, tls_context
from distnet.client.endpoints import TlsFiles
from distnet.client.twisted import AsyncClient
from tests.certificates import Authority
from tests.daemons import PATIENCE
from tests.integration.clients import NAME, on_reactor, scripted, soon


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
