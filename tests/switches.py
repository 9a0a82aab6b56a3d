"""A switch as a process, ours or vde_switch, in a directory of its own; and clients for it."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import Any, Self

from distnet.control.paths import SWITCH
from distnet.guestnet import GATEWAY
from distnet.vdewire import Request, RequestType, encode_request, parse_reply
from tests.console.asking import console
from tests.daemons import PATIENCE, TWISTD, Daemon, answer, environment, eventually

BROADCAST = b"\xff" * 6
REPLY_SIZE = 110

_numbers = itertools.count(1)


def mac(number: int) -> bytes:
    """An address for a client."""
    return b"\x02\x00" + number.to_bytes(4, "big")


def frame(destination: bytes, source: bytes, payload: bytes = b"") -> bytes:
    """An Ethernet frame of an experimental type."""
    return destination + source + b"\x88\xb5" + payload


class Switch(Daemon):
    """
    One switch.

    @ivar sock: the directory that it listens in.
    @ivar control: the path of its control socket.
    @ivar options: its options, but for that.
    @ivar within: a command that runs it, like C{setpriv}.
    """

    noun = "switch"

    def __init__(self, directory: Path, *options: str, within: Sequence[str] = ()) -> None:
        super().__init__(directory / "switch.log")
        # Not within pytest's directory, which is too long for the path of a socket.
        self.home = Path(tempfile.mkdtemp(prefix="switch"))
        self.home.chmod(0o777)
        self.sock = self.home / "s"
        self.control = str(self.home / "control")
        self.options = options
        self.within = list(within)

    def environment(self) -> dict[str, str]:
        """The variables that it is started with."""
        # What its gateway remembers is nobody else's.
        return environment(XDG_RUNTIME_DIR=str(self.home))

    def command(self) -> list[str]:
        """How it is started."""
        return [
            *self.within,
            TWISTD, "--nodaemon", "--pidfile=", "--rundir", str(self.home),
            "distnet-vde", "-sock", str(self.sock), "--control", self.control, *self.options,
        ]  # fmt: skip

    def launch(self) -> None:
        """Start it."""
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )

    def is_ready(self) -> bool:
        """Whether it answers: its reactor runs, so all that it listens at is there."""
        return answer(self.control, "/status", SWITCH) is not None

    def listeners(self, kind: str) -> list[dict[str, Any]]:
        """Where it listens for QEMU's C{-netdev} of a kind, as its status has it."""
        told = answer(self.control, "/status", SWITCH)["listeners"]
        return [listener for listener in told if listener["kind"] == kind]

    def listens(self) -> bool:
        """Whether clients can connect."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.sock / "ctl")) == 0

    def plugged_in(self) -> list[tuple[int, str]]:
        """What is plugged in: at which port, and what it says of itself."""
        ports = answer(self.control, "/ports", SWITCH) or []
        return [(port["number"], end["description"]) for port in ports for end in port["endpoints"]]

    def wait_until_unplugged(self, who: str) -> None:
        """Wait until nothing is plugged in that says something like this of itself."""
        self.wait_until(
            f"{who} is unplugged", lambda: not any(who in said for _, said in self.plugged_in())
        )

    def gateways(self) -> int:
        """How many gateways are plugged in."""
        return sum(GATEWAY in said for _, said in self.plugged_in())

    def wait_for_gateway(self) -> None:
        """Wait until its gateway is plugged in: all that it needs for its guests is there then."""
        self.wait_until("a gateway is plugged in", self.gateways)

    def sockets(self) -> list[str]:
        """The names of the data sockets that there are, without the descriptors in them."""
        return sorted(path.name.partition(".")[0] for path in self.sock.glob("[0-9]*.[0-9]*"))

    def descriptors(self) -> int:
        """How many descriptors the process has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def descriptors_at_rest(self) -> int:
        """
        The same, once its reactor runs and nobody is plugged in.

        It can be connected to before it has opened the last of what it keeps open.
        """
        with RawClient(self.sock).plug():
            pass
        eventually("the only client has gone", lambda: self.sockets() == [])
        return self.descriptors()


class VdeSwitch(Switch):
    """The vde_switch of Debian's package vde2."""

    def command(self) -> list[str]:
        """How it is started."""
        return [*self.within, "vde_switch", "-sock", str(self.sock), *self.options]

    def is_ready(self) -> bool:
        """Whether clients can connect, which is all that it shows."""
        return self.listens()

    def gateways(self) -> int:
        """How many gateways are plugged in; it must have been given a console by C{-M}."""
        where = Path(self.options[self.options.index("-M") + 1])
        return console(where, "port/print").count(GATEWAY)


