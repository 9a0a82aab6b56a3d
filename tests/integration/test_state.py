"""What a master with a state file remembers, over an orderly stop and over kill -9."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemons import PATIENCE, eventually
from tests.disks import needs_mount, small_disk
from tests.masters import Kernel, Master

Start = Callable[..., Master]
Connect = Callable[..., Kernel]

BLOCK = bytes(range(256)) * 2

# Connects like another QEMU: prints what it is sent first, and stays until it is told to go.
OTHER_PROCESS = """
import socket, sys
kernel = socket.socket(socket.AF_UNIX)
kernel.settimeout(float(sys.argv[2]))
kernel.connect(sys.argv[1])
print(kernel.recv(10).decode(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=[signal.SIGTERM, signal.SIGKILL], ids=["sigterm", "kill -9"])
def end(request: pytest.FixtureRequest) -> int:
    """How a master ends."""
    return int(request.param)


@pytest.fixture
def state(tmp_path: Path) -> str:
    """The path of a state file."""
    return str(tmp_path / "state")


@pytest.fixture
def pinned(start_master: Start, tmp_path: Path, state: str) -> tuple[Master, str]:
    """A master with a state file and a unix listener for node 3, and the path of that."""
    path = str(tmp_path / "node3")
    return start_master("--state", state, "--port", "0", "--node", f"3=unix:{path}"), path


def settle(master: Master, kernel: Kernel) -> None:
    """Have a kernel prove that it has read its id, which is on record afterwards."""
    kernel.send(kernel.id, BLOCK)
    assert kernel.receive() == (kernel.id, BLOCK)
    # What is recorded is recorded in order, and an id is sent after it was recorded.
    with Kernel(("127.0.0.1", master.port)) as later:
        # Without taking it, so that it goes back.
        node = int(later.socket.recv(10, socket.MSG_PEEK))
    master.wait_until_left(node)


def restart(master: Master, end: int = signal.SIGTERM) -> None:
    """End a master and start it again."""
    status = master.stop(end)
    assert status == (0 if end == signal.SIGTERM else -end)
    master.start()


# Ids


def test_an_id_is_on_record_before_it_is_sent(start_master: Start, state: str) -> None:
    """A master that is killed as soon as a kernel has its id never gives that id out again."""
    master = start_master("--state", state, "--port", "0")
    for expected in range(6):
        with Kernel(("127.0.0.1", master.port)) as kernel:
            assert kernel.read_id() == expected
            restart(master, signal.SIGKILL)


def test_ids_that_were_never_read_go_back(
    start_master: Start, connect: Connect, state: str
) -> None:
    """After an orderly stop, ids of nodes that had not settled are given out again, others not."""
    master = start_master("--state", state, "--port", "0")
    connect(master, read_id=False)
    used = connect(master)
    settle(master, used)
    restart(master)
    assert [connect(master).id, connect(master).id] == [0, 2]


def test_without_a_state_file_every_start_begins_at_0(
    start_master: Start, connect: Connect
) -> None:
    """Without a state file nothing is remembered."""
    master = start_master("--port", "0")
    kernel = connect(master)
    kernel.send(0, BLOCK)
    assert kernel.receive() == (0, BLOCK)
    kernel.send(5, BLOCK)
    restart(master)
    assert connect(master).id == 0
    assert master.ask("/mailboxes") == []


def test_pins_outlive_their_option(
    pinned: tuple[Master, str], connect: Connect, end: int, state: str
) -> None:
    """An id that was pinned is given to no other node, even by a master without that --node."""
    master, path = pinned
    settle(master, connect(master, path))
    for expected in (0, 1):
        kernel = connect(master)
        assert kernel.id == expected
        kernel.send(kernel.id, BLOCK)
        assert kernel.receive() == (kernel.id, BLOCK)
    master.options = ("--state", state, "--port", "0")
    restart(master, end)
    assert [connect(master).id for _ in range(2)] == [2, 4]


def test_with_lowest_ids_only_pins_are_remembered(
    start_master: Start, connect: Connect, end: int, state: str, tmp_path: Path
) -> None:
    """With the lowest ids a restart frees all ids but those that belong to one node."""
    path = str(tmp_path / "node1")
    master = start_master("--state", state, "--ids", "lowest", "--port", "0",
                          "--node", f"1=unix:{path}")  # fmt: skip
    settle(master, connect(master, path))
    assert [connect(master).id for _ in range(2)] == [0, 2]
    master.options = ("--state", state, "--ids", "lowest", "--port", "0")
    restart(master, end)
    assert [connect(master).id for _ in range(3)] == [0, 2, 3]


# Messages


def test_waiting_messages_survive_a_stop(start_master: Start, connect: Connect, state: str) -> None:
    """What waits when a master stops is delivered by the next one, in order."""
    master = start_master("--state", state, "--port", "0")
    sender = connect(master)
    messages = [number.to_bytes(4) + BLOCK[: number % 300] for number in range(2000)]
    for message in messages:
        sender.send(1, message)
    eventually("they wait", lambda: master.ask("/counters")["received"]["messages"] == 2000)
    restart(master)
    assert master.ask("/mailboxes")[0]["waiting"]["messages"] == 2000
    receiver = connect(master)
    assert receiver.id == 1
    assert [receiver.receive() for _ in messages] == [(0, message) for message in messages]
    assert master.ask("/mailboxes") == []
    master.wait_for_log("remembered: 1 ids given out")


def test_waiting_messages_are_not_delivered_twice(
    start_master: Start, connect: Connect, state: str
) -> None:
    """Once a master has taken messages over, they do not come back, not even after kill -9."""
    master = start_master("--state", state, "--port", "0")
    sender = connect(master)
    sender.send(1, BLOCK)
    eventually("it waits", lambda: master.ask("/mailboxes"))
    restart(master)
    assert master.ask("/mailboxes")
    restart(master, signal.SIGKILL)
    assert master.ask("/mailboxes") == []
    receiver = connect(master)
    assert receiver.id == 1
    assert receiver.is_silent()


@needs_mount
def test_a_full_disk(tmp_path: Path, start_master: Start, connect: Connect) -> None:
    """
    What cannot be kept is said and counted, and the rest of the stop is done; what has room is
    there again. Meanwhile nobody gets an id that is not on record, and those who have one go on.
    """
    with small_disk(tmp_path / "disk") as disk:
        master = start_master("--port", "0", "--state", str(disk.path / "state"))
        kernel = connect(master)
        settle(master, kernel)
        kernel.send(3, BLOCK)
        for _ in range(20):
            kernel.send(4, bytes(40000))
        eventually("it has them", lambda: master.ask("/counters")["received"]["messages"] == 22)
        disk.fill()
        with Kernel(("127.0.0.1", master.port)) as later:
            assert later.is_closed()
        kernel.send(kernel.id, BLOCK)
        assert kernel.receive() == (kernel.id, BLOCK)
        disk.make_room()
        master.process.send_signal(signal.SIGTERM)
        assert kernel.is_at_end()
        assert master.stop() == 0
        log = master.log()
        assert "its id cannot be recorded: database or disk is full" in log
        said = re.search(r"database or disk is full; lost: (\d+) messages", log)
        assert said is not None
        lost = int(said[1])
        assert 0 < lost <= 20
        assert f"{21 - lost} kept, {lost} messages" in log
        assert "Traceback" not in log
        # What was kept may have left no room for what a start writes.
        disk.grow(1024)
        master.start()
        waiting = {box["id"]: box["waiting"]["messages"] for box in master.ask("/mailboxes")}
        assert (waiting[3], waiting.get(4, 0)) == (1, 20 - lost)
        assert master.stop() == 0


def test_what_waits_for_a_node_that_cannot_come_back_is_counted(
    start_master: Start, connect: Connect, state: str
) -> None:
    """What waits for a node whose id ends with the master is discarded, and the log says so."""
    master = start_master("--state", state, "--port", "0", "--grace-seconds", "0.3")
    stuck = connect(master)
    settle(master, stuck)
    stuck.fill(master, 0, 10)
    waiting = master.node(0)["waiting"]["messages"]
    assert master.stop() == 0
    cut = master.log().count("node 0: its connection ended inside a message to it")
    master.wait_for_log(f"the master stops: 0 kept, {waiting - cut} messages")


def test_mail_for_an_id_that_cannot_be_any_more_is_counted(
    start_master: Start, connect: Connect, state: str
) -> None:
    """What was kept for an id above a new highest one is discarded, and the log says so."""
    master = start_master("--state", state, "--port", "0")
    sender = connect(master)
    sender.send(9, BLOCK)
    sender.send(2, BLOCK)
    settle(master, sender)
    assert master.stop() == 0
    lower = start_master("--state", state, "--port", "0", "--highest-id", "5")
    assert "1 message (520 B) discarded, for ids that nobody can have" in lower.log()
    assert lower.undelivered() == {"no-such-id": 1}
    assert [box["id"] for box in lower.ask("/mailboxes")] == [2]


def test_a_stuck_pinned_node_gets_the_rest_later(
    start_master: Start, connect: Connect, state: str, tmp_path: Path
) -> None:
    """What a pinned node has not read when the master stops comes with its next connection."""
    path = str(tmp_path / "node3")
    master = start_master("--state", state, "--port", "0", "--node", f"3=unix:{path}",
                          "--grace-seconds", "0.3")  # fmt: skip
    node = connect(master, path)
    settle(master, node)
    sent = node.fill(master, 3, 10)
    restart(master)
    received = []
    with contextlib.suppress(ConnectionError):
        while not node.is_at_end():
            received.append(node.receive())
    with Kernel(path) as again:
        rest = sent[len(received) :]
        assert rest
        assert [again.receive() for _ in rest] == rest
        assert again.is_silent()
    assert received == sent[: len(received)]


# Resuming


def test_a_pinned_node_is_resumed(pinned: tuple[Master, str], connect: Connect, end: int) -> None:
    """A settled pinned unix node that reconnects to the next master goes on without a new id."""
    master, path = pinned
    settle(master, connect(master, path))
    restart(master, end)
    node, other = connect(master, path, read_id=False), connect(master)
    other.send(3, BLOCK)
    assert node.receive() == (other.id, BLOCK)
    node.send(other.id, BLOCK)
    assert other.receive() == (3, BLOCK)
    master.wait_for_log("node 3: resumed, without a new id")
    restart(master, end)
    again = connect(master, path, read_id=False)
    again.send(3, BLOCK)
    assert again.receive() == (3, BLOCK)


def test_a_node_that_had_not_settled_is_not_resumed(
    pinned: tuple[Master, str], connect: Connect, end: int
) -> None:
    """A pinned node of which it is not known that it has read its id gets it again."""
    master, path = pinned
    node = connect(master, path, read_id=False)
    # The id is sent once it is on record. To look at it is not to read it.
    assert node.socket.recv(1, socket.MSG_PEEK) == b"3"
    restart(master, end)
    assert connect(master, path).id == 3


def test_a_node_that_has_quit_is_not_resumed(
    pinned: tuple[Master, str], connect: Connect, end: int
) -> None:
    """A pinned node that disconnected gets its id again when it comes back."""
    master, path = pinned
    node = connect(master, path)
    settle(master, node)
    node.quit()
    master.wait_until_left(3)
    connect(master)
    restart(master, end)
    assert connect(master, path).id == 3


def test_another_process_is_not_resumed(
    pinned: tuple[Master, str], connect: Connect, end: int
) -> None:
    """Another process at the socket of a pinned node is that node started anew: it gets the id."""
    master, path = pinned
    settle(master, connect(master, path))
    restart(master, end)
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, path, str(PATIENCE)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "3\n"
        other.communicate()
    eventually("it has left", lambda: master.node(3)["state"] == "expected")
    assert connect(master, path).id == 3


def test_a_stream_that_goes_on_inside_a_message_is_closed(
    pinned: tuple[Master, str], connect: Connect
) -> None:
    """If the first header after a resume is implausible, the log names the node to reboot."""
    master, path = pinned
    settle(master, connect(master, path))
    restart(master)
    node = connect(master, path, read_id=False)
    node.socket.sendall(b"the rest of a message")
    assert node.is_closed()
    assert "reboot node 3" in master.wait_for_log("node 3: left")
    assert connect(master, path).id == 3
