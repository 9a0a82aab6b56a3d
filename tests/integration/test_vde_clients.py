"""Real clients of VDE on the switch: libvdeplug, vde_plug with dpipe, namespaces with a tap."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.masters import PATIENCE, ROOT, eventually
from tests.switches import BROADCAST, LibVdePlug, RawClient, Switch, frame, mac, switches

StartSwitch = Callable[..., Switch]

pytestmark = pytest.mark.skipif(shutil.which("vde_plug") is None, reason="no vdeplug here")


@pytest.fixture
def start_switch(tmp_path: Path) -> Iterator[StartSwitch]:
    """Start switches with options."""
    with switches(tmp_path) as start:
        yield start


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
    assert "seven user=" in switch.log()
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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_namespaces(start_switch: StartSwitch, tmp_path: Path) -> None:
    """Two network namespaces that are plugged in exchange pings and TCP."""
    switch = start_switch()
    names = [f"vde{os.getpid()}{side}" for side in "ab"]
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(names, 1):
            subprocess.run(["ip", "netns", "add", name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
            plugged = subprocess.Popen(
                ["ip", "netns", "exec", name, "vde_plug2tap", "-s", str(switch.sock), "tap0"]
            )
            stack.callback(plugged.wait)
            stack.callback(plugged.terminate)
            eventually(
                "there is a tap",
                lambda name=name: (
                    not subprocess.run(
                        ["ip", "-n", name, "link", "show", "tap0"], capture_output=True, check=False
                    ).returncode
                ),
            )
            ip = ["ip", "-n", name]
            subprocess.run([*ip, "addr", "add", f"10.98.7.{number}/24", "dev", "tap0"], check=True)
            subprocess.run([*ip, "link", "set", "tap0", "up"], check=True)
        eventually("both are plugged in", lambda: switch.sockets() == ["001", "002"])
        ping = ["ping", "-c", "20", "-i", "0.01", "-W", "5", "10.98.7.2"]
        ran = subprocess.run(
            ["ip", "netns", "exec", names[0], *ping], capture_output=True, text=True, check=False
        )
        assert " 0% packet loss" in ran.stdout, ran.stdout
        data = tmp_path / "data"
        data.write_bytes(os.urandom(20_000_000))
        serving = subprocess.Popen(
            ["ip", "netns", "exec", names[1], "socat", "-u", f"FILE:{data}",
             "TCP-LISTEN:7000,bind=10.98.7.2"],
        )  # fmt: skip
        stack.callback(serving.wait)
        stack.callback(serving.terminate)
        got = tmp_path / "got"
        subprocess.run(
            ["ip", "netns", "exec", names[0], "socat", "-u",
             "TCP:10.98.7.2:7000,retry=100,interval=0.05", f"CREATE:{got}"],
            check=True, timeout=PATIENCE,
        )  # fmt: skip
        assert got.read_bytes() == data.read_bytes()
