"""Clusters of real guests, started as users start them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distnet.cluster import Cluster, ClusterError
from tests.clusters import Clusters, clusters
from tests.daemons import ROOT, eventually
from tests.guest.conftest import built_for
from tests.guest.image import ARCHS, Image

Boot = Callable[..., Cluster]

BOOT_PATIENCE = 180.0
"""Seconds that guests have to boot, under emulation and with every processor busy."""

DFS = "connect;bcast:0,1,2:512:4;expect:any:8"
HEARD = r"^DN expect from=any n=8 want=8 bad=0 lost=0 .* ok$"
TEXT = b"sixteen bytes ok"

pytest_plugins = "pytester"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Clusters]:
    """A place for clusters."""
    with clusters(tmp_path) as place:
        yield place


def append(script: str, arch: str = "x86_64") -> str:
    """A guest's command line."""
    return (
        f"console=ttyS0 quiet panic=-1 {ARCHS[arch].append}"
        f" dn.ip={{ip}} dn.mac={{mac}} dn.script={script}"
    )


def keys(image: Image, script: str, **others: Any) -> dict[str, Any]:
    """The keys of a cluster of guests that run a script."""
    return {
        "kernel": str(image.kernel),
        "initrd": str(image.initramfs),
        "arch": "x86_64",
        "nodes": 3,
        "memory": "128M",
        "timeout": BOOT_PATIENCE,
        "append": append(script),
        **others,
    }


def test_the_example(place: Clusters) -> None:
    """
    Three riscv64 kernels on the switch get their ids, hear from all, and ping each other.

    One that is restarted has its id again, and its messages back from the others.
    """
    built_for("riscv64")
    up = place.up(ROOT / "examples" / "guest.toml")
    up.wait_for("all 3 nodes have their ids", BOOT_PATIENCE)
    for node in range(3):
        up.wait_for(f"\n{node}| DN id={node}\n")
        for ip in ("10.0.2.15", "10.0.2.17", "10.0.2.18"):
            up.wait_for(f"\n{node}| DN ping to={ip} ")
    output = up.output()
    assert len(re.findall(r"\d\| DN expect from=any n=8 .* lost=0 .* ok$", output, re.M)) == 3
    assert "FAIL" not in output
    assert [row.split()[1] for row in rows(place)] == ["settled"] * 3
    restarted = place.run("restart", "1")
    assert restarted.returncode == 0, restarted.stderr
    assert "node 1: has its id, after " in restarted.stdout
    assert [row.split()[1] for row in rows(place)] == ["settled"] * 3
    again = "\n1| DN ping to=10.0.2.18 "
    eventually("it is done", lambda: up.output().count(again) == 2, BOOT_PATIENCE)
    said = place.run("logs", "1").stdout
    assert said.splitlines().count("DN id=1") == 2
    assert len(re.findall(r"^DN expect from=any n=8 .* lost=0 .* ok$", said, re.M)) == 2
    assert place.run("down").returncode == 0
    assert up.wait() == 0
    place.assert_nothing_is_left()


def rows(place: Clusters) -> list[str]:
    """The nodes in the status of the only cluster."""
    shown = place.run("status").stdout
    return [line for line in shown.splitlines() if re.match(r"\d+ ", line)]


def test_the_example_of_tests(place: Clusters, built: Image) -> None:
    """The tests that a kernel project can copy pass: x86_64 kernels on the switch."""
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(ROOT / "examples" / "test_kernel.py")],
        env=place.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout
    assert "4 passed" in ended.stdout
    place.assert_nothing_is_left()


def test_guestfwd(distnet_cluster: Boot, built: Image) -> None:
    """Behind networks of their own, three x86_64 kernels get ids and hear from all; so again."""
    kernels = distnet_cluster(**keys(built, f"{DFS};echo"))
    for node in kernels.nodes:
        node.wait_for(rf"^DN id={node.id}$")
        node.wait_for(HEARD)
    before = kernels[2].pid
    kernels.restart(2)
    assert kernels[2].pid != before
    kernels[2].wait_for("^DN id=2$")
    # The others send back what it sends to all.
    kernels[2].wait_for(HEARD)
    kernels.mail.send(2, TEXT)
    assert kernels.mail.expect() == (2, TEXT)
    assert kernels.status()["counters"]["undelivered"]["gone"]["messages"] == 0


