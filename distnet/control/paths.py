"""Where control sockets are, and the socket for tools: for services and for commands alike."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from distnet.errors import StartupError

_PROBE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """
    What it is that has a control socket.

    @ivar socket: the name of the socket of the usual one; others have this, a dash, and a name.
    @ivar noun: how people call it, and C{plural} several.
    @ivar command: what starts one.
    """

    socket: str
    noun: str
    plural: str
    command: str


MASTER: Final = Kind("control", "master", "masters", "twistd -n distnet")
SWITCH: Final = Kind("switch", "switch", "switches", "twistd -n distnet-vde")


def default_directory() -> Path:
    """
    The directory of this user's sockets: in C{$XDG_RUNTIME_DIR} if there is one, for root in
    C{/run}, else in C{/tmp} under a name with the user's number.

    A path that is relative means nothing there, nor does a directory that is another user's (XDG
    Base Directory Specification), as it may be after su(1) or with C{--uid}. The directory goes
    when its user logs out, while what was started then may go on.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and runtime.is_dir() and runtime.stat().st_uid == os.geteuid():
        return runtime / "distnet"
    if os.geteuid() == 0:
        return Path("/run/distnet")
    return Path(f"/tmp/distnet-{os.geteuid()}")


def default_control(kind: Kind = MASTER) -> str:
    """The path of the control socket of the usual one, or of the only one that runs."""
    return str(default_directory() / kind.socket)


def default_vde_directory(user: int | None = None) -> str:
    """
    Where vde_switch has its sockets unless it is told otherwise.

    @param user: who runs it, by number; None for the user of this process.
    """
    return "/tmp/vde.ctl" if (os.geteuid() if user is None else user) else "/var/run/vde.ctl"


def tools_beside(control: str) -> str:
    """The path of the socket for tools that belongs to a control socket."""
    return str(Path(control).with_name(Path(control).name + ".tools"))


def listens(path: str | Path) -> bool:
    """Whether somebody listens at the path of a unix socket, be it without time to answer."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            # It may not be for us, or have more connections than it takes.
            return True
    return True


def make_default_directory() -> Path:
    """
    Make the directory of this user's sockets, for this user alone.

    @raise StartupError: it cannot be, or somebody else owns it.
    """
    directory = default_directory()
    make_private_directory(directory, "the control socket", "give --control PATH")
    return directory


def make_private_directory(directory: Path, purpose: str, advice: str) -> None:
    """
    Make a directory for this user alone, if it is not there yet.

    @param purpose: what it is for, and C{advice} what to do without it, for the error.
    @raise StartupError: it cannot be, or somebody else owns it or can write to it.
    """
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
    except OSError as error:
        raise StartupError(
            f"cannot make {directory} for {purpose}: {error.strerror}; {advice}"
        ) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise StartupError(
            f"{directory} belongs to somebody else, or others can write to it: {advice}"
        )
