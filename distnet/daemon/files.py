"""The files that twistd writes for a daemon: whether it can, and who else has them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final

from twisted.logger import globalLogBeginner

_PIDFILE: Final = "twistd.pid"
"""twistd's default for C{--pidfile}; that for C{--logfile} is C{twistd.log}."""
_NO_CACHE: Final = "Unable to write to plugin cache"


def check_files(twistd: MutableMapping[str, Any]) -> None:
    """
    Look whether twistd can write what its options say, and complete them.

    In the foreground there is no file with a process's id, unless one is named: twistd would leave
    it in the current directory, where a second daemon could then not be started. A daemon whose
    C{--pidfile} has a name of its own logs to a file of that name, so that two do not share one.

    @raise ValueError: it cannot; in one line that names the option.
    """
    daemon = not twistd["nodaemon"]
    if not daemon and twistd["pidfile"] == _PIDFILE:
        twistd["pidfile"] = ""
    instead = "name another FILE"
    if daemon:
        instead += ", or stay in the foreground with -n"
    if not (twistd["chroot"] or os.access(twistd["rundir"], os.X_OK, effective_ids=True)):
        why = "cannot be entered" if Path(twistd["rundir"]).is_dir() else "is no directory"
        raise ValueError(f"--rundir {twistd['rundir']}: that {why}; name another DIRECTORY")
    _check_log(twistd, daemon, instead)
    if twistd["pidfile"] and not twistd["chroot"]:
        _check_writable("pidfile", twistd["pidfile"], instead)
        _check_process(twistd["pidfile"])


def _check_log(twistd: MutableMapping[str, Any], daemon: bool, instead: str) -> None:
    if twistd["syslog"] or twistd["logger"]:
        return
    if daemon and not twistd["logfile"] and twistd["pidfile"] not in ("", _PIDFILE):
        twistd["logfile"] = f"{Path(twistd['pidfile']).stem}.log"
    log = twistd["logfile"] or ("twistd.log" if daemon else "-")
    if log != "-":
        _check_writable("logfile", log, instead, may_be_null=True)
    elif daemon:
        raise ValueError(f"--logfile -: a daemon has no standard output; {instead}")


def _check_writable(option: str, name: str, instead: str, *, may_be_null: bool = False) -> None:
    """twistd names its files before it changes its directory."""
    path = Path(name).absolute()
    if not path.parent.is_dir():
        why = f"there is no directory {path.parent}"
    elif path.exists() and not (path.is_file() or (may_be_null and path.samefile(os.devnull))):
        why = "that is no regular file"
    elif not os.access(path if path.exists() else path.parent, os.W_OK, effective_ids=True):
        why = "that cannot be written"
    else:
        return
    raise ValueError(f"--{option} {path}: {why}; {instead}")


def _check_process(pidfile: str) -> None:
    """
    Remove a file with the number of a process that is no daemon of twistd's, or not any more.

    twistd itself removes it if there is no such process. In a container numbers are the same again
    whenever it is started: that of the daemon itself, mostly.
    """
    path = Path(pidfile).absolute()
    try:
        text = path.read_text().strip()
    except (OSError, ValueError):
        return
    if text and not text.isdecimal():
        raise ValueError(f"--pidfile {path}: that holds no number of a process; name another FILE")
    if text and int(text) != os.getpid() and _is_daemon(int(text)):
        raise ValueError(
            f"--pidfile {path}: process {text} runs and has that; stop it, or give this"
            " daemon a --pidfile of its own"
        )
    # If it may not be removed, twistd says so.
    with contextlib.suppress(OSError):
        path.unlink()


def _is_daemon(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        # Another user's, and not to be looked at.
        return True
    # Of a process that was started as Python's -m or -c, too, and of distnet-vde-switch.
    return b"twist" in words or b"distnet" in words


def forget_plugin_cache() -> None:
    """
    Do not log that the cache of plugins cannot be written, which Twisted tries at every start.

    Nobody but whoever installs packages can, and nothing is slower without it.
    """
    # What came before logging began; it has no public name.
    early: Any = getattr(globalLogBeginner, "_initialBuffer", None)
    for event in list(getattr(early, "_buffer", ())):
        if str(event.get("format", "")).startswith(_NO_CACHE):
            early._buffer.remove(event)
