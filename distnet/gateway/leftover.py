"""State files of gateways that do not run: there is one for each switch that ever had one.

Nothing tells whether there will be a switch in that directory again. So a number of them is kept,
those that were written last.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

MOST_LEFT: Final = 64
"""How many files are kept that no gateway uses."""

_SUFFIXES: Final = ("-wal", "-shm", "-journal", "")
"""What SQLite has beside a file, and the file."""


def sweep(directory: Path, pattern: str) -> None:
    """
    Remove those files that no gateway uses, but for the newest.

    @param directory: the files', which nobody else can write to.
    """
    with contextlib.suppress(OSError):
        files = sorted(directory.glob(pattern), key=_age)
        for path in files[: max(len(files) - MOST_LEFT, 0)]:
            _remove(path)


def _age(path: Path) -> float:
    """When a file was written; what is written first is beside it."""
    times = [0.0]
    for suffix in _SUFFIXES:
        with contextlib.suppress(OSError):
            times.append(path.with_name(path.name + suffix).stat().st_mtime)
    return max(times)


def _remove(path: Path) -> None:
    """Remove a file, unless a gateway has it locked."""
    with contextlib.suppress(OSError):
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for suffix in _SUFFIXES:
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        finally:
            os.close(lock)
