"""The benchmark of the routers: that its load generator counts right, and that it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.generator import LoadError, ready
from bench.guestcases import MASTER, QEMUS, RATE, TRIP
from bench.messages import (
    NOWHERE,
    SOURCES,
    How,
    Place,
    Reader,
    Streamed,
    Wire,
    round_trips,
    stream,
)
from bench.records import BOUND
from bench.report import Report
from bench.routercases import SPLIT, cases
from bench.routercontestants import (
    CONTESTANTS,
    NATS,
    OURS,
    PACED,
    PACED_PURE,
    PURE,
    RELAY,
    THEIRS,
    TOY,
    TOY_PRINTING,
    started,
)
from bench.scalecases import TICKS, idle_name, talk_name
from bench.trips import CORE
from distnet.wire import HEADER
from tests.benches import SMALL, allowed, is_pure, lines_of, measured_in
from tests.daemons import PATIENCE
from tests.guest.image import missing_tools
from tests.masters import Kernel, Master, running

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")

Faults = Callable[[int, bytes], list[bytes]]
RECEIVER, SENDER = 0, 1
SIZE, COUNT = 64, 100
GAP = 0.1
"""Seconds in which a reader has read all that there is."""
RECEIVER_AT, NUMBER_AT = HEADER.size + 4, HEADER.size + 8


@contextlib.contextmanager
def faulty_router(faults: Faults, size: int = SIZE, gap: float = 0) -> Iterator[Place]:
    """
    A router that gives what one node sends to the other, after a first message with faults.

    @param faults: what becomes of a message, by its number.
    @param size: of payloads.
    @param gap: seconds between what is written.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        thread = threading.Thread(target=_carry, args=(listener, faults, size, gap))
        thread.start()
        try:
            yield Place(Wire.DISTNET, str(listener.getsockname()[1]), None)
        finally:
            thread.join()


def _carry(listener: socket.socket, faults: Faults, size: int, gap: float) -> None:
    """Give the second node's messages to the first one until one of them has gone."""
    with contextlib.ExitStack() as stack:

        def node(number: int) -> socket.socket:
            connection = stack.enter_context(listener.accept()[0])
            connection.settimeout(PATIENCE)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(b"%d" % number)
            return connection

        receiver, sender = node(RECEIVER), node(SENDER)
        # A reset is the end too: the load generator may go without having read all.
        with contextlib.suppress(ConnectionError):
            for number in range(-1, sys.maxsize):
                message = sender.recv(HEADER.size + size, socket.MSG_WAITALL)
                if not message:
                    return
                dest, length = HEADER.unpack_from(message)
                assert (dest, length) == (RECEIVER, size)
                message = HEADER.pack(SENDER, length) + message[HEADER.size :]
                for each in [message] if number < 0 else faults(number, message):
                    if not each:
                        receiver.shutdown(socket.SHUT_RDWR)
                        # Not reset by us: it goes on, and counts what does not arrive.
                        while sender.recv(1 << 16):
                            pass
                        return
                    receiver.sendall(each)
                    time.sleep(gap)


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


@pytest.mark.parametrize(
    ("reader", "parts", "split"),
    [
        # Of 1460 bytes, the last of which are of the message that the next segment ends.
        (Reader.CHUNKS, lambda data: [data], {20: 0, 21: 1, 41: 2, 57: 3}),
        (Reader.STRICT, lambda data: [data], {20: 0, 21: 0, 41: 0, 57: 0}),
        # In the middle of a payload, and of a header.
        (Reader.CHUNKS, lambda data: [data[:-70], data[-70:]], {20: 1}),
        (Reader.STRICT, lambda data: [data[:-70], data[-70:]], {20: 1}),
        (Reader.STRICT, lambda data: [data[:-60], data[-60:]], {20: 1}),
        (Reader.STRICT, lambda data: [data[:-64], data[-64:]], {20: 1}),
        (Reader.STREAM, lambda data: [data[:-60], data[-60:]], {20: 0}),
    ],
)
def test_split_messages_are_counted(
    reader: Reader, parts: Callable[[bytes], list[bytes]], split: dict[int, int]
) -> None:
    """
    What a reader that is none of a stream got in parts is counted, and delivered all the same.

    @param parts: what is written of messages that are there at once, one after the other.
    @param split: how many messages are there at once, and how many of them are split.
    """
    for together, expected in split.items():
        kept: list[bytes] = []

        def carried(
            number: int, message: bytes, kept: list[bytes] = kept, together: int = together
        ) -> list[bytes]:
            kept.append(message)
            if number < together - 1:
                return []
            data, kept[:] = b"".join(kept), []
            return parts(data)

        with faulty_router(carried, gap=GAP) as place:
            got = stream(
                place, How.SINGLE, pairs=1, size=SIZE, seconds=PATIENCE, count=together,
                reader=reader,
            )  # fmt: skip
        assert got.delivered == got.sent == (together,)
        assert (got.split, got.wrong) == (expected, 0), (reader, together)


