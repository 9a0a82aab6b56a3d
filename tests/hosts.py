"""Another machine for tests: a network namespace with a cable to this one. Needs root."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class OtherMachine:
    """
    A host with a network stack of its own.

    @ivar name: of its network namespace.
    @ivar address: its address, and C{here} that of this machine as it sees it.
    """

    name: str
    address: str
    here: str

    def run(self, what: Callable[[], Any]) -> Any:
        """Do something there; sockets that it makes stay there."""
        outcome: list[Any] = []

        def there() -> None:
            with Path(f"/run/netns/{self.name}").open() as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            outcome.append(what())

        thread = threading.Thread(target=there)
        thread.start()
        thread.join()
        return outcome[0]


@contextlib.contextmanager
def other_machine() -> Iterator[OtherMachine]:
    """Make one, and take it away afterwards."""
    number = os.getpid() % 250
    machine = OtherMachine(f"distnet{os.getpid()}", f"10.99.{number}.2", f"10.99.{number}.1")
    cable = f"dn{os.getpid()}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    ip("netns", "add", machine.name)
    try:
        ip("link", "add", f"{cable}a", "type", "veth", "peer", "name", f"{cable}b",
           "netns", machine.name)  # fmt: skip
        ip("addr", "add", f"{machine.here}/24", "dev", f"{cable}a")
        ip("link", "set", f"{cable}a", "up")
        ip("-n", machine.name, "addr", "add", f"{machine.address}/24", "dev", f"{cable}b")
        ip("-n", machine.name, "link", "set", f"{cable}b", "up")
        ip("-n", machine.name, "link", "set", "lo", "up")
        yield machine
    finally:
        # A connection that has not ended keeps the namespace, and with it the cable.
        subprocess.run(["ip", "link", "del", f"{cable}a"], capture_output=True, check=False)
        ip("netns", "del", machine.name)
