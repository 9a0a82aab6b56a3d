"""A wall clock that a test can set, for processes that it starts. It needs a C compiler."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """
    Such a clock: at first it shows the right time.

    @ivar environment: of the processes that go by it.
    """

    def __init__(self, directory: Path) -> None:
        """
        @param directory: where there is room for two files of its own.
        """
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler")
        library = directory / "wallclock.so"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-O1", "-o", library, _SOURCE],
            check=True,
        )
        self._file = directory / "wallclock"
        self.set_ahead(0)
        self.environment = {
            "LD_PRELOAD": str(library),
            "DISTNET_TEST_WALL_CLOCK": str(self._file),
        }

    def set_ahead(self, seconds: int) -> None:
        """Set it so many seconds ahead of the right time, or behind if they are negative."""
        # In place: it is mapped.
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))