def test_readers_stand_still() -> None:
    """Readers that stand still take longer for as much, and get all of it."""
    took = []
    for still in (0, 0.2):
        got = stream(
            NOWHERE, How.SINGLE, pairs=1, size=SIZE, seconds=0.5, reader=Reader.CHUNKS, still=still
        )
        assert got.delivered == got.sent
        took.append(got.receiver_cpu / got.seconds)
    assert took[1] < took[0]


def test_empty_messages_are_counted() -> None:
    """Messages without payload are counted: what is lost, or of another source."""
    for name in ("none", "lost", "another source"):
        faults, expected = FAULTS[name]
        with faulty_router(faults, size=0) as place:
            got = stream(place, How.SINGLE, pairs=1, size=0, seconds=PATIENCE, count=COUNT)
        counted = {"delivered": got.delivered[0], "misdelivered": got.misdelivered}
        assert {key: count for key, count in counted.items() if count} == expected, name


def test_empty_messages_without_a_router() -> None:
    """Without a router all of them come, and go there and back."""
    got = stream(NOWHERE, How.BATCHED, pairs=3, size=0, seconds=PATIENCE, count=5000)
    assert got.delivered == got.sent == (5000,) * 3
    assert got.lost == got.wrong == 0
    assert round_trips(NOWHERE, size=0, count=10).quantiles[0] > 0


def test_more_nodes_are_connected(tmp_path: Path) -> None:
    """Nodes that do nothing have ids while others send, and are connected before them."""
    with running(Master(tmp_path, "--port", "0")) as master:
        place = Place(Wire.DISTNET, str(master.port), None)
        got = stream(place, How.SINGLE, pairs=1, size=SIZE, seconds=PATIENCE, count=10, others=50)
        assert got.delivered == (10,)
        # The next one gets the lowest id that nobody has had.
        with Kernel(("127.0.0.1", master.port)) as node:
            assert node.read_id() == 52


