"""Real guests with a kernel's habits, connected as documented, and a real master."""

from __future__ import annotations

import multiprocessing
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from distnet.master.log import UNREAD_SECONDS
from tests.daemons import PATIENCE, eventually
from tests.guest import wire
from tests.guest.burst import assert_reads_a_burst
from tests.guest.conftest import Boot
from tests.guest.qemu import Guest, guestfwd
from tests.masters import Kernel, Master

Start = Callable[..., Master]

DFS = "connect;bcast:0,1,2:512:4;expect:any:8;quit"
"""What three kernels with a DFS do: tell all ids, and hear from all, whoever is there already."""


def qemu_args(master: Master, *options: str) -> list[str]:
    """What the command tells its user to give to QEMU."""
    command = [sys.executable, "-m", "distnet.cli", "qemu-args", "--control", master.control]
    said = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    return shlex.split(said.stdout)


def assert_done(*guests: Guest) -> None:
    """All guests came to the end of their scripts."""
    for guest in guests:
        guest.wait_for(r"^DN done ")
        assert guest.wait() == 0


@pytest.fixture
def busy_host() -> Iterator[None]:
    """Keep every processor busy with something else."""
    spinners = [
        multiprocessing.Process(target=_spin, daemon=True) for _ in range(os.cpu_count() or 1)
    ]
    for spinner in spinners:
        spinner.start()
    yield
    for spinner in spinners:
        spinner.kill()
        spinner.join()


def _spin() -> None:
    while True:
        pass


def test_three_guests_come_up_together(start_master: Start, boot: Boot) -> None:
    """Three kernels booted at once with the documented options get clean ids, and all mail."""
    master = start_master("--port", "0")
    netdev = qemu_args(master)
    assert netdev == guestfwd(master.port)
    guests = [boot(netdev, DFS, name=f"guest{number}") for number in range(3)]
    assert_done(*guests)
    assert {line for guest in guests for line in guest.lines("DN id=")} == {
        "DN id=0",
        "DN id=1",
        "DN id=2",
    }
    assert master.undelivered() == {}


def test_a_stopped_guest_gets_a_clean_id_much_later(start_master: Start, boot: Boot) -> None:
    """
    A QEMU that waits with -S is connected at once; its kernel reads its id when it runs.

    That it has not for long is said of it, and not of the others.
    """
    master = start_master("--port", "0")
    netdev = qemu_args(master)
    stopped = boot(netdev, DFS, name="stopped", stopped=True)
    eventually("it is connected", lambda: master.node(0)["state"] == "unsettled")
    others = [boot(netdev, DFS, name=f"guest{number}") for number in (1, 2)]
    for guest in others:
        guest.wait_for(r"^DN bcast ")
    eventually("all mail waits", lambda: master.node(0)["waiting"]["messages"] == 8)
    eventually("it is said", lambda: "has not read" in master.log(), 2 * UNREAD_SECONDS)
    assert re.search(r"node 0: connected for \d+ s, and has not read its id: ", master.log())
    assert master.node(0)["state"] == "unsettled"
    stopped.cont()
    assert_done(stopped, *others)
    assert "DN id=0" in stopped.lines()
    assert master.log().count("has not read its id") == 1


def test_guests_apart_on_a_busy_host(start_master: Start, boot: Boot, busy_host: None) -> None:
    """Kernels seconds apart, on a host with no time to spare, come up as well."""
    master = start_master("--port", "0")
    netdev = qemu_args(master)
    guests = []
    for number in range(3):
        guests.append(boot(netdev, DFS, name=f"guest{number}"))
        time.sleep(2)
    for guest in guests:
        guest.wait_for(r"^DN done ", 180)
    assert master.undelivered() == {}


