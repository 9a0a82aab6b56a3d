"""Sockets that systemd has opened and passed to this process: sd_listen_fds(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from twisted.internet import tcp, unix
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

_FIRST: Final = 3
_DOMAINS: Final = {
    "INET": socket.AF_INET,
    "INET6": socket.AF_INET6,
    "UNIX": socket.AF_UNIX,
}

_log = Logger(namespace="distnet")


class NotPassed(LookupError):
    """systemd has passed no such socket; why is its text."""


def environment() -> dict[str, str]:
    """
    The variables that this process was started with.

    Of those that tell of descriptors Twisted removes two, and keeps nothing if a third is not set.
    """
    pairs = os.fsdecode(Path("/proc/self/environ").read_bytes()).split("\0")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def find(arguments: Mapping[str, str], variables: Mapping[str, str] | None = None) -> int:
    """
    The descriptor of a socket.

    @param arguments: of the endpoint description: C{index}, from 0 on, or C{name}.
    @param variables: of the environment.
    @raise NotPassed: there is none; the message says what there is.
    @raise ValueError: the arguments do not say which, or of no domain that there is.
    """
    if arguments.get("domain") not in _DOMAINS:
        raise ValueError(f"domain= is {', '.join(_DOMAINS)}")
    if ("index" in arguments) == ("name" in arguments):
        raise ValueError("it has either index= or name=")
    names = _names(environment() if variables is None else variables)
    if "index" in arguments:
        index = int(arguments["index"])
        if not 0 <= index < len(names):
            raise NotPassed(f"systemd has passed {len(names)} sockets, index=0 is the first")
        return _FIRST + index
    if arguments["name"] not in names:
        raise NotPassed(f"systemd has passed {', '.join(map(repr, names))}")
    return _FIRST + names.index(arguments["name"])


def _names(variables: Mapping[str, str]) -> list[str]:
    """The names of the sockets that were passed. Raises L{NotPassed} if none was."""
    count, process = variables.get("LISTEN_FDS", ""), variables.get("LISTEN_PID", "")
    if not (count.isdecimal() and int(count)):
        raise NotPassed("systemd has passed no socket to this process (LISTEN_FDS)")
    if process != str(os.getpid()):
        raise NotPassed(
            f"the sockets that systemd has passed are for process {process or '?'} (LISTEN_PID),"
            f" and this is {os.getpid()}"
        )
    told = variables.get("LISTEN_FDNAMES")
    # What is passed by other programs may have no names; sd_listen_fds_with_names(3) has this one.
    names = told.split(":") if told else ["unknown"] * int(count)
    return [*names, *["unknown"] * int(count)][: int(count)]


def adopt(reactor: Any, arguments: Mapping[str, str], factory: IProtocolFactory) -> IListeningPort:
    """
    Listen at a socket that was passed, as it is: whoever has opened it has chosen its mode and its
    backlog, and goes on with it when we stop.

    @raise OSError: it is no such socket, or was adopted already.
    @raise NotPassed: there is none.
    """
    descriptor = find(arguments)
    family = _DOMAINS[arguments["domain"]]
    if not os.get_inheritable(descriptor):
        raise OSError(f"descriptor {descriptor} is listened at already")
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        if sock.family != family or sock.type != socket.SOCK_STREAM:
            raise OSError(f"descriptor {descriptor} is no stream socket of that domain")
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(f"descriptor {descriptor} does not listen")
        sock.setblocking(False)
        if family == socket.AF_UNIX:
            port: IListeningPort = AdoptedUnixPort(reactor, sock.dup(), factory)
            port.startListening()
        else:
            port = reactor.adoptStreamPort(sock.fileno(), family, factory)
    # It stays, so that nothing else gets its number; as it comes it can be inherited.
    os.set_inheritable(descriptor, False)
    return port


class AdoptedUnixPort(unix.Port):
    """
    A unix socket that somebody else has made. Twisted would let everybody connect, set another
    backlog, and in the end remove the file and shut the socket down, for whoever goes on with it.
    """

    _shouldShutdown = False

    def __init__(self, reactor: Any, sock: socket.socket, factory: IProtocolFactory) -> None:
        """
        @param sock: listens, and does not block; it is closed with this.
        """
        super().__init__(os.fsencode(sock.getsockname()), factory, reactor=reactor)
        self.socket = sock
        self.fileno = sock.fileno  # type: ignore[method-assign]

    def startListening(self) -> None:
        """Accept connections from now on."""
        assert self.factory is not None
        self.factory.doStart()
        self.connected = True
        self.numberAccepts = 100
        self.startReading()

    def connectionLost(self, reason: Failure) -> None:
        """Accept no more."""
        tcp.Port.connectionLost(self, reason)
