"""Streams of frames on the switch: over TCP and unix sockets, and a QEMU that connects to it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import re
import select
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from distnet.switch.core.streamwire import PREFIX, StreamFrames, encode_frame
from tests.daemons import (
    PATIENCE,
    ROOT,
    TWISTD,
    connect_and_reset,
    eventually,
    free_low_port,
    until,
)
from tests.integration.test_cli import distnet, lines
from tests.switches import BROADCAST, RawClient, StartSwitch, Switch, frame, mac

MAX_FRAME = 69632
ENOUGH = 1_000_000
"""More frames than the buffers of any machine hold."""
with_qemu = pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU here")

Address = str | tuple[str, int]


class StreamClient:
    """
    A client that speaks as QEMU's C{-netdev stream} does.

    @ivar sock: its socket, which blocks.
    """

    def __init__(self, address: Address) -> None:
        self.sock = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(address)
        self._frames = StreamFrames(MAX_FRAME)

    def send(self, *frames: bytes) -> None:
        """Send frames."""
        self.sock.sendall(b"".join(map(encode_frame, frames)))

    def send_until_kept_waiting(self, frames: Iterator[bytes]) -> tuple[list[bytes], bytes]:
        """
        Send frames until the socket takes no more for a while.

        @return: those frames, and what of the last of them is not sent.
        """
        sent: list[bytes] = []
        rest = b""
        self.sock.setblocking(False)
        while select.select([], [self.sock], [], 0.5)[1]:
            assert len(sent) < ENOUGH, "it is never kept waiting"
            sent.append(next(frames))
            rest += encode_frame(sent[-1])
            with contextlib.suppress(BlockingIOError):
                while rest:
                    rest = rest[self.sock.send(rest) :]
        self.sock.settimeout(PATIENCE)
        return sent, rest

    def receive(self) -> bytes:
        """The next frame. Raises EOFError."""
        while (received := self._frames.take()) is None:
            data = self.sock.recv(1 << 16)
            if not data:
                raise EOFError
            self._frames.feed(data)
        return received

    def is_closed(self) -> bool:
        """Whether the switch closes the connection; waits for that."""
        try:
            return not self.sock.recv(1)
        except ConnectionError:
            return True

    def is_silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for so long."""
        return not (self._frames.waiting or select.select([self.sock], [], [], seconds)[0])

    def close(self) -> None:
        """Leave."""
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def listening(switch: Switch, port: int | None = None) -> Address:
    """The first place where a switch listens for streams to a port, or to any."""
    found = next(each for each in switch.listeners("stream") if each["port"] == port)
    kind, _, rest = found["address"].partition(":")
    host, _, number = rest.rpartition(":")
    return rest if kind == "unix" else (host, int(number))


def ports(switch: Switch) -> list[int]:
    """The ports where something is plugged in."""
    return [port for port, _ in switch.plugged_in()]


def turns_away(address: Address) -> bool:
    """Whether a switch ends a connection as soon as there is one; waits for that."""
    try:
        with StreamClient(address) as client:
            return client.is_closed()
    except ConnectionError:
        # It was ended before we had looked whether there is one.
        return True


@pytest.fixture
def path() -> Iterator[str]:
    """A path for a socket. Not in pytest's directory, which is too long for one."""
    with tempfile.TemporaryDirectory(prefix="stream") as directory:
        yield f"{directory}/s"


@pytest.fixture(params=["tcp", "unix"])
def place(request: pytest.FixtureRequest, path: str) -> str:
    """A place for streams, of each kind."""
    return "tcp:0" if request.param == "tcp" else f"unix:{path}"


@pytest.fixture
def plug() -> Iterator[Callable[[Switch], StreamClient]]:
    """Connect to a switch, and wait until that is plugged in."""
    with contextlib.ExitStack() as stack:

        def plug(switch: Switch) -> StreamClient:
            before = len(switch.plugged_in())
            client = stack.enter_context(StreamClient(listening(switch)))
            eventually("it is plugged in", lambda: len(switch.plugged_in()) > before)
            return client

        yield plug


Plug = Callable[[Switch], StreamClient]


