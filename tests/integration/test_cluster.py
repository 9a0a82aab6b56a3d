"""Clusters of real QEMUs with tiny kernels: how they start, fail, and end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distnet.cluster.record import GRACE, Process, read_record
from distnet.control.ask import ask
from distnet.processes import start_time
from tests import tiny_kernels
from tests.clusters import COMMAND, Clusters, Up, clusters
from tests.daemons import PATIENCE, eventually
from tests.disks import needs_mount, small_disk
from tests.masters import Kernel, running
from tests.switches import running as running_switch
from tests.unnamed import OwnMaster, OwnSwitch, distnet

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-system-riscv64") is None, reason="needs the Debian package qemu-system-misc"
)

Write = Callable[..., Path]

SAYS = "tiny kernel\n"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Clusters]:
    """A place for clusters."""
    with clusters(tmp_path) as place:
        yield place


@pytest.fixture
def tiny(place: Clusters) -> Write:
    """Write the file of a cluster of tiny kernels, none of which ever connects."""

    def write(name: str = "tiny", code: bytes = tiny_kernels.waits(SAYS), **keys: Any) -> Path:
        kernel = tiny_kernels.write(place.home, code, f"{name}.bin")
        usual = {"kernel": kernel.name, "nodes": 2, "machine": tiny_kernels.MACHINE}
        return place.write(name, **{**usual, **keys})

    return write


def waiting(place: Clusters, file: Path, *options: str) -> Up:
    """A cluster whose kernels run, and which waits for their ids."""
    up = place.up(file, *options)
    # What was left of an earlier one has its time to end.
    up.wait_for("node 1: started", PATIENCE + GRACE)
    return up


def fails(place: Clusters, file: Path) -> str:
    """What is said of a cluster that does not come up; nothing of it is left."""
    ended = place.run("up", str(file))
    assert ended.returncode == 1
    place.assert_nothing_is_left()
    return ended.stderr


def visit(place: Clusters, node: int, name: str = "tiny") -> None:
    """Be a node's kernel: come for its id, send a message, and leave."""
    run = place.run_directory(name)
    with Kernel(str(run / f"node-{node}.master")) as kernel:
        assert kernel.read_id() == node
        kernel.send(node, b"sixteen bytes of")
        assert kernel.receive() == (node, b"sixteen bytes of")
        kernel.quit()
    state = f"/nodes/{node}"
    eventually("it has left", lambda: ask(str(run / "control"), state)[1]["state"] == "expected")


# Starts


def test_a_kernel_that_has_left(place: Clusters, tiny: Write) -> None:
    """A kernel has had its id even if it has left before anybody looked."""
    up = waiting(place, tiny(topology="vde"))
    up.process.send_signal(signal.SIGSTOP)
    for node in 0, 1:
        visit(place, node)
    up.process.send_signal(signal.SIGCONT)
    up.wait_for("all 2 nodes have their ids")
    assert up.stop() == 0


def test_beside_others(place: Clusters, tiny: Write, tmp_path: Path) -> None:
    """A cluster has a master, a switch and a gateway of its own, whatever else the user runs."""
    home = tmp_path / "mine"
    home.mkdir()
    own = OwnMaster(home, "control-mine", "--listen", f"unix:{home}/mine", runtime=place.runtime)
    with (
        running(own) as master,
        running_switch(OwnSwitch(home, "mine", runtime=place.runtime)) as switch,
    ):
        up = waiting(place, tiny(topology="vde"))
        for node in 0, 1:
            visit(place, node)
        up.wait_for("all 2 nodes have their ids")
        for words, process in (
            (["status"], master.process),
            (["status", "--switch"], switch.process),
        ):
            shown = distnet(place.runtime, *words)
            assert f", pid {process.pid}, " in shown.stdout, shown.stderr
        assert master.status()["counters"]["received"]["messages"] == 0
        assert up.stop() == 0
        assert master.stop() == switch.stop() == 0


# Failed starts


def test_a_kernel_that_ends(place: Clusters, tiny: Write) -> None:
    """A kernel that ends before it has its id is told, with its console and command line."""
    said = fails(place, tiny(code=tiny_kernels.ends("it is\nover\n", 3), nodes=1))
    lines = said.splitlines()
    assert lines[0] == "distnet: node 0 has no id: its QEMU ended with status 3"
    assert lines[1] == "node 0: QEMU ended with status 3"
    assert lines[2].startswith("  qemu-system-riscv64 -name tiny-0 -machine virt ")
    assert lines[3:] == ["  | it is", "  | over"]


