"""The benchmark of the switches: that its load generator counts right, and that it runs."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.frames import FramesError, Receiver, Traffic, traffic
from bench.records import Measured, Record, table
from bench.switches import OURS, THEIRS, cases
from distnet.ethernet.vdewire import encode_reply, parse_request
from tests.masters import PATIENCE, ROOT

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
    with pytest.raises(FramesError, match=r"^frames: .*/ctl: No such file or directory$"):
        traffic(tmp_path, size=64, count=1)


def test_a_busy_load_generator_is_noticed() -> None:
    """Figures are marked if the sender or a receiver was busy all the time."""

    def bound(sender: float, receiver: float) -> bool:
        counted = (Receiver(1, 0, 0, 0, 1.0, 0.1), Receiver(1, 0, 0, 0, 1.0, receiver))
        return Traffic(1, 1.0, sender, counted, 0.0, None).bound

    assert not bound(0.5, 0.5)
    assert bound(0.95, 0.5)
    assert bound(0.5, 0.95)


def test_the_table_has_medians_and_their_ratio() -> None:
    """A line has both medians, the first divided by the other, marks, and what is beside them."""
    figures = {"a": (8, 2, 4), "b": (10, 16, 2), "c": (9, 9, 9)}
    records = [
        Record("case", subject, number, Measured({"figure": value}, bound=value == 16))
        for subject, values in figures.items()
        for number, value in enumerate(values, 1)
    ]
    assert table(records, ("a", "b"), ["c", "d"]).splitlines()[2:] == [
        "| case | figure | 4 | 10* | 0.40 | 9 | - |"
    ]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[dict[str, Any]]]:
    """The table of a very short run, and its records."""
    for tool in ("vde_switch", "iperf3", "ip"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    path = tmp_path_factory.mktemp("smoke") / "figures.json"
    command = ["--rounds=1", "--seconds=1", "--frames=2000", f"--json={path}"]
    ran = subprocess.run(
        [sys.executable, "-m", "bench.switches", *command],
        cwd=ROOT, capture_output=True, text=True, timeout=10 * PATIENCE, check=False,
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    return ran.stdout, json.loads(path.read_text())["records"]


def test_all_cases_are_measured_for_both(smoke: tuple[str, list[dict[str, Any]]]) -> None:
    """The table has a figure of each case, and both switches have it."""
    lines = [line.strip("| ").split(" | ") for line in smoke[0].splitlines() if "|" in line]
    assert lines[0] == ["case", "figure", OURS, THEIRS, "ratio", "no switch"]
    assert {line[0] for line in lines[2:]} == {case.name for case in cases(2000, 1)}
    for line in lines[2:]:
        assert "-" not in line[2:4], line


def test_every_frame_is_accounted_for(smoke: tuple[str, list[dict[str, Any]]]) -> None:
    """
    What was sent was delivered or lost; nothing came twice, out of order, or damaged.

    What ours loses it has told of. With few frames under way at once nothing is lost: neither
    switch has to keep more than a socket holds.
    """
    measured = [record["measured"] for record in smoke[1]]
    counted = [each for each in measured if each["counts"]]
    assert len(counted) == 20
    for each in counted:
        counts = each["counts"]
        assert counts["delivered"] + counts["lost"] == counts["sent"] * counts["receivers"]
        assert each["figures"].get("wrong", 0) == 0
    ours = [record["measured"]["counts"] for record in smoke[1] if record["subject"] == OURS]
    assert all(counts["slow"] for counts in ours if counts.get("lost")), ours
    few = [record["measured"] for record in smoke[1] if "under way" in record["case"]]
    assert [each["counts"]["lost"] for each in few] == [0] * 6
