"""What tests of the clients share: where masters are, and masters that follow a script."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest_twisted  # type: ignore[import-untyped]
from twisted.internet.defer import Deferred

from distnet.client.blocking import Client
from distnet.client.channel import tls_context
from distnet.client.endpoints import TlsFiles
from distnet.client.twisted import AsyncClient
from tests.certificates import Authority, server_context
from tests.daemons import PATIENCE

T = TypeVar("T")
Test = TypeVar("Test", bound=Callable[..., Coroutine[Any, Any, None]])

Script = Callable[[socket.socket], None]

MAX_PAYLOAD = 65536
NAME = "localhost"


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


def unused_address() -> str:
    """Where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def on_reactor(test: Test) -> Test:
    """Run a coroutine as a test."""
    decorated: Test = pytest_twisted.ensureDeferred(test)
    return decorated


def soon(coroutine: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """Start a coroutine that must end."""
    from twisted.internet import reactor

    result: Deferred[T] = Deferred.fromCoroutine(coroutine).addTimeout(PATIENCE, reactor)
    return result
