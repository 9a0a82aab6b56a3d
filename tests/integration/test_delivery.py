"""What is sent arrives, once and in order; at a limit what does not is counted and said."""

from __future__ import annotations

import random
import re
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distnet.control.ask import NoMaster
from distnet.wire import encode_message
from tests.daemons import connect_and_reset, eventually, until
from tests.masters import Kernel, Master

Start = Callable[..., Master]
Connect = Callable[..., Kernel]

BLOCK = bytes(range(256)) * 2


def settled(master: Master, *kernels: Kernel) -> None:
    """Have kernels prove that they have read their ids, each by a message to itself."""
    for kernel in kernels:
        kernel.send(kernel.id, BLOCK)
        assert kernel.receive() == (kernel.id, BLOCK)


def test_a_message_to_oneself_arrives(master: Master, connect: Connect) -> None:
    """What a node sends to its own id comes back to it."""
    settled(master, connect(master))


@pytest.mark.parametrize("pace", ["segment", "stream"])
def test_each_pair_is_in_order(pace: str, start_master: Start, connect: Connect) -> None:
    """Six nodes that all send to all at once, some before the others are there, lose nothing."""
    master = start_master("--port", "0", "--pace", pace)
    count, nodes = 300, 6
    received: dict[int, list[tuple[int, int]]] = {node: [] for node in range(nodes)}

    def receive(kernel: Kernel) -> None:
        for _ in range(count * nodes):
            source, payload = kernel.receive()
            received[kernel.id].append((source, int.from_bytes(payload[:4])))

    threads = []
    choice = random.Random(1)
    for _ in range(nodes):
        kernel = connect(master)
        data = b"".join(
            encode_message(dest, number.to_bytes(4) + bytes(choice.randrange(1020)))
            for number in range(count)
            for dest in range(nodes)
        )
        threads.append(threading.Thread(target=receive, args=[kernel]))
        threads.append(threading.Thread(target=kernel.socket.sendall, args=[data]))
        for thread in threads[-2:]:
            thread.start()
    for thread in threads:
        thread.join()
    for messages in received.values():
        for source in range(nodes):
            assert [n for s, n in messages if s == source] == list(range(count))
    assert master.undelivered() == {}


