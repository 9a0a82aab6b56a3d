"""Real clients of VDE on the switch: libvdeplug, vde_plug with dpipe, namespaces with a tap."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distnet._native import SWITCH
from tests.console.scripts import ConsoleClient
from tests.console.switches import Start as StartConsole
from tests.daemons import PATIENCE, ROOT, eventually
from tests.switches import BROADCAST, LibVdePlug, RawClient, StartSwitch, Switch, frame, mac

pytestmark = pytest.mark.skipif(shutil.which("vde_plug") is None, reason="no vdeplug here")


@pytest.fixture
def plug() -> Iterator[Callable[..., LibVdePlug]]:
    """Plug libvdeplug into a switch; those that are plugged in at the end are unplugged."""
    with contextlib.ExitStack() as stack:

        def plug(switch: Switch, *arguments: object) -> LibVdePlug:
            return stack.enter_context(LibVdePlug(switch.sock, *arguments))  # type: ignore[arg-type]

        yield plug


def test_libvdeplug_both_ways(start_switch: StartSwitch, plug: Callable[..., LibVdePlug]) -> None:
    """Frames pass between clients in both directions, broadcast to all but their sender."""
    switch = start_switch()
    clients = [plug(switch) for _ in range(4)]
    everybody = frame(BROADCAST, mac(0), b"to all")
    clients[0].send(everybody)
    assert [client.receive() for client in clients[1:]] == [everybody] * 3
    for number in (1, 2, 3):
        answer = frame(mac(0), mac(number), b"answer")
        clients[number].send(answer)
        assert clients[0].receive() == answer
        again = frame(mac(number), mac(0), bytes(1486))
        clients[0].send(again)
        assert clients[number].receive() == again


def test_requested_ports_and_descriptions(
    start_switch: StartSwitch, plug: Callable[..., LibVdePlug]
) -> None:
    """A client gets the port it asks for, with its description; a port may have two endpoints."""
    switch = start_switch()
    plug(switch, 7, "seven")
    assert switch.sockets() == ["007"]
    switch.wait_for_log("port 7, endpoint")
    switch.wait_for_log("seven user=")
    plug(switch, 7, "another")
    plug(switch)
    assert switch.sockets() == ["001", "007", "007"]
    # 2.3.2 leaves this one waiting for ever.
    with pytest.raises(OSError):
        plug(switch, 200)


def test_long_frames_pass_whole(start_switch: StartSwitch, plug: Callable[..., LibVdePlug]) -> None:
    """Frames of every length from a header to far beyond vde_switch's 1518 bytes pass whole."""
    switch = start_switch()
    one, other = plug(switch), plug(switch)
    for size in (14, 15, 59, 60, 1514, 1518, 1519, 1536, 9018, 65553, 68 * 1024):
        sent = frame(BROADCAST, mac(1), os.urandom(size - 14))
        one.send(sent)
        assert other.receive() == sent


@pytest.mark.parametrize("between", [[], ["wirefilter", "="]], ids=["plain", "wirefilter"])
def test_dpipe_with_vde_plug(start_switch: StartSwitch, between: list[str]) -> None:
    """vde_plug, as dpipe starts it to join two switches, carries frames from one to the other."""
    near, far = start_switch(), start_switch()
    joined = subprocess.Popen(
        ["dpipe", "vde_plug", str(near.sock), "=", *between, "vde_plug", str(far.sock)]
    )
    try:
        eventually("both plugs are in", lambda: near.sockets() == far.sockets() == ["001"])
        with LibVdePlug(near.sock) as one, LibVdePlug(far.sock) as other:
            for number in range(100):
                sent = frame(BROADCAST, mac(1), bytes([number]) * 60)
                one.send(sent)
                assert other.receive() == sent
                other.send(answer := frame(mac(1), mac(2), bytes([number]) * 1500))
                assert one.receive() == answer
    finally:
        joined.terminate()
        joined.wait()
    eventually("both plugs are out", lambda: near.sockets() == far.sockets() == [])


