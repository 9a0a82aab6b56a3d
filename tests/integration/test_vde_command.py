"""distnet-vde-switch beside vde_switch: one word for the other, and the rest is the same."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from distnet.processes import start_time
from tests.daemons import PATIENCE, ROOT, environment, eventually
from tests.switches import BROADCAST, RawClient, frame, mac

OURS = [sys.executable, "-m", "distnet.switch.cli"]
both = pytest.mark.parametrize(
    "command",
    [
        pytest.param(OURS, id="ours"),
        pytest.param(
            ["vde_switch"],
            id="vde_switch",
            marks=pytest.mark.skipif(
                shutil.which("vde_switch") is None, reason="no vde_switch here"
            ),
        ),
    ],
)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def variables(home: Path) -> dict[str, str]:
    """What both are started with."""
    return environment(XDG_RUNTIME_DIR=str(home), PYTHONPATH=str(ROOT))


def mode(path: Path) -> str:
    """Its permissions."""
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


@both
def test_as_a_script_starts_it(command: list[str], home: Path) -> None:
    """It is in the background once its sockets are there, with a file that has its number."""
    words = f"-s a.ctl -m 660 -p a.pid -M {home}/a.mgmt --mgmtmode 660 -d -x"
    started = subprocess.run(
        [*command, *words.split()],
        cwd=home, env=variables(home), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (started.returncode, started.stdout, started.stderr) == (0, "", "")
    pid = int((home / "a.pid").read_text())
    try:
        assert Path(f"/proc/{pid}/cwd").readlink() == home
        modes = {name: mode(home / name) for name in ("a.ctl", "a.ctl/ctl", "a.mgmt", "a.pid")}
        assert modes == {"a.ctl": "2770", "a.ctl/ctl": "660", "a.mgmt": "660", "a.pid": "644"}
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(str(home / "a.mgmt"))
            console.sendall(b"showinfo\n")
            said = b""
            while b"1000 Success" not in said:
                said += console.recv(4096)
        assert f"pid {pid} MAC".encode() in said
        with RawClient(home / "a.ctl").plug() as one, RawClient(home / "a.ctl").plug() as other:
            one.send(sent := frame(BROADCAST, mac(1), b"for all to hear"))
            assert other.receive() == sent
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually("it has ended", lambda: start_time(pid) is None)
    assert [path.name for path in home.iterdir() if path.name.startswith("a.")] == []


@both
def test_under_a_program(command: list[str], home: Path) -> None:
    """Standard output has the answers alone, and the end of input is that of the switch."""
    words = f"-sock {home}/s -M {home}/s/console -p {home}/pid"
    with subprocess.Popen(
        [*command, *words.split()],
        env=variables(home), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        for socket_of_its_own in ("ctl", "console"):
            eventually("it listens", (home / "s" / socket_of_its_own).is_socket)
        eventually("its number is there", (home / "pid").exists)
        assert int((home / "pid").read_text()) == process.pid
        shown, logged = process.communicate(b"port/showinfo\n", PATIENCE)
    assert process.returncode == 0
    assert shown.startswith(b"0000 DATA END WITH '.'\nNumports=32\n")
    assert shown.endswith(b".\n1000 Success\n")
    assert b"ended: stopping" in logged or b"EOF on stdin" in logged
    assert not (home / "s").exists()
    assert not (home / "pid").exists()


def test_what_cannot_be(home: Path) -> None:
    """Why it does not start is one line, in the background too."""
    for words in (["-d", "-n", "x"], ["-s", "/nonexistent/a", "-d", "-p", str(home / "pid")]):
        failed = subprocess.run(
            [*OURS, *words],
            env=variables(home), capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert failed.returncode == 1
        assert failed.stderr.splitlines()[0].startswith("distnet")
        assert "Traceback" not in failed.stderr
        assert not (home / "pid").exists()
