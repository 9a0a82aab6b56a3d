"""The benchmark of the routers: that its load generator counts right, and that it runs."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from bench.generator import LoadError, ready
from bench.messages import (
    NOWHERE,
    SOURCES,
    How,
    Place,
    Streamed,
    Wire,
    round_trips,
    stream,
)
from bench.report import Report
from bench.routercases import cases
from bench.routercontestants import CONTESTANTS, NATS, OURS, PURE, RELAY, THEIRS, started
from bench.trips import CORE
from distnet.wire import HEADER
from tests.benches import SMALL, allowed, is_pure, lines_of, measured_in
from tests.daemons import PATIENCE

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