def test_a_kernel_that_never_connects(place: Clusters, tiny: Write) -> None:
    """A kernel that does not come for its id in time is named, with what it has said."""
    said = fails(place, tiny(timeout=5, nodes=1, append="LOG=warn:IP=1"))
    assert said.startswith(
        "distnet: node 0 has no id after 5 s: it has not connected to 10.0.2.16:1234,"
        " or has not read its id; a zCore with IP=1 has the master's own address: write IP={n}\n"
        "node 0: QEMU runs\n  qemu-system-riscv64 "
    )
    assert "  | tiny kernel\n" in said


def test_qemu_does_not_start(place: Clusters, tiny: Write) -> None:
    """What QEMU itself says is told."""
    said = fails(place, tiny(node=[{"id": 1, "arguments": "-frobnicate"}]))
    assert said.startswith("distnet: node 1 has no id: its QEMU ended with status 1\n")
    assert "-frobnicate: invalid option" in said


def test_a_network_card(place: Clusters, tiny: Write) -> None:
    """A card that QEMU has not, or that the machine has no bus for, is named, with what to do."""
    file = tiny(nic="virtio-net-devic")
    assert fails(place, file).startswith(
        f"distnet: {file}: nic: qemu-system-riscv64 has no network card 'virtio-net-devic':"
        f" did you mean virtio-net-device or "
    )
    machine = "-machine sifive_u -bios none"
    said = fails(place, tiny(machine=machine, cpus=2, nodes=1, nic="e1000"))
    assert said.splitlines()[0] == (
        "distnet: node 0 has no id: its QEMU ended with status 1: e1000 goes on a PCI bus, and this"
        " machine has none: it needs a machine that has one, such as virt or q35, or the model"
        " virtio-net-device"
    )


def test_without_a_kernel(place: Clusters) -> None:
    """QEMU boots from what its arguments say; paths there are relative to the file, too."""
    tiny_kernels.write(place.home, tiny_kernels.waits(SAYS), "tiny.bin")
    bios, loader = "-bios tiny.bin", "-bios none -device loader,file=tiny.bin,addr=0x80000000"
    nodes = [{"id": 0, "arguments": bios}, {"id": 1, "arguments": loader}]
    up = waiting(place, place.write("bare", nodes=2, nic="virtio-net-device", node=nodes))
    for node in 0, 1:
        up.wait_for(f"{node}| {SAYS}")
    gdb = place.run("gdb", "1", PATH="/nowhere")
    assert gdb.stdout.endswith("/node-1.gdb'\n")
    up.stop()


def test_the_master_does_not_start(place: Clusters, tiny: Write) -> None:
    """What the master says is told, with its command line."""
    said = fails(place, tiny(master="--frobnicate"))
    assert said.startswith("distnet: the master has ended with status 1\nmaster: ")
    assert "--frobnicate" in said.splitlines()[1]
    assert "  | " in said


def test_the_master_ends(place: Clusters, tiny: Write) -> None:
    """A cluster whose master ends says so, and ends."""
    up = waiting(place, tiny())
    master = read_record(place.run_directory("tiny") / "pids" / "master")
    assert master is not None
    os.kill(master.pid, signal.SIGKILL)
    assert up.wait() == 1
    assert "distnet: the master was ended by SIGKILL\n" in up.output()
    place.assert_nothing_is_left()


def test_mistakes_are_one_line(place: Clusters, tiny: Write) -> None:
    """What is missing, or wrong in the file, is one line."""
    file = tiny(kernel="none")
    assert fails(place, file) == f"distnet: {file}: kernel: there is no file {place.home}/none\n"
    file = tiny(nodes=0)
    assert fails(place, file) == f"distnet: {file}: nodes: 0 is not a number from 1 to 239\n"
    ended = place.run("up", str(tiny()), PATH="/nowhere")
    assert (ended.returncode, ended.stderr) == (
        1,
        "distnet: there is no qemu-system-riscv64 here: on Debian, apt-get install"
        " qemu-system-misc\n",
    )