def test_both_ways(start_switch: StartSwitch, place: str, plug: Plug) -> None:
    """Frames pass among streams and clients of VDE, of every size that is allowed."""
    switch = start_switch("--stream", place)
    one, other = plug(switch), plug(switch)
    with RawClient(switch.sock).plug() as third:
        everybody = frame(BROADCAST, mac(1), b"to all")
        one.send(everybody)
        assert other.receive() == third.receive() == everybody
        for sender, source, receiver, destination in (
            (other, 2, one, 1), (third, 3, one, 1), (one, 1, third, 3), (one, 1, other, 2)
        ):  # fmt: skip
            for size in (0, 46, 1500, 9000, MAX_FRAME - 14):
                data = frame(mac(destination), mac(source), bytes(size))
                sender.send(data)
                assert receiver.receive() == data
    assert switch.stop() == 0
    assert not Path(place.removeprefix("unix:")).exists()


def test_what_twisted_says_of_listeners(start_switch: StartSwitch, path: str) -> None:
    """In the lines that Twisted logs of each port, listeners are called by whom they are for."""
    switch = start_switch("--stream", "tcp:0", "--stream", f"7=unix:{path}", "-M", f"{path}c")
    tcp = listening(switch)
    assert sorted(re.findall(r"\] (.+) starting on (.+)\n", switch.log())) == [
        ("listener for -netdev stream", str(tcp[1])),
        ("listener for -netdev stream, port 7", repr(path)),
        ("listener for VDE", repr(str(switch.sock / "ctl"))),
        ("listener for consoles", repr(f"{path}c")),
        ("listener for the control interface", repr(switch.control)),
    ]


def test_ports(start_switch: StartSwitch, path: str) -> None:
    """Whoever connects to a place for a port gets that; others get the first one that is free."""
    switch = start_switch("--stream", f"7=unix:{path}", "--stream", "tcp:0")
    assert listening(switch, 7) == path
    switch.wait_for_log(f"listening at unix:{path} for -netdev stream, port 7\n")
    address = listening(switch)
    with StreamClient(path), StreamClient(address), RawClient(switch.sock).plug() as client:
        name = switch.wait_for_log("port 7, endpoint ")
        assert f"(unix, pid {os.getpid()} (" in name
        switch.wait_for_log("port 1, endpoint ")
        assert re.search(r"port [12], endpoint \d+ \(tcp 127\.0\.0\.1:\d+\) is plugged in",
                         switch.log())  # fmt: skip
        assert client.port in {1, 2}
    assert Path(path).stat().st_mode & 0o777 == 0o600


def test_shown_at_the_console(start_switch: StartSwitch, place: str, path: str, plug: Plug) -> None:
    """The console shows what is plugged in, and can unplug it."""
    switch = start_switch("--stream", place, "-M", f"{path}c")
    client = plug(switch)
    with _console(f"{path}c") as ask:
        shown = ask("port/print")
        found = re.search(r"endpoint ID (\d+) module stream {6} *: (tcp|unix)", shown)
        assert found is not None, shown
        assert "Success" in ask(f"port/epclose 1 {found[1]}")
    assert client.is_closed()
    eventually("it is unplugged", lambda: not switch.plugged_in())


@contextlib.contextmanager
def _console(management: str) -> Iterator[Callable[[str], str]]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(management)

        def read() -> str:
            data = b""
            while not data.endswith(b"vde$ "):
                data += sock.recv(1 << 16)
            return data.decode()

        def ask(command: str) -> str:
            sock.sendall(f"{command}\n".encode())
            return read()

        read()
        yield ask


def test_users(start_switch: StartSwitch, path: str) -> None:
    """A port that is for one user is for the streams of that user; of TCP nobody knows the user."""
    switch = start_switch("--stream", "3=tcp:0", "--stream", f"3=unix:{path}", "-M", f"{path}c")
    with _console(f"{path}c") as ask:
        ask("port/create 3")
        assert "Success" in ask(f"port/setuser 3 {os.geteuid()}")
        assert turns_away(listening(switch, 3))
        said = switch.wait_for_log("a stream is refused: tcp 127.0.0.1")
        assert "port 3 is for another user or group" in said
        with StreamClient(path):
            eventually("it is plugged in", lambda: ports(switch) == [3])
            assert f"user={os.geteuid()}" not in ask("port/print 4")


COUNT = 20_000


