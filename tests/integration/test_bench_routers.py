"""The benchmark of the routers: that its load generator counts right, and that it runs."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from bench.contestants import CONTESTANTS, NATS, OURS, RELAY, THEIRS, started
from bench.messages import NOWHERE, How, MessagesError, Place, Streamed, Wire, round_trips, stream
from bench.plots import Axis, drawing
from bench.records import Measured, Record
from bench.routercases import P50, QUANTILE, RATE, Amount, cases, goals_table
from bench.routerplots import plots
from distnet.core.wire import HEADER
from tests.masters import PATIENCE, ROOT

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")

Faults = Callable[[int, bytes], list[bytes]]
RECEIVER, SENDER = 0, 1
SIZE, COUNT = 64, 100
RECEIVER_AT, NUMBER_AT = HEADER.size + 4, HEADER.size + 8


@contextlib.contextmanager
def faulty_router(faults: Faults) -> Iterator[Place]:
    """
    A router that gives what one node sends to the other, after a first message with faults.

    @param faults: what becomes of a message, by its number.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=_carry, args=(listener, faults))
        thread.start()
        try:
            yield Place(Wire.DISTNET, str(listener.getsockname()[1]), None)
        finally:
            thread.join()


def _carry(listener: socket.socket, faults: Faults) -> None:
    """Give the second node's messages to the first one until one of them has gone."""
    with contextlib.ExitStack() as stack:

        def node(number: int) -> socket.socket:
            connection = stack.enter_context(listener.accept()[0])
            connection.settimeout(PATIENCE)
            connection.sendall(b"%d" % number)
            return connection

        receiver, sender = node(RECEIVER), node(SENDER)
        # A reset is the end too: the load generator may go without having read all.
        with contextlib.suppress(ConnectionError):
            for number in range(-1, sys.maxsize):
                message = sender.recv(HEADER.size + SIZE, socket.MSG_WAITALL)
                if not message:
                    return
                dest, length = HEADER.unpack_from(message)
                assert (dest, length) == (RECEIVER, SIZE)
                message = HEADER.pack(SENDER, length) + message[HEADER.size :]
                for each in [message] if number < 0 else faults(number, message):
                    if not each:
                        receiver.shutdown(socket.SHUT_RDWR)
                        # Not reset by us: it goes on, and counts what does not arrive.
                        while sender.recv(1 << 16):
                            pass
                        return
                    receiver.sendall(each)


def _swapped() -> Faults:
    kept: list[bytes] = []

    def swap(number: int, message: bytes) -> list[bytes]:
        if number == 40:
            kept.append(message)
            return []
        return [message, *kept] if number == 41 else [message]

    return swap


def _at(which: int, becomes: Callable[[bytes], bytes]) -> Faults:
    return lambda number, message: [becomes(message) if number == which else message]


def _changed(at: int) -> Callable[[bytes], bytes]:
    return lambda message: message[:at] + b"\x07" + message[at + 1 :]


