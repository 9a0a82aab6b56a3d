"""The benchmark of the switches: that its load generator counts right, and that it runs."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.frames import FLAGS, SOURCES, Receiver, Traffic, idle_ports, traffic
from bench.generator import LoadError, ready
from bench.report import Report
from bench.switchcases import cases
from bench.switchcontestants import OURS, PURE, THEIRS, started
from bench.trips import CORE, figures_of
from distnet.vdewire import encode_reply, parse_request
from tests.benches import SMALL, allowed, is_pure, lines_of, measured_in
from tests.daemons import PATIENCE, eventually
from tests.switches import BROADCAST, RawClient, frame, mac

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc here")

Faults = Callable[[int, bytes], list[bytes]]


@contextlib.contextmanager
def faulty_switch(faults: Faults) -> Iterator[Path]:
    """
    A switch that gives what one client sends to the other, with faults, and back without.

    @param faults: what becomes of a frame, by its number.
    @return: its directory.
    """
    # Not within pytest's directory, which may be too long for the path of a socket.
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as control:
        directory = Path(name)
        control.bind(str(directory / "ctl"))
        control.listen()
        control.settimeout(PATIENCE)
        thread = threading.Thread(target=_carry, args=(control, directory, faults))
        thread.start()
        try:
            yield directory
        finally:
            thread.join()


def _carry(control: socket.socket, directory: Path, faults: Faults) -> None:
    """Give the first client's frames to the second one until the first has gone."""
    with contextlib.ExitStack() as stack:

        def port(number: int) -> tuple[socket.socket, socket.socket]:
            connection = stack.enter_context(control.accept()[0])
            data = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            path = str(directory / f"{number:03d}.1")
            data.settimeout(PATIENCE)
            data.bind(path)
            data.connect(parse_request(connection.recv(256)).path)
            connection.sendall(encode_reply(os.fsencode(path)))
            return connection, data

        (connection, sender), (_, receiver) = port(1), port(2)
        receiver.send(sender.recv(9999))
        sender.send(receiver.recv(9999))
        number = 0
        while connection not in select.select([connection, sender], [], [])[0]:
            for frame in faults(number, sender.recv(9999)):
                receiver.send(frame)
            number += 1


def _swapped() -> Faults:
    kept: list[bytes] = []

    def swap(number: int, frame: bytes) -> list[bytes]:
        if number == 40:
            kept.append(frame)
            return []
        return [frame, *kept] if number == 41 else [frame]

    return swap


