"""A disk of a few pages that a test can fill: what is written there meets its end."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

needs_mount = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Disk:
    """
    A file system in memory.

    @ivar path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rest = path / "rest"

    def fill(self) -> None:
        """Leave no room."""
        with self._rest.open("ab", buffering=0) as rest, contextlib.suppress(OSError):
            while True:
                rest.write(bytes(4096))

    def make_room(self) -> None:
        """Take away what L{fill} has written."""
        self._rest.unlink()

    def grow(self, kilobytes: int) -> None:
        """Have this size from now on."""
        grown = ["mount", "-o", f"remount,size={kilobytes}k", str(self.path)]
        subprocess.run(grown, check=True)


@contextlib.contextmanager
def small_disk(path: Path, kilobytes: int = 256) -> Iterator[Disk]:
    """Mount one at a path for as long as the context lasts; skip the test where that cannot be."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the privilege to mount: {mounted.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)
