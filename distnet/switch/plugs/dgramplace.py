"""Where to listen for datagrams that are frames, as users type it. Opens nothing."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distnet.address import LOOPBACK, MAX_PORT
from distnet.sockets.listen import split_description
from distnet.text import host_port

_PRIVATE: Final = 0o600
_USE: Final = "use unix:PATH, unix:PATH:mode=660, udp:PORT, udp:HOST:PORT or udp:[v6]:PORT"


@dataclass(frozen=True, slots=True)
class UnixPlace:
    """
    A unix datagram socket.

    @ivar path: absolute.
    @ivar mode: who may send to it, as permissions of the socket.
    """

    path: str
    mode: int = _PRIVATE

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class UdpPlace:
    """
    A UDP port.

    @ivar family: of the address, as in L{socket}.
    @ivar address: as that family has it; it begins with the IP address and the port, 0 for any.
    """

    family: int
    address: tuple[Any, ...]

    def __str__(self) -> str:
        return show_udp(self.address)


def show_udp(address: tuple[Any, ...]) -> str:
    """The address of a UDP socket as users type it."""
    host, port = address[:2]
    return f"udp:{host_port(host, port)}"


def parse_dgram_place(text: str) -> UnixPlace | UdpPlace:
    """C{unix:PATH}, C{udp:PORT} on loopback, C{udp:HOST:PORT}. Raises ValueError in one line."""
    kind, _, rest = text.partition(":")
    if kind == "unix":
        return _unix(text)
    if kind == "udp":
        return _udp(rest, text)
    raise ValueError(f"{text!r} is not a place to get datagrams at: {_USE}")


def _unix(text: str) -> UnixPlace:
    _, arguments = split_description(text)
    mode = arguments.pop("mode", f"{_PRIVATE:o}")
    path = arguments.pop("", "")
    if arguments:
        raise ValueError(f"{text!r}: {next(iter(arguments))!r} is not known: {_USE}")
    if not path or "\0" in path:
        raise ValueError(f"{text!r}: the path is missing: {_USE}")
    if not (mode.isascii() and mode.isdigit() and set(mode) <= set("01234567")) or len(mode) > 4:
        raise ValueError(f"{text!r}: the mode {mode} is not an octal number, like 0660")
    # Now, since twistd leaves the directory that it was started in.
    return UnixPlace(str(Path(path).absolute()), int(mode, 8) & 0o777)


def _udp(rest: str, text: str) -> UdpPlace:
    host, colon, port = rest.rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= len(str(MAX_PORT))) or (
        int(port) > MAX_PORT
    ):
        raise ValueError(f"{text!r}: {port!r} is not a port: {_USE}")
    if not colon:
        host = LOOPBACK
    elif host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, like udp:[::1]:{port}")
    try:
        found = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, UnicodeError):
        raise ValueError(f"{text!r}: {host!r} is not an IP address: {_USE}") from None
    family, _, _, _, address = found[0]
    return UdpPlace(family, address)