FAULTS: dict[str, tuple[Faults, Receiver]] = {
    "none": (lambda number, frame: [frame], Receiver(100, 0, 0, 0, 0, 0)),
    "lost": (lambda number, frame: [frame] * (number % 10 != 3), Receiver(90, 0, 0, 0, 0, 0)),
    "all lost": (lambda number, frame: [frame] * (number >= 100), Receiver(0, 0, 0, 0, 0, 0)),
    "doubled": (lambda number, frame: [frame] * (1 + (number == 7)), Receiver(100, 1, 0, 0, 0, 0)),
    "reordered": (_swapped(), Receiver(100, 0, 1, 0, 0, 0)),
    "cut": (
        lambda number, frame: [frame[:-1] if number == 5 else frame],
        Receiver(99, 0, 0, 1, 0, 0),
    ),
    "another source": (
        lambda number, frame: [frame[:11] + b"x" + frame[12:] if number == 5 else frame],
        Receiver(99, 0, 0, 1, 0, 0),
    ),
    "another receiver": (
        lambda number, frame: [frame[:5] + b"x" + frame[6:] if number == 5 else frame],
        Receiver(99, 0, 0, 1, 0, 0),
    ),
    "changed": (
        lambda number, frame: [frame[:-1] + b"x" if number == 5 else frame],
        Receiver(99, 0, 0, 1, 0, 0),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_counted(name: str) -> None:
    """What a switch loses, doubles, reorders, or damages is counted as that."""
    faults, expected = FAULTS[name]
    with faulty_switch(faults) as directory:
        got = traffic(directory, size=64, count=100)
    (counted,) = got.receivers
    assert Receiver(*_counts(counted), 0, 0) == expected
    assert got.lost == 100 - expected.delivered


def _counts(receiver: Receiver) -> tuple[int, int, int, int]:
    return receiver.delivered, receiver.duplicated, receiver.reordered, receiver.damaged


@pytest.mark.parametrize("receivers", [1, 7])
def test_receivers_alone_keep_up(receivers: int) -> None:
    """Without a switch nothing is lost, so that what is lost with one is lost by the switch."""
    got = traffic(size=64, count=20_000, receivers=receivers, broadcast=receivers > 1)
    assert [_counts(each) for each in got.receivers] == [(20_000, 0, 0, 0)] * receivers
    assert got.lost == got.wrong == 0


def test_what_is_wrong_is_said_in_a_line(tmp_path: Path) -> None:
    """A switch that is not there is named."""
    with pytest.raises(LoadError, match=r"^frames: .*/ctl: No such file or directory$"):
        traffic(tmp_path, size=64, count=1)


def test_a_busy_load_generator_is_noticed() -> None:
    """Figures are marked if the sender or a receiver was busy all the time."""

    def bound(sender: float, receiver: float) -> bool:
        counted = (Receiver(1, 0, 0, 0, 1.0, 0.1), Receiver(1, 0, 0, 0, 1.0, receiver))
        return Traffic(1, 1.0, sender, counted, 0.0).bound

    assert not bound(0.5, 0.5)
    assert bound(0.95, 0.5)
    assert bound(0.5, 0.95)


def test_round_trips_are_ordered_by_their_length() -> None:
    """Of round trips there are 1001 quantiles, from the shortest to the longest."""
    got = traffic(size=64, count=10, echo=True)
    assert got.answered == 10
    assert len(got.quantiles) == 1001
    assert 0 < got.quantiles[0] <= got.quantiles[500] <= got.quantiles[1000]
    assert list(got.quantiles) == sorted(got.quantiles)


def test_a_lost_round_trip_has_no_time() -> None:
    """What does not come back is counted, and is an error if nothing else does."""
    with faulty_switch(lambda number, frame: [frame]) as directory:
        # It carries nothing back.
        got = traffic(directory, size=64, count=1, echo=True)
    assert (got.sent, got.answered, got.quantiles) == (1, 0, ())
    with pytest.raises(LoadError, match="nothing has come back"):
        figures_of(got.quantiles)


def test_idle_ports_are_plugged_in() -> None:
    """So many ports are plugged in, the switch knows their addresses, and they stay."""
    with started(OURS) as switch:
        assert switch is not None
        with idle_ports(switch.sock, 20):
            assert len(switch.sockets()) == 20
            # Nobody else hears what is sent to one of them.
            with RawClient(switch.sock).plug() as one, RawClient(switch.sock).plug() as other:
                one.send(frame(_station(19), mac(1)))
                one.send(frame(BROADCAST, mac(1), b"everybody"))
                assert other.receive().endswith(b"everybody")
        eventually("they are gone", lambda: not switch.sockets())


def _station(number: int) -> bytes:
    """The address of an idle port of the load generator."""
    return b"\x02\x00\x00\x01" + number.to_bytes(2, "big")


def test_idle_ports_that_are_disconnected_are_an_error() -> None:
    """A switch that ends in the meantime is noticed."""
    with started(OURS) as switch:
        assert switch is not None
        with (
            pytest.raises(LoadError, match=r"^5 of 5 ports were disconnected$"),
            idle_ports(switch.sock, 5),
        ):
            switch.stop()


def test_on_one_processor() -> None:
    """Switch and load generator are on the same processor where they are to be."""
    with (
        started(THEIRS, core=CORE) as switch,
        ready(SOURCES, [f"-c{CORE}", "-"], FLAGS) as generator,
    ):
        assert switch is not None
        assert allowed(switch.process.pid) == allowed(generator.process.pid) == str(CORE)


def test_without_native_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to be pure has native code turned off, and what is ours has not."""
    monkeypatch.delenv("DISTNET_NATIVE", raising=False)
    for contestant, expected in ((PURE, True), (OURS, False)):
        with started(contestant) as switch:
            assert switch is not None
            assert is_pure(switch.process.pid) is expected


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Report]:
    """The table of a very short run, and all of it."""
    for tool in ("vde_switch", "iperf3", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    return measured_in(tmp_path_factory.mktemp("smoke"), "switches")


def test_all_cases_are_measured_for_both(smoke: tuple[str, Report]) -> None:
    """The table has a figure of each case, and all switches have it."""
    lines = lines_of(smoke[0])
    pair = [OURS.name, PURE.name, THEIRS.name]
    assert lines[0] == ["case", "figure", *pair, "ratio", "ratio, pure", "no switch"]
    assert {line[0] for line in lines[2:]} == {case.name for case in cases(SMALL)}
    for line in lines[2:]:
        assert "-" not in line[2:5], line
    assert not smoke[1].failures


def test_every_frame_is_accounted_for(smoke: tuple[str, Report]) -> None:
    """
    What was sent was delivered or lost; nothing came twice, out of order, or damaged.

    What ours loses it has told of. With few frames under way at once nothing is lost: neither
    switch has to keep more than a socket holds.
    """
    counted = [each.measured for each in smoke[1].records if "sent" in each.measured.counts]
    assert counted
    for each in counted:
        counts = each.counts
        assert counts["delivered"] + counts["lost"] == counts["sent"] * counts["receivers"]
        assert each.figures.get("wrong", 0) == 0
    ours = [
        record.measured.counts
        for record in smoke[1].records
        if record.subject in {OURS.name, PURE.name}
    ]
    assert all(counts["slow"] for counts in ours if counts.get("lost")), ours
    few = [record.measured for record in smoke[1].records if "under way" in record.case]
    assert {each.counts["lost"] for each in few} == {0}
