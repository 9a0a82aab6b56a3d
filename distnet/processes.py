"""Processes of this machine, as /proc tells of them: proc(5)."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

_ENDED: Final = (b"Z", b"X")


def start_time(pid: int) -> int | None:
    """
    The time at which a process started, in clock ticks since the machine did; None if it has ended.

    A pid is used again; together with this it is not, as long as the machine runs.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is a name in parentheses, which may hold anything. The start is field 22.
    state, *fields = stat.rpartition(b")")[2].split()
    # A zombie has ended; its parent has not asked yet.
    return None if state in _ENDED else int(fields[18])


def identity(pid: int) -> str | None:
    """
    What tells a process from every other one, or None if it has ended, or cannot be looked at.

    A pid and when its process started are used again after the machine was started again, which has
    an id of its own each time.
    """
    try:
        started = start_time(pid)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if started is None else f"{boot} {pid} {started}"


def program_of(pid: int) -> str:
    """The name of the program that a process runs, for people: C{gone} if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"


def how_ended(status: int) -> str:
    """How a process has ended, in words, by its exit status as L{subprocess} has it."""
    if status < 0:
        return f"ended by {signal_name(-status)}"
    return f"ended with status {status}"


def signal_name(number: int) -> str:
    """What people call a signal: most of the real-time signals have no name, signal(7)."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
