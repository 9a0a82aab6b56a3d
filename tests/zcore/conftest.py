"""Real zCores, started as examples/zcore.toml has them."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distnet.cluster import Cluster, ClusterError, Node
from distnet.control.ask import ask
from distnet.control.paths import SWITCH
from tests.daemons import ROOT, eventually
from tests.zcore.verdict import lost, told

RUNS = 8
"""How often the kernels may try; three in four do it the first time, on a machine that is idle."""
ANSWER_SECONDS = 20.0
"""How long a kernel has to answer a line; one that has not by then never does."""
BOOT_SECONDS = 30.0
"""How long a kernel has to read its id; one in some dozens panics, or stands still, before that."""
LOOKS = 4
LOOK_SECONDS = 5.0
"""How often a directory is looked at, and how long each time."""
QUIET_SECONDS = 3.0
"""How long nothing is sent once all has been."""

SHELLS = {"guestfwd": "dsh", "vde": "dshw"}
"""Which of the two does better where, unless a test says otherwise."""


class NotDone(Exception):
    """The kernels did not do it this time."""


class Kernels:
    """zCores that have read their ids, and whose shells listen."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        for node in cluster.nodes:
            self.wait_for(node.id, "DSH READY")

    def wait_for(self, node: int, pattern: str) -> re.Match[str]:
        """Wait for what comes on a console. Raises L{NotDone}."""
        return self._find(self.cluster[node], 0, pattern)

    def do(
        self, node: int, line: str, answer: str, seconds: float = ANSWER_SECONDS
    ) -> re.Match[str]:
        """Type a line; the answer on the console that fits a pattern. Raises L{NotDone}."""
        kernel = self.cluster[node]
        before = len(kernel.console)
        kernel.type(f"{line}\r")
        return self._find(kernel, before, answer, line, seconds)

    def look(self, node: int, directory: str, name: str) -> None:
        """
        List a directory until it has a name. Raises L{NotDone}.

        What has arrived at a kernel is often not handled before it sends something itself, so the
        first look may see nothing.
        """
        for _ in range(LOOKS - 1):
            with contextlib.suppress(NotDone):
                self.do(node, f"ls {directory}", rf"LS {directory}:.* {name}\b", LOOK_SECONDS)
                return
        self.do(node, f"ls {directory}", rf"LS {directory}:.* {name}\b", LOOK_SECONDS)

    def _find(
        self,
        kernel: Node,
        start: int,
        pattern: str,
        line: str = "",
        seconds: float = ANSWER_SECONDS,
    ) -> re.Match[str]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := re.compile(pattern).search(kernel.console, start):
                return found
            time.sleep(0.05)
        raise NotDone(f"{kernel.name}: no {pattern!r}{line and f' after {line!r}'}")

    def wait_until_all_have_it(self, *nodes: int) -> None:
        """
        Wait until what was written has come to nodes, or waits for them, and no more is sent.
        Raises L{NotDone}.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        seen, since = -1, time.monotonic()
        while True:
            status = self.cluster.status()
            got = {node["id"] for node in status["nodes"] if node["delivered"]["messages"]}
            got |= {box["id"] for box in status["mailboxes"] if box["waiting"]["messages"]}
            now = time.monotonic()
            if (sent := status["counters"]["received"]["messages"]) != seen:
                seen, since = sent, now
            if got.issuperset(nodes) and now - since > QUIET_SECONDS:
                return
            if now > deadline and now - since > QUIET_SECONDS:
                raise NotDone(f"nothing was sent to all of nodes {nodes}")
            time.sleep(0.05)

    def wait_until_it_has_left(self, node: int) -> None:
        """Wait until the master knows that a node is not there."""
        control, path = self.cluster.run.control, f"/nodes/{node}"
        eventually("it has left", lambda: ask(control, path)[1]["state"] == "expected")


def what_is_lost(cluster: Cluster) -> list[str]:
    """What the network has lost."""
    switch = None
    if cluster.config.topology == "vde":
        switch = ask(cluster.run.switch_control, "/counters", kind=SWITCH)[1]
    return lost(cluster.status(), switch)


def _fault_of_a_kernel(error: NotDone | ClusterError) -> str:
    """What a kernel did not do, in one line; raises what is no fault of a kernel's."""
    line = str(error).partition("\n")[0]
    if isinstance(error, ClusterError) and " has no id" not in line:
        raise error
    return line


Scenario = Callable[[Kernels], object]
Try = Callable[..., None]


@pytest.fixture(scope="session")
def zcore(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The kernel and its disk, as keys of a cluster's file."""
    given = os.environ.get("DISTNET_ZCORE")
    if not given:
        pytest.skip("say where a zCore is: make test-zcore ZCORE=DIR; see tests/zcore/__init__.py")
    kernel, disk = Path(given, "zcore.bin"), Path(given, "riscv64.img")
    packed = disk.with_name("riscv64.img.gz")
    if not disk.exists() and packed.exists():
        disk = tmp_path_factory.mktemp("zcore") / disk.name
        with gzip.open(packed) as source, disk.open("wb") as target:
            shutil.copyfileobj(source, target)
    for file in kernel, disk:
        if not file.exists():
            pytest.fail(f"there is no {file}: ZCORE=DIR is to have zcore.bin and riscv64.img[.gz]")
    return {"kernel": str(kernel), "initrd": str(disk), "symbols": str(kernel)}


@pytest.fixture
def attempt(
    distnet_cluster: Callable[..., Cluster],
    zcore: dict[str, str],
    capsys: pytest.CaptureFixture[Any],
) -> Try:
    """
    Have kernels do something on a topology, a few times if they do not; a network that loses
    something is never tried again.
    """

    def attempt(topology: str, scenario: Scenario, shell: str = "", nodes: int = 3) -> None:
        why: list[str] = []
        done = False
        for number in range(1, RUNS + 1):
            try:
                cluster = distnet_cluster(
                    ROOT / "examples" / "zcore.toml",
                    **zcore,
                    nodes=nodes,
                    topology=topology,
                    timeout=BOOT_SECONDS,
                    append=f"LOG=error:IP={{n}}:ROOTPROC=/bin/{shell or SHELLS[topology]}",
                )
            except ClusterError as error:
                why.append(f"run {number}: {_fault_of_a_kernel(error)}")
                continue
            try:
                scenario(Kernels(cluster))
                done = True
            except (NotDone, ClusterError) as error:
                why.append(f"run {number}: {_fault_of_a_kernel(error)}; {told(cluster.status())}")
            missing = what_is_lost(cluster)
            assert not missing, "\n".join(["the network has lost something:", *missing, *why])
            cluster.down()
            if done:
                break
        with capsys.disabled():
            for line in why:
                print(f"\n  the kernels did not, and nothing was lost: {line}", end="")
        assert done, "\n".join(
            [
                f"in {RUNS} runs the kernels did not do it, and the network delivered all that it"
                f" was given: it is not the network. Try on a machine that does nothing else.",
                *why,
            ]
        )

    return attempt
