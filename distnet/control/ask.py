"""The asking side of the control interface: find what runs here, and ask it. It blocks."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from distnet.address import Address, long_path, parse
from distnet.control.paths import (
    MASTER,
    SWITCH,
    Kind,
    default_control,
    default_directory,
    default_vde_directory,
    listens,
)
from distnet.errors import LocalError, MachineError
from distnet.text import MORE_DESCRIPTORS

_GLANCE_SECONDS: Final = 1.0
"""How long each of several has to say what it is."""
_HOW: Final = "--control PATH"


class NoMaster(MachineError):
    """No master, or no switch if one was wanted, answers at a control socket."""


class SeveralRun(LocalError):
    """Several run here, and nobody said which is meant; the message is one line that lists them."""


class _UnixHTTPConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(
    control: str, path: str, timeout: float = 5, *, kind: Kind = MASTER, method: str = "GET"
) -> tuple[int, Any]:
    """
    Ask a master, or a switch.

    @param control: the path of its control socket.
    @param path: one of those that C{/} lists.
    @param timeout: in seconds.
    @param method: of HTTP.
    @return: (HTTP status, the JSON of the answer).
    @raise NoMaster: nobody answers; the message is one line that says what to do.
    """
    if (problem := long_path(control)) is not None:
        raise NoMaster(f"no {kind.noun} can be at {control}: {problem}")
    connection = _UnixHTTPConnection(control, timeout)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoMaster(
            f"no {kind.noun} answers at {control}: start one with '{kind.command}',"
            f" or give its --control PATH"
        ) from None
    except PermissionError:
        raise NoMaster(f"the {kind.noun} at {control} belongs to another user") from None
    except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
        raise NoMaster(
            f"the {kind.noun} at {control} has closed the connection without an answer: if its log"
            f" says that it has no descriptor left, {MORE_DESCRIPTORS}"
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoMaster(f"what answers at {control} is not a {kind.noun}: {error}") from None
    finally:
        connection.close()


def find(kind: Kind = MASTER, how: str = _HOW) -> str:
    """
    The control socket of the only one that runs here, as this user.

    @param how: the option that says which is meant, for the error.
    @return: its path; if none runs, where it would be.
    @raise SeveralRun: there are more.
    """
    found = running(kind)
    # One that is alone need not say what it is.
    several = len(found) > 1
    return _only({one: _glance(one, kind) if several else {} for one in found}, kind, how)


def find_master_at(address: Address) -> str:
    """
    The control socket of the master that listens at an address.

    @return: its path; if there is none, that of the only master, or where that would be.
    @raise SeveralRun: there are more, and none of them listens there.
    """
    seen: dict[str, dict[str, Any]] = {}
    for control in running():
        status = seen[control] = _glance(control, MASTER)
        if any(one["address"] == str(address) for one in status.get("listeners", ())):
            return control
    return _only(seen, MASTER, _HOW)


def find_switch(directory: str) -> str:
    """
    The control socket of the switch whose clients find it in a directory.

    @return: its path.
    @raise NoMaster: there is none that answers.
    """
    wanted = os.path.realpath(directory)
    for control in running(SWITCH):
        if _glance(control, SWITCH).get("directory") == wanted:
            return control
    raise NoMaster(
        f"no switch answers for {wanted}: start one with '{SWITCH.command} -sock {directory}', or"
        f" give its --control PATH"
    )


def find_vde_directory(how: str) -> str:
    """
    The directory where clients find the only switch that runs here, as this user.

    @param how: the option that says which is meant, for the error.
    @return: its path; if none runs, or it does not answer, the usual one.
    @raise SeveralRun: there are more.
    """
    return str(_glance(find(SWITCH, how), SWITCH).get("directory", default_vde_directory()))


def running(kind: Kind = MASTER) -> list[str]:
    """The control sockets of those who listen in the directory of this user's sockets: paths."""
    names: dict[tuple[int, int], list[Path]] = {}
    for path in default_directory().glob(f"{kind.socket}*"):
        if path.name == kind.socket or path.name.startswith(f"{kind.socket}-"):
            if path.suffix == ".tools" or not path.is_socket():
                continue
            status = path.stat()
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    best = (min(paths, key=_preference(kind)) for paths in names.values())
    return sorted(str(path) for path in best if listens(path))


def _only(found: dict[str, dict[str, Any]], kind: Kind, how: str) -> str:
    """
    The control socket of the only one of some.

    @param found: what each says of itself, by its control socket.
    @return: its path; if there is none, where it would be.
    @raise SeveralRun: there are more; with each, and how to say which.
    """
    if len(found) > 1:
        each = ", ".join(f"{control} ({_about(status)})" for control, status in found.items())
        raise SeveralRun(f"{len(found)} {kind.plural} run here, say which with {how}: {each}")
    return next(iter(found), default_control(kind))


def _preference(kind: Kind) -> Callable[[Path], int]:
    """Of the names of one socket: first that which it always has, last that which it never has."""
    return lambda path: (
        2 if path.name.startswith(f"{kind.socket}-pid-") else 1 if path.name == kind.socket else 0
    )


def _glance(control: str, kind: Kind) -> dict[str, Any]:
    """What one of several says of itself; nothing if it does not."""
    try:
        status: dict[str, Any] = ask(control, "/status", _GLANCE_SECONDS, kind=kind)[1]
    except NoMaster:
        return {}
    return status


def _about(status: dict[str, Any]) -> str:
    """Which one that is, for people, by what it says of itself."""
    if "pid" not in status:
        return "does not answer"
    # A switch is known by its directory, wherever else it listens.
    where = [*filter(None, [status.get("directory")])]
    where += [one["address"] for one in status.get("listeners", ()) if not one.get("tools")]
    return ", ".join([f"pid {status['pid']}", *where[:1]])


def listener_for(
    listeners: list[dict[str, Any]], node: int | None, scheme: str | None = None
) -> Address | None:
    """
    Where a kernel on this machine finds the master.

    @param listeners: as C{/status} has them.
    @param node: the id that it is to have, or None for whichever it gets.
    @param scheme: C{tcp} or C{unix}, if it can be only that.
    @return: the first listener that fits, without TLS; or None.
    """
    for listener in listeners:
        fits = scheme is None or listener["address"].startswith(f"{scheme}:")
        if fits and listener["node"] == node and not (listener["tools"] or listener["tls"]):
            return parse(listener["address"])
    return None
