"""Whoever reads the log stands still: a paused pager, Control-S, a collector that hangs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons import eventually
from tests.gateways import Gateway, running_gateway
from tests.masters import Kernel, Master, running
from tests.switches import RawClient, StartSwitch, Switch
from tests.switches import running as running_switch


class Reader:
    """
    Reads a log, if it likes to.

    @ivar path: of what the log is written to.
    """

    path: Path
    descriptor: int

    def stand_still(self) -> None:
        """Read nothing, so that whoever writes more would stand still too."""
        raise NotImplementedError

    def go_on(self) -> None:
        """Let what is read come."""

    def read_until(self, text: str) -> str:
        """Read until a text comes; returns all that came."""
        self.go_on()
        found = ""

        def look() -> bool:
            nonlocal found
            with contextlib.suppress(BlockingIOError):
                found += os.read(self.descriptor, 1 << 16).decode()
            return text in found

        eventually(f"the log says {text!r}", look)
        return found


class PipeReader(Reader):
    """Has a pipe."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "pipe"
        os.mkfifo(self.path)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def stand_still(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.write(self.descriptor, b"-"):
                pass


class TerminalReader(Reader):
    """Has a terminal."""

    def __init__(self, directory: Path) -> None:
        self.descriptor, self._other_end = os.openpty()
        self.path = Path(os.ttyname(self._other_end))
        os.set_blocking(self.descriptor, False)

    def stand_still(self) -> None:
        """Control-S."""
        os.write(self.descriptor, b"\x13")

    def go_on(self) -> None:
        """Control-Q."""
        os.write(self.descriptor, b"\x11")


@pytest.fixture(params=[PipeReader, TerminalReader])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    """A reader of each kind."""
    made: Reader = request.param(tmp_path)
    return made


@pytest.fixture
def stuck_master(reader: Reader, tmp_path: Path) -> Iterator[Master]:
    """A master whose log's reader stands still."""
    master = Master(tmp_path, "--port", "0")
    master.log_path = reader.path
    with running(master):
        reader.stand_still()
        yield master


def test_a_master_goes_on(stuck_master: Master, reader: Reader) -> None:
    """Nodes come, talk and go; the log says all that, in order, to its end, once it is read."""
    for _ in range(2):
        with Kernel(("127.0.0.1", stuck_master.port)) as kernel:
            kernel.read_id()
            kernel.send(kernel.id, b"to itself, in 16")
            assert kernel.receive() == (kernel.id, b"to itself, in 16")
    stuck_master.wait_until_left(1)
    stuck_master.process.terminate()
    log = reader.read_until("Server Shut Down.")
    assert stuck_master.process.wait() == 0
    places = [
        log.index(f"node {node}: {what}")
        for node in (0, 1)
        for what in ("connected", "settled", "first message", "left")
    ]
    assert places == sorted(places)


def test_a_switch_and_its_gateway_go_on(tmp_path: Path) -> None:
    """Clients are plugged in, and the stop comes to its end; so does the gateway's."""
    reader = PipeReader(tmp_path)
    switch = Switch(tmp_path, "--nostdin", "--gateway")
    switch.log_path = reader.path
    with running_switch(switch):
        switch.wait_for_gateway()
        reader.stand_still()
        for _ in range(3):
            with RawClient(switch.sock).plug():
                pass
        assert switch.stop() == 0


def test_a_gateway_ends(tmp_path: Path, start_switch: StartSwitch) -> None:
    """So does a gateway's that runs alone."""
    reader = PipeReader(tmp_path)
    switch = start_switch()
    gateway = Gateway(tmp_path, switch)
    gateway.log_path = reader.path
    with running_gateway(gateway):
        reader.stand_still()
        assert gateway.stop() == 0
