"""The benchmark of the gateway: that it runs, and counts what comes through."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from ctypes.util import find_library
from pathlib import Path

import pytest

from bench.gatewaycases import CPU, RATE, cases
from bench.gatewaycontestants import OURS, PASST, PURE, QEMU, THEIRS
from bench.generator import LoadError
from bench.pump import family, pump
from tests.benches import SMALL, lines_of, measured_in


def test_what_comes_is_counted() -> None:
    """The rate is that of what has come, and processes are asked for what they used."""
    one, other = socket.socketpair()
    with one, other:
        got = pump(one, other, bytes(1000), 0.2, {"own": [os.getpid()], "none": []})
    assert got.received > 1_000_000
    assert got.seconds >= 0.2
    assert got.cpu["own"] > 0 == got.cpu["none"]


def test_nothing_that_comes_is_an_error() -> None:
    """A way that carries nothing has no rate."""
    with contextlib.ExitStack() as stack:
        one, _, _, other = map(stack.enter_context, (*socket.socketpair(), *socket.socketpair()))
        with pytest.raises(LoadError, match=r"^nothing comes$"):
            pump(one, other, b"data", 0.1, {})


def test_a_family_has_all_that_were_started() -> None:
    """Processes that a process has started, and those have, are counted with it."""
    assert family(os.getpid())[0] == os.getpid()
    assert os.getpid() in family(os.getppid())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here")
@pytest.mark.skipif(shutil.which("pasta") is None, reason="no passt here")
@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU here")
@pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")
def test_all_cases_are_measured(tmp_path: Path) -> None:
    """The table has the rate and the cost of each case, with a gateway and without one."""
    markdown, report = measured_in(tmp_path, "gateway")
    assert not report.failures
    lines = lines_of(markdown)
    assert lines[0][2:5] == [OURS.name, PURE.name, THEIRS.name]
    assert lines[0][-2:] == [QEMU.name, PASST.name]
    shown = {(line[0], line[1]): (*line[2:5], *line[-2:]) for line in lines[2:]}
    for case in cases(SMALL):
        for figure in (RATE, CPU):
            assert all(
                float(each.rstrip("*").replace(",", "")) > 0 for each in shown[case.name, figure]
            )
