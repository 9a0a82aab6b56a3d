"""The C{distnet} command, run as people and scripts run it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from distnet import __version__
from distnet._native import describe
from distnet.cli.main import main
from distnet.qemu import find_version
from distnet.wire import FIRST_TOOL_ID
from tests.daemons import PATIENCE, ROOT, eventually
from tests.masters import Kernel, Master

Start = Callable[..., Master]
Connect = Callable[..., Kernel]
Open = Callable[..., "subprocess.Popen[str]"]

TEXT = "sixteen bytes ok"
COMMAND = [sys.executable, "-m", "distnet.cli"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def distnet(
    *words: str, master: Master | None = None, data: bytes = b"", path: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end. No output of it may be a traceback."""
    control = ["--control", master.control] if master is not None else []
    ended = subprocess.run(
        [*COMMAND, words[0], *control, *words[1:]],
        env={**ENVIRONMENT, **({"PATH": path} if path is not None else {})},
        input=data, capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert b"Traceback" not in ended.stderr
    return ended


def lines(data: bytes) -> list[str]:
    """Output as lines."""
    return data.decode().splitlines()


def fails(status: int, *words: str, master: Master | None = None, data: bytes = b"") -> str:
    """The one line with which the command fails."""
    ended = distnet(*words, master=master, data=data)
    assert (ended.returncode, ended.stdout) == (status, b"")
    (line,) = lines(ended.stderr)
    assert line.startswith("distnet: ")
    return line.removeprefix("distnet: ")


@pytest.fixture
def begin() -> Iterator[Open]:
    """Start the command, and end it if it has not ended by the end of the test."""
    with ExitStack() as stack:

        def begin(*words: str, master: Master) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*COMMAND, words[0], "--control", master.control, *words[1:]],
                env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def identity(receiver: subprocess.Popen[str]) -> int:
    """The id that a C{distnet recv} says it has."""
    assert receiver.stderr is not None
    word, number = receiver.stderr.readline().split()
    assert word == "id"
    return int(number)


# status


def test_status(master: Master, connect: Connect) -> None:
    """The status shows the listeners, the nodes with their amounts, and what was not delivered."""
    kernel = connect(master)
    kernel.send(0, bytes(512))
    assert kernel.receive() == (0, bytes(512))
    kernel.send(5, bytes(512))
    kernel.send(70000, bytes(512))
    eventually("all is counted", lambda: master.node(0)["received"]["messages"] == 3)
    shown = distnet("status", master=master)
    assert (shown.returncode, shown.stderr) == (0, b"")
    text = lines(shown.stdout)
    assert text[0].startswith(f"distnet {__version__}, pid {master.process.pid}, up ")
    assert f"  listening at tcp:127.0.0.1:{master.port} for kernels" in text
    assert f"  listening at unix:{master.tools} for tools" in text
    (row,) = [line for line in text if line.startswith("0 ")]
    assert "settled" in row
    assert "3 messages (1.6 kB)" in row
    assert "waiting for node 5: 1 message (520 B)" in text
    assert "not delivered, no-such-id: 1 message (520 B)" in text


def test_status_as_json(master: Master) -> None:
    """With --json the status is what the control interface says."""
    shown = distnet("status", "--json", master=master)
    assert json.loads(shown.stdout) == master.status()


# send and recv


def test_a_text_is_sent(master: Master, connect: Connect) -> None:
    """A text, or standard input byte by byte, reaches a node from a tool's id."""
    kernel = connect(master)
    sent = distnet("send", "0", TEXT, master=master)
    assert (sent.returncode, sent.stderr) == (0, b"")
    assert lines(sent.stdout)[0].startswith("16 bytes sent to node 0")
    assert kernel.receive() == (FIRST_TOOL_ID, TEXT.encode())
    data = bytes(range(256)) * 16
    assert distnet("send", "0", "-", master=master, data=data).returncode == 0
    assert distnet("send", "0", master=master, data=data).returncode == 0
    assert [kernel.receive()[1] for _ in range(2)] == [data, data]
    assert connect(master).id == 1


