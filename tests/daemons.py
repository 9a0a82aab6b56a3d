"""What masters, switches and gateways of the tests have alike: each is a process with a log."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

from distnet.control.ask import NoMaster, ask
from distnet.control.paths import MASTER, Kind

ROOT = Path(__file__).parent.parent
TWISTD = str(Path(sys.executable).parent / "twistd")
PATIENCE = float(os.environ.get("DISTNET_PATIENCE", "30"))
"""Seconds after which something that must happen is given up."""


def environment(**more: str) -> dict[str, str]:
    """That of what a test starts: this process's own, and the checkout's modules are found."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def eventually(what: str, found: Any, patience: float = PATIENCE) -> Any:
    """The first true thing that C{found} returns. Raises AssertionError naming C{what}."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {patience} s")


def until(what: str, found: Callable[[], Any], patience: float = PATIENCE) -> Iterator[int]:
    """
    The numbers from 0 on, until C{found} returns something true: for what is repeated so often.

    How much the buffers of a machine hold is its own affair, so tests fill them and do not count.
    Raises AssertionError naming C{what}.
    """
    deadline = time.monotonic() + patience
    for number in itertools.count():
        if found():
            return
        assert time.monotonic() < deadline, f"{what}: not within {patience} s, {number} times"
        yield number


def connect_and_reset(address: Any) -> None:
    """Connect to a path, or a host and port, and reset the connection at once."""
    if isinstance(address, str):
        family = socket.AF_UNIX
    else:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.connect(address)


def free_low_port() -> int:
    """A TCP port that takes the privilege to listen at."""
    for port in range(700, 1024):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("none is free")


class Daemon:
    """
    One process that runs until it is told to stop.

    @cvar noun: what it is.
    @ivar log_path: the file that its output goes to.
    """

    noun: ClassVar[str]

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    def is_ready(self) -> bool:
        """Whether all that it offers is there, as it answers itself or others see it."""
        raise NotImplementedError

    def launch(self) -> None:
        """Start it."""
        raise NotImplementedError

    def start(self) -> Self:
        """Start it, and wait until it is ready. Raises AssertionError with its log if it ends."""
        self.launch()
        self.wait_until("it is ready", self.is_ready)
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process."""
        assert self._process is not None
        return self._process

    def log(self) -> str:
        """What it has logged."""
        return self.log_path.read_text()

    def wait_until(self, what: str, found: Callable[[], Any]) -> Any:
        """
        The first true thing that C{found} returns, while it runs or once it has ended.

        @raise AssertionError: not in time; or it has ended before, which its log may explain.
        """

        def look() -> Any:
            # Before the look: it may have ended just after what is looked for.
            ended = self.process.poll() is not None
            result = found()
            if ended and not result:
                raise AssertionError(f"the {self.noun} ended before {what}:\n{self.log()}")
            return result

        return eventually(f"the {self.noun}: {what}", look)

    def wait_for_log(self, text: str) -> str:
        """The log, once it has a text."""
        found = self.wait_until(
            f"its log says {text!r}", lambda: text in (log := self.log()) and log
        )
        return str(found)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """It stands still within the C{with} statement, and whatever comes to it waits."""
        os.kill(self.process.pid, signal.SIGSTOP)
        yield
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def answer(control: str, path: str, kind: Kind = MASTER) -> Any:
    """What the control interface says, or None while nobody answers there."""
    with contextlib.suppress(NoMaster):
        return ask(control, path, PATIENCE, kind=kind)[1]
    return None
