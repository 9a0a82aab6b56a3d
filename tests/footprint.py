"""What a gateway with all of its processes holds: memory, descriptors, time of the processor."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MEGABYTE = 1_000_000
_KIB = 1024
_PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """
    A process that leads a session, and those that it has started, it first.

    One whose parent has ended is a child of somebody else then, but still of the session.
    """
    found = {pid} if _PROC.joinpath(str(pid)).exists() else set()
    parents: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name before it may have spaces and parentheses.
            state, parent, _, session = path.read_text().rpartition(")")[2].split()[:4]
            if state != "Z":
                parents[int(path.parent.name)] = int(parent)
                if int(session) == pid:
                    found.add(int(path.parent.name))
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found, key=lambda each: (each != pid, each))


def memory(pids: Iterable[int]) -> int:
    """
    Bytes of memory of some processes, in which what several share is counted once.

    That is the sum of their proportional set sizes.
    """
    return sum(_proportional(pid, "Pss:") for pid in pids)


def _own_memory(pids: Iterable[int]) -> int:
    """
    The same without pages of files, programs and libraries: they are counted the more the fewer
    other processes of this machine have them, and those come and go.
    """
    return sum(_proportional(pid, "Pss_Anon:", "Pss_Shmem:") for pid in pids)


def _proportional(pid: int, *names: str) -> int:
    with contextlib.suppress(OSError):
        lines = _PROC.joinpath(str(pid), "smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) * _KIB for line in lines if line.startswith(names))
    return 0


def descriptors(pids: Iterable[int]) -> int:
    """How many descriptors some processes have open."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += len(list(_PROC.joinpath(str(pid), "fd").iterdir()))
    return total


def ticks(pids: Iterable[int]) -> int:
    """Processor time that some processes have used, in hundredths of a second."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = _PROC.joinpath(str(pid), "stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total


@dataclass(frozen=True, slots=True)
class Footprint:
    """
    What a family of processes holds at one moment.

    @ivar memory: in bytes, without pages of files.
    """

    processes: int
    memory: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Footprint:
        """That of a process and its descendants."""
        pids = family(pid)
        return cls(len(pids), _own_memory(pids), descriptors(pids))

    def __str__(self) -> str:
        return (
            f"{self.processes} processes, {self.memory / MEGABYTE:.1f} MB,"
            f" {self.descriptors} descriptors"
        )


class Watch:
    """
    The most that a family of processes has held while it was looked at, all the while.

    @ivar before: what it held at first.
    @ivar worst: the most of each.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.before = self.worst = Footprint.of(pid)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._end.wait(0.05):
            self.look()

    def look(self) -> Footprint:
        """Look now."""
        now = Footprint.of(self._pid)
        self.worst = Footprint(
            max(self.worst.processes, now.processes),
            max(self.worst.memory, now.memory),
            max(self.worst.descriptors, now.descriptors),
        )
        return now

    @property
    def growth(self) -> int:
        """Bytes of memory that were more than before, at the worst."""
        return self.worst.memory - self.before.memory

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()
        self.look()
        print(f"before: {self.before}; at worst: {self.worst}")