def test_bursts(start_switch: StartSwitch, place: str, plug: Plug) -> None:
    """A burst reaches those who read, whole and in order, or the log says who did not."""
    switch = start_switch("--stream", place)
    one, other = plug(switch), plug(switch)
    other.send(frame(BROADCAST, mac(2)))
    one.receive()
    payloads = [number.to_bytes(4, "big") + bytes(number % 1400) for number in range(COUNT)]
    got: list[bytes] = []

    def read() -> None:
        while len(got) < COUNT:
            got.append(other.receive()[14:])

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    for start in range(0, COUNT, 100):
        one.send(*[frame(mac(2), mac(1), payload) for payload in payloads[start : start + 100]])
    # What is sent before the end arrives, too.
    one.close()
    eventually(
        "all is there, or is said not to be",
        lambda: not reading.is_alive() or "does not read in time" in switch.log(),
    )
    if reading.is_alive():
        other.sock.shutdown(socket.SHUT_RDWR)
    reading.join(PATIENCE)
    assert got == payloads or "does not read in time" in switch.log()
    assert [each[:4] for each in got] == sorted(each[:4] for each in got)


def test_one_that_never_reads(start_switch: StartSwitch, place: str, plug: Plug) -> None:
    """One that does not read costs others nothing but a pause; it is said, and ends."""
    switch = start_switch("--stream", place)
    one, other, deaf = plug(switch), plug(switch), plug(switch)
    for number in until("it does not read", lambda: "does not read in time" in switch.log()):
        data = frame(BROADCAST, mac(1), number.to_bytes(4, "big") + bytes(1000))
        one.send(data)
        assert other.receive() == data
    got = []
    while not deaf.is_silent():
        got.append(deaf.receive()[14:18])
    # What it did get is whole, and in order.
    assert got == [number.to_bytes(4, "big") for number in range(len(got))]
    switch.wait_for_log("has read after")
    one.send(frame(BROADCAST, mac(1), b"again"))
    assert deaf.receive()[14:] == b"again"


def test_a_stream_is_paused_for_a_slow_reader(
    start_switch: StartSwitch, place: str, plug: Plug
) -> None:
    """Who sends much more than a VDE client reads at once is kept waiting, and nothing is lost."""
    switch = start_switch("--stream", place, "--pause-seconds", str(PATIENCE))
    one = plug(switch)
    with RawClient(switch.sock).plug() as slow:
        slow.send(frame(BROADCAST, mac(2)))
        one.receive()
        sent, rest = one.send_until_kept_waiting(
            frame(mac(2), mac(1), bytes(1000) + b"%d" % number) for number in itertools.count()
        )
        sending = threading.Thread(target=one.sock.sendall, args=[rest], daemon=True)
        sending.start()
        assert [slow.receive() for _ in sent] == sent
        sending.join(PATIENCE)
    assert "does not read in time" not in switch.log()


def test_lengths(start_switch: StartSwitch, place: str, plug: Plug) -> None:
    """A frame too long or too short is dropped and the stream goes on; another protocol ends."""
    switch = start_switch("--stream", place)
    one, other = plug(switch), plug(switch)
    good = frame(BROADCAST, mac(1), b"good")
    one.send(bytes(MAX_FRAME + 1), good, bytes(1 << 20), b"", b"short", good)
    assert [other.receive(), other.receive()] == [good, good]
    one.sock.sendall(encode_frame(good) + b"GET / HTTP/1.1\r\n\r\n")
    assert other.receive() == good
    assert one.is_closed()
    said = switch.wait_for_log("it announces a frame of 1195725856 bytes (b'GET ')")
    assert re.search(r"warn\] port 1 \((tcp|unix).*\): it announces", said)
    eventually("it is unplugged", lambda: ports(switch) == [2])
    with contextlib.closing(plug(switch)) as third:
        third.sock.sendall(PREFIX.pack(100) + good)
        assert other.is_silent()
    # An incomplete frame is nothing.
    eventually("it is unplugged", lambda: ports(switch) == [2])
    assert other.is_silent()
    assert "Traceback" not in switch.log()


def test_no_free_port(start_switch: StartSwitch, place: str, plug: Plug) -> None:
    """More than there are ports are disconnected, with one line in the log about many."""
    switch = start_switch("--stream", place, "-n", "3")
    one, other = plug(switch), plug(switch)
    for _ in range(5):
        assert turns_away(listening(switch))
    assert switch.log().count("a stream is refused") == 1
    switch.wait_for_log("none of 2 ports is free")
    one.send(frame(BROADCAST, mac(1)))
    assert other.receive() == frame(BROADCAST, mac(1))


