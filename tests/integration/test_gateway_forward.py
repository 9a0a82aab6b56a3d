"""Ports of this machine that lead to guests on a real switch, by the gateway."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from hashlib import sha256
from pathlib import Path

import pytest

from distnet.gateway.hostports import MOST_CONNECTIONS
from tests.daemons import PATIENCE, eventually
from tests.gateways import Gateway, Machine, gateway_of, running_gateway
from tests.hosts import other_machine
from tests.masters import Master
from tests.switches import Switch, switches

Start = Callable[..., Gateway]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here"),
    pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here"),
]

LOOPBACK = "127.0.0.1"
GUEST = "10.0.2.17"

_numbers = itertools.count(1)


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    """A switch with a console."""
    with switches(tmp_path) as start:
        yield start("-M", str(tmp_path / "mgmt"))


@pytest.fixture
def start_gateway(tmp_path: Path, switch: Switch, master: Master) -> Iterator[Start]:
    """Start gateways with options."""
    with contextlib.ExitStack() as stack:

        def start(*words: str) -> Gateway:
            gateway = Gateway(tmp_path, switch, "--control", master.control, *words)
            return stack.enter_context(running_gateway(gateway))

        yield start


@contextlib.contextmanager
def plugged(switch: Switch, address: str = GUEST) -> Iterator[Machine]:
    """A machine on a switch."""
    with Machine(switch.sock, address, f"fw{os.getpid()}x{next(_numbers)}") as machine:
        yield machine


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of this machine that nobody has."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def served(machine: Machine, kind: int, port: int) -> Iterator[socket.socket]:
    """A socket of a machine at a port."""
    with machine.entered():
        server = socket.socket(socket.AF_INET, kind)
    with server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("", port))
        server.settimeout(PATIENCE)
        if kind == socket.SOCK_STREAM:
            server.listen(64)
        yield server


def is_open(port: int, address: str = LOOPBACK) -> bool:
    """Whether a connection is taken; it is ended at once."""
    try:
        with socket.create_connection((address, port), PATIENCE):
            return True
    except ConnectionRefusedError:
        return False


def connected(port: int, address: str = LOOPBACK) -> socket.socket:
    """A connection there, as soon as it is taken."""

    def attempt() -> socket.socket | None:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((address, port), PATIENCE)
        return None

    made: socket.socket = eventually(f"port {port} is listened at", attempt)
    return made


def accepted(server: socket.socket) -> socket.socket:
    """The next connection of a server's."""
    far, _ = server.accept()
    far.settimeout(PATIENCE)
    return far


def whole(sock: socket.socket, size: int) -> bytes:
    """So many bytes of a connection, or all until its end."""
    data = bytearray()
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return bytes(data)


def exchange(near: socket.socket, far: socket.socket, size: int) -> None:
    """So many bytes go each way at once, and arrive as they were sent; then both ends end."""
    data = [os.urandom(size), os.urandom(size)]
    got: list[bytes] = [b"", b""]

    def receive(number: int, sock: socket.socket) -> None:
        got[number] = whole(sock, size)

    threads = [
        *(threading.Thread(target=near.sendall, args=(data[0],)),
          threading.Thread(target=receive, args=(0, far))),
        *(threading.Thread(target=far.sendall, args=(data[1],)),
          threading.Thread(target=receive, args=(1, near))),
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sha256(each).digest() for each in got] == [sha256(each).digest() for each in data]
    near.shutdown(socket.SHUT_WR)
    assert far.recv(1) == b""
    far.sendall(b"an answer")
    far.close()
    assert whole(near, 100) == b"an answer"


def reaches(port: int, server: socket.socket) -> bool:
    """Whether a server is connected to at a port, and data comes; not for long."""
    server.settimeout(0.5)
    with (
        contextlib.suppress(ConnectionError, TimeoutError),
        socket.create_connection((LOOPBACK, port), PATIENCE) as near,
    ):
        near.settimeout(PATIENCE)
        token = os.urandom(16)
        near.sendall(token)
        while True:
            # One that was given up may still come.
            with accepted(server) as far:
                if whole(far, len(token)) == token:
                    exchange(near, far, 1000)
                    return True
    return False


@pytest.mark.parametrize("words", [[], ["--nat"]], ids=["restricted", "nat"])
def test_tcp(words: list[str], switch: Switch, start_gateway: Start) -> None:
    """A guest that has never said a word gets data from this machine, and sends it, both whole."""
    port = free_port()
    start_gateway("--forward", f"{port}={GUEST}:22", *words)
    with plugged(switch) as machine, served(machine, socket.SOCK_STREAM, 22) as server:
        for size in (8_000_000, 1, 70_000):
            with connected(port) as near, accepted(server) as far:
                near.settimeout(PATIENCE)
                assert far.getpeername()[0] == "10.0.2.2"
                exchange(near, far, size)


