"""The file of a packet dump: what is in it are whole records, even when its disk is full."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

BLOCK: Final = 64 * 1024
"""Bytes that are kept back at most, until they are written together."""


class DumpFile:
    """
    Writes records to a descriptor, which is closed with it.

    One that could be written only in part is cut off again, where that is possible: nobody could
    read what stands behind it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._records: list[bytes] = []
        self._size = 0

    def write(self, data: bytes, /) -> None:
        """Write a record, now or later. Raises OSError."""
        self._records.append(data)
        self._size += len(data)
        if self._size >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what was kept back. Raises OSError, and then that is lost."""
        records, self._records, self._size = self._records, [], 0
        rest = memoryview(b"".join(records))
        written = 0
        try:
            while rest:
                size = os.write(self._descriptor, rest)
                written += size
                rest = rest[size:]
        except OSError:
            self._cut_off(written - _whole(records, written))
            raise

    def close(self) -> None:
        """Write what was kept back, and close the descriptor. Raises OSError."""
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    def _cut_off(self, size: int) -> None:
        # Of a fifo nothing can be taken back.
        with suppress(OSError):
            end = os.lseek(self._descriptor, -size, os.SEEK_CUR)
            os.ftruncate(self._descriptor, end)


def _whole(records: list[bytes], written: int) -> int:
    """How many of so many bytes that were written are whole records."""
    whole = 0
    for record in records:
        if whole + len(record) > written:
            break
        whole += len(record)
    return whole
