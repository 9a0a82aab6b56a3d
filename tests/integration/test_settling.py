"""Nothing but its id may reach a node before it has read that, on each kind of listener."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.daemons import eventually
from tests.masters import Kernel, Master

Start = Callable[..., Master]
Connect = Callable[..., Kernel]

BLOCK = bytes(range(256)) * 2


@pytest.fixture(params=["tcp", "tcp6", "unix"])
def place(request: pytest.FixtureRequest, start_master: Start, tmp_path: Path) -> Place:
    """A master that can see what its nodes have read, and where it listens."""
    kind = request.param
    path = str(tmp_path / "kernels")
    listen = {"tcp": "0", "tcp6": "tcp6:0", "unix": f"unix:{path}"}[kind]
    return Place(start_master("--port", listen), kind, path)


class Place:
    """A listener to connect to."""

    def __init__(self, master: Master, kind: str, path: str) -> None:
        self.master = master
        self._kind = kind
        self._path = path

    def connect(self) -> Kernel:
        """A connection of which nothing has been read."""
        if self._kind == "unix":
            return Kernel(self._path)
        host = {"tcp": "127.0.0.1", "tcp6": "::1"}[self._kind]
        return Kernel((host, self.master.port))


def test_the_id_comes_alone_however_late_it_is_read(place: Place) -> None:
    """A node that reads its id long after messages came for it gets the id alone, then those."""
    with place.connect() as late, place.connect() as sender:
        assert sender.read_id() == 1
        for number in range(3):
            sender.send(0, BLOCK + bytes([number]))
        eventually("messages wait", lambda: place.master.node(0)["waiting"]["messages"] == 3)
        time.sleep(1)
        assert late.read_id() == 0
        assert [late.receive() for _ in range(3)] == [(1, BLOCK + bytes([n])) for n in range(3)]


def test_a_node_that_only_receives_receives(place: Place) -> None:
    """A node that never sends anything gets its messages."""
    with place.connect() as receiver, place.connect() as sender:
        receiver.read_id()
        sender.read_id()
        sender.send(receiver.id, BLOCK)
        assert receiver.receive() == (sender.id, BLOCK)
        assert place.master.node(receiver.id)["settled_by"] == "its queue"


def test_the_settle_time_passes_after_the_id_was_taken(
    start_master: Start, connect: Connect
) -> None:
    """Between the taking of the id and the first message lies the settle time."""
    master = start_master("--port", "0", "--settle-seconds", "1.5")
    receiver, sender = connect(master), connect(master)
    began = time.monotonic()
    sender.send(receiver.id, BLOCK)
    assert receiver.receive() == (sender.id, BLOCK)
    assert time.monotonic() - began >= 1.5


def test_the_first_byte_ends_the_settle_time(start_master: Start, connect: Connect) -> None:
    """A node's first byte lets messages through at once, however long the settle time is."""
    master = start_master("--port", "0", "--settle-seconds", "1000")
    receiver, sender = connect(master), connect(master)
    sender.send(receiver.id, BLOCK)
    eventually("it waits", lambda: master.node(receiver.id)["waiting"]["messages"] == 1)
    receiver.socket.sendall(b"\0")
    assert receiver.receive() == (sender.id, BLOCK)
    assert master.node(receiver.id)["settled_by"] == "its first byte"


def test_an_id_that_was_read_is_not_used_again(place: Place) -> None:
    """Whoever has read its id and leaves without a word keeps it; who has not gives it back."""
    with place.connect() as reader:
        assert reader.read_id() == 0
    place.master.wait_until_left(0)
    assert place.master.node(0)["state"] == "gone"
    place.connect().close()
    with place.master.stopped():
        # It has closed before it can be told its id.
        place.connect().close()
    eventually("all have left", lambda: len(re.findall(r": left \(", place.master.log())) == 3)
    with place.connect() as other:
        assert other.read_id() == 1


def test_an_id_that_was_not_read_goes_back(master: Master, connect: Connect) -> None:
    """A probe of the port takes no id, and the mail that waited goes to the next who gets it."""
    connect(master, read_id=False).close()
    master.wait_until_left(0)
    probe = connect(master, read_id=False)
    sender = connect(master)
    assert sender.id == 1
    sender.send(0, BLOCK)
    probe.reset()
    master.wait_until_left(0)
    receiver = connect(master)
    assert receiver.id == 0
    assert receiver.receive() == (1, BLOCK)


def test_nothing_is_polled_without_mail(master: Master, connect: Connect) -> None:
    """An idle master with an unsettled node and a settled one does not wake up."""
    connect(master, read_id=False)
    connect(master).socket.sendall(b"\0")
    status = Path(f"/proc/{master.process.pid}/status")

    def switches() -> str:
        return next(
            line
            for line in status.read_text().splitlines()
            if "nonvoluntary" not in line and "voluntary_ctxt_switches" in line
        )

    # Not its status, since whoever asks for that has all nodes looked at.
    master.wait_for_log("node 1: settled")
    time.sleep(0.5)
    before = switches()
    time.sleep(2)
    assert switches() == before