@pytest.mark.parametrize("size", [0, 15, 4097])
def test_sizes_on_which_a_kernel_panics(size: int, shared_master: Master) -> None:
    """Payloads on which a zCore panics are refused, unless they are forced."""
    data = bytes(size)
    said = fails(1, "send", "9", master=shared_master, data=data)
    assert said.startswith(f"{size} bytes: a zCore panics on fewer than 16 and more than 4096")
    before = len(shared_master.ask("/mailboxes"))
    forced = distnet("send", str(100 + size), "--force", master=shared_master, data=data)
    assert forced.returncode == 0
    eventually("it waits", lambda: len(shared_master.ask("/mailboxes")) == before + 1)


def test_it_is_said_whether_messages_wait(master: Master, connect: Connect) -> None:
    """Who sends to a node that is not there, or cannot be, is told so."""
    late = connect(master, read_id=False)
    assert b"it has not read its id yet" in distnet("send", "0", TEXT, master=master).stdout
    assert b"it is not connected" in distnet("send", "1", TEXT, master=master).stdout
    late.read_id()
    assert late.receive()[1] == TEXT.encode()
    late.quit()
    eventually("it has left", lambda: master.node(0)["state"] == "gone")
    assert fails(1, "send", "0", TEXT, master=master) == "node 0 has left and will not come back"
    for impossible in ("65536", str(0x74697571), str(2**32 - 1)):
        said = fails(1, "send", impossible, TEXT, master=master)
        assert said == f"node {impossible} is not an id that a node has or can get"


def test_recv_prints_messages(master: Master, connect: Connect, begin: Open) -> None:
    """Messages are printed as text if they are one, in hexadecimal if not, and counted."""
    receiver = begin("recv", "--count", "3", master=master)
    tool, kernel = identity(receiver), connect(master)
    assert tool >= FIRST_TOOL_ID
    escape = b"\x1b[31m not for terminals"
    for payload in (TEXT.encode(), bytes(range(16)), escape):
        kernel.send(tool, payload)
    shown, errors = receiver.communicate(timeout=PATIENCE)
    assert shown.splitlines() == [
        f"from 0, 16 bytes: {TEXT}",
        "from 0, 16 bytes: 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f",
        f"from 0, {len(escape)} bytes: {escape.hex(' ')}",
    ]
    assert (receiver.returncode, errors) == (0, "")


def test_recv_raw(master: Master, connect: Connect, begin: Open) -> None:
    """With --raw the payloads come out as they are."""
    receiver = begin("recv", "--raw", "--count", "2", master=master)
    tool, kernel = identity(receiver), connect(master)
    kernel.send(tool, b"one\0")
    kernel.send(tool, b"two\n")
    assert receiver.communicate(timeout=PATIENCE)[0] == "one\0two\n"


def test_recv_gives_up(shared_master: Master) -> None:
    """With --timeout the command ends if nothing comes."""
    ended = distnet("recv", "--timeout", "0.2", master=shared_master)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert lines(ended.stderr)[1:] == ["distnet: no message for 0.2 s"]


def test_recv_ends_with_its_master(master: Master, begin: Open) -> None:
    """When the master is gone, the command says so in a line."""
    receiver = begin("recv", master=master)
    identity(receiver)
    assert master.stop() == 0
    shown, errors = receiver.communicate(timeout=PATIENCE)
    assert (receiver.returncode, shown, len(errors.splitlines())) == (1, "", 1)
    assert errors.startswith("distnet: ")


def test_recv_is_interrupted_quietly(master: Master, begin: Open) -> None:
    """Control-C ends the command without another word."""
    receiver = begin("recv", master=master)
    identity(receiver)
    receiver.send_signal(signal.SIGINT)
    assert receiver.communicate(timeout=PATIENCE) == ("", "")
    assert receiver.returncode == 1