def test_a_place_for_no_socket(place: Clusters, tiny: Write, tmp_path: Path) -> None:
    """Where paths would be no sockets', a line says what to set."""
    spaced = tmp_path / "a space"
    spaced.mkdir()
    ended = place.run("up", str(tiny()), XDG_RUNTIME_DIR=str(spaced))
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert line.endswith("set XDG_RUNTIME_DIR to another directory")


# What comes first


def test_prepare(place: Clusters, tiny: Write) -> None:
    """A command can make the kernel first, in the directory of the file; it is shown."""
    file = tiny(prepare="sh -c 'echo making; mv tiny.bin made.bin'", kernel="made.bin")
    up = waiting(place, file)
    assert "prepare: making\n" in up.output()
    up.stop()
    assert not (place.home / "tiny.bin").exists()


def test_prepare_fails(place: Clusters, tiny: Write) -> None:
    """When the command that makes the kernel fails, its last line says why."""
    said = fails(place, tiny(prepare="sh -c 'echo no compiler >&2; echo; exit 4'"))
    assert said == "distnet: prepare ended with status 4: no compiler\n"
    assert fails(place, tiny(prepare="/no/program")).startswith("distnet: prepare ended with")


def test_prepare_is_interrupted(place: Clusters, tiny: Write) -> None:
    """Control-C ends the command that makes the kernel, and all that it has started."""
    up = place.up(tiny(prepare=f"sh -c 'echo begun; sleep 1234 {place.runtime}; :'"))
    up.wait_for("prepare: begun")
    assert up.stop() == 1
    place.assert_nothing_is_left()


# The end


PROCESSES = {"guestfwd": 3, "vde": 5}
"""The master and two QEMUs; the switch and its gateway."""


@pytest.mark.parametrize(
    ("number", "topology"),
    [
        (signal.SIGINT, "guestfwd"),
        (signal.SIGINT, "vde"),
        (signal.SIGTERM, "guestfwd"),
        (signal.SIGHUP, "guestfwd"),
    ],
)
def test_signals(number: int, topology: str, place: Clusters, tiny: Write) -> None:
    """Control-C, and the signals that mean the same, end all that was started."""
    up = waiting(place, tiny(topology=topology))
    assert len(place.processes()) == PROCESSES[topology]
    assert up.stop(number) == 1
    assert up.output().endswith("distnet: ended before all nodes had their ids\n")
    place.assert_nothing_is_left()


