"""Who is at the other end of a connection."""

from __future__ import annotations

import socket
import struct
from typing import Any, Final, NamedTuple

from distnet.processes import program_of
from distnet.text import host_port

_CREDENTIALS: Final = struct.Struct("3i")
_SO_PEERGROUPS: Final = 59
_GROUP: Final = struct.Struct("I")
_MAX_GROUPS: Final = 256

Address = tuple[Any, ...]
"""Of an IP socket, as Python has it: (host, port, ...)."""


class Credentials(NamedTuple):
    """Numbers of a process, of its user, and of its group."""

    pid: int
    uid: int
    gid: int


def peer_address(sock: socket.socket) -> str:
    """The address of the other end of a TCP connection, as C{HOST:PORT}."""
    host, port = sock.getpeername()[:2]
    return host_port(host, port)


def describe_peer(sock: socket.socket) -> str:
    """Who is at the other end of a connection, as the log says it."""
    if sock.family != socket.AF_UNIX:
        return f"tcp {peer_address(sock)}"
    pid = peer_credentials(sock).pid
    return f"unix, pid {pid} ({program_of(pid)})"


def peer_credentials(sock: socket.socket) -> Credentials:
    """Who connected to a unix socket: SO_PEERCRED, unix(7)."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Credentials(*_CREDENTIALS.unpack(credentials))


def peer_groups(sock: socket.socket) -> list[int]:
    """The groups, by number, of who connected to a unix socket: SO_PEERGROUPS."""
    groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_GROUPS * _GROUP.size)
    return [peer_credentials(sock).gid, *(each for (each,) in _GROUP.iter_unpack(groups))]


def on_same_machine(local: Address, remote: Address) -> bool:
    """Whether both ends of a TCP connection are known to be on this machine."""
    return bool(local[0] == remote[0] or is_loopback(remote[0]))


def is_loopback(host: str) -> bool:
    """Whether an address is a loopback address, so that its socket is on this machine."""
    plain = host.removeprefix("::ffff:")
    return plain.startswith("127.") or plain == "::1"