def test_a_pipe_that_ends(master: Master, connect: Connect, begin: Open) -> None:
    """Whoever reads the output may stop reading, as head does, without being told of it."""
    receiver = begin("recv", master=master)
    tool, kernel = identity(receiver), connect(master)
    kernel.send(tool, TEXT.encode())
    assert receiver.stdout is not None
    assert TEXT in receiver.stdout.readline()
    receiver.stdout.close()
    kernel.send(tool, TEXT.encode())
    assert receiver.wait(PATIENCE) == 1
    assert receiver.stderr is not None
    assert receiver.stderr.read() == ""


def test_a_kernel_answers_a_tool(master: Master, connect: Connect, begin: Open) -> None:
    """A kernel can send to the id that a tool's message came from."""
    kernel = connect(master)
    receiver = begin("recv", "--count", "1", "--echo", master=master)
    tool = identity(receiver)
    kernel.send(tool, TEXT.encode())
    assert kernel.receive() == (tool, TEXT.encode())
    assert receiver.wait(PATIENCE) == 0


# ping


def test_ping_is_answered(master: Master, connect: Connect, begin: Open) -> None:
    """Each answer is shown with its time."""
    echo = begin("recv", "--echo", master=master)
    pinged = distnet("ping", str(identity(echo)), "--count", "3", master=master)
    *times, last = lines(pinged.stdout)
    assert (pinged.returncode, last, len(times)) == (0, "3 sent, 3 answered", 3)
    assert all(line.startswith("16 bytes from 2147483648: ") for line in times)


def test_ping_is_not_answered(master: Master, connect: Connect) -> None:
    """A node that does not answer, or is not there, makes ping fail."""
    kernel = connect(master)
    failed = distnet("ping", "0", "--count", "2", "--timeout", "0.1", master=master)
    assert (failed.returncode, lines(failed.stdout)) == (1, ["2 sent, 0 answered"])
    assert lines(failed.stderr) == ["distnet: node 0 did not answer within 0.1 s"]
    assert [kernel.receive()[1] for _ in range(2)] == [
        b"distnet ping\0\0\0" + bytes([number]) for number in (1, 2)
    ]
    assert fails(1, "ping", "7", master=master) == "node 7 is not connected"


def test_ping_waits_until_it_has_settled(master: Master, begin: Open) -> None:
    """How long a node takes to settle is no part of how long its answer takes."""
    echo = begin("recv", "--echo", master=master)
    node = identity(echo)
    pinged = distnet("ping", str(node), "--count", "1", master=master)
    assert "settles" not in lines(pinged.stdout)[0]
    described = master.node(node)
    assert (described["state"], described["settled_by"]) == ("settled", "its queue")


def test_ping_of_one_that_has_not_settled(master: Master, connect: Connect) -> None:
    """If it has not read its id, its answer is late for that reason, which is said."""
    kernel = connect(master, read_id=False)
    thread = threading.Thread(target=late_echo, args=(master, kernel))
    thread.start()
    pinged = distnet("ping", "0", "--count", "2", "--timeout", "20", master=master)
    thread.join()
    first, second, _ = lines(pinged.stdout)
    assert first.endswith(" ms (it has not read its id yet: it settles first)")
    assert second.endswith(" ms")


def late_echo(master: Master, kernel: Kernel) -> None:
    """Send two messages back, once the first one waits for who has not read its id."""
    eventually("it waits", lambda: master.node(0)["waiting"]["messages"])
    kernel.read_id()
    for _ in range(2):
        kernel.send(*kernel.receive())


def test_ping_is_answered_late(master: Master, connect: Connect) -> None:
    """What comes back too late is no answer to the next message, which would be at once."""
    kernel = connect(master)
    kernel.send(0, b"settled")
    assert kernel.receive() == (0, b"settled")

    def answer() -> None:
        received = [kernel.receive() for _ in range(2)]
        for source, payload in received:
            kernel.send(source, payload)

    thread = threading.Thread(target=answer)
    thread.start()
    pinged = distnet("ping", "0", "--count", "2", "--timeout", "2", master=master)
    thread.join()
    assert lines(pinged.stdout)[-1] == "2 sent, 1 answered"


