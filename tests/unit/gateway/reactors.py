"""A reactor that does nothing but wait for what it is told to."""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.task import Clock


class PollingReactor(Clock):
    """Readers with real descriptors, and time that passes while they are waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """Wait for a descriptor, too."""
        self._readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        """Wait for a descriptor no more."""
        self._readers.discard(reader)

    def run(self, seconds: float) -> None:
        """Go on for so long, each round being a millisecond of it."""
        for _ in range(int(seconds * 1000)):
            for reader in select.select(list(self._readers), [], [], 0)[0]:
                reader.doRead()
            self.advance(0.001)