FAULTS: dict[str, tuple[Faults, dict[str, int]]] = {
    "none": (lambda number, message: [message], {"delivered": 100}),
    "lost": (lambda number, message: [message] * (number % 10 != 3), {"delivered": 90}),
    "last ones lost": (lambda number, message: [message] * (number < 95), {"delivered": 95}),
    "doubled": (
        lambda number, message: [message] * (1 + (number == 7)),
        {"delivered": 100, "late": 1},
    ),
    "reordered": (_swapped(), {"delivered": 99, "late": 1}),
    "another number": (_at(5, _changed(NUMBER_AT)), {"delivered": 99, "damaged": 1}),
    "another end": (_at(5, _changed(HEADER.size + SIZE - 1)), {"delivered": 99, "damaged": 1}),
    "another source": (_at(5, _changed(0)), {"delivered": 99, "misdelivered": 1}),
    "another receiver": (_at(5, _changed(RECEIVER_AT)), {"delivered": 99, "misdelivered": 1}),
    "disconnected": (_at(50, lambda message: b""), {"delivered": 50, "closed": 1}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_counted(name: str) -> None:
    """What a router loses, doubles, reorders, damages, or misdelivers is counted as that."""
    faults, expected = FAULTS[name]
    with faulty_router(faults) as place:
        got = stream(place, How.SINGLE, pairs=1, size=SIZE, seconds=PATIENCE, count=COUNT)
    assert got.sent == (COUNT,)
    counted = {
        "delivered": got.delivered[0], "late": got.late, "damaged": got.damaged,
        "misdelivered": got.misdelivered, "closed": got.closed,
    }  # fmt: skip
    assert {name: count for name, count in counted.items() if count} == expected
    assert got.lost == COUNT - expected["delivered"]


def test_what_is_no_message_is_an_error() -> None:
    """What cannot be made out ends the measurement with a line that says so."""
    with (
        faulty_router(_at(5, _changed(4))) as place,
        pytest.raises(MessagesError, match=r"^messages: what comes is no message"),
    ):
        stream(place, How.SINGLE, pairs=1, size=SIZE, seconds=PATIENCE, count=COUNT)


def test_round_trips_are_ordered_by_their_length() -> None:
    """Of round trips there are 1001 quantiles, from the shortest to the longest."""
    got = round_trips(NOWHERE, size=SIZE, count=10)
    assert len(got.quantiles) == 1001
    assert 0 < got.quantiles[0] <= got.quantiles[500] <= got.quantiles[1000]
    assert list(got.quantiles) == sorted(got.quantiles)


def test_no_router_is_an_error() -> None:
    """A router that is not there is named."""
    with pytest.raises(MessagesError, match=r"^messages: /nowhere/nodes: No such file"):
        stream(Place(Wire.DISTNET, "/nowhere/nodes", None), How.SINGLE, pairs=1, size=64, seconds=1)


@pytest.mark.parametrize("how", [How.BATCHED, How.SINGLE, How.STALLED])
def test_nothing_is_lost_without_a_router(how: How) -> None:
    """What is lost with a router is lost by the router, also for a receiver that stops reading."""
    got = stream(NOWHERE, how, pairs=3, size=1024, seconds=PATIENCE, count=2000)
    assert got.sent == got.delivered
    assert got.wrong == got.closed == 0
    assert sum(got.sent[1:]) == 2 * 2000


def test_interleaved_messages_alternate() -> None:
    """Each message goes to another receiver than the last, so that all get the same number."""
    with started(RELAY) as place:
        got = stream(place, How.INTERLEAVED, pairs=4, size=64, seconds=PATIENCE, count=1000)
    assert got.sent == got.delivered == (1000,) * 4


def test_a_busy_load_generator_is_noticed() -> None:
    """Figures are marked if all senders or all receivers together were busy all the time."""

    def bound(sender: float, receiver: float) -> bool:
        return Streamed((1,), (1,), 0, 0, 0, 0, 2.0, 1.0, sender, receiver, 0.0).bound

    assert not bound(0.5, 1.0)
    assert bound(0.95, 1.0)
    assert bound(0.5, 1.9)


def _records(case: str, figure: str, ours: float, theirs: float) -> list[Record]:
    return [
        Record(case, contestant.name, 1, Measured({figure: value}))
        for contestant, value in ((OURS, ours), (THEIRS, theirs))
    ]


def test_goals_are_judged() -> None:
    """A goal says what was reached: at least so much of a rate, at most so much of a time."""
    fast = _records("batched, 8 pairs, 64 bytes", RATE, 50, 10)
    slow = _records("round trip, one processor", P50, 9, 10)
    assert goals_table([*fast, *slow]).splitlines()[2:] == [
        "| batched, 8 pairs, 64 bytes | messages/s | ≥ 5.0 | 5.00 | met |",
        "| round trip, one processor | p50, µs | ≤ 0.8 | 0.90 | not met |",
    ]


def test_curves_are_drawn() -> None:
    """Each curve has a line, higher values are higher up, and names are shown as they are."""
    curves = {"a<b": [(1, 10), (100, 1000)], "c": [(1, 1000), (10, 1000)]}
    root = ElementTree.fromstring(drawing("title", Axis("x"), Axis("y"), curves))
    lines = [
        [tuple(map(float, point.split(","))) for point in each.attrib["points"].split()]
        for each in root.iter("{http://www.w3.org/2000/svg}polyline")
    ]
    assert len(lines) == 2
    assert lines[0][0][1] > lines[0][1][1] == lines[1][0][1]
    # On a logarithmic axis 10 is in the middle between 1 and 100.
    assert lines[1][1][0] == pytest.approx((lines[0][0][0] + lines[0][1][0]) / 2)
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"title", "x", "y", "a<b", "c", "100", "1k"} <= set(texts)


def test_there_are_plots_of_what_was_measured() -> None:
    """Plots show throughput by size and nodes, and latencies, where there are any."""
    size = _records("batched, 8 pairs, 1024 bytes", RATE, 1, 2)
    assert list(plots(size)) == ["routers-size.svg"]
    nodes = _records("batched, 1 pair, 64 bytes", RATE, 1, 2)
    assert list(plots(nodes)) == ["routers-nodes.svg"]
    counts = {QUANTILE.format(at): 1000 + at for at in range(1001)}
    trips = [Record("round trip, free", OURS.name, 1, Measured({P50: 1.5}, counts))]
    assert list(plots(trips)) == ["routers-latency.svg"]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """The table of a very short run, and its records."""
    if NATS is None:
        pytest.skip("no nats-server here")
    directory: Path = tmp_path_factory.mktemp("smoke")
    command = ["--quick", "--seconds=0.5", "--count=300", "--trips=100", "--idle=20"]
    command += [f"--json={directory / 'figures.json'}", f"--plots={directory}"]
    ran = subprocess.run(
        [sys.executable, "-m", "bench.routers", *command],
        cwd=ROOT, capture_output=True, text=True, timeout=20 * PATIENCE, check=False,
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    assert (directory / "routers-size.svg").exists()
    return ran.stdout, json.loads((directory / "figures.json").read_text())["records"]


def test_all_cases_are_measured_for_both(smoke: tuple[str, list[dict[str, Any]]]) -> None:
    """The table has figures of each case, and both routers have them."""
    lines = [line.strip("| ").split(" | ") for line in smoke[0].splitlines() if "|" in line]
    names = [contestant.name for contestant in CONTESTANTS]
    assert lines[0] == ["case", "figure", *names[:2], "ratio", *names[2:]]
    table = [line for line in lines[2:] if len(line) == len(lines[0])]
    assert {line[0] for line in table} == {case.name for case in cases(Amount(idle=20), quick=True)}
    for line in table:
        assert "-" not in line[2:4], line


def test_every_message_is_accounted_for(smoke: tuple[str, list[dict[str, Any]]]) -> None:
    """So few messages are all delivered, once, in order, and as they were sent, by everyone."""
    counted = [
        record["measured"] for record in smoke[1] if "delivered" in record["measured"]["counts"]
    ]
    assert {record["subject"] for record in smoke[1]} == {each.name for each in CONTESTANTS}
    assert counted
    for each in counted:
        counts = each["counts"]
        assert 0 < counts["sent"] == counts["delivered"], each
        assert not counts["lost"]
        figures = each["figures"]
        assert not figures.get("lost or wrong", 0) and not figures.get("wrong", 0), each
