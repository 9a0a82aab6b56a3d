"""Where to listen: endpoint descriptions with safe defaults, and what stands in the way."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.address import Address, TcpAddress, TlsAddress, UnixAddress, long_path
from distnet.errors import StartupError
from distnet.sockets import systemd
from distnet.sockets.unaccepted import tell_of_unaccepted

_log = Logger(namespace="distnet")

_LOOPBACK: Final = {"tcp": "127.0.0.1", "tcp6": "::1"}
BACKLOG: Final = 1024
"""How many connections may wait to be accepted: as many guests as start at once, and more."""

ADVICE: Final = {
    errno.EADDRINUSE: "; another master or switch, or something else, listens there:"
    " stop it, or choose another port",
    errno.EACCES: "; ports below 1024 and foreign directories need the privilege",
    errno.EADDRNOTAVAIL: "; this machine does not have that address",
}
"""What to do, by the number of the error: to be said after what has failed."""


@dataclass(frozen=True, slots=True)
class Listener:
    """
    One place to listen at.

    @ivar description: a Twisted endpoint description, complete.
    @ivar tls: connections are encrypted, and need a certificate.
    """

    description: str
    tls: bool = False

    @property
    def path(self) -> str | None:
        """The path of a unix socket, or None."""
        kind, arguments = split_description(self.description)
        if kind != "unix":
            return None
        return arguments.get("address", arguments.get(""))

    @property
    def port(self) -> int | None:
        """The port of one on TCP as it was told, where 0 is any free one; or None."""
        kind, arguments = split_description(self.description)
        return int(arguments.get("port", arguments.get("", ""))) if kind in _LOOPBACK else None


def split_description(description: str) -> tuple[str, dict[str, str]]:
    """
    The parts of an endpoint description: what it starts with, and its arguments.

    The first argument without a name has the name "". A backslash quotes what follows it.
    """
    fields: list[list[str]] = [[""]]
    quoted = False
    for character in description:
        if quoted or character not in ":=\\" or (character == "=" and len(fields[-1]) == 2):
            fields[-1][-1] += character
            quoted = False
        elif character == "\\":
            quoted = True
        elif character == ":":
            fields.append([""])
        else:
            fields[-1].append("")
    arguments: dict[str, str] = {}
    for name, *value in fields[1:]:
        if value:
            arguments[name] = value[0]
        else:
            arguments.setdefault("", name)
    return fields[0][0], arguments


def complete_description(text: str) -> str:
    """
    An endpoint description as a user gives it, with our defaults in the place of Twisted's.

    A number alone is a TCP port; TCP listens on loopback unless an interface is named; a unix
    socket gets mode 0600.
    """
    if text.isdigit():
        text = f"tcp:{text}"
    kind, arguments = split_description(text)
    if kind in _LOOPBACK:
        if "interface" not in arguments:
            text += f":interface={quoteStringArgument(_LOOPBACK[kind])}"
        if "backlog" not in arguments:
            text += f":backlog={BACKLOG}"
    elif kind == "unix":
        if "mode" not in arguments:
            text += ":mode=600"
        if "lockfile" not in arguments:
            text += ":lockfile=0"
        if "backlog" not in arguments:
            text += f":backlog={BACKLOG}"
    return text


def unix_description(path: str) -> str:
    """The complete description of a unix socket."""
    # By its name, since Twisted does not quote an equals sign.
    return complete_description(f"unix:address={quoteStringArgument(path)}")


def absolute_description(complete: str) -> str:
    """The same complete description, which means the same after the directory was changed."""
    kind, arguments = split_description(complete)
    path = Listener(complete).path
    if path is None:
        return complete
    arguments = {name: value for name, value in arguments.items() if name} | {
        "address": str(Path(path).absolute())
    }
    return ":".join(
        [kind, *(f"{name}={quoteStringArgument(value)}" for name, value in arguments.items())]
    )


def check_description(reactor: Any, text: str) -> str:
    """
    The complete description of what a user gives, as L{complete_description} makes it.

    Opens nothing.

    @raise ValueError: Twisted does not understand it; in one line, with what it would.
    """
    complete = complete_description(text)
    kind, arguments = split_description(complete)
    try:
        if kind == "systemd":
            systemd.find(arguments)
        else:
            serverFromString(reactor, complete)
        if kind in _LOOPBACK:
            port = int(arguments.get("port", arguments.get("", "")))
            if not 0 <= port <= 65535:
                raise ValueError(f"{port} is not a TCP port")
        if kind == "unix" and not Listener(complete).path:
            raise ValueError("the path is missing")
    except systemd.NotPassed as error:
        raise ValueError(f"{text!r}: {error}") from error
    except Exception as error:
        raise ValueError(
            f"{text!r} is not a place to listen at ({error}): use a port number, tcp:PORT, "
            f"tcp:PORT:interface=ADDRESS, tcp6:PORT, unix:PATH, or systemd:domain=...:index=N"
        ) from error
    return complete


def listen(reactor: Any, listener: Listener, factory: IProtocolFactory) -> IListeningPort:
    """
    Listen at once.

    @raise StartupError: says in one line what stands in the way and what to do.
    """
    path = listener.path
    if path is not None:
        claim_path(path)
    kind, arguments = split_description(listener.description)
    outcome: list[Any] = []
    try:
        if kind == "systemd":
            outcome.append(systemd.adopt(reactor, arguments, factory))
        else:
            listening: Deferred[IListeningPort] = serverFromString(
                reactor, listener.description
            ).listen(factory)
            listening.addBoth(outcome.append)
    except Exception as error:
        outcome.append(Failure(error))
    if not outcome:
        raise StartupError(f"{listener.description} does not listen at once")
    if isinstance(outcome[0], Failure):
        raise StartupError(_why(listener, cast(BaseException, outcome[0].value))) from None
    port: IListeningPort = outcome[0]
    tell_of_unaccepted(reactor, port)
    return port


async def stop_listening(port: IListeningPort, where: object) -> None:
    """
    Listen no more. That a unix socket cannot be removed is only logged, so that who stops goes on.

    @param where: it listens, for the log.
    """
    try:
        await maybeDeferred(port.stopListening)
    except FileNotFoundError:
        # Somebody has removed it.
        pass
    except OSError as error:
        _log.warn("{where} stays behind: {why}", where=where, why=error.strerror or error)


def claim_path(path: str) -> None:
    """
    Make sure that a unix socket can be bound at a path; remove one that nobody listens at any more.

    @raise StartupError: it cannot be.
    """
    if (problem := long_path(path)) is not None:
        raise StartupError(f"cannot listen at {path}: {problem}")
    directory = Path(path).parent
    if not directory.is_dir():
        raise StartupError(f"cannot listen at {path}: there is no directory {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StartupError(f"cannot listen at {path}: the directory {directory} is not writable")
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartupError(f"cannot listen at {path}: it exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()
            return
        except OSError as error:
            # A datagram socket takes no connections, but somebody has it.
            if error.errno != errno.EPROTOTYPE:
                raise StartupError(f"cannot listen at {path}: {error.strerror or error}") from None
    raise StartupError(
        f"cannot listen at {path}: another process listens there; stop it, or choose another path"
    )


def address_of(listener: Listener, port: IListeningPort) -> Address:
    """Where a listener listens, as a program on this machine connects to it."""
    address: Any = port.getHost()
    if isinstance(address, UNIXAddress):
        # Absolute: it is told to programs that run elsewhere.
        return UnixAddress(str(Path(os.fsdecode(address.name or b"")).absolute()))
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)
    return (TlsAddress if listener.tls else TcpAddress)(host, address.port)


def _why(listener: Listener, error: BaseException) -> str:
    cause = error.socketError if isinstance(error, CannotListenError) else error
    reason = (cause.strerror or str(cause)) if isinstance(cause, OSError) else str(cause)
    number = cause.errno if isinstance(cause, OSError) else None
    advice = ADVICE.get(number or 0, "")
    # As it was given, without what was added to it.
    where = listener.description.replace(f":backlog={BACKLOG}", "").replace(":lockfile=0", "")
    return f"cannot listen at {where}: {reason}{advice}"
