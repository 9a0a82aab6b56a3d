"""One kernel of a cluster: its QEMU, its console, what is told of it when something goes wrong."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Final

from distnet.cluster.config import NodeConfig
from distnet.cluster.directory import RunDirectory
from distnet.cluster.log import Follower, last_lines, size
from distnet.cluster.record import end, read_record, start
from distnet.errors import MachineError
from distnet.nic import what_is_missing
from distnet.processes import how_ended

POLL: Final = 0.05
"""Seconds between two looks at what is waited for."""
TOLD_LINES: Final = 25
"""How many lines of the console of a node an error has."""


class ClusterError(MachineError):
    """A cluster did not do what was asked for; the message ends with what there is to know."""


class Node:
    """
    A kernel.

    @ivar command: the command line of its QEMU.
    @ivar log: the file with all that it has written to its console.
    """

    def __init__(
        self, config: NodeConfig, run: RunDirectory, command: list[str], log: Path, directory: Path
    ) -> None:
        """
        @param directory: where QEMU runs, for the paths in its command line.
        """
        self.id = config.id
        self.config = config
        self.command = command
        self.log = log
        self._run = run
        self._directory = directory
        self._errors = log.with_suffix(".qemu")
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._log_start = 0
        self._console = Follower(log)
        self._text = ""

    @property
    def name(self) -> str:
        """What it is called in messages: C{node 3}."""
        return f"node {self.id}"

    @property
    def ip(self) -> str:
        """Its address, if its kernel takes the one that it is given."""
        return self.config.addresses.ip

    # Life

    def start(self) -> None:
        """Start QEMU; what its console says goes to the log. Raises OSError."""
        self._log_start = size(self.log)
        self._console = Follower(self.log, self._log_start)
        self._text = ""
        self._began = time.monotonic()
        keyboard = self._run.node(self.id, "console")
        if not keyboard.exists():
            os.mkfifo(keyboard, 0o600)
        # Opened for both, it is never at its end.
        with (
            open(os.open(keyboard, os.O_RDWR), "rb", buffering=0) as typed,
            self.log.open("ab") as said,
            self._errors.open("wb") as errors,
        ):
            self._process = start(
                self._run.record(f"node-{self.id}"),
                self.command,
                # A QEMU whose guest stands still may not end when it is asked to.
                signal.SIGKILL,
                cwd=self._directory,
                stdin=typed,
                stdout=said,
                stderr=errors,
            )

    @property
    def pid(self) -> int:
        """The number of its process, which may have ended."""
        if self._process is None:
            raise ClusterError(f"{self.name} was not started")
        return self._process.pid

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self._began

    @property
    def returncode(self) -> int | None:
        """QEMU's exit status; None while it runs; negative if a signal ended it."""
        return self._process.poll() if self._process is not None else None

    @property
    def running(self) -> bool:
        """Whether its QEMU runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self, grace: float = 5.0) -> None:
        """End QEMU, with a signal that it can heed, and after C{grace} seconds with one it must."""
        if self._process is None:
            return
        # One that was started a moment ago may not be on record yet.
        record = read_record(self._run.record(f"node-{self.id}"))
        if record is not None and record.pid == self._process.pid:
            end([record], grace)
        else:
            self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """End QEMU at once: to the others the machine is gone without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until QEMU has ended; its exit status. Raises L{ClusterError}."""
        deadline = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{self.name} has not ended within {timeout:g} s\n{self.report()}"
                )
            time.sleep(POLL)
        assert self.returncode is not None
        return self.returncode

    # Console

    @property
    def console(self) -> str:
        """All that came on its console since it was started; it may end within a line."""
        self._text += self._console.read()
        return self._text

    def wait_for(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """
        The first match on its console since it was started, once there is one.

        @param pattern: a regular expression; ^ and $ are the ends of lines. A line may be there in
            part: let the pattern end in a line feed to have the whole.
        @raise ClusterError: none came within C{timeout} seconds, or QEMU ended without.
        """
        expression = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + timeout
        while True:
            running = self.running  # Before the look: what it wrote last is to be seen.
            if found := expression.search(self.console):
                return found
            if not running:
                raise ClusterError(f"{self.name} ended without {pattern!r}\n{self.report()}")
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{self.name}: no {pattern!r} within {timeout:g} s\n{self.report()}"
                )
            time.sleep(POLL)

    def type(self, text: str) -> None:
        """Write to its console, as at a keyboard. Raises OSError."""
        type_at(self._run.node(self.id, "console"), text.encode())

    # When something is wrong

    @property
    def state(self) -> str:
        """Whether its QEMU runs, or how it ended, in words."""
        if self._process is None:
            return "not started"
        if self.returncode is None:
            return "runs"
        return how_ended(self.returncode)

    def tail(self, lines: int = TOLD_LINES) -> list[str]:
        """What QEMU itself had to say, and the last lines of the console since it was started."""
        return [*last_lines(self._errors, lines), *last_lines(self.log, lines, self._log_start)]

    @property
    def cure(self) -> str:
        """What to do about what QEMU has said of its network card; nothing if that is not it."""
        missing = what_is_missing("\n".join(last_lines(self._errors, TOLD_LINES)))
        return f": {missing}" if missing is not None else ""

    def report(self, lines: int = TOLD_LINES) -> str:
        """What there is to know: its state, QEMU's command line, the last lines of the console."""
        tail = self.tail(lines) or ["nothing on the console"]
        return "\n".join(
            [
                f"{self.name}: QEMU {self.state}",
                f"  {shlex.join(self.command)}",
                *(f"  | {line}" for line in tail),
            ]
        )


def type_at(keyboard: Path, data: bytes) -> None:
    """Write to the console of a node, by the pipe that its QEMU reads; OSError if none does."""
    descriptor = os.open(keyboard, os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