def test_a_guest_that_only_receives(start_master: Start, boot: Boot) -> None:
    """A kernel that never sends gets what was sent to it before, and after, it read its id."""
    master = start_master("--port", "0")
    with Kernel(("127.0.0.1", master.port)) as probe:
        probe.read_id()
        guest = boot(qemu_args(master), "connect;expect:0:6", name="receiver")
        eventually("it is connected", lambda: master.node(1)["state"] == "unsettled")
        for number in range(3):
            probe.send(1, wire.payload(0, number, 512))
        guest.wait_for(r"^DN recv from=0 len=512 seq=2 ok")
        for number in range(3, 6):
            probe.send(1, wire.payload(0, number, 512))
        assert_done(guest)
        master.wait_for_log("node 1: settled")
        master.wait_for_log("as its queue shows")


def test_what_a_guest_reaches(start_master: Start, boot: Boot) -> None:
    """A guest reaches the master, and a listener on this machine's loopback only if it may."""
    master = start_master("--port", "0")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = f"connect;send:{{}}:512:1;expect:any:1;quit;fetch:10.0.2.2:{port}:{{}}"
        for node, options in enumerate(([], ["--no-restrict"])):
            guest = boot(
                qemu_args(master, *options), script.format(node, "0:3" if node == 0 else "0"),
                name=f"guest{node}",
            )  # fmt: skip
            guest.wait_for(rf"^DN recv from={node} len=512 seq=0 ok")
            if node == 0:
                guest.wait_for("^DN FAIL fetch: nobody listens$")
                listener.settimeout(0)
                with pytest.raises(BlockingIOError):
                    listener.accept()
                continue
            listener.settimeout(PATIENCE)
            accepted, _ = listener.accept()
            accepted.close()
            assert_done(guest)


@pytest.mark.skipif(shutil.which("socat") is None, reason="needs the Debian package socat")
def test_the_command_form_connects_again(start_master: Start, boot: Boot) -> None:
    """With a command, a guest that disconnects and connects again gets a new id."""
    master = start_master("--port", "0")
    script = "connect;send:0:512:2;expect:0:2;quit;sleep:0.5;connect;send:1:512:2;expect:1:2;quit"
    guest = boot(qemu_args(master, "--form", "command"), script, name="again")
    assert_done(guest)
    assert guest.lines("DN id=") == ["DN id=0", "DN id=1"]
    master.wait_for_log("node 1: left (quit)")


@pytest.mark.parametrize("number", [15, 9], ids=["SIGTERM", "SIGKILL"])
def test_pinned_nodes_outlive_the_master(
    number: int, start_master: Start, boot: Boot, tmp_path: object
) -> None:
    """Kernels at pinned unix sockets go on, without a new id, when the master was away."""
    master = start_master(
        "--node", f"0=unix:{tmp_path}/0", "--node", f"1=unix:{tmp_path}/1",
        "--state", f"{tmp_path}/state",
    )  # fmt: skip
    scripts = [
        "connect;send:1:512:2;expect:1:2;sleep:6;send:1:512:2;expect:1:2",
        "connect;send:0:512:2;expect:0:4;send:0:512:2;sleep:1",
    ]
    guests = [
        boot(
            qemu_args(master, "--node", str(node), "--form", "reconnect"),
            scripts[node],
            name=f"node{node}",
        )
        for node in (0, 1)
    ]
    for guest in guests:
        guest.wait_for(r"^DN recv from=\d len=512 seq=1 ok")
    master.stop(number)
    master.start()
    log = master.wait_for_log("node 0: resumed")
    assert "node 1: resumed" in master.wait_for_log("node 1: resumed")
    assert "settled after" not in log
    assert_done(*guests)
    assert [guest.lines("DN id=") for guest in guests] == [["DN id=0"], ["DN id=1"]]


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_strict_reader_under_load(
    kind: str, start_master: Start, boot: Boot, tmp_path: object
) -> None:
    """A kernel reads no header in two parts when 5,000 messages of all sizes come back to back."""
    listen = {"tcp": "0", "unix": f"unix:{tmp_path}/kernels"}[kind]
    master = start_master("--port", listen)
    address = ("127.0.0.1", master.port) if kind == "tcp" else f"{tmp_path}/kernels"
    netdev = qemu_args(master)
    assert_reads_a_burst(
        address, lambda script: boot(netdev, script, name="strict"), begins="^DN up"
    )
    assert master.undelivered() == {}