def test_messages_wait_for_ids_that_are_not_there_yet(master: Master, connect: Connect) -> None:
    """A broadcast right after connecting reaches those who connect later, as a DFS needs it."""
    first = connect(master)
    for number in range(5):
        for dest in range(3):
            first.send(dest, bytes([number]) * 16)
    for node in (1, 2):
        later = connect(master)
        assert later.id == node
        assert [later.receive()[1][0] for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_full_mailbox_pauses_its_senders_and_then_drops(
    start_master: Start, connect: Connect
) -> None:
    """A node that does not read costs others a pause, not their connection; one gap, said once."""
    master = start_master(
        "--port", "0", "--max-waiting-per-id", "1M", "--pause-seconds", "0.5", "--pace", "stream"
    )
    sender = connect(master)
    # The machine's buffers for it do not grow meanwhile.
    stuck = Kernel(("127.0.0.1", master.port), receive_buffer=4096)
    stuck.read_id()
    other = connect(master)
    settled(master, sender, stuck, other)
    payloads = []
    for number in until("some are dropped", lambda: "mailbox-full" in master.undelivered()):
        payloads.append(number.to_bytes(4) * 4096)
        sender.send(stuck.id, payloads[-1])
    sender.send(other.id, BLOCK)
    assert other.receive() == (sender.id, BLOCK)
    dropped = master.undelivered()["mailbox-full"]
    log = master.wait_for_log("node 1: new messages for it are dropped")
    assert log.count("node 1: a message from node 0 finds no room (mailbox-full)") == 1
    assert log.count("node 1: new messages for it are dropped") == 1
    arrived = [stuck.receive()[1] for _ in payloads[dropped:]]
    assert arrived == payloads[: len(arrived)]
    assert f"{dropped} messages" in master.wait_for_log("node 1: there is room again")
    sender.send(stuck.id, BLOCK)
    assert stuck.receive() == (sender.id, BLOCK)
    stuck.close()


def test_a_pause_is_short_for_two_that_wait_for_each_other(
    start_master: Start, connect: Connect
) -> None:
    """Two nodes that send without reading until both are paused are let go on."""
    master = start_master(
        "--port", "0", "--max-waiting-per-id", "256K", "--pause-seconds", "0.3", "--pace", "stream"
    )
    pair = connect(master), connect(master)
    settled(master, *pair)
    sent = [1, 1]

    def send(kernel: Kernel) -> None:
        said = f"node {1 - kernel.id}: new messages"
        for _ in until("the other is said to be full", lambda: said in master.log()):
            kernel.send(1 - kernel.id, bytes(4096))
            sent[kernel.id] += 1

    threads = [threading.Thread(target=send, args=[kernel]) for kernel in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for node in (0, 1):
        master.wait_for_log(f"node {node}: new messages")
    eventually(
        "all has come",
        lambda: [master.node(node)["received"]["messages"] for node in (0, 1)] == sent,
    )


def test_nobody_is_paused_for_an_absent_node(start_master: Start, connect: Connect) -> None:
    """At the limit of an id that is not there, messages are dropped at once."""
    master = start_master("--port", "0", "--max-waiting-per-id", "256K", "--pause-seconds", "inf")
    sender = connect(master)
    for _ in range(100):
        sender.send(9, bytes(8192))
    settled(master, sender)
    assert master.undelivered() == {"mailbox-full": 100 - 256 * 1024 // 8200}


def test_a_settled_node_has_a_reserve(start_master: Start, connect: Connect) -> None:
    """What waits for absent ids, up to the limit of all, leaves room for those who are there."""
    master = start_master("--port", "0", "--max-waiting", "256K", "--max-waiting-per-id", "256K",
                          "--pace", "stream")  # fmt: skip
    sender, receiver = connect(master), connect(master)
    settled(master, sender, receiver)
    for _ in range(100):
        sender.send(9, bytes(8192))
    sender.send(7, bytes(8192))
    sender.send(1, BLOCK)
    assert receiver.receive() == (0, BLOCK)
    eventually("counted", lambda: master.undelivered().get("memory-full"))


def test_the_slow_receiver_can_be_disconnected(start_master: Start, connect: Connect) -> None:
    """With --overflow disconnect, the node that does not read is closed, and nobody else."""
    master = start_master("--port", "0", "--max-waiting-per-id", "256K", "--pause-seconds", "0.2",
                          "--overflow", "disconnect", "--pace", "stream")  # fmt: skip
    sender, stuck = connect(master), connect(master)
    settled(master, sender, stuck)
    for _ in until("it is closed", lambda: "node 1: left (error: too slow" in master.log()):
        sender.send(stuck.id, bytes(4096))
    settled(master, sender)
    assert set(master.undelivered()) <= {"left", "gone", "cut"}


def test_a_message_written_in_part_is_counted(start_master: Start, connect: Connect) -> None:
    """What a dying connection took only a part of is counted as cut, and never sent again."""
    master = start_master("--port", "0", "--pace", "stream")
    sender, stuck = connect(master), connect(master)
    settled(master, sender, stuck)
    sent = 1
    # More than the one that is written in part.
    for _ in until("some wait", lambda: master.node(1)["waiting"]["messages"] > 1):
        sender.send(stuck.id, bytes(60000))
        sent += 1
    eventually("all is read", lambda: master.node(0)["received"]["messages"] == sent)
    stuck.reset()
    master.wait_for_log("node 1: its connection ended inside a message to it")
    master.wait_until_left(1)
    undelivered = master.undelivered()
    assert undelivered.pop("cut") == 1
    assert undelivered.pop("left") > 0
    assert not undelivered


BAD = {
    "gone": b"",
    "half-header": b"\1\0\0",
    "half-payload": encode_message(0, BLOCK)[:100],
    "oversized": encode_message(0, bytes(65537)),
    "random": random.Random(7).randbytes(1000),
    "half-quit": b"qu",
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_bad_peer_disturbs_nobody(
    name: str, ending: str, master: Master, connect: Connect
) -> None:
    """Whatever a node sends and however it goes, only its own connection ends; the log tells."""
    good, bad = connect(master), connect(master)
    settled(master, good)
    bad.socket.sendall(BAD[name])
    if name in ("oversized", "random"):
        log = master.wait_for_log("node 1: left (error: a header announces")
        assert "max-payload is 65536" in log
        assert bad.is_closed()
    else:
        getattr(bad, ending)()
        log = master.wait_for_log("node 1: left (")
    if name in ("half-header", "half-payload", "half-quit"):
        size = len(BAD[name])
        assert f"node 1: its connection ended inside a message; {size} bytes" in log
        assert master.undelivered() == {"truncated": 1}
    settled(master, good)


def test_a_destination_above_the_highest_is_refused(master: Master, connect: Connect) -> None:
    """Messages to ids that nobody can have are refused and counted; the log says it once an id."""
    kernel = connect(master)
    for dest in (65536, 0x74697570, 2**31, 2**32 - 1):
        for _ in range(3):
            kernel.send(dest, BLOCK)
    settled(master, kernel)
    assert master.undelivered() == {"no-such-id": 12}
    assert master.log().count("node 0: sends to 65536,") == 1
    assert master.status()["waiting"] == 0


def test_an_id_that_has_left_is_refused(master: Master, connect: Connect) -> None:
    """What is sent to an id that has left is refused, since sequential ids do not come back."""
    kernel, leaving = connect(master), connect(master)
    settled(master, leaving)
    leaving.quit()
    master.wait_until_left(1)
    kernel.send(1, BLOCK)
    settled(master, kernel)
    assert master.undelivered() == {"gone": 1}


def test_with_lowest_ids_it_waits_for_the_next_holder(
    start_master: Start, connect: Connect
) -> None:
    """With --ids lowest an id is used again, and what was sent to it meanwhile arrives there."""
    master = start_master("--port", "0", "--ids", "lowest")
    leaving, kernel = connect(master), connect(master)
    settled(master, leaving)
    leaving.quit()
    master.wait_until_left(0)
    kernel.send(0, BLOCK)
    settled(master, kernel)
    following = connect(master)
    assert following.id == 0
    assert following.receive() == (1, BLOCK)


def test_a_pinned_node_keeps_its_id(
    start_master: Start, connect: Connect, tmp_path: object
) -> None:
    """Whoever connects to a node's listener is that node; others do not get its id."""
    path = f"{tmp_path}/node1"
    master = start_master("--port", "0", "--node", f"1=unix:{path}", "--keep-mail")
    assert [connect(master).id, connect(master).id] == [0, 2]
    pinned = connect(master, path)
    assert pinned.id == 1
    second = connect(master, path, read_id=False)
    assert second.is_closed()
    assert "node 1 is connected already" in master.wait_for_log("is refused")
    settled(master, pinned)
    pinned.quit()
    master.wait_until_left(1)
    sender = connect(master)
    sender.send(1, BLOCK)
    again = connect(master, path)
    assert (again.id, again.receive()) == (1, (sender.id, BLOCK))


def test_a_second_connection_can_replace_the_first(
    start_master: Start, connect: Connect, tmp_path: object
) -> None:
    """With --second-connection replace, the first connection of a pinned node is closed."""
    path = f"{tmp_path}/node1"
    master = start_master(
        "--port", "0", "--node", f"1=unix:{path}", "--second-connection", "replace"
    )
    first, second = connect(master, path), connect(master, path)
    assert first.is_closed()
    assert second.id == 1
    master.wait_for_log("node 1: left (replaced by unix, pid")
    settled(master, second)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let this process have as many connections as a master."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2100:
        pytest.skip("needs a hard limit of more than 2100 open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_thousands_of_connections(master: Master, connect: Connect) -> None:
    """Two thousand nodes get ids of their own, and each can be sent to."""
    kernels = [connect(master) for _ in range(2000)]
    assert [kernel.id for kernel in kernels] == list(range(2000))
    for kernel in kernels:
        kernels[0].send(kernel.id, BLOCK)
    for kernel in kernels:
        assert kernel.receive() == (0, BLOCK)


def test_reset_before_they_are_accepted(start_master: Start, tmp_path: Path) -> None:
    """Connections that are reset before they were accepted are one line, on all listeners."""
    path = str(tmp_path / "kernels")
    master = start_master("--port", "0", "--listen", "tcp6:0", "--listen", f"unix:{path}")
    six = ("::1", int(master.address("tcp:[").rpartition(":")[2]))
    four = ("127.0.0.1", master.port)
    with master.stopped():
        for _ in range(20):
            for where in (four, six, path, master.tools, master.control):
                connect_and_reset(where)
    log = master.wait_for_log("(ECONNRESET)")
    assert "listeners for kernels: 40 connections could not be accepted (ECONNRESET)" in log
    eventually("nobody is left", lambda: not master.ask("/nodes"))
    assert "Traceback" not in master.log()


def test_running_out_of_descriptors_disturbs_nobody(start_master: Start, connect: Connect) -> None:
    """With no descriptor left, new connections fail and are told of; the others go on."""
    master = start_master("--port", "0", within=["prlimit", "--nofile=40:40"])
    port = master.port
    kernels = [Kernel(("127.0.0.1", port)) for _ in range(60)]
    first = kernels[0]
    first.read_id()
    log = master.wait_for_log("could not be accepted (EMFILE)")
    # One line, that says what to do, for all of them.
    told = [line for line in log.splitlines() if "EMFILE" in line]
    assert len(told) == 1 and "LimitNOFILE=" in told[0], told
    with pytest.raises(NoMaster, match="LimitNOFILE="):
        master.status()
    settled(master, first)
    for kernel in kernels[1:]:
        kernel.close()
    eventually("they have left", lambda: len(re.findall(r"node \d+: left \(", master.log())) > 20)
    settled(master, connect(master))
    first.close()