HOLD = """
import sys
from pathlib import Path
from tests.switches import LibVdePlug, RawClient
directory = Path(sys.argv[1])
client = LibVdePlug(directory) if sys.argv[2] == "lib" else RawClient(directory).plug()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("native", ["0", "1"])
def test_what_was_sent_before_leaving(
    start_switch: StartSwitch, monkeypatch: pytest.MonkeyPatch, native: str
) -> None:
    """What was sent before leaving is delivered, though the switch hears of it all at once."""
    monkeypatch.setenv(SWITCH, native)
    switch = start_switch()
    with RawClient(switch.sock).plug() as reader:
        for _ in range(2):
            # By the second one the switch knows whoever has sent it.
            leaver = RawClient(switch.sock).plug()
            leaver.data.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            os.kill(switch.process.pid, signal.SIGSTOP)
            leaver.data.setblocking(False)
            sent = 0
            with contextlib.suppress(BlockingIOError):
                while sent < 300:
                    leaver.send(frame(BROADCAST, mac(1), sent.to_bytes(4, "big")))
                    sent += 1
            leaver.close()
            os.kill(switch.process.pid, signal.SIGCONT)
            numbers = [int.from_bytes(reader.receive()[14:18], "big") for _ in range(sent)]
            assert numbers == list(range(sent))


@pytest.mark.parametrize("kind", ["lib", "raw"])
def test_kill_9_of_a_client(start_switch: StartSwitch, kind: str) -> None:
    """When a client is killed, its port is free at once, and nothing of it is open any more."""
    switch = start_switch()
    before = switch.descriptors_at_rest()
    for _ in range(4):
        holding = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(switch.sock), kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        assert holding.stdout is not None
        assert holding.stdin is not None
        with holding.stdin, holding.stdout:
            assert holding.stdout.readline() == b"ready\n"
            assert switch.sockets() == ["001"]
            holding.kill()
            holding.wait()
        eventually("its socket has gone", lambda: switch.sockets() == [])
    eventually("all is closed", lambda: switch.descriptors() <= before)
    with RawClient(switch.sock).plug() as client:
        assert client.port == 1


class Host:
    """
    A network namespace with a tap that vde_plug2tap has plugged into a switch.

    @ivar address: of the tap.
    """

    def __init__(self, stack: contextlib.ExitStack, switch: Switch, number: int) -> None:
        name = f"vde{os.getpid()}n{number}"
        self._within = ["ip", "netns", "exec", name]
        self.address = f"10.98.7.{number}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        self.start(stack, "vde_plug2tap", "-s", str(switch.sock), "tap0")
        ip = ["ip", "-n", name]
        eventually("there is a tap", lambda: _succeeds([*ip, "link", "show", "tap0"]))
        subprocess.run([*ip, "addr", "add", f"{self.address}/24", "dev", "tap0"], check=True)
        subprocess.run([*ip, "link", "set", "tap0", "up"], check=True)

    def start(self, stack: contextlib.ExitStack, *command: str) -> None:
        """Start a command that runs until the end."""
        process = subprocess.Popen([*self._within, *command], stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        stack.callback(process.terminate)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        return subprocess.run(
            [*self._within, *command],
            capture_output=True, text=True, check=False, timeout=2 * PATIENCE,
        )  # fmt: skip


def _succeeds(command: list[str]) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode


Hosts = Callable[[Switch], tuple[Host, Host]]


@pytest.fixture
def hosts() -> Iterator[tuple[contextlib.ExitStack, Hosts]]:
    """What makes two hosts on a switch; and what ends with them."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with contextlib.ExitStack() as stack:

        def make(switch: Switch) -> tuple[Host, Host]:
            pair = Host(stack, switch, 1), Host(stack, switch, 2)
            eventually("both are plugged in", lambda: switch.sockets() == ["001", "002"])
            return pair

        yield stack, make


def test_namespaces(
    start_switch: StartSwitch, hosts: tuple[contextlib.ExitStack, Hosts], tmp_path: Path
) -> None:
    """Two network namespaces that are plugged in exchange pings and TCP."""
    stack, make = hosts
    one, other = make(start_switch())
    ran = one.run("ping", "-c", "20", "-i", "0.01", "-W", "5", other.address)
    assert " 0% packet loss" in ran.stdout, ran.stdout
    data, got = tmp_path / "data", tmp_path / "got"
    data.write_bytes(os.urandom(20_000_000))
    other.start(stack, "socat", "-u", f"FILE:{data}", f"TCP-LISTEN:7000,bind={other.address}")
    ran = one.run(
        "socat", "-u", f"TCP:{other.address}:7000,retry=100,interval=0.05", f"CREATE:{got}"
    )
    assert ran.returncode == 0, ran.stderr
    assert got.read_bytes() == data.read_bytes()


IPERF = {
    "one stream": ["-n", "60M"],
    "one back": ["-n", "60M", "-R"],
    "four streams": ["-n", "60M", "-P", "4"],
    "four back": ["-n", "60M", "-P", "4", "-R"],
    "datagrams": ["-u", "-b", "10M", "-n", "5M"],
    "datagrams back": ["-u", "-b", "10M", "-n", "5M", "-R"],
}


@pytest.mark.skipif(shutil.which("iperf3") is None, reason="no iperf3 here")
@pytest.mark.parametrize("options", IPERF.values(), ids=IPERF)
def test_iperf3_without_a_loss(
    options: list[str],
    start_console: StartConsole,
    hosts: tuple[contextlib.ExitStack, Hosts],
) -> None:
    """Two hosts at full speed lose no frame at the switch, unless the log says who did not read."""
    stack, make = hosts
    switch = start_console()
    one, other = make(switch)
    other.start(stack, "iperf3", "--server", "--bind", other.address)
    listens = ["ss", "--no-header", "--listening", "--tcp", "sport = :5201"]
    eventually("iperf3 listens", lambda: other.run(*listens).stdout)
    ran = one.run("iperf3", "--json", "--client", other.address, *options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    console = ConsoleClient(switch.management)
    shown = console.ask("port/print").decode()
    console.close()
    lost = [line for line in shown.splitlines() if " NOT:" in line and "(nobody)" not in line]
    passed = [int(count) for count in re.findall(r" OUT: .* bytes +(\d+)", shown)]
    if "does not read in time" not in switch.daemon_log():
        # iperf3's own count of datagrams leaves out some that come in its last moment.
        assert lost == []
    # And it was this switch that carried them.
    assert max(passed) > json.loads(ran.stdout)["end"]["sum_received"]["bytes"] > 4_000_000