def test_disconnect(start_master: Start, connect: Connect, tmp_path: Path) -> None:
    """The connection of a node is ended, and its id is dealt with as if it had been lost."""
    master = start_master("--port", "0", "--node", f"5=unix:{tmp_path}/five")
    ended = {
        connect(master).id: "not used again",
        connect(master, f"{tmp_path}/five").id: "free for the next one",
    }
    for node, then in ended.items():
        eventually("it has settled", lambda node=node: master.node(node)["state"] == "settled")
        done = distnet("disconnect", str(node), master=master)
        assert lines(done.stdout) == [f"node {node} is disconnected; its id is {then}"]
        assert fails(1, "disconnect", str(node), master=master) == f"node {node} is not connected"
    assert connect(master, f"{tmp_path}/five").id == 5


def test_ping_by_a_kernel(master: Master, connect: Connect) -> None:
    """Whatever a kernel sends back to the tool counts as its answer."""
    kernel = connect(master)

    def answer() -> None:
        source, payload = kernel.receive()
        kernel.send(source, payload)

    thread = threading.Thread(target=answer)
    thread.start()
    assert distnet("ping", "0", "--count", "1", master=master).returncode == 0
    thread.join()


# qemu-args

DEVICE = "-device e1000e,netdev=net1"
GUESTFWD = "user,id=net1,restrict=on,guestfwd=tcp:10.0.2.16:1234-"
NETDEV = f"-netdev {GUESTFWD}"


def qemu_args(master: Master, *words: str) -> str:
    """The options that are printed."""
    printed = distnet("qemu-args", *words, master=master)
    assert printed.returncode == 0, printed.stderr
    (line,) = lines(printed.stdout)
    return line


def printed_here(*words: str) -> str:
    """What the command prints, run in this process, as there are many to try."""
    shown = StringIO()
    with redirect_stdout(shown):
        assert main(words) == 0
    (line,) = shown.getvalue().splitlines()
    return line


def test_qemu_args(start_master: Start, tmp_path: Path) -> None:
    """For each form and listener the exact options are printed."""
    kernels, third = tmp_path / "kernels", tmp_path / "node3"
    master = start_master("--port", "0", "--listen", f"unix:{kernels}", "--listen", "tcp6:0",
                          "--node", f"3=unix:{third}", "--node", "4=tcp:0")  # fmt: skip
    pinned = next(one["address"] for one in master.status()["listeners"] if one["node"] == 4)
    tcp, four = f"127.0.0.1:{master.port}", pinned.removeprefix("tcp:")
    version = find_version("x86_64")
    again = version.reconnect if version is not None else "reconnect=1"
    host, _, port = four.rpartition(":")
    expected = {
        (): f"{NETDEV}tcp:{tcp} {DEVICE}",
        ("--form", "tcp"): f"{NETDEV}tcp:{tcp} {DEVICE}",
        ("--form", "unix"): f"{NETDEV}unix:{kernels} {DEVICE}",
        ("--form", "command"): f"-netdev '{GUESTFWD}cmd:socat - TCP:{tcp}' {DEVICE}",
        ("--form", "chardev"): f"-chardev socket,id=distnet0,host=127.0.0.1,port={master.port}"
        f" {NETDEV}chardev:distnet0 {DEVICE}",
        ("--node", "3"): f"{NETDEV}unix:{third} {DEVICE}",
        ("--node", "3", "--form", "unix"): f"{NETDEV}unix:{third} {DEVICE}",
        ("--node", "3", "--form", "reconnect"): f"{NETDEV}unix:{third},,{again} {DEVICE}",
        ("--node", "3", "--form", "command"): f"-netdev '{GUESTFWD}cmd:socat -"
        f" UNIX-CONNECT:{third}' {DEVICE}",
        ("--node", "3", "--form", "chardev"): f"-chardev socket,id=distnet0,path={third}"
        f" {NETDEV}chardev:distnet0 {DEVICE}",
        ("--node", "4"): f"{NETDEV}tcp:{four} {DEVICE}",
        ("--node", "4", "--form", "reconnect"): f"{NETDEV}tcp:{four},,{again} {DEVICE}",
        ("--node", "4", "--form", "chardev"): f"-chardev socket,id=distnet0,host={host},port={port}"
        f" {NETDEV}chardev:distnet0 {DEVICE}",
    }
    for words, text in expected.items():
        assert qemu_args(master, *words) == text
        here = ("qemu-args", "--control", master.control, *words)
        assert printed_here(*here, "--restrict") == text
        free = text.replace("restrict=on,", "")
        assert printed_here(*here, "--no-restrict") == free != text
    for words in (("--form", "unix", "--node", "4"), ("--form", "tcp", "--node", "3"),
                  ("--node", "5")):  # fmt: skip
        said = fails(1, "qemu-args", *words, master=master)
        assert said.startswith("the master has no such listener for node")


