"""Where a master is, as users type it: C{HOST:PORT}, C{PORT}, C{tcp:}, C{unix:}, C{tls:}. No I/O.

This is the client's side; what the master listens on are Twisted endpoint strings.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from distnet.errors import LocalError
from distnet.text import host_port

LOOPBACK: Final = "127.0.0.1"
MAX_PORT: Final = 65535
MAX_UNIX_PATH: Final = 107
"""Bytes in a unix socket's path: C{sun_path} of unix(7), less its terminating NUL."""


def long_path(path: str, name: str = "") -> str | None:
    """
    Why a path is too long for a unix socket, with what to do; None if it is not.

    @param name: the path is that of a directory, and this the longest name of a socket in it.
    """
    size = len(os.fsencode(path))
    most = MAX_UNIX_PATH - len(os.fsencode(f"/{name}")) if name else MAX_UNIX_PATH
    if size <= most:
        return None
    if not name:
        return f"the path has {size} bytes, a unix socket's can have {most}; use a shorter one"
    return (
        f"its path has {size} bytes, so that of a unix socket in it would be too long; it can have"
        f" {most}: use a shorter one"
    )


class BadAddress(LocalError, ValueError):
    """A text is not the address of a master; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """
    A master that listens on TCP.

    @ivar host: a name or an IP address, without brackets.
    @ivar port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp:{host_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class TlsAddress:
    """
    A master that listens on TLS over TCP.

    @ivar host: a name or an IP address, without brackets; the certificate must be for it.
    @ivar port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"tls:{host_port(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """
    A master that listens on a unix stream socket.

    @ivar path: of the socket, at most L{MAX_UNIX_PATH} bytes; a name in the abstract namespace
        begins with a NUL, which L{parse} does not take, and is shown with C{@} as by C{ss}.
    """

    path: str

    def __str__(self) -> str:
        path = self.path.replace("\0", "@")
        return f"unix:{path}"


Address = TcpAddress | TlsAddress | UnixAddress


def parse(text: str) -> Address:
    """
    The address that C{text} means: C{PORT} (on loopback), C{HOST:PORT}, C{tcp:HOST:PORT},
    C{tls:HOST:PORT} or C{unix:PATH}. An IPv6 address stands in brackets: C{[::1]:1234}.

    C{parse(str(address)) == address}. Raises L{BadAddress}.
    """
    if not text:
        raise BadAddress("the address of the master is empty")
    kind, colon, rest = text.partition(":")
    if colon and kind == "unix":
        return UnixAddress(_path(rest, text))
    if colon and kind == "tls":
        if ":" not in rest:
            raise BadAddress(f"{text!r}: tls needs HOST:PORT, the certificate must be for HOST")
        return TlsAddress(*_host_and_port(rest, text))
    if colon and kind == "tcp":
        return TcpAddress(*_host_and_port(rest, text))
    if rest.count(":") == 1 and kind.isalpha():
        raise BadAddress(f"{text!r}: {kind!r} is not tcp, tls or unix")
    return TcpAddress(*_host_and_port(text, text))


def _host_and_port(location: str, text: str) -> tuple[str, int]:
    """The two halves of C{HOST:PORT}; C{PORT} alone is on loopback."""
    host, colon, port = location.rpartition(":")
    if location.endswith("]"):
        raise BadAddress(f"{text!r}: a port is missing after the bracket")
    if not (port.isascii() and port.isdigit()):
        raise BadAddress(f"{text!r}: {port!r} is not a port number")
    # The length first: int() refuses thousands of digits with an error of its own.
    if len(port) > len(str(MAX_PORT)) or not 1 <= int(port) <= MAX_PORT:
        raise BadAddress(f"{text!r}: a port is a number from 1 to {MAX_PORT}")
    if not colon:
        return LOOPBACK, int(port)
    return _host(host, text), int(port)


def _host(host: str, text: str) -> str:
    """A host without brackets."""
    if host.startswith("[") and host.endswith("]"):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            raise BadAddress(f"{text!r}: {host[1:-1]!r} is not an IPv6 address") from None
        return host[1:-1]
    if ":" in host:
        raise BadAddress(f"{text!r}: an IPv6 address stands in brackets, like [::1]:1234")
    if not host:
        raise BadAddress(f"{text!r}: the host is missing")
    if not all(letter.isalnum() or letter in ".-_" for letter in host):
        raise BadAddress(f"{text!r}: {host!r} is not a host")
    return host


def _path(path: str, text: str) -> str:
    """A path that fits into a socket address."""
    if not path:
        raise BadAddress(f"{text!r}: the path is missing")
    if "\0" in path:
        raise BadAddress(f"{text!r}: a path holds no NUL")
    size = len(path.encode("utf-8", "surrogateescape"))
    if size > MAX_UNIX_PATH:
        raise BadAddress(
            f"{text!r}: the path is {size} bytes long, a unix socket's is at most {MAX_UNIX_PATH}"
        )
    return path
