"""The switch's directory and its control socket, beside those of the real vde_switch."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distnet.vdewire import Request, RequestType, encode_request
from tests.daemons import PATIENCE, ROOT, TWISTD, eventually, until
from tests.switches import (
    BROADCAST,
    RawClient,
    StartSwitch,
    Switch,
    VdeSwitch,
    frame,
    mac,
)

MAGIC = 0xFEEDFACE
NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=users"]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def nobody_can_run_this_python() -> bool:
    """Whether it lies where the user nobody has access: one in root's home does not."""
    ran = subprocess.run([*NOBODY, sys.executable, "-c", ""], capture_output=True, check=False)
    return ran.returncode == 0


with_vde_switch = pytest.mark.skipif(
    shutil.which("vde_switch") is None, reason="no vde_switch here"
)


def address(path: bytes, family: int = 1) -> bytes:
    """A sockaddr_un."""
    return struct.pack("=H108s", family, path)


def described(path: Path) -> str:
    """Mode, owner and group of a file."""
    status = path.stat()
    return f"{stat.S_IMODE(status.st_mode):o} {status.st_uid} {status.st_gid}"


def attempt(*options: str) -> subprocess.CompletedProcess[str]:
    """Start a switch that cannot start."""
    return subprocess.run(
        [TWISTD, "--nodaemon", "--pidfile=", "distnet-vde", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


# Requests


def answers(switch: Switch) -> dict[str, str]:
    """What a switch answers to each of a list of requests, each of another client."""
    head = struct.pack("=III", MAGIC, 3, 0)
    wanted = {
        "a port": lambda own: encode_request(Request(3, RequestType.NEW_PORT, 0, own, "d")),
        "port 5": lambda own: encode_request(Request(3, RequestType.NEW_PORT, 5, own, "d")),
        "port 5 again": lambda own: encode_request(Request(3, RequestType.NEW_PORT, 5, own)),
        "the next": lambda own: encode_request(Request(3, RequestType.NEW_PORT, 0, own)),
        "the last": lambda own: encode_request(Request(3, RequestType.NEW_PORT, 31, own)),
        "management": lambda own: encode_request(Request(3, RequestType.MANAGEMENT, 0, own)),
        "management 4": lambda own: encode_request(Request(3, RequestType.MANAGEMENT, 4, own)),
        "version 1": lambda own: encode_request(Request(1, RequestType.NEW_PORT, 0, own, "d")),
        "version 1 m": lambda own: encode_request(Request(1, RequestType.MANAGEMENT, 0, own)),
        "version 2": lambda own: struct.pack("=III", MAGIC, 2, 0) + address(own),
        "version 4": lambda own: struct.pack("=III", MAGIC, 4, 0) + address(own),
        "type 2": lambda own: struct.pack("=III", MAGIC, 3, 2) + address(own),
        "type 255": lambda own: struct.pack("=III", MAGIC, 3, 255) + address(own),
        "magic": lambda own: struct.pack("=III", 1, 3, 0) + address(own),
        "no path": lambda _: head + address(b""),
        "no socket": lambda _: head + address(b"/nonexistent"),
        "family": lambda own: head + address(own, family=2),
        "cut": lambda own: head + address(own)[: 2 + len(own)],
        "few bytes": lambda _: b"abc",
    }
    clients, result = [], {}
    for name, make in wanted.items():
        client = RawClient(switch.sock)
        clients.append(client)
        reply = client.ask(make(os.fsencode(client.own)))
        text = reply.partition(b"\0\0")[0].decode().replace(str(switch.sock), "DIR")
        # Descriptors are numbered as it comes.
        result[name] = f"{len(reply)} {text.rpartition('.')[0]}"
    result["modes"] = ", ".join(sorted(described(path) for path in switch.sock.glob("0*.*")))
    for client in clients:
        client.close()
    return result


@with_vde_switch
def test_answers_are_those_of_vde_switch(start_switch: StartSwitch) -> None:
    """Each of a list of good and bad requests is answered as vde_switch does."""
    ours, theirs = start_switch(), start_switch(kind=VdeSwitch)
    assert answers(ours) == answers(theirs)


def test_bad_port(start_switch: StartSwitch) -> None:
    """Who asks for a port that there is not is disconnected; vde_switch leaves it hanging."""
    switch = start_switch("-n", "4")
    for port in (4, 33, 0xFFFFFF):
        client = RawClient(switch.sock)
        assert client.ask(client.request(port)) == b""
        client.close()
    clients = [RawClient(switch.sock).plug() for _ in range(3)]
    with RawClient(switch.sock) as client:
        assert client.ask(client.request()) == b""
    for client in clients:
        client.close()
    switch.wait_for_log("a client is refused: port 4 is not between 0 and 3")


def test_request_in_pieces(start_switch: StartSwitch) -> None:
    """A request may come byte by byte, and bytes after it change nothing."""
    switch = start_switch()
    with RawClient(switch.sock) as client, RawClient(switch.sock).plug() as other:
        for byte in client.request()[:-1]:
            client.control.send(bytes([byte]))
        reply = client.ask(client.request()[-1:])
        client.data.connect(reply[2:].rstrip(b"\0"))
        client.control.send(b"more" * 1000)
        client.send(frame(BROADCAST, mac(1)))
        assert other.receive() == frame(BROADCAST, mac(1))


def test_bad_requests_disturb_nobody(start_switch: StartSwitch) -> None:
    """Random requests get no port, leave no descriptor open, and others exchange frames."""
    switch = start_switch()
    made_up = random.Random(3)
    with RawClient(switch.sock).plug() as one, RawClient(switch.sock).plug() as other:
        before = switch.descriptors()
        for number in range(500):
            with socket.socket(socket.AF_UNIX) as control:
                control.settimeout(PATIENCE)
                control.connect(str(switch.sock / "ctl"))
                head = struct.pack("=IIIH", MAGIC, made_up.choice([0, 1, 2, 3, 9]),
                                   made_up.getrandbits(32), 1)  # fmt: skip
                control.send(made_up.choice([b"", head]) + made_up.randbytes(200))
                if number % 10 == 0:
                    assert control.recv(200) == b""
            one.send(frame(BROADCAST, mac(1), number.to_bytes(2, "big")))
            assert other.receive()[14:] == number.to_bytes(2, "big")
        assert switch.sockets() == ["001", "002"]
        eventually("all is closed", lambda: switch.descriptors() <= before)
        # Each reason once, but for the numbers in it.
        said = re.findall(r"is refused: (.*)", switch.log())
        reasons = [re.sub(r"0x[0-9a-f]+|\d+", "#", why) for why in said]
        assert 0 < len(reasons) == len(set(reasons)), said
    assert "Traceback" not in switch.log()


def test_a_zero_length_datagram_is_a_goodbye(start_switch: StartSwitch) -> None:
    """libvdeplug 2 says goodbye with an empty datagram: the endpoint is gone then."""
    switch = start_switch()
    with RawClient(switch.sock).plug() as client:
        client.send(b"")
        assert client.control.recv(1) == b""
        assert switch.sockets() == []


def test_a_client_that_never_reads(start_switch: StartSwitch) -> None:
    """One that does not read costs others nothing but a pause; it is said, and ends."""
    switch = start_switch()
    with (
        RawClient(switch.sock).plug() as one,
        RawClient(switch.sock).plug() as other,
        RawClient(switch.sock).plug() as deaf,
    ):
        for number in until("it does not read", lambda: "does not read in time" in switch.log()):
            one.send(frame(BROADCAST, mac(1), number.to_bytes(4, "big")))
            assert other.receive()[14:] == number.to_bytes(4, "big")
        while not deaf.is_silent():
            deaf.receive()
        switch.wait_for_log("has read after")
        one.send(frame(BROADCAST, mac(1), b"again"))
        assert deaf.receive()[14:] == b"again"


def test_a_burst_is_not_lost(start_switch: StartSwitch) -> None:
    """A burst reaches one that reads whole and in order, or the log says that it did not read."""
    switch = start_switch()
    count, end = 5000, 65535
    with RawClient(switch.sock).plug() as one:
        reading = subprocess.Popen(
            [sys.executable, "-c", SLOW_READER, str(switch.sock), str(end)],
            stdout=subprocess.PIPE, cwd=ROOT, text=True,
        )  # fmt: skip
        assert reading.stdout is not None
        with reading.stdout:
            assert reading.stdout.readline() == "ready\n"
            for number in range(count):
                one.send(frame(BROADCAST, mac(1), number.to_bytes(2, "big") * 700))
            # Again and again, since it may be dropped while the reader is slow.
            while reading.poll() is None:
                one.send(frame(BROADCAST, mac(1), end.to_bytes(2, "big") * 700))
                time.sleep(0.1)
            got = [int(number) for number in reading.stdout.read().split()]
    assert got == sorted(set(got))
    assert got == list(range(count)) or "does not read in time" in switch.log()


SLOW_READER = """
import sys, time
from pathlib import Path
from tests.switches import RawClient
with RawClient(Path(sys.argv[1])).plug() as client:
    print("ready", flush=True)
    got = []
    while not got or got[-1] != int(sys.argv[2]):
        got.append(int.from_bytes(client.receive()[14:16], "big"))
        time.sleep(0.0001)
    print(*got[:-1], flush=True)
"""


def test_many_ports(start_switch: StartSwitch) -> None:
    """A thousand clients are plugged in, reach each other, and leave nothing."""
    switch = start_switch("-n", "1100")
    before = switch.descriptors_at_rest()
    clients = [RawClient(switch.sock).plug() for _ in range(1000)]
    assert [client.port for client in clients] == list(range(1, 1001))
    clients[0].send(frame(BROADCAST, mac(1), b"to all"))
    assert all(client.receive()[14:] == b"to all" for client in clients[1:])
    for client in clients:
        client.close()
    eventually("all have gone", lambda: switch.sockets() == [])
    eventually("all is closed", lambda: switch.descriptors() <= before)


# Modes and owners

MODES = [
    [],
    ["-m", "666"],
    ["-m", "0644"],
    ["-m", "660", "-g", "users"],
    ["--dirmode", "777"],
    ["--dirmode", "2755", "-m", "622"],
    ["-dirmode", "700"],
    ["-group", "users"],
]


def modes(switch: Switch, client: list[str]) -> list[str]:
    """The modes and owners in a switch's directory, when a client is plugged in."""
    plugged = subprocess.run(
        [*client, "/usr/bin/python3", "-c", PLUG, str(switch.sock)],
        capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    return [described(switch.sock), described(switch.sock / "ctl"), *plugged]


PLUG = """
import os, socket, struct, sys, time
directory = sys.argv[1]
own = directory + "/.%05d-00001" % os.getpid()
data = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
try:
    data.bind(own)
except OSError as error:
    sys.exit(print(error.strerror))
keep = []
for kind in (0, 1):
    control = socket.socket(socket.AF_UNIX)
    try:
        control.connect(directory + "/ctl")
    except OSError as error:
        print(error.strerror)
        break
    control.send(struct.pack("=IIIH108s", 0xfeedface, 3, kind, 1, own.encode()))
    keep.append(control)
    reply = control.recv(200)
    print(len(reply))
    if reply:
        # vde_switch sets the mode of a management port's socket after its reply.
        time.sleep(0.05)
        status = os.stat(reply[2:].rstrip(b"\\0"))
        print("%o %d %d" % (status.st_mode, status.st_uid, status.st_gid))
os.unlink(own)
"""


@root_only
@with_vde_switch
@pytest.mark.parametrize("options", MODES, ids=" ".join)
def test_modes_and_owners(start_switch: StartSwitch, options: list[str]) -> None:
    """Modes and owners are those of vde_switch, for each of its options, user and client."""
    if not nobody_can_run_this_python():
        pytest.skip(f"the user nobody cannot run {sys.executable}")
    for user in ([], NOBODY):
        pair = [start_switch(*options, within=user, kind=kind) for kind in (Switch, VdeSwitch)]
        for client in ([], NOBODY):
            ours, theirs = (modes(switch, client) for switch in pair)
            assert ours == theirs, (user, client)


# Start and end


def test_clean_end(start_switch: StartSwitch) -> None:
    """After SIGTERM nothing is left, clients are disconnected, and the status is 0."""
    switch = start_switch()
    with RawClient(switch.sock).plug() as client:
        client.own.unlink()
        assert switch.stop() == 0
        assert client.control.recv(1) == b""
    assert not switch.sock.exists()
    assert "Traceback" not in switch.log()


def test_restart_after_kill_9(start_switch: StartSwitch) -> None:
    """A new switch takes over what a killed one has left, and removes what is dead, only that."""
    switch = start_switch()
    clients = [RawClient(switch.sock).plug() for _ in range(3)]
    switch.stop(signal.SIGKILL)
    assert len(switch.sockets()) == 3
    dead, foreign = switch.sock / ".00001-00001", switch.sock / "notes"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(str(dead))
    foreign.write_text("mine")
    switch.start()
    assert switch.sockets() == []
    assert not dead.exists()
    assert foreign.exists()
    assert all(client.own.exists() for client in clients)
    for client in clients:
        client.close()
    with RawClient(switch.sock).plug() as one, RawClient(switch.sock).plug() as other:
        one.send(frame(BROADCAST, mac(1)))
        assert other.receive() == frame(BROADCAST, mac(1))
    assert switch.stop() == 0
    assert foreign.read_text() == "mine"


def test_a_second_switch_in_one_directory(start_switch: StartSwitch) -> None:
    """A switch does not start where another one runs, and that one goes on."""
    switch = start_switch("-m", "666")
    modes = described(switch.sock)
    with RawClient(switch.sock).plug() as one, RawClient(switch.sock).plug() as other:
        second = attempt("-s", str(switch.sock))
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert "another process listens there" in second.stderr
        assert described(switch.sock) == modes
        one.send(frame(BROADCAST, mac(1)))
        assert other.receive() == frame(BROADCAST, mac(1))


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("/nonexistent/switch", "cannot make the directory /nonexistent/switch"),
        ("/tmp/" + "x" * 100, "use a shorter one"),
        ("/tmp", "is a directory that all users share"),
        ("/etc/passwd", "it exists and is something else"),
    ],
)
def test_directories_that_do_not_do(where: str, says: str) -> None:
    """What is wrong with a directory is said in one line."""
    ended = attempt("-sock", where)
    assert ended.returncode == 1
    assert ended.stderr.startswith("distnet: ")
    assert ended.stderr.count("\n") == 1
    assert says in ended.stderr


def test_end_without_its_directory(start_switch: StartSwitch) -> None:
    """A switch whose directory somebody has removed refuses clients, and stops in good order."""
    switch = start_switch()
    with RawClient(switch.sock).plug() as client:
        with socket.socket(socket.AF_UNIX) as second:
            second.connect(str(switch.sock / "ctl"))
            request = client.request()
            shutil.rmtree(switch.sock)
            second.send(request)
            assert second.recv(200) == b""
        assert switch.stop() == 0
    assert "Traceback" not in switch.log()