def test_qemu_args_without_a_master(tmp_path: Path) -> None:
    """Without a master the options are for the documented port, unless a node is asked for."""
    control = ["--control", str(tmp_path / "none")]
    printed = distnet("qemu-args", *control)
    assert lines(printed.stdout) == [f"{NETDEV}tcp:127.0.0.1:1234 {DEVICE}"]
    assert "no master answers" in printed.stderr.decode()
    six = distnet("qemu-args", "--master", "[::1]:99", "--form", "command")
    assert lines(six.stdout) == [f"-netdev '{GUESTFWD}cmd:socat - TCP6:[::1]:99' {DEVICE}"]
    assert "no master answers" in fails(3, "qemu-args", "--node", "3", *control)


def test_reconnect_is_for_pinned_nodes(master: Master) -> None:
    """There is no reconnecting for a node that gets a new id each time."""
    ended = distnet("qemu-args", "--form", "reconnect", master=master)
    assert (ended.returncode, ended.stdout) == (1, b"")
    assert lines(ended.stderr)[-1].startswith("distnet: the form reconnect is for pinned nodes")


def test_qemu_args_for_a_qemu_that_is_not_here(tmp_path: Path) -> None:
    """The version of the QEMU for the architecture decides; without one the oldest is assumed."""
    new = tmp_path / "qemu-system-riscv64"
    new.write_text("#!/bin/sh\necho 'QEMU emulator version 9.2.0'\n")
    new.chmod(0o755)
    words = ["--form", "reconnect", "--node", "1", "--master", "unix:/n", "--arch"]
    printed = distnet("qemu-args", *words, "riscv64", path=str(tmp_path))
    assert lines(printed.stdout) == [f"{NETDEV}unix:/n,,reconnect-ms=1000 {DEVICE}"]
    absent = distnet("qemu-args", *words, "sparc", path=str(tmp_path))
    assert lines(absent.stdout) == [f"{NETDEV}unix:/n,,reconnect=1 {DEVICE}"]
    assert "no qemu-system-sparc here: the options are for QEMU 7.2" in absent.stderr.decode()
    new.write_text("#!/bin/sh\nexit 3\n")
    broken = distnet("qemu-args", *words, "riscv64", path=str(tmp_path))
    assert (broken.returncode, len(lines(broken.stderr))) == (1, 1)


# qemu-args for the switch

MAC = re.compile(r"mac=(52:54:00:[89a-f][0-9a-f](?::[0-9a-f]{2}){2})$")


def qemu_saying(directory: Path, version: str, netdevs: str) -> str:
    """A directory for PATH with a QEMU for riscv64 of which that is known."""
    program = directory / "qemu-system-riscv64"
    program.write_text(
        f"#!/bin/sh\ncase $1 in --version) echo 'QEMU emulator version {version}';;"
        f" *) echo 'Available netdev backend types:'; printf '%s\\n' {netdevs};; esac\n"
    )
    program.chmod(0o755)
    return str(directory)


