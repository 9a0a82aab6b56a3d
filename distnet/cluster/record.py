"""Which processes belong to a cluster: files that name them, so that they can be ended for sure.

A process is named by its number and the time at which it started, since a number alone may be
somebody else's by now. What is started here puts itself on record: L{distnet.cluster.leash}.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distnet.processes import start_time

LEASH: Final = Path(__file__).with_name("leash.py")
GRACE: Final = 5.0
"""Seconds that a process has to end when it was asked to."""


@dataclass(frozen=True, slots=True)
class Process:
    """
    A process that may have ended.

    @ivar start: the time at which it started, in the kernel's ticks.
    """

    pid: int
    start: int

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return start_time(self.pid) == self.start

    def send(self, number: int) -> None:
        """Send it a signal, if it runs."""
        with self._descriptor() as descriptor:
            if descriptor is not None:
                signal.pidfd_send_signal(descriptor, number)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; whether it has."""
        with self._descriptor() as descriptor:
            if descriptor is None:
                return True
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(seconds * 1000))

    @contextlib.contextmanager
    def _descriptor(self) -> Any:
        """A descriptor that stands for the process and no other, or None if it has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            # Looked at after the descriptor was made, so that it is the same process.
            with contextlib.suppress(ProcessLookupError):
                yield descriptor if self.runs else None
        finally:
            os.close(descriptor)


def this_process() -> Process:
    """The process that this runs in."""
    start = start_time(os.getpid())
    assert start is not None
    return Process(os.getpid(), start)


def write_record(path: Path, process: Process) -> None:
    """Put a process on record."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(f"{process.pid} {process.start}\n")
    new.rename(path)


def read_record(path: Path) -> Process | None:
    """The process that is on record, or None if there is none."""
    try:
        pid, start = map(int, path.read_text().split())
    except (OSError, ValueError):
        return None
    return Process(pid, start)


def start(record: Path, command: Sequence[str], death: int, **how: Any) -> subprocess.Popen[bytes]:
    """
    Start a program that is on record before it runs.

    It gets the signal C{death} when the thread that calls this ends, be it by a kill of the whole
    process, and is in a session of its own: a Control-C at the terminal is not for it.

    @param how: for L{subprocess.Popen}.
    """
    # Isolated, without site-packages: it is to be quick, whatever those and PYTHONPATH hold.
    leash = [sys.executable, "-I", "-S", str(LEASH), str(record), str(os.getpid()), str(death)]
    return subprocess.Popen([*leash, *command], start_new_session=True, **how)


def end(processes: Sequence[Process], grace: float = GRACE) -> None:
    """End processes: ask them first, and kill those that have not ended after C{grace} seconds."""
    for process in processes:
        process.send(signal.SIGTERM)
    deadline = time.monotonic() + grace
    for process in processes:
        if not process.wait(max(0.0, deadline - time.monotonic())):
            process.send(signal.SIGKILL)
            process.wait(grace)
