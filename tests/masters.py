"""A master as a process: C{twistd -n distnet} on ports and paths of its own, for tests.

With DISTNET_PACE=stream the masters whose options do not name a pace have that one, and so route
by native code; with DISTNET_NATIVE=0 as well, by Python at the same pace.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from distnet.control.ask import ask
from distnet.wire import HEADER, encode_message
from tests import daemons
from tests.daemons import PATIENCE, TWISTD, Daemon, answer, eventually

PACE = os.environ.get("DISTNET_PACE", "")
"""The pace of a master whose options name none; nothing is the master's own default."""
_BLOCK = bytes(range(250)) * 4


class Master(Daemon):
    """
    One C{twistd -n distnet}, in a directory of its own.

    @ivar control: the path of its control socket, and C{tools} that of the tools'.
    @ivar options: the words after C{distnet}, but for those that keep it to its directory.
    @ivar within: a command that runs it, like C{prlimit --nofile=64}.
    @ivar passed: descriptors that it inherits.
    @ivar twistd_options: further options of C{twistd} itself.
    """

    noun = "master"

    def __init__(
        self,
        directory: Path,
        *options: str,
        environment: dict[str, str] | None = None,
        twistd: str = TWISTD,
    ) -> None:
        super().__init__(directory / "log")
        self.directory = directory
        self.options = options
        self.within: list[str] = []
        self.passed: tuple[int, ...] = ()
        self.twistd_options: list[str] = []
        self._twistd = twistd
        self.control = str(directory / "control")
        self.tools = f"{self.control}.tools"
        self._environment = {**daemons.environment(), **(environment or {})}
        self._log_start = 0
        self._port: int | None = None

    def command(self) -> list[str]:
        """How it is started."""
        pace = ["--pace", PACE] if PACE and "--pace" not in self.options else []
        return [
            *self.within,
            self._twistd, "--nodaemon", "--pidfile=", *self.twistd_options,
            "distnet", "--control", self.control, *pace, *self.options,
        ]  # fmt: skip

    def launch(self) -> None:
        """Start it."""
        self._port = None
        self._log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.directory, env=self._environment, stdout=log, stderr=log,
                pass_fds=self.passed,
            )  # fmt: skip

    def is_ready(self) -> bool:
        """Whether it answers: its reactor runs, so all that it listens at is there."""
        return answer(self.control, "/status") is not None

    @property
    def port(self) -> int:
        """The first TCP port that it listens at."""
        if self._port is None:
            self._port = int(self.address("tcp:").rpartition(":")[2])
        return self._port

    def address(self, start: str) -> str:
        """The first address that it listens at that starts so."""
        for listener in self.status()["listeners"]:
            if listener["address"].startswith(start):
                return str(listener["address"])
        raise AssertionError(f"it does not listen at {start}")

    def log(self) -> str:
        """What it has logged since it was last started."""
        with self.log_path.open() as log:
            log.seek(self._log_start)
            return log.read()

    def ask(self, path: str) -> Any:
        """What the control interface says."""
        return ask(self.control, path)[1]

    def status(self) -> dict[str, Any]:
        """All that the control interface says."""
        status: dict[str, Any] = self.ask("/status")
        return status

    def node(self, node: int) -> dict[str, Any]:
        """What the control interface says of a node."""
        described: dict[str, Any] = self.ask(f"/nodes/{node}")
        return described

    def wait_until_left(self, node: int) -> None:
        """Wait until no node has an id any more."""
        self.wait_until(
            f"node {node} has left", lambda: self.node(node)["state"] in {"expected", "gone"}
        )

    def undelivered(self) -> dict[str, int]:
        """How many messages were not delivered, by reason; without those that are 0."""
        counted = self.status()["counters"]["undelivered"]
        return {reason: tally["messages"] for reason, tally in counted.items() if tally["messages"]}


@contextlib.contextmanager
def running(master: Master) -> Iterator[Master]:
    """A master that runs, and does not any more afterwards."""
    try:
        yield master.start()
    finally:
        master.kill()


class Kernel:
    """
    A node with a plain blocking socket and a kernel's habits, which reads when it is told to.

    @ivar id: once L{read_id} was called.
    """

    def __init__(
        self, address: tuple[str, int] | str, *, receive_buffer: int | None = None
    ) -> None:
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        self.id = -1

    def read_id(self) -> int:
        """One read of at most 10 bytes, all of which must be digits."""
        greeting = self.socket.recv(10)
        assert greeting.isdigit(), f"a kernel panics on {greeting!r} for its id"
        self.id = int(greeting)
        return self.id

    def send(self, dest: int, payload: bytes) -> None:
        """Send a message."""
        self.socket.sendall(encode_message(dest, payload))

    def receive(self) -> tuple[int, bytes]:
        """The next message, as (source, payload). Raises TimeoutError, ConnectionError."""
        source, length = HEADER.unpack(self._exactly(HEADER.size))
        return source, self._exactly(length)

    def fill(self, master: Master, dest: int, at_least: int) -> list[tuple[int, bytes]]:
        """Send to a node that does not read until some waits for it; what it will receive."""
        sent: list[bytes] = []
        before = master.ask("/counters")["received"]["messages"]
        while len(sent) < at_least or not master.node(dest)["waiting"]["messages"]:
            # With --pace stream, only what the sockets do not hold waits.
            for number in range(len(sent), max(at_least, 2 * len(sent))):
                sent.append(number.to_bytes(4) + _BLOCK[: number % len(_BLOCK)])
                self.send(dest, sent[-1])
            eventually(
                "the master has them",
                lambda: master.ask("/counters")["received"]["messages"] == before + len(sent),
            )
        return [(self.id, payload) for payload in sent]

    def is_silent(self, seconds: float = 0.4) -> bool:
        """Whether nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE)

    def is_at_end(self) -> bool:
        """Whether the master has closed the connection, and all that it sent has been read."""
        return not self.socket.recv(1, socket.MSG_PEEK)

    def is_closed(self) -> bool:
        """Whether the master has closed the connection, when all that it sent has been read."""
        try:
            return not self.socket.recv(1)
        except ConnectionResetError:
            return True

    def quit(self) -> None:
        """Disconnect as kernels do."""
        self.socket.sendall(b"quit")
        self.socket.close()

    def reset(self) -> None:
        """End the connection by RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise ConnectionError(f"the master closed the connection after {data!r}")
            data += more
        return data
