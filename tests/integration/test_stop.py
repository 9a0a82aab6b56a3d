"""How a master stops: what still goes out, how connections end, and with which exit status."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemons import PATIENCE, ROOT, TWISTD, eventually
from tests.masters import Kernel, Master

Start = Callable[..., Master]
Connect = Callable[..., Kernel]

BLOCK = bytes(range(256)) * 4


def settle(*kernels: Kernel) -> None:
    """Have kernels prove that they have read their ids."""
    for kernel in kernels:
        kernel.send(kernel.id, BLOCK)
        assert kernel.receive() == (kernel.id, BLOCK)


def resets(kernel: Kernel) -> bool:
    """Whether the master has reset the connection."""
    # Linux calls it EPIPE where the end of the stream has been seen before.
    error = kernel.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return error in (errno.ECONNRESET, errno.EPIPE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_with_status_0(
    number: int, start_master: Start, connect: Connect, tmp_path: Path
) -> None:
    """
    After SIGTERM all nodes have left, the sockets are gone, and the exit status is 0; SIGHUP, as of
    a terminal that is closed, does the same.
    """
    path = tmp_path / "kernels"
    master = start_master("--port", "0", "--listen", f"unix:{path}")
    settle(connect(master), connect(master, str(path)))
    assert master.stop(number) == 0
    log = master.log()
    assert "node 0: left (the master stops)" in log
    assert "node 1: left (the master stops)" in log
    assert "Traceback" not in log
    assert not any(Path(left).exists() for left in (path, master.control, master.tools))


def test_a_daemon_stops_too(tmp_path: Path) -> None:
    """After SIGTERM a master in the background has removed its pidfile and its sockets."""
    pidfile, log = tmp_path / "pid", tmp_path / "log"
    subprocess.run(
        [TWISTD, f"--pidfile={pidfile}", f"--logfile={log}", "--rundir=/",
         "distnet", "--listen", "unix:kernels", "--control", "control"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=PATIENCE, check=True,
        capture_output=True,
    )  # fmt: skip
    master = int(pidfile.read_text())
    try:
        with Kernel(str(tmp_path / "kernels")) as kernel:
            assert kernel.read_id() == 0
            os.kill(master, signal.SIGTERM)
            assert kernel.is_closed()
        eventually("the pidfile is gone", lambda: not pidfile.exists())
    finally:
        if pidfile.exists():
            os.kill(master, signal.SIGKILL)
    assert {left.name for left in tmp_path.iterdir()} == {"log"}
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("name", ["distnet", "distnet-vde"])
def test_sighup_in_the_background(name: str, tmp_path: Path) -> None:
    """A daemon goes on after SIGHUP, in a log of the same name when that was moved away."""
    pidfile, log, moved = tmp_path / "pid", tmp_path / "log", tmp_path / "log.1"
    where = {"distnet": "--port=0", "distnet-vde": f"--sock={tmp_path / 'switch'}"}[name]
    subprocess.run(
        [TWISTD, f"--pidfile={pidfile}", f"--logfile={log}", f"--rundir={tmp_path}",
         name, where, f"--control={tmp_path / 'control'}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=PATIENCE, check=True,
        capture_output=True,
    )  # fmt: skip
    daemon = int(pidfile.read_text())
    try:
        log.rename(moved)
        before = moved.read_text()
        os.kill(daemon, signal.SIGHUP)
        eventually("it says so", lambda: log.exists() and "received SIGHUP" in log.read_text())
        os.kill(daemon, signal.SIGTERM)
        eventually("the pidfile is gone", lambda: not pidfile.exists())
    finally:
        if pidfile.exists():
            os.kill(daemon, signal.SIGKILL)
    assert moved.read_text() == before
    assert "received SIGTERM, stopping" in log.read_text()
    assert {left.name for left in tmp_path.iterdir()} == {"log", "log.1"}


def test_sigint_stops_in_good_order(master: Master, connect: Connect) -> None:
    """Control-C stops like SIGTERM; the exit status is that of an interrupted command."""
    settle(connect(master))
    assert master.stop(signal.SIGINT) == -signal.SIGINT
    master.wait_for_log("node 0: left (the master stops)")
    assert not Path(master.control).exists()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_sigterm_is_harmless(first: int, start_master: Start, connect: Connect) -> None:
    """SIGTERM during a stop changes nothing: what waits still goes out."""
    master = start_master("--port", "0", "--grace-seconds", "20")
    kernel = connect(master)
    settle(kernel)
    messages = kernel.fill(master, 0, 20)
    master.process.send_signal(first)
    eventually("it stops", lambda: not Path(master.control).exists())
    for _ in range(3):
        master.process.send_signal(signal.SIGTERM)
    assert [kernel.receive() for _ in messages] == messages
    assert kernel.is_closed()
    assert master.stop() in (0, -first)
    assert "Traceback" not in master.log()


def test_a_stopping_master_accepts_nobody(
    start_master: Start, connect: Connect, tmp_path: Path
) -> None:
    """While it delivers what waits, a stopping master lets nobody new connect."""
    path = str(tmp_path / "kernels")
    master = start_master("--port", "0", "--listen", f"unix:{path}", "--grace-seconds", "20")
    kernel, port = connect(master), master.port
    settle(kernel)
    messages = kernel.fill(master, 0, 20)
    master.process.send_signal(signal.SIGTERM)
    eventually("it stops", lambda: not Path(master.control).exists())

    def is_refused() -> bool:
        try:
            Kernel(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return True
        return False

    eventually("nobody is let in", is_refused)
    with pytest.raises(FileNotFoundError):
        Kernel(path)
    assert [kernel.receive() for _ in messages] == messages
    assert master.stop() == 0


@pytest.mark.parametrize("pace", ["segment", "stream"])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_what_waits_goes_out(
    kind: str, pace: str, start_master: Start, connect: Connect, tmp_path: Path
) -> None:
    """A node that reads slowly gets all that waits for it within the grace, whole, then the end."""
    path = str(tmp_path / "kernels")
    master = start_master("--port", "0", "--listen", f"unix:{path}", "--pace", pace,
                          "--grace-seconds", "20")  # fmt: skip
    kernel = connect(master, path if kind == "unix" else None)
    settle(kernel)
    messages = kernel.fill(master, 0, 600)
    master.process.send_signal(signal.SIGTERM)
    eventually("it stops", lambda: not Path(master.control).exists())
    for number, message in enumerate(messages):
        assert kernel.receive() == message
        if not number % 20:
            time.sleep(0.005)
    assert kernel.is_closed()
    assert master.stop() == 0
    assert "of what still waited" not in master.log()


def test_what_the_reader_has_not_taken_over_is_not_cut(start_master: Start) -> None:
    """What was written, but is still on the way to a slow reader, has the grace too to arrive."""
    master = start_master("--port", "0", "--pace", "stream", "--grace-seconds", "20")
    with Kernel(("127.0.0.1", master.port), receive_buffer=4096) as kernel:
        kernel.read_id()
        settle(kernel)
        messages = [(0, number.to_bytes(4) + BLOCK[: number % 1000]) for number in range(400)]
        for _, payload in messages:
            kernel.send(0, payload)
        eventually("it has them", lambda: master.node(0)["received"]["messages"] == 401)
        master.process.send_signal(signal.SIGTERM)
        eventually("it stops", lambda: not Path(master.control).exists())
        time.sleep(3)
        assert [kernel.receive() for _ in messages] == messages
        assert kernel.is_closed()
        assert master.stop() == 0


@pytest.mark.parametrize("pace", ["segment", "stream"])
def test_a_stuck_reader_does_not_keep_it_from_stopping(
    pace: str, start_master: Start, connect: Connect
) -> None:
    """A node that does not read at all holds a stop up for the grace, not longer."""
    master = start_master("--port", "0", "--pace", pace, "--grace-seconds", "0.3")
    stuck, other = connect(master), connect(master)
    settle(stuck, other)
    other.fill(master, 0, 600)
    assert master.stop() == 0
    master.wait_for_log("discarded of what still waited")
    assert other.is_closed()


def test_a_tcp_peer_that_keeps_its_side_open_is_reset(master: Master, connect: Connect) -> None:
    """At a stop a TCP peer sees the end first, and is reset if it does not close its own side."""
    kernel, polite = connect(master), connect(master)
    settle(kernel, polite)
    master.process.send_signal(signal.SIGTERM)
    assert polite.socket.recv(1) == b""
    assert not resets(polite)
    polite.close()
    assert kernel.socket.recv(1) == b""
    eventually("it is reset", lambda: resets(kernel))
    assert master.stop() == 0


def test_a_tcp_peer_that_has_quit_is_reset(master: Master, connect: Connect) -> None:
    """After quit a TCP peer sees the end, then a reset if it keeps its side open."""
    kernel = connect(master)
    kernel.socket.sendall(b"quit")
    assert kernel.socket.recv(1) == b""
    eventually("it is reset", lambda: resets(kernel))
    master.wait_for_log("left (quit)")


def test_a_unix_peer_sees_the_end(start_master: Start, connect: Connect, tmp_path: Path) -> None:
    """A unix peer sees the end of the stream, after quit and at a stop, and no reset."""
    path = str(tmp_path / "kernels")
    master = start_master("--listen", f"unix:{path}")
    quits, stays = connect(master, path), connect(master, path)
    settle(quits, stays)
    quits.socket.sendall(b"quit")
    assert quits.socket.recv(1) == b""
    master.process.send_signal(signal.SIGTERM)
    assert stays.socket.recv(1) == b""
    assert master.stop() == 0


def test_a_node_that_was_not_settled_is_sent_nothing(master: Master, connect: Connect) -> None:
    """At a stop, a node that has not read its id still finds its id alone."""
    late, sender = connect(master, read_id=False), connect(master)
    sender.fill(master, 0, 3)
    assert master.stop() == 0
    assert late.read_id() == 0
    assert late.is_closed()
