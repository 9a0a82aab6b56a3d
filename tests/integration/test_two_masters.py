"""Several masters on one machine: each has a control socket, and commands find the right one."""

from __future__ import annotations

import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.daemons import PATIENCE, eventually
from tests.masters import Kernel, Master, running
from tests.unnamed import OwnMaster, distnet

TEXT = "sixteen bytes ok"

Start = Callable[..., Master]


@pytest.fixture
def start(tmp_path: Path, runtime: Path) -> Iterator[Start]:
    """Start masters with the name that their control socket is to have, and options."""
    with ExitStack() as stack:

        def start(name: str, *options: str) -> Master:
            directory = tmp_path / f"master{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            return stack.enter_context(
                running(OwnMaster(directory, name, *options, runtime=runtime))
            )

        yield start


def shows(runtime: Path, *words: str) -> str:
    """The pid of the master that C{distnet status} shows."""
    ended = distnet(runtime, "status", *words)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.partition(" pid ")[2].partition(",")[0]


def named(tmp_path: Path, name: str) -> str:
    """The option of a listener after which a master is named."""
    return f"unix:{tmp_path}/{name}"


def test_two_masters(start: Start, runtime: Path, tmp_path: Path) -> None:
    """A second master just starts; commands find the only one, or say which there are."""
    first = start("control-first", "--listen", named(tmp_path, "first"))
    assert stat.S_IMODE((runtime / "distnet").stat().st_mode) == 0o700
    assert shows(runtime) == str(first.process.pid)
    assert shows(runtime, "--control", str(runtime / "distnet/control")) == str(first.process.pid)
    second = start("control-second", "--listen", named(tmp_path, "second"))
    for words in (["status"], ["send", "0", TEXT], ["recv"], ["ping", "0"], ["qemu-args"]):
        ended = distnet(runtime, *words)
        assert (ended.returncode, ended.stdout) == (1, "")
        line = ended.stderr.splitlines()[-1]
        assert line.startswith("distnet: 2 masters run here, say which with --control PATH")
        for master, name in ((first, "first"), (second, "second")):
            address = f"unix:{tmp_path}/{name}"
            assert f"{master.control} (pid {master.process.pid}, {address})" in line
    for master in (first, second):
        assert shows(runtime, "--control", master.control) == str(master.process.pid)
        sent = distnet(runtime, "send", "--control", master.control, "0", TEXT)
        assert sent.returncode == 0, sent.stderr
        with Kernel(master.address("unix:").removeprefix("unix:")) as kernel:
            kernel.read_id()
            assert kernel.receive()[1] == TEXT.encode()
    assert first.stop() == 0
    assert shows(runtime) == str(second.process.pid)
    assert second.stop() == 0
    assert list((runtime / "distnet").iterdir()) == []
    assert distnet(runtime, "status").returncode == 3


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_port_names_it(start: Start, runtime: Path, tmp_path: Path) -> None:
    """A master is named by its port, or by its process, and alone is at the documented path."""
    port = free_port()
    by_port = start(f"control-{port}", "--port", str(port), "--listen", named(tmp_path, "more"))
    assert shows(runtime) == str(by_port.process.pid)
    assert by_port.stop() == 0
    unnamed = start("control", "--port", "0")
    assert unnamed.tools != unnamed.status()["listeners"][-1]["address"]
    assert f"control-pid-{unnamed.process.pid}.tools for tools" in unnamed.log()
    assert distnet(runtime, "recv", "--timeout", "0").stderr.startswith("id 2147483648\n")


def test_one_that_was_killed(start: Start, runtime: Path, tmp_path: Path) -> None:
    """What a killed master has left does not count, and its successor takes its name."""
    masters = [
        start(f"control-{name}", "--listen", named(tmp_path, name)) for name in ("a", "b", "c")
    ]
    assert "3 masters run here" in distnet(runtime, "status").stderr
    assert masters[0].stop(signal.SIGKILL) == -signal.SIGKILL
    assert masters[1].stop(signal.SIGKILL) == -signal.SIGKILL
    assert shows(runtime) == str(masters[2].process.pid)
    again = start("control-a", "--listen", named(tmp_path, "a"))
    assert again.status()["pid"] == again.process.pid
    assert again.stop() == 0
    assert masters[2].stop() == 0
    assert distnet(runtime, "status").returncode == 3


def test_many_at_once(runtime: Path, tmp_path: Path) -> None:
    """Masters that start at the same time do not take each other's sockets."""
    masters = []
    with ExitStack() as stack:
        for number in range(3):
            directory = tmp_path / str(number)
            directory.mkdir()
            # All with the same name for their control socket, if they could.
            options = ["--listen", f"unix:{directory}/kernels"]
            master = OwnMaster(directory, "control-kernels", *options, runtime=runtime)
            master.launch()
            stack.callback(master.process.wait)
            stack.callback(master.process.kill)
            masters.append(master)
        for master in masters:
            eventually("it listens", lambda log=master.log: ".tools for tools" in log())
        said = distnet(runtime, "status").stderr
        assert "3 masters run here" in said
        assert all(f"pid {master.process.pid}, unix:" in said for master in masters)


def test_the_same_place_twice(start: Start, runtime: Path, tmp_path: Path) -> None:
    """A master that cannot listen leaves the sockets of the one that does."""
    first = start("control-kernels", "--listen", named(tmp_path, "kernels"))
    again = OwnMaster(tmp_path, "control", "--listen", named(tmp_path, "kernels"), runtime=runtime)
    again.launch()
    assert again.process.wait(PATIENCE) != 0
    assert "another process listens there" in again.log()
    assert sorted(path.name for path in (runtime / "distnet").iterdir()) == [
        "control", "control-kernels", "control-kernels.tools", "control.tools"
    ]  # fmt: skip
    assert shows(runtime) == str(first.process.pid)