def test_qemu_args_for_the_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form is printed without a master, with a MAC of the guest's own, and is explained."""
    path = qemu_saying(tmp_path, "7.2.22", "stream dgram vde")
    device = "-device e1000e,netdev=net1,mac=52:54:00:00:00:03"
    stream = "-netdev stream,id=net1,server=off,addr.type="
    own = "local.type=unix,local.path=/tmp/d.525400000003"
    for words, text in (
        (("--vde", "/tmp/s"), "-netdev vde,id=net1,sock=/tmp/s"),
        (("--vde", "s", "--port", "7"), f"-netdev vde,id=net1,sock={Path.cwd()}/s,port=7"),
        (("--stream", "5555"), f"{stream}inet,addr.host=127.0.0.1,addr.port=5555"),
        (("--stream", "unix:/tmp/u"), f"{stream}unix,addr.path=/tmp/u"),
        (("--stream", "unix:u"), f"{stream}unix,addr.path={Path.cwd()}/u"),
        (("--dgram", "unix:/tmp/d"),
         f"-netdev dgram,id=net1,remote.type=unix,remote.path=/tmp/d,{own}"),
    ):  # fmt: skip
        printed = distnet("qemu-args", *words, "--guest", "3", "--arch", "riscv64", path=path)
        assert lines(printed.stdout) == [f"{text} {device}"]
        (about,) = lines(printed.stderr)
        assert about.startswith(f"{words[0].removeprefix('--')}: ")
        with monkeypatch.context() as patched:
            patched.setenv("PATH", path)
            for guest in ("--node", "3"), ("--mac", "52:54:0:0:0:3"):
                options = printed_here("qemu-args", *words, *guest, "--arch", "riscv64")
                assert options == f"{text} {device}"
    (usual,) = lines(distnet("qemu-args", "--vde", "--guest", "3").stdout)
    where = "/var/run/vde.ctl" if os.geteuid() == 0 else "/tmp/vde.ctl"
    assert usual == f"-netdev vde,id=net1,sock={where} {device}"


def test_qemu_args_make_up_a_mac() -> None:
    """Without a guest's number its MAC is made up, another one each time, and that is said."""
    made_up = set()
    for _ in range(2):
        printed = distnet("qemu-args", "--vde", "/tmp/s", "--arch", "sparc")
        found = MAC.search(lines(printed.stdout)[0])
        assert found is not None
        assert f"the MAC {found[1]} is made up" in printed.stderr.decode()
        made_up.add(found[1])
    assert len(made_up) == 2


@pytest.mark.parametrize(
    ("version", "netdevs", "words", "says"),
    [
        ("7.1.0", "vde", "--stream 5555", "QEMU 7.1 has no -netdev stream"),
        ("7.2.0", "stream dgram", "--vde /tmp/s", "built without -netdev vde: start the switch"
         " with --stream ENDPOINT"),
        ("7.2.0", "vde", "--stream 5555", "built without -netdev stream: use --vde"),
        ("7.2.0", "vde stream", "--vde /tmp/a,b", "has a character that QEMU's options cannot"),
        ("7.2.0", "vde stream", "--stream tls:host:1", "does not speak TLS"),
        ("7.2.0", "vde stream", "--stream 5555 --mac 1:2:3:4:5:6", "that of one station"),
        ("7.2.0", "vde stream", "--stream 5555 --guest 8388608", "is no number of a guest"),
    ],
)  # fmt: skip
def test_qemu_args_that_do_not_do(
    tmp_path: Path, version: str, netdevs: str, words: str, says: str
) -> None:
    """What this QEMU, or no QEMU, can do is said in one line, with what to do."""
    path = qemu_saying(tmp_path, version, netdevs)
    ended = distnet("qemu-args", "--guest", "1", *words.split(), "--arch", "riscv64", path=path)
    assert (ended.returncode, ended.stdout) == (1, b"")
    (line,) = lines(ended.stderr)
    assert says in line


# Network cards

needs_qemu = pytest.mark.skipif(
    shutil.which("qemu-system-x86_64") is None, reason="needs the Debian package qemu-system-x86"
)


