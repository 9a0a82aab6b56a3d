"""Nodes on another machine, of whose queues only that they were acknowledged can be known."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from tests.hosts import OtherMachine, other_machine
from tests.masters import Kernel, Master

Start = Callable[..., Master]
Connect = Callable[..., Kernel]

BLOCK = bytes(512)

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None,
    reason="needs root and the Debian package iproute2, for a network namespace",
)


@pytest.fixture(scope="module")
def there() -> Iterator[OtherMachine]:
    """Another machine."""
    with other_machine() as machine:
        yield machine


@pytest.fixture
def remote(there: OtherMachine) -> Iterator[Callable[[Master], Kernel]]:
    """Connect a kernel from there."""
    kernels = []

    def connect(master: Master) -> Kernel:
        port = int(master.address(f"tcp:{there.here}").rpartition(":")[2])
        kernel = there.run(lambda: Kernel((there.here, port)))
        kernels.append(kernel)
        assert isinstance(kernel, Kernel)
        return kernel

    yield connect
    for kernel in kernels:
        kernel.close()


def listening_there(there: OtherMachine) -> list[str]:
    """Options with which a master can be reached from there."""
    return ["--port", "0", "--listen", f"tcp:0:interface={there.here}"]


def test_only_the_first_byte_settles_a_remote_node(
    there: OtherMachine,
    start_master: Start,
    connect: Connect,
    remote: Callable[[Master], Kernel],
) -> None:
    """That a remote machine has acknowledged the id, and even that it was read, is no proof."""
    master = start_master(*listening_there(there))
    far, near = remote(master), connect(master)
    far.read_id()
    near.send(far.id, BLOCK)
    assert far.is_silent(1)
    assert master.node(far.id)["state"] == "unsettled"
    far.send(near.id, BLOCK)
    assert far.receive() == (near.id, BLOCK)
    assert near.receive() == (far.id, BLOCK)


def test_acknowledged_can_be_taken_for_read(
    there: OtherMachine,
    start_master: Start,
    connect: Connect,
    remote: Callable[[Master], Kernel],
) -> None:
    """With --settle-remote acked, a remote node that only receives receives."""
    master = start_master(*listening_there(there), "--settle-remote", "acked")
    far, near = remote(master), connect(master)
    far.read_id()
    near.send(far.id, BLOCK)
    assert far.receive() == (near.id, BLOCK)


@pytest.mark.parametrize("pace", ["segment", "stream"])
def test_a_remote_node_gets_much_in_order(
    pace: str,
    there: OtherMachine,
    start_master: Start,
    connect: Connect,
    remote: Callable[[Master], Kernel],
) -> None:
    """A remote node, which can be paced by what its machine acknowledges, gets everything."""
    master = start_master(*listening_there(there), "--pace", pace)
    far, near = remote(master), connect(master)
    far.read_id()
    far.send(near.id, BLOCK)
    for number in range(2000):
        near.send(far.id, number.to_bytes(4) * 64)
    assert [far.receive()[1][:4] for _ in range(2000)] == [n.to_bytes(4) for n in range(2000)]