def test_restart_from_elsewhere(place: Clusters, built: Image) -> None:
    """A cluster in the background restarts a node when the command says so, with the same id."""
    file = place.write("mine", **keys(built, "connect;echo", nodes=2, topology="vde"))
    started = place.run("up", "--detach", "--quiet", str(file))
    assert started.returncode == 0, started.stderr
    assert "all 2 nodes have their ids" in started.stdout
    before = rows(place)
    restarted = place.run("restart", "1")
    assert restarted.returncode == 0, restarted.stderr
    assert re.search(r"^node 1: has its id, after ", restarted.stdout, re.M)
    after = rows(place)
    assert before[0].split()[2] == after[0].split()[2]
    assert before[1].split()[2] != after[1].split()[2]
    assert place.run("logs", "1").stdout.splitlines().count("DN id=1") == 2
    assert place.run("restart", "2").stderr == "distnet: there is no node 2: they are 0 to 1\n"
    assert place.run("down", "mine").returncode == 0
    place.assert_nothing_is_left()


def test_all_kernels_end(place: Clusters, built: Image) -> None:
    """A cluster ends when all of its kernels have ended, also if one was done in no time."""
    file = place.write("short", **keys(built, "connect;quit", nodes=2))
    up = place.up(file)
    up.wait_for("all kernels have ended", BOOT_PATIENCE)
    assert up.wait() == 0
    assert "node 1: ended with status 0\n" in up.output()
    place.assert_nothing_is_left()


def test_a_kernel_that_panics(distnet_cluster: Boot, built: Image) -> None:
    """A kernel that panics is told with its last words and QEMU's command line."""
    line = "console=ttyS0 quiet panic=-1 rdinit=/nothing"
    with pytest.raises(ClusterError) as caught:
        distnet_cluster(**keys(built, "connect;echo", nodes=2, node=[{"id": 1, "append": line}]))
    first, *rest = str(caught.value).splitlines()
    assert first == "node 1 has no id: its QEMU ended with status 0"
    assert rest[1].startswith("  qemu-system-x86_64 ")
    assert any("Kernel panic - not syncing" in text for text in rest)


FAILING = """
    def test_it(distnet_cluster):
        kernels = distnet_cluster({keys})
        kernels[0].wait_for("DN waiting")
        kernels.mail.send(1, b"sixteen bytes ok")
        kernels.mail.expect(source=0, timeout=0.5)
"""


def test_the_report_of_a_failed_test(
    pytester: pytest.Pytester, place: Clusters, built: Image
) -> None:
    """The report of a failed test has what came instead, the consoles, logs and command lines."""
    table = keys(
        built,
        "connect;wait",
        nodes=2,
        node=[{"id": 1, "append": append("connect;echo")}],
    )
    words = ", ".join(f"{key}={value!r}" for key, value in table.items())
    pytester.makepyfile(FAILING.format(keys=words))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=pytester.path, env=place.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = ran.stdout
    assert ran.returncode == 1
    for expected in (
        r"^E +distnet.cluster.node.ClusterError: no message from node 0 within 0.5 s; there came$",
        r"^E +from 1, 16 bytes: b'sixteen bytes ok'$",
        r"^-+ distnet cluster pytest-\d+-0 -+$",
        r"^node 0: QEMU runs$",
        r"^  qemu-system-x86_64 .*dn.script=connect;wait",
        r"^  \| DN waiting$",
        r"^master: ",
        r"^  \| .* node 1: settled after ",
    ):
        assert re.search(expected, said, re.M), f"no {expected}\n{said}"
    place.assert_nothing_is_left()


def test_a_pytest_that_is_killed(pytester: pytest.Pytester, place: Clusters, built: Image) -> None:
    """Nothing goes on when pytest is killed, and what it has left goes with the next one."""
    table = keys(built, "connect;wait", nodes=1)
    words = ", ".join(f"{key}={value!r}" for key, value in table.items())
    pytester.makepyfile(
        f"""
        import os, signal

        def test_it(distnet_cluster):
            distnet_cluster({words})
            if not os.environ.get("GENTLE"):
                os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    for more, status in (({}, -9), ({"GENTLE": "1"}, 0)):
        ran = subprocess.run(
            [sys.executable, "-m", "pytest"], cwd=pytester.path,
            env={**place.environment, **more}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == status, ran.stdout
        eventually("no process is left", lambda: place.processes() == [])
    place.assert_nothing_is_left()