def test_whoever_reads_stands_still(place: Clusters, tiny: Write) -> None:
    """A pager that is paused, say: all is started all the same, and a signal ends all of it."""
    printed = place.home / "up0"
    os.mkfifo(printed)
    descriptor = os.open(printed, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while os.write(descriptor, b"-"):
            pass
    up = place.up(tiny())
    eventually("all is started", lambda: len(place.processes()) == PROCESSES["guestfwd"])
    up.process.send_signal(signal.SIGTERM)
    eventually("no process is left", lambda: place.processes() == [])
    printed_so_far = b""

    def has_ended() -> bool:
        nonlocal printed_so_far
        with contextlib.suppress(BlockingIOError):
            printed_so_far += os.read(descriptor, 1 << 16)
        return up.process.poll() is not None

    eventually("it has ended", has_ended)
    place.assert_nothing_is_left()
    os.close(descriptor)
    assert b"distnet: ended before all nodes had their ids" in printed_so_far


def test_down(place: Clusters, tiny: Write) -> None:
    """The command down ends a cluster that runs elsewhere, by name, file, or as the only one."""
    for words in ([], ["tiny"], [str(tiny())]):
        up = waiting(place, tiny())
        ended = place.run("down", *words)
        assert (ended.returncode, ended.stderr) == (0, "")
        up.wait()
        place.assert_nothing_is_left()


def test_down_of_nothing(place: Clusters) -> None:
    """Where no cluster runs, the exit status is 3."""
    for words in (["down"], ["down", "other"], ["status"], ["logs", "0"], ["restart", "0"]):
        ended = place.run(*words)
        assert ended.returncode == 3
        assert ended.stderr.startswith("distnet: no cluster ")


@pytest.mark.parametrize("topology", ["guestfwd", "vde"])
def test_the_launcher_is_killed(topology: str, place: Clusters, tiny: Write) -> None:
    """When the launcher is killed, nothing that it has started goes on; another up cleans up."""
    up = waiting(place, tiny(topology=topology))
    up.stop(signal.SIGKILL)
    eventually("no process is left", lambda: place.processes() == [])
    assert place.run("status").returncode == 3
    again = waiting(place, tiny(topology=topology))
    again.stop()
    place.assert_nothing_is_left()


def test_the_launcher_stands_still(place: Clusters, tiny: Write) -> None:
    """A launcher that does not heed down is killed, and what it has started with it."""
    up = waiting(place, tiny())
    up.process.send_signal(signal.SIGSTOP)
    assert place.run("down", "--timeout", "1").returncode == 0
    assert up.wait() == -signal.SIGKILL
    place.assert_nothing_is_left()


def leave(place: Clusters, name: str, process: Process) -> None:
    """Leave the record of a process, as a launcher that was killed does."""
    pids = place.run_directory("tiny") / "pids"
    pids.mkdir(parents=True, exist_ok=True)
    for directory in (pids.parent, pids.parent.parent, pids.parent.parent.parent):
        directory.chmod(0o700)
    (pids / name).write_text(f"{process.pid} {process.start}\n")


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with clusters."""
    with subprocess.Popen(["sleep", "1234"]) as process:
        yield process
        process.kill()


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not end when it is asked to."""
    script = "trap '' TERM; echo; while :; do sleep 0.1; done"
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("command", ["up", "down"])
def test_what_a_killed_launcher_has_left(
    command: str,
    place: Clusters,
    tiny: Write,
    stubborn: subprocess.Popen[bytes],
    bystander: subprocess.Popen[bytes],
) -> None:
    """What is on record and still runs is ended; one that has got its number since is not."""
    start = start_time(stubborn.pid)
    other = start_time(bystander.pid)
    assert start is not None
    assert other is not None
    leave(place, "node-0", Process(stubborn.pid, start))
    leave(place, "node-1", Process(bystander.pid, other - 1))
    if command == "up":
        waiting(place, tiny()).stop()
    else:
        assert place.run("down").returncode == 0
    assert stubborn.wait(PATIENCE) == -signal.SIGKILL
    assert bystander.poll() is None
    place.assert_nothing_is_left()


def test_one_at_a_time(place: Clusters, tiny: Write) -> None:
    """A cluster that runs is not started again, and does not notice that it was tried."""
    up = waiting(place, tiny())
    ended = place.run("up", str(tiny()))
    assert ended.returncode == 1
    assert ended.stderr == (
        f"distnet: the cluster tiny runs already, by process {up.process.pid}:"
        f" distnet cluster down tiny\n"
    )
    assert len(place.processes()) == 3
    up.stop()


def test_side_by_side(place: Clusters, tiny: Write) -> None:
    """Clusters of different names run side by side, and must be named then."""
    ups = [waiting(place, tiny(name)) for name in ("one", "two")]
    ended = place.run("status")
    assert (ended.returncode, ended.stderr) == (
        1,
        "distnet: there are several clusters, say which: one, two\n",
    )
    assert place.run("down", "one").returncode == 0
    assert place.run("status").stdout.startswith("cluster two, ")
    for up in ups:
        if up.process.poll() is None:
            up.stop()
    place.assert_nothing_is_left()


# Looking at it


def test_status(place: Clusters, tiny: Write) -> None:
    """The status has each node's state, process, address and console."""
    up = waiting(place, tiny())
    shown = place.run("status").stdout
    run = place.run_directory("tiny")
    record = read_record(run / "pids" / "node-1")
    assert record is not None
    assert shown.startswith("cluster tiny, 2 riscv64 nodes, guestfwd, up ")
    assert f"  distnet status --control {run}/control\n" in shown
    (row,) = [line.split() for line in shown.splitlines() if line.startswith("1 ")]
    assert row[1:4] == ["unsettled", str(record.pid), "10.0.2.17"]
    assert row[5] == str(run / "logs" / "node-1.log")
    up.stop()


def test_consoles_are_prefixed(place: Clusters, tiny: Write) -> None:
    """What comes on a console is printed with its node, unless that is not wanted."""
    up = waiting(place, tiny())
    assert "\n1| tiny kernel\n" in up.wait_for("1| tiny kernel\n")
    up.stop()
    up = waiting(place, tiny(), "--quiet")
    eventually("it has come", lambda: place.run("logs", "1").stdout == SAYS)
    up.stop()
    assert "1| " not in up.output()


def test_logs(place: Clusters, tiny: Write) -> None:
    """A console's log, and the master's, can be printed, and followed until the end."""
    up = waiting(place, tiny())
    up.wait_for("1| tiny kernel")
    assert place.run("logs", "1").stdout == SAYS
    assert "listening at" in place.run("logs", "master").stdout
    ended = place.run("logs", "7")
    assert ended.stderr == "distnet: there is no node 7: they are 0 to 1\n"
    ended = place.run("logs", "nobody")
    assert ended.stderr == "distnet: 'nobody' is not a node, master or switch\n"
    follower = subprocess.Popen(
        [*COMMAND, "logs", "-f", "1"],
        env=place.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    with follower:
        assert follower.stdout is not None
        assert follower.stdout.readline().decode() == SAYS
        up.stop()
        assert follower.wait() == 0


def test_logs_are_kept(place: Clusters, tiny: Write) -> None:
    """In a directory that the file names the logs stay; those of another run do not."""
    (place.home / "kept").mkdir()
    (place.home / "kept" / "node-0.log").write_text("old\n")
    up = waiting(place, tiny(logs="kept"))
    up.wait_for("0| tiny kernel")
    up.stop()
    assert (place.home / "kept" / "node-0.log").read_text() == SAYS
    assert "listening at" in (place.home / "kept" / "master.log").read_text()


def test_gdb(place: Clusters, tiny: Write) -> None:
    """The debugger is given the stub of the node's QEMU; where there is none, its words are."""
    up = waiting(place, tiny())
    stub = f"'target remote {place.run_directory('tiny')}/node-1.gdb'"
    # One that shows its words, in the place of the one that Debian has.
    program = place.home / "gdb-multiarch"
    program.write_text('#!/bin/sh\nfor word; do echo "$word"; done\n')
    program.chmod(0o755)
    shown = place.run("gdb", "1", PATH=f"{place.home}:{os.environ['PATH']}")
    assert shown.stdout.splitlines() == ["-ex", stub.strip("'")]
    ended = place.run("gdb", "1", PATH="/nowhere")
    assert (ended.returncode, ended.stdout) == (1, f"gdb-multiarch -ex {stub}\n")
    assert "apt-get install gdb-multiarch" in ended.stderr
    up.stop()


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs the Debian package tmux")
def test_tmux(place: Clusters, tiny: Write) -> None:
    """Each console has a window of tmux with a keyboard for it; they go with the cluster."""
    server = {"TMUX_TMPDIR": str(place.home)}
    place.environment.update(server)
    place.environment.pop("TMUX", None)

    def tmux(*words: str) -> str:
        done = subprocess.run(
            ["tmux", *words], env=place.environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    up = waiting(place, tiny(code=tiny_kernels.echoes("who is there? ")), "--tmux")
    up.wait_for("tmux: tmux attach -t distnet-tiny")
    assert tmux("list-windows", "-F", "#W", "-t", "distnet-tiny").split() == ["tiny-0", "tiny-1"]
    window = "distnet-tiny:tiny-1"
    eventually("it shows", lambda: "who is there?" in tmux("capture-pane", "-p", "-t", window))
    tmux("send-keys", "-t", window, "nobody")
    eventually(
        "it answers", lambda: "who is there? nobody" in tmux("capture-pane", "-p", "-t", window)
    )
    up.stop()
    eventually("the windows have gone", lambda: "distnet-tiny" not in tmux("list-sessions"))
    place.assert_nothing_is_left()


# What ends by itself


def kill(place: Clusters, what: str) -> None:
    """End a process of the cluster tiny, from outside."""
    record = read_record(place.run_directory("tiny") / "pids" / what)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)


def says(place: Clusters, node: int) -> None:
    """Wait for what a node's kernel says."""
    log = place.run_directory("tiny") / "logs" / f"node-{node}.log"
    eventually("it is said", lambda: log.read_text() == SAYS)


def status(place: Clusters) -> tuple[int, list[str]]:
    """The exit status of the command status, and what it prints."""
    shown = place.run("status")
    return shown.returncode, shown.stdout.splitlines()


def test_a_detached_cluster_that_ends(place: Clusters, tiny: Write) -> None:
    """Its consoles and logs stay until it is told to go; the status says what ended, and how."""
    up = waiting(place, tiny(topology="vde"), "--detach")
    for node in 0, 1:
        visit(place, node)
    assert up.wait() == 0
    for node in 0, 1:
        says(place, node)
    kill(place, "node-0")
    eventually("that is told", lambda: "ended by SIGKILL" in status(place)[1][-2])
    assert status(place)[0] == 0
    kill(place, "switch")
    eventually("it has ended", lambda: status(place)[0] == 3)
    shown = status(place)[1]
    assert re.match("cluster tiny, 2 riscv64 nodes, vde, ended .* ago$", shown[0])
    assert shown[1] == "  the switch was ended by SIGKILL"
    assert "ended by SIGKILL" in shown[-2]
    assert shown[-1].split()[1:3] == ["ended", "-"]
    told = place.run("status", "--json")
    assert told.returncode == 3
    assert json.loads(told.stdout)["ended"]["why"] == "the switch was ended by SIGKILL"
    assert place.run("logs", "1").stdout == place.run("logs", "-f", "0", "tiny").stdout == SAYS
    assert "listening at" in place.run("logs", "master").stdout
    refused = place.run("restart", "0", "tiny")
    assert (refused.returncode, refused.stderr) == (
        3,
        "distnet: no cluster tiny runs: it has ended, see 'distnet cluster status tiny'\n",
    )
    assert place.processes() == []
    assert place.run("down").returncode == 0
    place.assert_nothing_is_left()


def test_a_quiet_cluster_whose_kernels_end(place: Clusters, tiny: Write) -> None:
    """Consoles that were not printed stay, too."""
    up = waiting(place, tiny(topology="vde"), "--quiet")
    for node in 0, 1:
        visit(place, node)
    up.wait_for("all 2 nodes have their ids")
    for node in 0, 1:
        says(place, node)
        kill(place, f"node-{node}")
    assert up.wait() == 1
    code, shown = status(place)
    assert code == 3
    why = "all kernels have ended: node 0 ended by SIGKILL, node 1 ended by SIGKILL"
    assert shown[1] == f"  {why}"
    assert place.run("logs", "0").stdout == SAYS
    assert place.run("down").returncode == 0
    place.assert_nothing_is_left()


def test_detached_and_failed(place: Clusters, tiny: Write) -> None:
    """What fails in the background fails in the foreground, before the command returns."""
    ended = place.run("up", "--detach", str(tiny(code=tiny_kernels.ends("over\n", 1), nodes=1)))
    assert ended.returncode == 1
    assert "distnet: node 0 has no id: its QEMU ended with status 1\n" in ended.stderr
    place.assert_nothing_is_left()


def test_sighup_in_the_background(place: Clusters, tiny: Write) -> None:
    """A detached cluster goes on after SIGHUP, and what it says in a file opened anew."""
    up = waiting(place, tiny(), "--detach")
    visit(place, 0)
    visit(place, 1)
    assert up.wait() == 0
    run = place.run_directory("tiny")
    owner, kernel = read_record(run / "owner"), read_record(run / "pids" / "node-1")
    assert owner is not None
    assert kernel is not None
    log = run / "launcher.log"
    log.rename(f"{log}.1")
    owner.send(signal.SIGHUP)
    eventually("the log is opened anew", log.exists)
    kernel.send(signal.SIGKILL)
    eventually("it is logged", lambda: "node 1: ended by SIGKILL" in log.read_text())
    assert place.run("down").returncode == 0
    place.assert_nothing_is_left()


@needs_mount
def test_a_full_disk(place: Clusters, tiny: Write, tmp_path: Path) -> None:
    """That consoles cannot be kept is said; the network goes on."""
    with small_disk(tmp_path / "disk") as disk:
        up = waiting(place, tiny(logs=str(disk.path / "logs")))
        disk.fill()
        up.wait_for("the disk of the logs is full")
        visit(place, 0)
        visit(place, 1)
        up.wait_for("all 2 nodes have their ids")
        assert up.stop() == 0
        place.assert_nothing_is_left()