@needs_qemu
def test_qemu_args_with_a_network_card() -> None:
    """--nic gives the guest another card, with options of its own; what that goes on is said."""
    shown = StringIO()
    with redirect_stderr(shown):
        for where, mac in (
            (("--master", "1234"), ""),
            (("--vde", "/tmp/s"), ",mac=52:54:00:00:00:03"),
        ):
            words = ("qemu-args", *where, "--node", "3", "--nic")
            assert printed_here(*words, "e1000").endswith(f" -device e1000,netdev=net1{mac}")
            card = "virtio-net-device,bus=b.0"
            device = f" -device virtio-net-device,netdev=net1,bus=b.0{mac}"
            assert printed_here(*words, card).endswith(device)
    said = "virtio-net-device goes on a virtio-bus: it needs a machine that has one, such as virt"
    assert shown.getvalue().count(said) == 2


@needs_qemu
def test_a_network_card_that_qemu_does_not_have() -> None:
    """A model that the QEMU here does not have is named, with those that are near."""
    ended = distnet("qemu-args", "--vde", "/tmp/s", "--guest", "1", "--nic", "virtio-net-pc")
    assert (ended.returncode, ended.stdout) == (1, b"")
    (line,) = lines(ended.stderr)
    assert line.startswith(
        "distnet: qemu-system-x86_64 has no network card 'virtio-net-pc': did you mean"
        " virtio-net-pci or "
    )
    disk = distnet("qemu-args", "--vde", "/tmp/s", "--guest", "1", "--nic", "virtio-blk-pci")
    assert b"has no network card 'virtio-blk-pci'" in disk.stderr


# What can be wrong


@pytest.mark.parametrize(
    "words", [["status"], ["send", "0", TEXT], ["ping", "0"]], ids=["status", "send", "ping"]
)
def test_no_master(words: list[str], tmp_path: Path) -> None:
    """Without a master the exit status is 3, and the line says how to start one."""
    said = fails(3, words[0], "--control", str(tmp_path / "none"), *words[1:])
    assert said.startswith(f"no master answers at {tmp_path}/none: start one with 'twistd")


def test_no_socket_for_tools(start_master: Start, tmp_path: Path) -> None:
    """Where there is nothing to connect to, the line says where that was."""
    master = start_master("--port", "0")
    Path(master.tools).unlink()
    assert fails(1, "recv", master=master) == f"unix:{master.tools}: No such file or directory"
    assert "Connection refused" in fails(1, "recv", "--master", "127.0.0.1:1")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["send"],
        ["send", "minus one", TEXT],
        ["send", "4294967296", TEXT],
        ["recv", "--count", "0"],
        ["recv", "--timeout", "soon"],
        ["recv", "--master", "127.0.0.1:66000"],
        ["qemu-args", "--form", "pigeon"],
        ["qemu-args", "--master", "nowhere:at:all"],
        ["qemu-args", "--stream", "nowhere:at:all"],
        ["qemu-args", "--dgram", "tcp:1234"],
        ["qemu-args", "--vde", "--form", "tcp"],
        ["qemu-args", "--vde", "--no-restrict"],
        ["qemu-args", "--vde", "--stream", "1234"],
        ["qemu-args", "--stream", "1234", "--port", "7"],
        ["qemu-args", "--mac", "52:54:00:00:00:01"],
        ["qemu-args", "--nic", "e1000,mac=52:54:00:00:00:01"],
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    """Wrong usage ends with status 2, a line that says what is wrong, and no Python in it."""
    ended = subprocess.run(
        [*COMMAND, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    [line] = ended.stderr.splitlines()
    told = re.fullmatch(r"(distnet(?: [a-z-]+)?): .+ \(see (.+) --help\)", line)
    assert told is not None, line
    assert told[1] == told[2]
    assert "error: " not in line
    assert not any(word in ended.stderr for word in ("Traceback", "invalid _", "value: '"))


def test_version() -> None:
    """The version is told."""
    ended = subprocess.run(
        [*COMMAND, "--version"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert ended.stdout == f"distnet {__version__}, {describe()}\n"
