"""The routers that are compared, as processes: ours, nats-server, and the least that would do."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.checkout import Checkout
from bench.compared import subject_at
from bench.compiled import compiled
from bench.messages import ENDLESS, NOWHERE, Place, Reader, Wire
from bench.processes import memory
from tests.daemons import PATIENCE, ROOT, TWISTD, environment, eventually
from tests.masters import Master

NATS = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "nats-server"
"""Debian has it where not everybody looks for programs."""
RELAY_SOURCE = Path(__file__).with_name("relay.c")
POLL_SECONDS = 0.001
SLOW_MOST = 100_000
WITHOUT_NATIVE = ("env", "DISTNET_NATIVE=0")
"""Before a command of ours: it runs without native code."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    Something that carries messages.

    @ivar command: what starts it, given a directory of its own and a port, 0 for any.
    @ivar listening: finds its port in what it prints; None if there is no router at all.
    @ivar unix: it is reached at the unix socket C{nodes} in its directory.
    @ivar environment: gives the variables that it is started with.
    @ivar reader: how those read to whom it sends, if their messages are small enough for a segment.
    @ivar most: messages of one stream, of all senders together: what waits in sockets when they
        end must not take a slow one minutes.
    """

    name: str
    wire: Wire
    command: Callable[..., Sequence[str]]
    listening: re.Pattern[str] | None
    unix: bool = False
    environment: Callable[[], dict[str, str]] = environment
    reader: Reader = Reader.STREAM
    most: int = ENDLESS

    def at(self, checkout: Checkout) -> Contestant:
        """The master of another checkout, with the same options."""
        return replace(
            self,
            name=subject_at(self.name, checkout.commit),
            command=partial(self.command, twistd=checkout.twistd),
            environment=checkout.environment,
        )


def _paced(directory: Path, port: int, twistd: str = TWISTD) -> Sequence[str]:
    options = ["--port", str(port), "--listen", f"unix:{directory}/nodes"]
    return Master(directory, *options, twistd=twistd).command()


def _paced_pure(directory: Path, port: int, twistd: str = TWISTD) -> Sequence[str]:
    return [*WITHOUT_NATIVE, *_paced(directory, port, twistd)]


def _ours(directory: Path, port: int, twistd: str = TWISTD) -> Sequence[str]:
    return [*_paced(directory, port, twistd), "--pace", "stream"]


def _pure(directory: Path, port: int, twistd: str = TWISTD) -> Sequence[str]:
    return [*WITHOUT_NATIVE, *_ours(directory, port, twistd)]


def _toy(directory: Path, port: int, *more: str) -> Sequence[str]:
    return [sys.executable, str(ROOT / "tests/guest/toy_server.py"), str(port), *more]


def _toy_printing(directory: Path, port: int) -> Sequence[str]:
    return _toy(directory, port, "--print")


def _theirs(directory: Path, port: int) -> Sequence[str]:
    # It takes -1 for any port.
    return [NATS, "-a", "127.0.0.1", "-p", str(port or -1)]


def _relay(directory: Path, port: int) -> Sequence[str]:
    return [str(compiled(RELAY_SOURCE)), f"{directory}/nodes"]


_OUR_LOG = re.compile(r"listening at tcp:127\.0\.0\.1:(\d+)")
_RELAY_LOG = re.compile(r"^(\d+)$", re.MULTILINE)
_TOY_LOG = re.compile(r"^port (\d+)$", re.MULTILINE)
PACED = Contestant("distnet", Wire.DISTNET, _paced, _OUR_LOG, reader=Reader.CHUNKS)
PACED_PURE = Contestant("distnet, pure", Wire.DISTNET, _paced_pure, _OUR_LOG, reader=Reader.CHUNKS)
PACED_UNIX = replace(PACED, name="distnet, unix", unix=True)
TOY = Contestant("server.py", Wire.DISTNET, _toy, _TOY_LOG, reader=Reader.CHUNKS, most=SLOW_MOST)
TOY_PRINTING = replace(TOY, name="server.py, printing", command=_toy_printing)
OURS = Contestant("distnet", Wire.DISTNET, _ours, _OUR_LOG)
THEIRS = Contestant(
    "nats-server",
    Wire.NATS,
    _theirs,
    re.compile(r"client connections on 127\.0\.0\.1:(\d+)[^$]*Server is ready"),
)
PURE = Contestant("distnet, pure", Wire.DISTNET, _pure, _OUR_LOG)
OURS_UNIX = Contestant("distnet, unix", Wire.DISTNET, _ours, _OUR_LOG, unix=True)
RELAY = Contestant("C relay", Wire.DISTNET, _relay, _RELAY_LOG)
NOTHING = Contestant("no router", Wire.DIRECT, lambda directory, port: (), None)
CONTESTANTS = (OURS, PURE, THEIRS, OURS_UNIX, RELAY, NOTHING)
STREAM = replace(OURS, name="distnet --pace stream")
PACED_CONTESTANTS = (PACED, PACED_PURE, TOY, PACED_UNIX, STREAM, TOY_PRINTING, THEIRS)
"""At the default pace, beside what that replaces, and what the pace costs."""


@contextlib.contextmanager
def started(contestant: Contestant, core: int | None = None) -> Iterator[Place]:
    """
    A fresh router.

    @param core: the processor that it may use; all if None.
    """
    if contestant.listening is None:
        yield NOWHERE
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        within = [] if core is None else ["taskset", "--cpu-list", str(core)]
        command = [*within, *contestant.command(directory, 0)]
        with _process(command, directory, contestant.environment()) as process:
            port = eventually("the router listens", lambda: _port(contestant, process, directory))
            address = f"{directory}/nodes" if contestant.unix else port
            yield Place(contestant.wire, address, process.pid)


@contextlib.contextmanager
def _process(
    command: Sequence[str], directory: Path, variables: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / "out").open("wb") as out:
        process = subprocess.Popen(command, cwd=directory, env=variables, stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _port(contestant: Contestant, process: subprocess.Popen[bytes], directory: Path) -> str | None:
    assert contestant.listening is not None
    said = (directory / "out").read_text()
    assert process.poll() is None, f"{contestant.name} has ended:\n{said}"
    found = contestant.listening.search(said)
    return found and found[1]


def first_answer(contestant: Contestant) -> tuple[float, int]:
    """
    Start a router and ask it again and again whether it is there.

    @return: seconds until the first answer, and bytes of memory that it has then.
    """
    with tempfile.TemporaryDirectory() as name, socket.socket() as chosen:
        chosen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
        chosen.close()
        began = time.monotonic()
        command, variables = contestant.command(Path(name), port), contestant.environment()
        with _process(command, Path(name), variables) as process:
            while not _answers(port, contestant.wire):
                assert process.poll() is None, f"{contestant.name} has ended"
                assert time.monotonic() - began < PATIENCE, f"{contestant.name} does not answer"
                time.sleep(POLL_SECONDS)
            return time.monotonic() - began, memory(process.pid)


def _answers(port: int, wire: Wire) -> bool:
    """Whether a router answers a client, not only the connection of one."""
    with socket.socket() as client:
        client.settimeout(PATIENCE)
        if client.connect_ex(("127.0.0.1", port)):
            return False
        if wire is Wire.DISTNET:
            return client.recv(10).isdigit()
        client.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        with client.makefile("rb") as lines:
            return any(line == b"PONG\r\n" for line in lines)