@pytest.mark.parametrize("words", [[], ["--nat"]], ids=["restricted", "nat"])
def test_udp(words: list[str], switch: Switch, start_gateway: Start) -> None:
    """Datagrams of any size come to a guest, and its answers to whoever has asked."""
    ports = [free_port(socket.SOCK_DGRAM) for _ in range(2)]
    forwards = [word for port in ports for word in ("--forward", f"{port}={GUEST}:53/udp")]
    start_gateway(*forwards, *words)
    with (
        plugged(switch) as machine,
        served(machine, socket.SOCK_DGRAM, 53) as server,
        contextlib.ExitStack() as stack,
    ):
        nears = []
        for port in ports:
            for _ in range(3):
                near = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                near.settimeout(PATIENCE)
                near.connect((LOOPBACK, port))
                nears.append(near)
        server.settimeout(0.2)

        def comes(near: socket.socket) -> bool:
            with contextlib.suppress(ConnectionRefusedError, TimeoutError):
                near.send(b"is there anybody?")
                return bool(server.recvfrom(100))
            return False

        for near in (nears[0], nears[-1]):
            eventually("it is listened at", lambda near=near: comes(near))
        server.settimeout(PATIENCE)
        for size in (0, 1, 1471, 1472, 1473, 9000, 60_000):
            senders = {}
            for near in nears:
                payload = os.urandom(size)
                near.send(payload)
                question, sender = server.recvfrom(65535)
                assert question == payload
                assert sender[0] == "10.0.2.2"
                senders[sender] = near
            assert len(senders) == len(nears)
            for sender, near in senders.items():
                payload = os.urandom(size)
                server.sendto(payload, sender)
                assert near.recv(65535) == payload


def test_other_machines(switch: Switch, start_gateway: Start) -> None:
    """Other machines get in only where the address says so, and guests need no route to them."""
    closed, opened = free_port(), free_port()
    start_gateway("--forward", f"{closed}={GUEST}:22", "--forward", f"0.0.0.0:{opened}={GUEST}:22")
    with (
        other_machine() as far,
        plugged(switch) as machine,
        served(machine, socket.SOCK_STREAM, 22) as server,
    ):
        for near in (connected(opened), far.run(lambda: connected(opened, far.here))):
            with near, accepted(server) as arrived:
                near.settimeout(PATIENCE)
                assert arrived.getpeername()[0] == "10.0.2.2"
                exchange(near, arrived, 300_000)
        assert is_open(closed)
        assert not far.run(lambda: is_open(closed, far.here))


@pytest.mark.parametrize("console", [True, False], ids=["console", "no console"])
def test_a_guest_that_comes_and_goes(
    console: bool, switch: Switch, start_gateway: Start, tmp_path: Path
) -> None:
    """It is listened while a guest is there, whatever MAC address it has when it comes again."""
    port = free_port()
    management = ["--mgmt", str(tmp_path / "mgmt")] if console else []
    gateway = start_gateway("--forward", f"{port}={GUEST}:22", *management)
    assert not is_open(port)
    macs = set()
    for _ in range(2):
        with plugged(switch) as machine, served(machine, socket.SOCK_STREAM, 22) as server:
            macs.add(machine.run("cat", "/sys/class/net/tap0/address").stdout)
            eventually("the guest is reached", lambda server=server: reaches(port, server))
        if console:
            eventually("nobody listens", lambda: not is_open(port))
            gateway.wait_for_log(f":{port}={GUEST}:22: not any more")
    assert len(macs) == 2


def test_its_process_is_killed(switch: Switch, start_gateway: Start) -> None:
    """
    When the process of a guest is killed there is another one, and it listens.

    What was connected is reset at the guest too, which does nothing but wait.
    """
    port = free_port()
    gateway = start_gateway("--forward", f"{port}={GUEST}:22")
    with plugged(switch) as machine, served(machine, socket.SOCK_STREAM, 22) as server:
        with connected(port) as near, accepted(server) as far:
            (pid,) = guests_of(gateway)
            os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ConnectionResetError):
                assert near.recv(1) == b""
            with pytest.raises(ConnectionResetError):
                far.recv(1)
        # Who connects while it ends is reset.
        eventually("it is reached again", lambda: reaches(port, server))


def test_the_gateway_is_killed(switch: Switch, start_gateway: Start) -> None:
    """The next gateway resets at a guest what came there by the one that was killed."""
    port = free_port()
    words = "--forward", f"{port}={GUEST}:22"
    with plugged(switch) as machine, served(machine, socket.SOCK_STREAM, 22) as server:
        gateway = start_gateway(*words)
        with connected(port), accepted(server) as far:
            gateway.kill_all()
            gateway = start_gateway(*words)
            gateway.wait_for_log(f"{GUEST} (")
            with pytest.raises(ConnectionResetError):
                far.recv(1)
        eventually("it is reached again", lambda: reaches(port, server))


def can_listen(sock: socket.socket, port: int) -> bool:
    """Have a socket listen at a port, if it is free."""
    try:
        sock.bind((LOOPBACK, port))
        sock.listen()
    except OSError:
        return False
    return True


def guests_of(gateway: Gateway) -> list[int]:
    """The processes of guests."""
    return [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/comm")
        if path.read_text() == "distnet-guest\n" and is_below(int(path.parent.name), gateway)
    ]


