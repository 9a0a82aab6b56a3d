"""A master, a switch with a console, gateways and guests of all kinds: all that a test needs."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import Self

from tests.crowds import Crowd
from tests.daemons import eventually
from tests.footprint import Footprint, family
from tests.gateways import FrameGuest, Gateway, Machine
from tests.masters import Kernel, Master
from tests.masters import running as running_master
from tests.switches import RawClient, Switch, switches

_numbers = itertools.count(1)


class Site:
    """
    All of it, until it is left.

    @ivar directory: for their logs.
    @ivar console: the path of the console of the switch.
    @ivar kernels: where the master listens for those that cannot reach its port.
    """

    def __init__(self, directory: Path, *, ports: int = 600) -> None:
        self.directory = directory
        self._stack = contextlib.ExitStack()
        self._ports = ports
        self._gateways: list[Gateway] = []
        self._asked: tuple[Sequence[str], Sequence[str]] = ((), ())
        self.console = str(directory / "mgmt")
        self.kernels = f"unix:{directory}/kernels"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            directory = self.directory / "master"
            directory.mkdir()
            words = ("--port", "0", "--listen", self.kernels, "--pace", "stream")
            master = Master(directory, *words, "--ids", "lowest")
            self.master = stack.enter_context(running_master(master))
            start = stack.enter_context(switches(self.directory))
            self.switch: Switch = start("-M", self.console, "-n", str(self._ports))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        for gateway in self._gateways:
            pids = family(gateway.process.pid)
            gateway.kill()
            # What it leaves behind is a test's to find, but not this machine's to keep.
            for pid in pids[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._stack.close()

    def use_gateway(self, *words: str, within: Sequence[str] = ()) -> Gateway:
        """A gateway with these words: the one that runs, or else a new one in its place."""
        if self._asked != (words, within) or not self._answers():
            self.end_gateway(signal.SIGKILL)
            self._asked = (words, within)
            self._start(words, within)
        return self.gateway

    def start_gateway_again(self) -> Gateway:
        """Start another as the last one, which has ended."""
        self._start(*self._asked)
        return self.gateway

    def _answers(self) -> bool:
        """Whether the gateway runs, and whatever an earlier test did, is not deaf."""
        if not self._gateways or self.gateway.process.poll() is not None:
            return False
        with self.attacker() as client:
            client.data.settimeout(3)
            with contextlib.suppress(TimeoutError):
                FrameGuest.on(client).arp("10.0.2.2")
                return bool(client.receive())
        return False

    def _start(self, words: Sequence[str], within: Sequence[str]) -> None:
        known = ("--control", self.master.control, "--mgmt", self.console)
        gateway = Gateway(self.directory, self.switch, *known, *words, within=within)
        self._gateways.append(gateway)
        gateway.start()

    @property
    def gateway(self) -> Gateway:
        """The last one that was started."""
        return self._gateways[-1]

    def end_gateway(self, number: int = signal.SIGTERM) -> None:
        """End the gateway, and see that no process of it is left, however it ended."""
        for gateway in self._gateways[-1:]:
            if gateway.process.poll() is None:
                gateway.stop(number)
            eventually(
                "all of its processes have ended",
                lambda pid=gateway.process.pid: not family(pid),
            )
        eventually("it is not plugged in", lambda: not self.switch.gateways())

    def footprint(self) -> Footprint:
        """What the gateway holds now."""
        return Footprint.of(self.gateway.process.pid)

    def machine(self, address: str | None) -> Machine:
        """A guest with Linux's own TCP."""
        return Machine(self.switch.sock, address, f"gs{os.getpid()}x{next(_numbers)}")

    @contextlib.contextmanager
    def neighbour(self, address: str) -> Iterator[Neighbour]:
        """A guest whose stream of messages is checked until the end."""
        with self.machine(address) as machine, Neighbour(machine) as neighbour:
            yield neighbour

    def attacker(self) -> RawClient:
        """A client that sends frames."""
        return RawClient(self.switch.sock).plug()

    def crowd(self) -> Crowd:
        """Guests made of frames."""
        return Crowd(self.switch.sock)


@contextlib.contextmanager
def running_site() -> Iterator[Site]:
    """A site with a directory of its own, on a machine that has libslirp."""
    assert find_library("slirp") is not None, "apt-get install libslirp0"
    with tempfile.TemporaryDirectory() as directory, Site(Path(directory)) as site:
        yield site


class Neighbour:
    """
    A machine whose messages to itself go through the master, and are checked byte for byte.

    @ivar machine: it.
    @ivar checked: how many have come back as they were sent.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.kernel: Kernel = machine.connect()
        self.kernel.read_id()
        self.checked = 0
        self._failure: BaseException | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._exchange)

    def _exchange(self) -> None:
        numbers = random.Random(self.kernel.id)
        try:
            while not self._end.is_set():
                sent = [numbers.randbytes(numbers.randrange(1, 2000)) for _ in range(8)]
                for payload in sent:
                    self.kernel.send(self.kernel.id, payload)
                for payload in sent:
                    got = self.kernel.receive()
                    assert got == (self.kernel.id, payload), f"message {self.checked}"
                    self.checked += 1
                # Time for others; this is not a benchmark.
                self._end.wait(0.002)
        except BaseException as error:
            self._failure = error

    @property
    def failure(self) -> BaseException | None:
        """What ended its stream."""
        return self._failure

    def goes_on(self, messages: int = 20) -> None:
        """So many more come back as they were sent. Raises AssertionError if they do not."""
        enough = self.checked + messages

        def look() -> bool:
            if self._failure is not None:
                name = self.machine.name
                raise AssertionError(f"the stream of {name} broke: {self._failure!r}")
            return self.checked >= enough

        eventually(f"{messages} more messages come back", look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        with contextlib.suppress(OSError):
            # It may wait for what never comes.
            self.kernel.socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.kernel.close()
