"""Switches as processes, with a console."""

from __future__ import annotations

import contextlib
import shlex
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.daemons import TWISTD
from tests.switches import Switch, switches


class ConsoleSwitch(Switch):
    """Ours, with a console."""

    @property
    def management(self) -> str:
        """Where its console is."""
        return str(self.home / "console")

    def is_ready(self) -> bool:
        """Whether clients can connect, and its console too."""
        return self.listens() and _answers(self.management)

    def daemon_log(self) -> str:
        """What it has logged, where C{log} is what it has shown."""
        return (self.home / "log").read_text()

    def command(self) -> list[str]:
        """How it is started."""
        options = [option for option in self.options if option != "stdin"]
        stdin = [] if "stdin" in self.options else ["--nostdin"]
        return [
            TWISTD, "--nodaemon", "--pidfile=", "--rundir", str(self.home),
            "--logfile", str(self.home / "log"),
            "distnet-vde", "--strict-vlans", "-sock", str(self.sock), "-M", self.management,
            "--control", "none", *stdin, *options,
        ]  # fmt: skip


class TerminalSwitch(ConsoleSwitch):
    """Ours, at a terminal."""

    def command(self) -> list[str]:
        """How it is started."""
        return ["script", "-qec", shlex.join(super().command()), "/dev/null"]


class ConsoleVdeSwitch(ConsoleSwitch):
    """vde_switch, with a console."""

    def command(self) -> list[str]:
        """How it is started."""
        options = [option for option in self.options if option != "stdin"]
        return ["vde_switch", "-sock", str(self.sock), "-M", self.management, *options]


class RedirectedSwitch(ConsoleSwitch):
    """Ours, with a file, its only option, as its standard input."""

    def redirection(self) -> str:
        """As a shell has it."""
        return f"<{shlex.quote(self.options[0])}"

    def command(self) -> list[str]:
        """How it is started."""
        words = [word for word in super().command()[:-1] if word != "--nostdin"]
        return ["sh", "-c", f"exec {shlex.join(words)} {self.redirection()}"]


class ClosedSwitch(RedirectedSwitch):
    """Ours, with a descriptor closed, as its only option says."""

    def redirection(self) -> str:
        """As a shell has it."""
        return self.options[0]


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


Start = Callable[..., ConsoleSwitch]


@contextlib.contextmanager
def console_switches(directory: Path) -> Iterator[Start]:
    """What starts them, with options, ours unless another kind is named."""
    with switches(directory) as start_any:

        def start(*options: str, kind: type[ConsoleSwitch] = ConsoleSwitch) -> ConsoleSwitch:
            switch = start_any(*options, kind=kind)
            assert isinstance(switch, ConsoleSwitch)
            return switch

        yield start
