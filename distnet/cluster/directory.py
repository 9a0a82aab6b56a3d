"""The directory of a running cluster: sockets, logs, records; and the lock of whoever runs it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from distnet.address import MAX_UNIX_PATH
from distnet.cluster.record import Process, end, read_record, this_process, write_record
from distnet.control.paths import default_directory, make_private_directory, tools_beside
from distnet.errors import MachineError

_LONGEST: Final = "switch/.0000000000-00000"
"""What the path of a socket ends in at most: that of a client of the switch."""


_KEPT: Final = ("cluster.json", "launcher.log", "logs", "owner", "pids")


class RunsAlready(MachineError):
    """A cluster of that name runs."""


def clusters_directory() -> Path:
    """Where the directories of this user's clusters are."""
    return default_directory() / "clusters"


class RunDirectory:
    """
    The directory of one cluster.

    Whoever holds the lock beside it runs the cluster. The kernel lets go of the lock when that
    process ends, so a directory without one is what is left of a cluster that was not ended well.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = clusters_directory() / name
        self._lock: int | None = None

    def __truediv__(self, name: str) -> Path:
        """The path of a file or a directory in it."""
        return self.path / name

    @property
    def control(self) -> str:
        """The master's control socket."""
        return str(self / "control")

    @property
    def tools(self) -> str:
        """The master's socket for tools."""
        return tools_beside(self.control)

    @property
    def switch(self) -> Path:
        """The directory where clients find the switch."""
        return self / "switch"

    @property
    def switch_control(self) -> str:
        """The switch's control socket."""
        return str(self / "switch.control")

    @property
    def switch_commands(self) -> Path:
        """The switch's rcfile: empty, so that the user's own, for other switches, is not read."""
        return self / "switch.rc"

    @property
    def launcher(self) -> Path:
        """The socket of the launcher, where it is asked to restart a node."""
        return self / "launcher"

    def node(self, node: int, what: str) -> Path:
        """A socket of a node: C{master}, C{gdb}, C{monitor}; or the pipe of its C{console}."""
        return self / f"node-{node}.{what}"

    def record(self, name: str) -> Path:
        """The file in which a process is on record, under a name of the cluster's own."""
        return self / "pids" / name

    def records(self) -> dict[str, Process]:
        """All that are on record, by name; they may have ended."""
        found = {path.name: read_record(path) for path in sorted(self.path.glob("pids/*"))}
        return {name: process for name, process in found.items() if process is not None}

    # What is told to other processes

    def write_description(self, description: dict[str, Any]) -> None:
        """Tell other processes what runs here."""
        new = self / "cluster.json.new"
        new.write_text(json.dumps(description, indent=1))
        new.rename(self / "cluster.json")

    def description(self) -> dict[str, Any] | None:
        """What runs here, or None if it was not told yet."""
        try:
            told: dict[str, Any] = json.loads((self / "cluster.json").read_text())
        except (OSError, ValueError):
            return None
        return told

    def how_it_ended(self) -> dict[str, Any] | None:
        """
        Why and when a cluster that is not run any more has ended: C{why} and C{at}, in seconds
        since 1970, or None if nobody was there to see it. None if it runs, or left nothing.
        """
        # The lock first: what is described then is not written any more.
        runs = self.is_locked()
        told = self.description()
        if told is None:
            return None
        ended: dict[str, Any] | None = told.get("ended")
        if ended is None and not runs:
            owner = read_record(self / "owner")
            whose = "what ran it" if owner is None else f"process {owner.pid}, which ran it,"
            return {"why": f"{whose} was killed", "at": None}
        return ended

    def owner(self) -> Process | None:
        """The process that runs the cluster, or None if nobody does."""
        if not self.is_locked():
            return None
        return read_record(self / "owner")

    def is_locked(self) -> bool:
        """Whether somebody runs the cluster."""
        try:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    # For the one that runs it

    @property
    def _lock_path(self) -> Path:
        # Beside it, since the directory goes while the lock is held.
        return self.path.with_name(f"{self.name}.lock")

    def take(self) -> None:
        """
        Become the one that runs the cluster, end what was left of an earlier one, and make the
        directory anew.

        @raise RunsAlready: somebody runs it.
        @raise MachineError: the directory cannot be had.
        """
        for directory in (default_directory(), clusters_directory()):
            make_private_directory(directory, "clusters", "set XDG_RUNTIME_DIR")
        if any(letter in str(self.path) for letter in " ,'\"\\"):
            raise MachineError(
                f"{self.path} is no path for the sockets of a cluster: it may have no spaces,"
                f" commas, quotes and backslashes; set XDG_RUNTIME_DIR to another directory"
            )
        self._check_length()
        self._take_lock()
        try:
            self.clear()
            self.path.mkdir(mode=0o700)
            (self / "pids").mkdir()
            write_record(self / "owner", this_process())
        except BaseException:
            self.let_go()
            raise

    def _check_length(self) -> None:
        """Whether the paths of all sockets have room. Raises L{MachineError}."""
        longest = str(self / _LONGEST)
        size = len(os.fsencode(longest))
        if size <= MAX_UNIX_PATH:
            return
        fits = len(self.name) - (size - MAX_UNIX_PATH)
        cure = "set XDG_RUNTIME_DIR to a directory with a shorter path"
        if fits > 0:
            cure = f"give it a name of at most {fits} letters (name = in its file), or {cure}"
        raise MachineError(
            f"the cluster {self.name} has sockets with paths like {longest}, of {size} bytes;"
            f" a unix socket's can have {MAX_UNIX_PATH}: {cure}"
        )

    def _take_lock(self) -> None:
        while True:
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                owner = self.owner()
                if owner is None:
                    # Somebody looks whether it is held, or its owner is not on record yet.
                    time.sleep(0.01)
                    continue
                raise RunsAlready(
                    f"the cluster {self.name} runs already, by process {owner.pid}:"
                    f" distnet cluster down {self.name}"
                ) from None
            # Whoever held it may have taken the file away since it was opened.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self._lock_path.stat()):
                    self._lock = descriptor
                    return
            os.close(descriptor)

    def clear(self) -> None:
        """End all processes that are on record and still run, and remove the directory."""
        end(list(self.records().values()))
        shutil.rmtree(self.path, ignore_errors=True)

    def let_go(self, keep: bool = False) -> None:
        """
        End what still runs, remove the directory, and let go of the lock.

        @param keep: leave the description and the logs, for those who look why it has ended.
        """
        if keep:
            end(list(self.records().values()))
            with contextlib.suppress(OSError):
                for path in set(self.path.iterdir()) - {self / name for name in _KEPT}:
                    _remove(path)
        else:
            self.clear()
        if self._lock is not None:
            self._lock_path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def sweep(self) -> bool:
        """Remove what is left of a cluster that nobody runs; whether there was anything."""
        if not self.path.exists():
            return False
        self._take_lock()
        self.let_go()
        return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def all_clusters() -> Iterator[RunDirectory]:
    """The directories that there are, of clusters that run or that left something."""
    for path in sorted(clusters_directory().glob("*/pids")):
        yield RunDirectory(path.parent.name)


def running_clusters() -> list[RunDirectory]:
    """The directories of clusters that run now."""
    return [run for run in all_clusters() if run.is_locked()]


def sweep(prefix: str) -> None:
    """Remove what is left of clusters that nobody runs and whose names begin with a prefix."""
    for run in all_clusters():
        if run.name.startswith(prefix) and not run.is_locked():
            # Another may be at it just now.
            with contextlib.suppress(RunsAlready):
                run.sweep()