HOLD = """
import sys
from tests.integration.test_frame_stream import StreamClient
host, port, path = sys.argv[1:]
client = StreamClient(path or (host, int(port)))
print("ready", flush=True)
sys.stdin.read()
"""


def test_kill_9(start_switch: StartSwitch, place: str) -> None:
    """When a client is killed its port is free, and nothing of it is open any more."""
    switch = start_switch("--stream", place)
    before = switch.descriptors_at_rest()
    where = listening(switch)
    words = ["", "0", where] if isinstance(where, str) else [where[0], str(where[1]), ""]
    for _ in range(3):
        plugged_in = switch.log().count("port 1, ")
        holding = subprocess.Popen(
            [sys.executable, "-c", HOLD, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert holding.stdin is not None
        assert holding.stdout is not None
        with holding.stdin, holding.stdout:
            assert holding.stdout.readline() == b"ready\n"
            holding.kill()
            holding.wait()
        # A line for its coming, and one for its going.
        eventually("it is gone", lambda n=plugged_in: switch.log().count("port 1, ") == n + 2)
    eventually("all is closed", lambda: switch.descriptors() <= before)


def test_reset_at_once(start_switch: StartSwitch) -> None:
    """Whoever connects and is gone before it was looked at leaves nothing, and no traceback."""
    switch = start_switch("--stream", "tcp:0")
    before = switch.descriptors_at_rest()
    for _ in range(50):
        with StreamClient(listening(switch)) as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    eventually("all is closed", lambda: switch.descriptors() <= before)
    assert "Traceback" not in switch.log()


def test_reset_before_they_are_accepted(start_switch: StartSwitch) -> None:
    """Those that are reset before they were accepted are counted in one line."""
    switch = start_switch("--stream", "tcp:0")
    where = listening(switch)
    with switch.stopped():
        for _ in range(20):
            connect_and_reset(where)
    assert "listeners for -netdev stream: 20 conn" in switch.wait_for_log("(ECONNRESET)")
    assert "Traceback" not in switch.log()


# Start


def refused(*options: str) -> str:
    """The one line with which a switch does not start."""
    ended = subprocess.run(
        [TWISTD, "--nodaemon", "--pidfile=", "distnet-vde", "--nostdin",
         "-s", f"/tmp/switch{os.getpid()}", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()[-1:]
    assert "Traceback" not in ended.stderr
    return line


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("unix:/nonexistent/stream", "there is no directory /nonexistent"),
        ("unix:/tmp/" + "x" * 103, "use a shorter one"),
        ("unix:/etc/passwd", "it exists and is not a socket"),
        ("tcp:0:interface=192.0.2.1", "this machine does not have that address"),
    ],
)
def test_places_that_do_not_do(place: str, says: str) -> None:
    """What is wrong with a place is said in one line."""
    assert says in refused("--stream", place)


def test_places_that_are_taken(start_switch: StartSwitch, path: str) -> None:
    """Where somebody else listens a switch does not start, and that one goes on."""
    switch = start_switch("--stream", f"unix:{path}", "--stream", "2=tcp:0")
    assert listening(switch) == path
    where = listening(switch, 2)
    assert "another process listens there" in refused("--stream", f"unix:{path}")
    assert "Address already in use" in refused("--stream", f"tcp:{where[1]}")
    with StreamClient(path):
        eventually("it is plugged in", switch.plugged_in)


def test_a_stale_socket(start_switch: StartSwitch, path: str) -> None:
    """A socket that a killed switch has left is taken over."""
    first = start_switch("--stream", f"unix:{path}")
    listening(first)
    first.process.kill()
    first.process.wait()
    assert Path(path).exists()
    second = start_switch("--stream", f"unix:{path}")
    with StreamClient(str(listening(second))):
        eventually("it is plugged in", second.plugged_in)
    assert second.stop() == 0
    assert not Path(path).exists()


# QEMU


def options_for(form: str, path: str) -> list[str]:
    """The options of a switch that has a form."""
    if form == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            return ["--dgram", f"udp:{probe.getsockname()[1]}"]
    return {
        "vde": [],
        "tcp": ["--stream", "5=tcp:0"],
        "unix": ["--stream", f"5=unix:{path}"],
        "dgram": ["--dgram", f"unix:{path}"],
    }[form]


@contextlib.contextmanager
def qemu_on(switch: Switch, form: str, arch: str) -> Iterator[None]:
    """A QEMU with what C{distnet qemu-args} prints for a switch."""
    if form == "vde":
        words = ["--vde", str(switch.sock), "--port", "5"]
    elif form in {"dgram", "udp"}:
        words = list(switch.options)
    else:
        where = listening(switch, 5)
        words = ["--stream", f"unix:{where}" if isinstance(where, str) else f"127.0.0.1:{where[1]}"]
    printed = distnet("qemu-args", *words, "--guest", "1", "--arch", arch)
    assert printed.returncode == 0, printed.stderr
    (line,) = lines(printed.stdout)
    machine = ["-M", "pc,accel=tcg", "-boot", "n"] if arch == "x86_64" else ["-M", "virt", "-S"]
    qemu = subprocess.Popen(
        [f"qemu-system-{arch}", *machine, "-display", "none", *shlex.split(line)],
        stdin=subprocess.DEVNULL,
    )
    try:
        yield
        assert qemu.poll() is None
    finally:
        qemu.kill()
        qemu.wait()


@with_qemu
@pytest.mark.parametrize("form", ["vde", "tcp", "unix", "dgram", "udp"])
def test_a_qemu_with_the_printed_options(start_switch: StartSwitch, form: str, path: str) -> None:
    """What C{distnet qemu-args} prints plugs QEMU in, whose firmware asks with the printed MAC."""
    switch = start_switch(*options_for(form, path))
    with RawClient(switch.sock).plug() as client, qemu_on(switch, form, "x86_64"):
        asked = client.receive()
        while asked[:12] != BROADCAST + bytes.fromhex("525400000001"):
            asked = client.receive()
        if form not in {"dgram", "udp"}:
            assert 5 in ports(switch)


@pytest.mark.skipif(shutil.which("qemu-system-riscv64") is None, reason="no QEMU for riscv64 here")
@pytest.mark.parametrize("form", ["vde", "tcp", "unix"])
def test_a_riscv64_qemu_with_the_printed_options(
    start_switch: StartSwitch, form: str, path: str
) -> None:
    """What is printed for another architecture plugs its QEMU in, and it leaves as it goes."""
    switch = start_switch(*options_for(form, path))
    with qemu_on(switch, form, "riscv64"):
        eventually("it is plugged in", lambda: ports(switch) == [5])
    eventually("it is unplugged", lambda: ports(switch) == [])


class SwitchOfNobody(Switch):
    """A switch that is started as root, and told to become somebody else."""

    def command(self) -> list[str]:
        """How it is started."""
        words = super().command()
        place = words.index("--nodaemon")
        return [*words[:place], "--uid", "nobody", "--gid", "nogroup", *words[place:]]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_privileges(start_switch: StartSwitch, tmp_path: Path) -> None:
    """It listens at TCP ports as root; all that has a path belongs to whom it runs as, and goes."""
    home = Path(tempfile.mkdtemp(prefix="switch"))
    home.chmod(0o777)
    port = free_low_port()
    paths = [home / "stream", home / "dgram"]
    switch = start_switch(
        "--stream", f"tcp:{port}", "--stream", f"unix:{paths[0]}", "--dgram", f"unix:{paths[1]}",
        kind=SwitchOfNobody,
    )  # fmt: skip
    nobody = pwd.getpwnam("nobody").pw_uid
    assert [path.stat().st_uid for path in (*paths, switch.sock)] == [nobody] * 3
    with contextlib.closing(StreamClient(("127.0.0.1", port)).sock):
        eventually("it is plugged in", switch.plugged_in)
    switch.stop()
    assert [path.exists() for path in paths] == [False, False]
    shutil.rmtree(home)
    # The sockets of its peers, which come later, must be bound to the same port.
    low = SwitchOfNobody(tmp_path, "--dgram", f"udp:{port}")
    low.launch()
    assert low.process.wait(PATIENCE) == 1
    shutil.rmtree(low.home)
    assert f"udp:127.0.0.1:{port}: Permission denied; a UDP port below 1024 needs" in low.log()
