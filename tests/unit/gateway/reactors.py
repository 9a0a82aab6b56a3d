"""A reactor whose time is the test's, and whose descriptors are read when the test says so."""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.task import Clock


class Turning(Clock):
    """
    A L{Clock} that also has readers.

    @ivar readers: what waits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        """Read it."""
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        """Do not any more."""
        self.readers.discard(reader)

    def addWriter(self, writer: Any) -> None:
        """Nobody waits for room here."""

    removeWriter = addWriter

    def settle(self) -> None:
        """Have all read that can be."""
        while True:
            ready = [each for each in self.readers if select.select([each.fileno()], [], [], 0)[0]]
            if not ready:
                return
            for each in ready:
                if each in self.readers:
                    each.doRead()
