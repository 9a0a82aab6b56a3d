"""Several switches on one machine: each has a control socket, and commands find the right one."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ctypes.util import find_library
from pathlib import Path

import pytest

from distnet.control.ask import NoMaster, ask
from distnet.control.paths import SWITCH
from tests.daemons import PATIENCE, eventually
from tests.gateways import Machine
from tests.masters import Kernel
from tests.masters import running as running_master
from tests.switches import RawClient, running
from tests.unnamed import OwnMaster, OwnSwitch, distnet

Start = Callable[..., OwnSwitch]

_numbers = itertools.count(1)


@pytest.fixture
def start(tmp_path: Path, runtime: Path) -> Iterator[Start]:
    """Start switches, with the name of their directory and options."""
    with ExitStack() as stack:

        def start(name: str, *options: str) -> OwnSwitch:
            directory = tmp_path / f"switch{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            switch = OwnSwitch(directory, name, *options, runtime=runtime)
            stack.enter_context(running(switch))
            eventually("it answers", lambda: status(switch))
            return switch

        yield start


def status(switch: OwnSwitch) -> dict[str, object] | None:
    """What a switch says of itself, or None if nobody answers."""
    try:
        told: dict[str, object] = ask(switch.control, "/status", kind=SWITCH)[1]
    except NoMaster:
        return None
    return told


def shows(runtime: Path, *words: str) -> str:
    """The pid of the switch that C{distnet status --switch} shows."""
    ended = distnet(runtime, "status", "--switch", *words)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("distnet-vde ")
    return ended.stdout.partition(" pid ")[2].partition(",")[0]


def netdev(runtime: Path) -> str:
    """Where C{distnet qemu-args --vde} has a guest plug in."""
    printed = distnet(runtime, "qemu-args", "--vde", "--guest", "1", "--arch", "sparc")
    return printed.stdout.partition("sock=")[2].partition(" ")[0]


def test_two_switches(start: Start, runtime: Path) -> None:
    """A second switch just starts; commands find the only one, or say which there are."""
    first = start("one")
    assert stat.S_IMODE(Path(first.control).stat().st_mode) == 0o600
    assert shows(runtime) == str(first.process.pid)
    assert shows(runtime, "--control", f"{runtime}/distnet/switch") == str(first.process.pid)
    assert netdev(runtime) == str(first.sock)
    second = start("two")
    for words, how in (
        (["status", "--switch"], "--switch DIRECTORY"),
        (["qemu-args", "--vde"], "--vde DIRECTORY"),
        (["gateway"], "--sock DIRECTORY"),
    ):
        ended = distnet(runtime, *words)
        assert (ended.returncode, ended.stdout) == (1, "")
        line = ended.stderr.splitlines()[-1]
        assert line.startswith(f"distnet: 2 switches run here, say which with {how}: ")
        for switch in (first, second):
            assert f"{switch.control} (pid {switch.process.pid}, {switch.sock})" in line
    for switch in (first, second):
        for words in (["--switch", str(switch.sock)], ["--switch", "--control", switch.control]):
            assert shows(runtime, *words[1:]) == str(switch.process.pid)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert shows(runtime) == str(second.process.pid)
    assert netdev(runtime) == str(second.sock)
    again = start("one")
    assert shows(runtime, str(again.sock)) == str(again.process.pid)
    for switch in (again, second):
        assert switch.stop() == 0
    assert sorted(path.name for path in (runtime / "distnet").iterdir()) == []
    ended = distnet(runtime, "status", "--switch")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"distnet: no switch answers at {runtime}/distnet/switch: ")


def test_the_status(start: Start, runtime: Path) -> None:
    """The status shows who is plugged in; as JSON it is what the control interface says."""
    switch = start("one")
    with RawClient(switch.sock).plug():
        shown = distnet(runtime, "status", "--switch").stdout
        assert f"  listening in {switch.sock} for VDE\n" in shown
        assert "PORT  VLAN  STATE" in shown
        told = json.loads(distnet(runtime, "status", "--switch", "--json").stdout)
    assert (told["pid"], told["directory"]) == (switch.process.pid, str(switch.sock))
    assert ask(switch.control, "/", kind=SWITCH)[1]["paths"][0] == "/status"


def test_without_a_place_for_it(tmp_path: Path) -> None:
    """A switch that is told nothing starts all the same; one that is told where does not."""
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    (nowhere / "distnet").touch()
    switch = OwnSwitch(tmp_path, "one", runtime=nowhere)
    with running(switch):
        # It can be connected to before its reactor runs.
        with RawClient(switch.sock).plug():
            pass
        switch.wait_for_log("there is no control socket: cannot make")
        assert switch.stop() == 0
    switch = OwnSwitch(tmp_path, "one", "--control", f"{nowhere}/missing/control", runtime=nowhere)
    switch.launch()
    assert switch.process.wait(PATIENCE) != 0
    switch.wait_for_log(f"there is no directory {nowhere}/missing")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here")
@pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")
def test_gateways_of_two_switches(start: Start, runtime: Path, tmp_path: Path) -> None:
    """
    A gateway connects guests to the only master, and stays with it; where there are two, it has
    them wait and says which there are, unless it is told by an address or a control socket.
    """
    masters = []
    with ExitStack() as stack:
        for name in ("a", "b"):
            directory = tmp_path / name
            directory.mkdir()
            options = ["--listen", f"unix:{directory}/{name}"]
            masters.append(OwnMaster(directory, f"control-{name}", *options, runtime=runtime))
        first, second = masters
        stack.enter_context(running_master(first))

        def connect(switch: OwnSwitch) -> Kernel:
            machine = Machine(switch.sock, "10.0.2.15", f"ts{os.getpid()}x{next(_numbers)}")
            return stack.enter_context(stack.enter_context(machine).connect())

        alone = start("alone", "--gateway")
        assert connect(alone).read_id() == 0
        stack.enter_context(running_master(second))
        assert connect(alone).read_id() == 1
        puzzled = start("puzzled", "--gateway")
        waiting = connect(puzzled)
        said = puzzled.wait_for_log("2 masters run here")
        assert "say which with --control PATH (--master-control PATH at the switch)" in said
        by_address = start("address", "--gateway", "--master", f"unix:{tmp_path}/b/b")
        by_control = start("control", "--gateway", "--master-control", second.control)
        assert [connect(by_address).read_id(), connect(by_control).read_id()] == [0, 1]
        assert first.stop() == 0
        # Now there is only one, which those that were told nothing take; but not from another.
        assert waiting.read_id() == 2
        assert connect(alone).is_silent()
