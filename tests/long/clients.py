"""The switch as a process that has a console, and clients that are plugged into it."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

from tests.switches import RawClient, Switch

PORTS = 20

_numbers = itertools.count(1)


def address(port: int, number: int) -> bytes:
    """Of a client at a port."""
    return b"\x02\0\0" + bytes([port]) + (number % 8).to_bytes(2, "big")


class ManagedSwitch(Switch):
    """Ours, with a console."""

    @property
    def management(self) -> str:
        """Where its console is."""
        return str(self.home / "console")

    def command(self) -> list[str]:
        """How it is started."""
        return [*super().command(), "--nostdin", "-M", self.management, "-n", str(PORTS)]

    def memory(self) -> int:
        """KiB of it that are in memory (VmRSS of proc(5))."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s*(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1])


class Client(RawClient):
    """
    A client that is plugged in.

    @ivar source: its address.
    @ivar deaf: it does not read for a while.
    @ivar number: no other has had it.
    @ivar latest: the number of the last frame that came from each other client, by its number.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.source = b""
        self.deaf = False
        self.latest: dict[int, int] = {}
        self.number = next(_numbers)

    def arrived(self) -> bytes | None:
        """The next frame, if there is one."""
        try:
            # recv() would wait, since the socket has a timeout.
            return os.read(self.data.fileno(), 4096)
        except BlockingIOError:
            return None
