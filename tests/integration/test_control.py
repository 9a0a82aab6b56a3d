"""The control interface: what it answers, in which shape, and that it disturbs nobody."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distnet import __version__
from distnet.master.core.counters import Reason
from distnet.wire import HEADER_SIZE
from tests.daemons import PATIENCE, eventually
from tests.masters import Kernel, Master

Start = Callable[..., Master]
Connect = Callable[..., Kernel]

BLOCK = bytes(512)
NOTHING = {"messages": 0, "bytes": 0}
ABSENT = {"settled_at": None}


def amount(messages: int, payload: int = len(BLOCK)) -> dict[str, int]:
    """Messages of one size, as the control interface counts them."""
    return {"messages": messages, "bytes": messages * (HEADER_SIZE + payload)}


class Answer:
    """What came back."""

    def __init__(self, control: str, method: str, path: str) -> None:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(PATIENCE)
        connection.sock.connect(control)
        connection.request(method, path)
        response = connection.getresponse()
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()
        connection.close()

    @property
    def json(self) -> Any:
        """The body."""
        assert self.headers["content-type"] == "application/json"
        return json.loads(self.body)


def talked(master: Master, connect: Connect) -> tuple[Kernel, Kernel]:
    """Two kernels of which the first has sent one message to itself, three to the second."""
    first, second = connect(master), connect(master)
    first.send(0, BLOCK)
    assert first.receive() == (0, BLOCK)
    for _ in range(3):
        first.send(1, BLOCK)
    for _ in range(3):
        assert second.receive() == (0, BLOCK)
    return first, second


def test_the_paths_are_told(master: Master) -> None:
    """The root tells the version and the paths, each of which answers."""
    told = Answer(master.control, "GET", "/").json
    assert told["distnet"] == __version__
    assert told["paths"] == ["/status", "/nodes", "/nodes/ID", "/mailboxes", "/counters"]
    for path in told["paths"]:
        assert Answer(master.control, "GET", path.replace("ID", "0")).status == 200


def test_the_counters_are_exact(master: Master, connect: Connect) -> None:
    """Every message is counted once as received, and once as delivered or by a reason."""
    first, second = talked(master, connect)
    second.send(70000, BLOCK)
    second.send(9, BLOCK)
    second.socket.sendall(bytes(3))
    second.close()
    eventually("it has left", lambda: master.node(1)["state"] == "gone")
    first.send(1, BLOCK)
    eventually("all is counted", lambda: master.ask("/counters")["received"]["messages"] == 7)
    assert master.ask("/counters") == {
        "received": amount(7),
        "delivered": amount(4),
        "undelivered": dict.fromkeys(Reason, NOTHING)
        | {
            Reason.NO_SUCH_ID: amount(1),
            Reason.GONE: amount(1),
            Reason.TRUNCATED: {"messages": 1, "bytes": 3},
        },
    }
    assert master.ask("/mailboxes") == [
        {"id": 9, "waiting": amount(1), "connected": False, "dropping": False}
    ]


def test_the_nodes_are_described(master: Master, connect: Connect) -> None:
    """A connected node is described by its id, state, peer, times and amounts."""
    first, _ = talked(master, connect)
    nodes = master.ask("/nodes")
    assert [node["id"] for node in nodes] == [0, 1]
    host, port = first.socket.getsockname()
    since, settled_at = nodes[0]["since"], nodes[0]["settled_at"]
    assert master.status()["started"] <= since <= settled_at
    assert nodes[0] == {
        "id": 0,
        "kind": "kernel",
        "state": "settled",
        "pinned": False,
        "peer": f"tcp {host}:{port}",
        "since": since,
        "settled_at": settled_at,
        "settled_by": "its first byte",
        "paused_for": None,
        "received": amount(4),
        "delivered": amount(1),
        "undelivered": NOTHING,
        "waiting": NOTHING,
    }
    assert master.node(0) == nodes[0]
    assert (nodes[1]["settled_by"], nodes[1]["delivered"]) == ("its queue", amount(3))


def test_being_asked_for_a_silent_node_settles_it(master: Master, connect: Connect) -> None:
    """A node that neither sends nor is sent to is settled once somebody asks, not before its id."""
    kernel = connect(master, read_id=False)
    eventually("it is there", lambda: master.node(0)["state"] == "unsettled")
    time.sleep(0.4)
    assert master.node(0)["state"] == "unsettled"
    kernel.read_id()
    eventually("it is settled", lambda: master.node(0)["state"] == "settled")
    assert master.status()["nodes"][0]["settled_by"] == "its queue"


def test_ids_that_nobody_has_are_described_too(master: Master, connect: Connect) -> None:
    """Of an id that no node has, it is told whether one can still get it."""
    talked(master, connect)[0].quit()
    eventually("it is gone", lambda: master.node(0) == ABSENT | {"id": 0, "state": "gone"})
    late = connect(master, read_id=False)
    assert master.node(2)["state"] == "unsettled"
    assert master.node(2)["settled_at"] is None
    assert master.node(3) == ABSENT | {"id": 3, "state": "expected"}
    assert master.node(65536) == ABSENT | {"id": 65536, "state": "impossible"}
    late.close()


def test_the_status_has_everything(start_master: Start, connect: Connect, tmp_path: Path) -> None:
    """The status has the listeners, the limits, and all that the other paths have."""
    path = tmp_path / "node3"
    master = start_master(
        "--port", "0", "--node", f"3=unix:{path}", "--pause-seconds", "inf", "--ids", "lowest"
    )
    talked(master, connect)
    status = master.status()
    assert status.pop("distnet") == __version__
    assert status.pop("pid") == master.process.pid
    assert status.pop("ids") == "lowest"
    assert status["limits"].pop("pause_seconds") == "inf"
    assert status.pop("limits")["highest_id"] == 65535
    kernels = {"tools": False, "tls": False, "relays": False}
    assert status.pop("listeners") == [
        {"address": f"tcp:127.0.0.1:{master.port}", "node": None, **kernels},
        {"address": f"unix:{path}", "node": 3, **kernels},
        {
            "address": f"unix:{master.tools}",
            "node": None,
            "tools": True,
            "tls": False,
            "relays": True,
        },
    ]
    assert status.pop("waiting") == 0
    assert status.pop("started") > 0
    assert {key: master.ask(f"/{key}") for key in status} == status
    assert set(status) == {"nodes", "mailboxes", "counters"}


def test_head_is_get_without_the_body(master: Master) -> None:
    """HEAD answers as GET does, without a body."""
    head, get = (Answer(master.control, method, "/counters") for method in ("HEAD", "GET"))
    assert head.body == b""
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))
    assert head.status == get.status == 200
    assert "HEAD" not in master.log()


@pytest.mark.parametrize(
    "path",
    [
        "/no",
        "/status/x",
        "/nodes/x",
        "/nodes/0/x",
        "/nodes/-1",
        f"/nodes/{'9' * 5000}",
        "/nodes/%D9%A3",
    ],
)
def test_other_paths_are_not_found(path: str, shared_master: Master) -> None:
    """Any other path is answered with 404 and an error in JSON."""
    answer = Answer(shared_master.control, "GET", path)
    assert answer.status == 404
    assert list(answer.json) == ["error"]
    assert "Traceback" not in shared_master.log()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/", "/status", "/nodes"])
def test_nothing_can_be_changed(method: str, path: str, shared_master: Master) -> None:
    """Other methods are answered with 405, and with those that are allowed."""
    answer = Answer(shared_master.control, method, path)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert list(answer.json) == ["error"]


def test_a_node_is_disconnected(master: Master, connect: Connect) -> None:
    """DELETE ends the connection of a node, as if it had been lost; of an absent one, it is 404."""
    first, second = talked(master, connect)
    assert Answer(master.control, "POST", "/nodes/1").headers["allow"] == "GET, HEAD, DELETE"
    assert master.node(1)["state"] == "settled"
    assert Answer(master.control, "DELETE", "/nodes/1").json == ABSENT | {"id": 1, "state": "gone"}
    assert second.is_closed()
    master.wait_for_log("node 1: left (disconnected by 'distnet disconnect')")
    for absent in (1, 7, 70000):
        assert Answer(master.control, "DELETE", f"/nodes/{absent}").status == 404
    # The other one is not disturbed.
    first.send(0, BLOCK)
    assert first.receive() == (0, BLOCK)


def test_the_socket_is_for_its_user_alone(master: Master) -> None:
    """The control socket has mode 0600, and so has that for tools."""
    for path in (master.control, master.tools):
        assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_garbage_disturbs_nobody(master: Master, connect: Connect) -> None:
    """Garbage and half requests on the control socket neither stop it nor the kernels."""
    open_ones = []
    for garbage in (
        os.urandom(5000),
        b"GET",
        b"quit",
        b"GET /status HTTP/1.1\r\nHost",
        b"\r\n" * 9,
    ):
        client = socket.socket(socket.AF_UNIX)
        client.connect(master.control)
        client.sendall(garbage)
        open_ones.append(client)
    talked(master, connect)
    assert master.ask("/counters")["delivered"] == amount(4)
    for client in open_ones:
        client.close()
    assert "Traceback" not in master.log()