def is_below(pid: int, gateway: Gateway) -> bool:
    """Whether a process is a child's child of a gateway's."""
    for _ in range(2):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == gateway.process.pid


def test_two_with_one_address(switch: Switch, start_gateway: Start) -> None:
    """While two guests have an address, it is the first one that is reached."""
    port = free_port()
    gateway = start_gateway("--forward", f"{port}={GUEST}:22")
    with (
        plugged(switch) as machine,
        served(machine, socket.SOCK_STREAM, 22) as server,
        connected(port),
        accepted(server),
        plugged(switch) as other,
    ):
        for _ in range(3):
            other.run("ping", "-c", "3", "-W", "1", "10.0.2.2")
            with connected(port) as near, accepted(server) as far:
                exchange(near, far, 1000)
        gateway.wait_for_log("each guest needs an address of its own")


def test_nobody_and_closed_ports(switch: Switch, start_gateway: Start) -> None:
    """Where nobody is, nobody listens; a port that the guest has closed ends what connects."""
    nobody, closed, there = free_port(), free_port(), free_port()
    start_gateway(
        *("--forward", f"{nobody}=10.0.2.99:22", "--forward", f"{closed}={GUEST}:23"),
        *("--forward", f"{there}={GUEST}:22"),
    )
    with plugged(switch) as machine, served(machine, socket.SOCK_STREAM, 22) as server:
        with connected(there) as near, accepted(server) as far:
            exchange(near, far, 1000)
        with contextlib.suppress(ConnectionError), connected(closed) as near:
            assert near.recv(10) == b""
        assert not is_open(nobody)


def test_many_connections(switch: Switch, start_gateway: Start) -> None:
    """However many connect at once, the guest's process stays, and they get in when others end."""
    port = free_port()
    gateway = start_gateway("--forward", f"{port}={GUEST}:22")
    with plugged(switch) as machine, served(machine, socket.SOCK_STREAM, 22) as server:
        with connected(port), accepted(server):
            before = guests_of(gateway)
        with contextlib.ExitStack() as stack:
            for _ in range(MOST_CONNECTIONS - 1):
                stack.enter_context(connected(port))
                stack.enter_context(accepted(server))
            for _ in range(100):
                near = stack.enter_context(socket.socket())
                near.setblocking(False)
                near.connect_ex((LOOPBACK, port))
            # More than these come only when there is room.
            assert not reaches(port, server)
        eventually("there is room", lambda: reaches(port, server))
        assert guests_of(gateway) == before


def test_it_starts_only_if_it_can_listen(switch: Switch, tmp_path: Path) -> None:
    """A port that is in use is said in one line, and neither gateway nor switch starts."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "other").mkdir()
        other = Switch(tmp_path / "other", "--gateway", "--forward", f"{port}={GUEST}:22")
        other.launch()
        assert other.process.wait(PATIENCE) == 1
        (line,) = [line for line in other.log().splitlines() if line.startswith("distnet: ")]
        assert f"cannot listen at 127.0.0.1:{port}" in line
        gateway = Gateway(tmp_path, switch, "--forward", f"{port}={GUEST}:22")
        gateway.launch()
        try:
            assert gateway.process.wait(PATIENCE) == 1
        finally:
            gateway.kill()
        line = f"--forward 127.0.0.1:{port}={GUEST}:22: cannot listen at 127.0.0.1:{port}: "
        gateway.wait_for_log(line)
        assert "Traceback" not in gateway.log()


def test_a_port_that_is_taken_later(switch: Switch, start_gateway: Start) -> None:
    """A port that another has when the guest comes is said, and listened at when it is free."""
    port = free_port()
    gateway = start_gateway("--forward", f"{port}={GUEST}:22")
    with plugged(switch) as machine, served(machine, socket.SOCK_STREAM, 22) as server:
        with connected(port), accepted(server):
            (pid,) = guests_of(gateway)
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with taken:
            os.kill(pid, signal.SIGKILL)
            eventually("the port can be had", lambda: can_listen(taken, port))
            gateway.wait_for_log(f"cannot listen at 127.0.0.1:{port}")
        eventually("it is reached", lambda: reaches(port, server))
        assert gateway.log().count("cannot listen") == 1


def test_the_switch_passes_it_on(tmp_path: Path, master: Master) -> None:
    """The option is the same at the switch, whose gateway has it after kill -9, too."""
    port = free_port()
    words = ("--gateway", "--master-control", master.control, "--forward", f"{port}={GUEST}:22")
    with (
        switches(tmp_path) as start,
        plugged(switch := start(*words)) as machine,
        served(machine, socket.SOCK_STREAM, 22) as server,
    ):
        for _ in range(2):
            with connected(port) as near, accepted(server) as far:
                exchange(near, far, 1000)
                pid = gateway_of(switch)
                assert pid is not None
            os.kill(pid, signal.SIGKILL)
            eventually("it has ended", lambda pid=pid: not Path(f"/proc/{pid}/fd").exists())


def test_help() -> None:
    """It is told of."""
    ran = subprocess.run(
        [sys.executable, "-m", "distnet.cli", "gateway", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "[ADDRESS:]PORT=IP:PORT[/udp]" in ran.stdout