@contextlib.contextmanager
def running(switch: Switch) -> Iterator[Switch]:
    """A switch that runs, and does not any more afterwards."""
    try:
        yield switch.start()
    finally:
        switch.kill()
        assert switch.process.stdin is not None
        switch.process.stdin.close()
        subprocess.run(["rm", "-rf", str(switch.home)], check=True)


StartSwitch = Callable[..., Switch]
"""Starts a switch with options, as a C{kind}, C{within} a command."""


@contextlib.contextmanager
def switches(directory: Path) -> Iterator[StartSwitch]:
    """What starts switches with options; they are gone afterwards."""
    with contextlib.ExitStack() as stack:

        def start(*options: str, within: Sequence[str] = (), kind: type[Switch] = Switch) -> Switch:
            home = directory / f"switch{len(list(directory.iterdir()))}"
            home.mkdir()
            return stack.enter_context(running(kind(home, *options, within=within)))

        yield start


class RawClient:
    """A client that speaks the control protocol itself, with blocking sockets."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.own = directory / f".{os.getpid():05d}-{next(_numbers):05d}"
        self.control = socket.socket(socket.AF_UNIX)
        self.control.settimeout(PATIENCE)
        self.control.connect(str(directory / "ctl"))
        self.data = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.data.settimeout(PATIENCE)
        self.data.bind(str(self.own))
        self.path = Path()

    def ask(self, data: bytes) -> bytes:
        """Send a request, and return the reply, or nothing if the switch closes the connection."""
        self.control.sendall(data)
        return self.control.recv(1024)

    def request(
        self, port: int = 0, description: str = "", *, version: int = 3, managed: bool = False
    ) -> bytes:
        """The bytes of a request."""
        kind = RequestType.MANAGEMENT if managed else RequestType.NEW_PORT
        return encode_request(Request(version, kind, port, os.fsencode(self.own), description))

    def plug(self, port: int = 0, description: str = "a test", **how: bool) -> Self:
        """Ask for a port, and connect to it."""
        reply = self.ask(self.request(port, description, **how))
        assert len(reply) == REPLY_SIZE, f"no port was given: {reply!r}"
        self.path = Path(os.fsdecode(parse_reply(reply)))
        self.data.connect(str(self.path))
        return self

    @property
    def port(self) -> int:
        """The number of its port."""
        return int(self.path.name.partition(".")[0])

    def send(self, data: bytes) -> None:
        """Send a frame."""
        self.data.send(data)

    def receive(self) -> bytes:
        """The next frame."""
        return self.data.recv(1 << 20)

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether no frame comes for so long."""
        self.data.settimeout(seconds)
        try:
            return not self.data.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return True
        finally:
            self.data.settimeout(PATIENCE)

    def close(self) -> None:
        """Leave, without a trace."""
        self.control.close()
        self.data.close()
        self.own.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class _OpenArguments(ctypes.Structure):
    _fields_ = [("port", ctypes.c_int), ("group", ctypes.c_char_p), ("mode", ctypes.c_uint)]


_INTERFACE_VERSION = 1
"""Of C{struct vde_open_args}, as vde_open_real(3) has it."""


class LibVdePlug:
    """A client that is libvdeplug."""

    def __init__(self, directory: Path, port: int = 0, description: str = "libvdeplug") -> None:
        name = find_library("vdeplug")
        assert name is not None, "apt-get install libvdeplug2"
        self._library = library = ctypes.CDLL(name, use_errno=True)
        library.vde_open_real.restype = ctypes.c_void_p
        for function in (library.vde_recv, library.vde_send):
            function.restype = ctypes.c_ssize_t
            function.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
        for function in (library.vde_datafd, library.vde_ctlfd, library.vde_close):
            function.argtypes = [ctypes.c_void_p]
        self._plug = library.vde_open_real(
            str(directory).encode(),
            description.encode(),
            _INTERFACE_VERSION,
            ctypes.byref(_OpenArguments(port, None, 0o700)),
        )
        if not self._plug:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def fileno(self) -> int:
        """The descriptor of the data socket."""
        return int(self._library.vde_datafd(self._plug))

    def send(self, data: bytes) -> None:
        """Send a frame."""
        sent = self._library.vde_send(self._plug, data, len(data), 0)
        assert sent == len(data), f"{sent} of {len(data)} bytes were sent"

    def receive(self) -> bytes:
        """The next frame."""
        buffer = ctypes.create_string_buffer(1 << 17)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            size = self._library.vde_recv(self._plug, buffer, len(buffer), socket.MSG_DONTWAIT)
            if size > 0:
                return buffer.raw[:size]
            time.sleep(0.001)
        raise TimeoutError

    def close(self) -> None:
        """Leave."""
        if self._plug:
            self._library.vde_close(self._plug)
            self._plug = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
