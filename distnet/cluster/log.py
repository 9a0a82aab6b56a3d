"""What a kernel, or a daemon, has written into its log so far."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_LAST_BYTES: Final = 65536
"""How far back from its end a log is looked at for its last lines."""


def last_lines(path: Path, count: int, start: int = 0) -> list[str]:
    """
    The last lines of a log, however long it is; none if there is no log.

    @param start: the byte before which nothing is of interest.
    """
    try:
        with path.open("rb") as log:
            log.seek(max(start, log.seek(0, os.SEEK_END) - _LAST_BYTES))
            return _text(log.read()).splitlines()[-count:]
    except FileNotFoundError:
        return []


def size(path: Path) -> int:
    """The size of a log in bytes; 0 if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


class Follower:
    """Reads a log on from where it stopped reading, a line at a time or as it comes."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._offset = offset
        self._rest = b""

    def read(self) -> str:
        """What came since the last call; it may end in the middle of a line."""
        data, self._rest = self._rest + self._more(), b""
        return _text(data)

    def lines(self) -> list[str]:
        """The lines that came to their end since the last call."""
        *whole, self._rest = (self._rest + self._more()).split(b"\n")
        return [_text(line) for line in whole]

    def _more(self) -> bytes:
        try:
            with self._path.open("rb") as log:
                log.seek(self._offset)
                data = log.read()
        except FileNotFoundError:
            return b""
        self._offset += len(data)
        return data


def _text(data: bytes) -> str:
    # A serial console ends lines by CR LF, some by CR CR LF.
    return data.decode(errors="replace").replace("\r", "")