def test_what_is_no_message_is_an_error() -> None:
    """What cannot be made out ends the measurement with a line that says so."""
    with (
        faulty_router(_at(5, _changed(4))) as place,
        pytest.raises(LoadError, match=r"^messages: what comes is no message"),
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
    with pytest.raises(LoadError, match=r"^messages: /nowhere/nodes: No such file"):
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


def test_on_one_processor() -> None:
    """Router and load generator are on the same processor where they are to be."""
    with (
        started(RELAY, CORE) as place,
        ready(SOURCES, ["-mping", "-n1", f"-c{CORE}", "-wdirect", "-"]) as generator,
    ):
        assert place.pid is not None
        assert allowed(place.pid) == allowed(generator.process.pid) == str(CORE)


def test_without_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be pure has native code turned off, and what is ours has not."""
    monkeypatch.delenv("DISTNET_NATIVE", raising=False)
    for contestant, expected in ((PURE, True), (OURS, False)):
        with started(contestant) as place:
            assert place.pid is not None
            assert is_pure(place.pid) is expected


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report]:
    """The Markdown of a very short run, and all of it."""
    if shutil.which(NATS) is None:
        pytest.skip("no nats-server here")
    directory = tmp_path_factory.mktemp("smoke")
    found = measured_in(directory, "routers", "--quick")
    assert (directory / "routers-size.svg").exists()
    return found


def test_all_cases_are_measured_for_both(smoke: tuple[str, Report]) -> None:
    """The table has figures of each case, and all routers have them."""
    lines = lines_of(smoke[0])
    pair = [OURS.name, PURE.name, THEIRS.name]
    beside = [each.name for each in CONTESTANTS if each.name not in pair]
    assert lines[0] == ["case", "figure", *pair, "ratio", "ratio, pure", *beside]
    amount = dataclasses.replace(SMALL, everything=False)
    assert {line[0] for line in lines[2:]} == {case.name for case in cases(amount)}
    for line in lines[2:]:
        assert "-" not in line[2:5], line
    assert not smoke[1].failures


def test_every_message_is_accounted_for(smoke: tuple[str, Report]) -> None:
    """So few messages are all delivered, once, in order, and as they were sent, by everyone."""
    records = smoke[1].records
    assert {record.subject for record in records} == {each.name for each in CONTESTANTS}
    counted = [each.measured for each in records if "delivered" in each.measured.counts]
    assert counted
    for each in counted:
        assert 0 < each.counts["sent"] == each.counts["delivered"], each
        assert not each.counts["lost"]
        assert not each.figures.get("lost or wrong", 0) and not each.figures.get("wrong", 0), each


def test_the_default_pace_is_measured(tmp_path: Path) -> None:
    """Ours and the toy that it replaces are measured, and ours splits nothing."""
    if shutil.which(NATS) is None:
        pytest.skip("no nats-server here")
    chosen = ("batched, 8 pairs, 1024", "free, 1024 bytes", "a QEMU reads, and stands still")
    words = [f"--cases={name}" for name in chosen]
    markdown, report = measured_in(tmp_path, "paced", *words)
    assert not report.failures
    lines = lines_of(markdown)
    assert lines[0][2:5] == [PACED.name, PACED_PURE.name, TOY.name]
    assert len({line[0] for line in lines[2:]}) == len(chosen)
    for line in lines[2:]:
        assert "-" not in line[2:5], line
    split = [line for line in lines if line[1] == SPLIT]
    assert len(split) == 2
    assert {each.rstrip(BOUND) for line in split for each in line[2:4]} == {"0"}
    assert (tmp_path / "paced-size.svg").exists()


def test_growth_is_measured(tmp_path: Path) -> None:
    """Some of the nodes that are connected talk, or none; those that do nothing cost nothing."""
    if shutil.which(NATS) is None:
        pytest.skip("no nats-server here")
    words = ["--cases=20 nodes, of which 8", "--cases=idle", "--only=ours", "--only=theirs"]
    markdown, report = measured_in(tmp_path, "scale", *words)
    assert not report.failures
    shown = {(line[0], line[1]): line[2] for line in lines_of(markdown)}
    assert shown[idle_name(SMALL.nodes), TICKS] == "0"
    assert {name for name, _ in shown} > {talk_name(SMALL.nodes, 8), idle_name(SMALL.nodes)}
    counted = [each.measured.counts for each in report.records if "of which" in each.case]
    assert all(0 < each["sent"] == each["delivered"] for each in counted) and counted


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU here")
def test_guests_are_measured(tmp_path: Path) -> None:
    """Guests send as much as is wanted, and a message goes to one and back."""
    if missing := missing_tools():
        pytest.skip(f"missing: {', '.join(missing)}")
    words = ["--cases=2 guests, guestfwd", "--only=ours"]
    markdown, report = measured_in(tmp_path, "guests", *words)
    assert not report.failures
    shown = {line[1]: line[2] for line in lines_of(markdown)[2:]}
    for figure in (RATE, MASTER, QEMUS, TRIP):
        assert float(shown[figure].replace(",", "")) > 0
    assert report.records[0].measured.counts["delivered"] == SMALL.count


def test_the_toy_prints(tmp_path: Path) -> None:
    """The toy that prints tells of each message, the other of none."""
    for contestant, expected in ((TOY, False), (TOY_PRINTING, True)):
        said = tmp_path / contestant.name
        with started(contestant) as place:
            got = stream(place, How.SINGLE, pairs=1, size=SIZE, seconds=PATIENCE, count=COUNT)
            assert place.pid is not None
            said.write_bytes(Path(f"/proc/{place.pid}/fd/1").read_bytes())
        assert got.delivered == (COUNT,)
        # Of a hundred messages: it writes what fills its buffer.
        assert (b"sent to" in said.read_bytes()) is expected
