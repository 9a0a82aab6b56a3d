"""What zCores do with their network: a file system that all share, and TCP from one to another."""

from __future__ import annotations

import re

import pytest

from tests.zcore.conftest import Kernels, Try

TOPOLOGIES = ("guestfwd", "vde")
TEXT = "eighteen.bytes.ok."


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_directory(topology: str, attempt: Try) -> None:
    """What one kernel writes into the file system, the others read."""

    def scenario(kernels: Kernels) -> None:
        kernels.do(0, "mkdir /share/d", "MKDIR /share/d 0")
        # A kernel that looks before it has heard of anything makes an empty one.
        kernels.wait_until_all_have_it(1, 2)
        for node in 1, 2:
            kernels.look(node, "/share", "d")

    attempt(topology, scenario)


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_a_kernel_that_boots_later(topology: str, attempt: Try) -> None:
    """A kernel that boots after the others have written has their mail, and reads it."""

    def scenario(kernels: Kernels) -> None:
        late = kernels.cluster[2]
        late.kill()
        kernels.wait_until_it_has_left(2)
        kernels.do(0, "mkdir /share/d", "MKDIR /share/d 0")
        kernels.wait_until_all_have_it(1, 2)
        kernels.cluster.restart(2)
        kernels.wait_for(2, "DSH READY")
        kernels.wait_until_all_have_it(1, 2)
        kernels.look(2, "/share", "d")

    attempt(topology, scenario)


def test_tcp(attempt: Try) -> None:
    """On the switch one kernel calls another over TCP, and is answered."""

    def scenario(kernels: Kernels) -> None:
        kernels.do(1, "serve 7000", "LISTEN 7000 0")
        where = f"{kernels.cluster[1].ip}:7000"
        # The brackets are a part of the answer, which is what is counted.
        exchanged = rf"{len(TEXT) + 2} \[{re.escape(TEXT)}\]"
        kernels.do(0, f"call {where} {TEXT}", f"CALL {where} {exchanged}")
        kernels.wait_for(1, f"SERVE 7000 {exchanged}")

    attempt("vde", scenario, "dsh", nodes=2)
