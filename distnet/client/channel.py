"""A client's connection to a master as a stream that only blocks when it is told to wait."""

from __future__ import annotations

import math
import select
import socket
import ssl
from contextlib import suppress
from os import PathLike
from typing import Protocol

from distnet.address import Address, TlsAddress, UnixAddress
from distnet.sockets.alive import keep_alive


class Channel(Protocol):
    """A connected stream that blocks in L{wait} alone. L{SocketChannel} is the one over sockets."""

    def read(self, size: int) -> bytes | None:
        """At most C{size} bytes; None if there are none now, C{b""} at the end. Raises OSError."""

    def write(self, data: memoryview) -> int:
        """
        How many bytes were taken, 0 if none can be now. What was not taken must be what the next
        call begins with: TLS may have sent a part of it. Raises OSError.
        """

    def writable(self) -> bool:
        """Whether a write would take something now, or fail."""

    def wait(self, read: bool, write: bool, timeout: float | None) -> bool:
        """Wait until one is worth trying; False if C{timeout} seconds passed (None: never)."""

    def fileno(self) -> int:
        """The descriptor to select on."""

    def close(self) -> None:
        """Let go of it. Does not raise."""


class SocketChannel:
    """A L{Channel} over a connected TCP, unix or TLS socket, which it makes nonblocking."""

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._stream = stream
        # TLS may have to write in order to read and the other way round.
        self._read_needs = select.POLLIN
        self._write_needs = select.POLLOUT

    def read(self, size: int) -> bytes | None:
        try:
            return self._stream.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            self._read_needs = select.POLLIN
        except ssl.SSLWantWriteError:
            self._read_needs = select.POLLOUT
        return None

    def write(self, data: memoryview) -> int:
        try:
            return self._stream.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError):
            self._write_needs = select.POLLOUT
        except ssl.SSLWantReadError:
            self._write_needs = select.POLLIN
        return 0

    def writable(self) -> bool:
        return self._poll(select.POLLOUT, 0)

    def wait(self, read: bool, write: bool, timeout: float | None) -> bool:
        events = (self._read_needs if read else 0) | (self._write_needs if write else 0)
        return self._poll(events, None if timeout is None else math.ceil(timeout * 1000))

    def _poll(self, events: int, milliseconds: int | None) -> bool:
        poll = select.poll()
        poll.register(self._stream, events)
        return bool(poll.poll(milliseconds))

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        if isinstance(self._stream, ssl.SSLSocket):
            # Says goodbye to TLS as far as that goes without waiting.
            with suppress(OSError, ValueError):
                self._stream.unwrap()
        self._stream.close()


def dial(
    address: Address,
    tls: ssl.SSLContext | None,
    server_hostname: str | None,
    timeout: float | None,
) -> SocketChannel:
    """
    Connect to a master, TLS handshake included.

    @param timeout: seconds for each step and for each IP address that a name has; None: no limit.
    Raises OSError (which C{ssl.SSLError} and C{TimeoutError} are).
    """
    try:
        if isinstance(address, UnixAddress):
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        else:
            stream = socket.create_connection((address.host, address.port), timeout)
        try:
            if isinstance(address, UnixAddress):
                stream.settimeout(timeout)
                stream.connect(address.path)
            else:
                stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                keep_alive(stream)
            if tls is not None and isinstance(address, TlsAddress):
                stream = tls.wrap_socket(stream, server_hostname=server_hostname or address.host)
            return SocketChannel(stream)
        except BaseException:
            stream.close()
            raise
    except OSError as error:
        # Shown by str() after the reason: what was tried.
        error.filename = str(address)
        raise


def tls_context(
    ca: str | PathLike[str], cert: str | PathLike[str], key: str | PathLike[str] | None = None
) -> ssl.SSLContext:
    """
    TLS with certificates on both sides: the master's must be signed by C{ca} and be for its host.

    @param ca: a PEM file of the authorities that are trusted; no others are.
    @param cert: a PEM file with our certificate, and the key if C{key} is None.
    Raises OSError if a file cannot be read or does not hold what it should.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context
