"""Where the control socket and the socket for tools are, for a master and for the command alike."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from distnet.errors import StartupError


def default_directory() -> Path:
    """
    The directory of this user's sockets: in C{$XDG_RUNTIME_DIR} if there is one, for root in
    C{/run}, else in C{/tmp} under a name with the user's number.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime, "distnet")
    if os.geteuid() == 0:
        return Path("/run/distnet")
    return Path(f"/tmp/distnet-{os.geteuid()}")


def default_control() -> str:
    """The path of the control socket."""
    return str(default_directory() / "control")


def tools_beside(control: str) -> str:
    """The path of the socket for tools that belongs to a control socket."""
    return str(Path(control).with_name(Path(control).name + ".tools"))


def make_default_directory_for(control: str) -> None:
    """
    Make the directory of this user's sockets, for this user alone, if that is where a path is.

    @raise StartupError: it cannot be, or somebody else owns it.
    """
    directory = default_directory()
    if Path(control).parent != directory:
        return
    make_private_directory(directory, "the control socket", "give --control PATH")


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
