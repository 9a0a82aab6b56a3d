"""The gateway as a part of C{twistd distnet-vde}, and C{distnet gateway} started wrongly."""

from __future__ import annotations

import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.daemons import PATIENCE, ROOT, eventually
from tests.gateways import Machine, gateway_of
from tests.masters import Master
from tests.switches import Switch, switches

StartSwitch = Callable[..., Switch]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here"),
    pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here"),
]

_numbers = itertools.count(1)


@pytest.fixture
def start_switch(tmp_path: Path) -> Iterator[StartSwitch]:
    """Start switches with options."""
    with switches(tmp_path) as start:
        yield start


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def plugged(switch: Switch, address: str = "10.0.2.15") -> Machine:
    """A machine on a switch."""
    return Machine(switch.sock, address, f"gs{os.getpid()}x{next(_numbers)}")


def test_the_switch_has_a_gateway(start_switch: StartSwitch, master: Master) -> None:
    """With --gateway guests find the master; one that dies is noticed, without -M."""
    switch = start_switch("--gateway", "--master-control", master.control)
    switch.wait_for_gateway()
    with (
        plugged(switch) as machine,
        plugged(switch, "10.0.2.17") as other,
        machine.connect() as kernel,
        other.connect() as living,
    ):
        assert [kernel.read_id(), living.read_id()] == [0, 1]
        switch.wait_for_log("is node 1")
        machine.plug.kill()
        master.wait_until_left(0)
        living.send(1, b"sixteen bytes of")
        assert living.receive() == (1, b"sixteen bytes of")
    assert re.search(r"gateway: 10.0.2.15 \(.*\): has left the switch \(port \d\)", switch.log())


def test_the_gateway_is_started_again(start_switch: StartSwitch, master: Master) -> None:
    """An abort of libslirp ends the gateway alone: the switch lives on and starts it again."""
    switch = start_switch("--gateway", "--master-control", master.control)
    switch.wait_for_gateway()
    with plugged(switch) as machine, plugged(switch, "10.0.2.17") as other:
        with machine.connect() as kernel:
            kernel.read_id()
            pid = gateway_of(switch)
            assert pid is not None
            os.kill(pid, signal.SIGABRT)
            switch.wait_for_log("it has ended (by SIGABRT)")
            assert machine.ping("10.0.2.17")
            switch.wait_for_gateway()
        with other.connect() as again:
            again.read_id()


def test_the_gateway_stops_with_the_switch(start_switch: StartSwitch, master: Master) -> None:
    """When the switch stops, so does its gateway, and nothing of either is left."""
    switch = start_switch("--gateway", "--master-control", master.control)
    switch.wait_for_gateway()
    pid = gateway_of(switch)
    assert pid is not None
    # That of a terminal is for all that was started there: the switch is to decide.
    os.kill(pid, signal.SIGHUP)
    assert switch.stop(signal.SIGHUP) == 0
    assert "and is started again" not in switch.log()
    assert not is_running(pid)
    assert not switch.sock.exists()


def test_the_gateway_does_not_outlive_a_killed_switch(
    start_switch: StartSwitch, master: Master
) -> None:
    """When the switch is killed its gateway ends by itself: the next switch has its own."""
    switch = start_switch("--gateway", "--master-control", master.control)
    switch.wait_for_gateway()
    pid = gateway_of(switch)
    assert pid is not None
    switch.stop(signal.SIGKILL)
    try:
        eventually("it has ended", lambda: not is_running(pid))
    finally:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def distnet_gateway(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run C{distnet gateway} where it cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "distnet.cli", "gateway", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


def test_as_many_descriptors_as_it_may_have(tmp_path: Path) -> None:
    """A gateway alone raises its soft limit of descriptors, as a switch's has it raised already."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    words = ["-m", "distnet.cli", "gateway", "--sock", str(tmp_path / "switch")]
    process = subprocess.Popen(
        ["sh", "-c", 'ulimit -S -n 64; exec "$@"', "sh", sys.executable, *words],
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        limits = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        process.terminate()
    assert b"libslirp" in line
    assert limits == (hard, hard)


def test_without_libslirp(tmp_path: Path) -> None:
    """Where there is no libslirp, one line says which package has it."""
    # A library of that name that is none is found first.
    (tmp_path / "libslirp.so.0").write_bytes(b"")
    ran = distnet_gateway("--sock", str(tmp_path), LD_LIBRARY_PATH=str(tmp_path))
    assert ran.returncode == 1
    assert "apt-get install libslirp0" in ran.stderr
    assert ran.stderr.count("\n") == 1
    switch = Switch(tmp_path, "--gateway", within=["env", f"LD_LIBRARY_PATH={tmp_path}"])
    switch.launch()
    assert switch.process.wait(PATIENCE) == 1
    lines = [line for line in switch.log().splitlines() if line.startswith("distnet: ")]
    assert len(lines) == 1
    assert "apt-get install libslirp0" in lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--map", "10.0.2.15"], "'10.0.2.15' is not IP=N"),
        (["--map", "10.0.2.16=3"], "10.0.2.16 is not an address of a guest"),
        (["--map", "10.0.2.15=3", "--map", "10.0.2.17=3"], "two addresses are mapped to node 3"),
        (["--master", "tls:host:1"], "does not speak TLS"),
    ],
)
def test_wrong_words(words: list[str], said: str, start_switch: StartSwitch) -> None:
    """Wrong arguments are refused in one line, by the command and by the switch alike."""
    ran = distnet_gateway(*words)
    assert ran.returncode in (1, 2)
    assert said in ran.stderr.splitlines()[-1]
    switch = Switch(Path("/tmp"), "--gateway", *words)
    ran = subprocess.run(
        switch.command(), env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert ran.returncode == 1
    assert said in ran.stdout + ran.stderr
    switch.home.rmdir()
