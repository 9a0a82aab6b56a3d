"""Connections of TCP whose other machine dies without a word."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from distnet.sockets.alive import IDLE_SECONDS, LOOK_SECONDS, Silence
from tests.daemons import eventually, until
from tests.hosts import OtherMachine, other_machine
from tests.integration.clients import Where, on_reactor, soon
from tests.switches import StartSwitch

KEEPALIVE_TIMER = "02"
JIFFIES = 100
"""In a second, as C{/proc} has them."""


def asked_within(address: str) -> list[float]:
    """
    How soon, in seconds, other ends of the connections from and to a port of this machine are asked
    whether they are there: proc(5), C{/proc/net/tcp}.
    """
    port = f"{int(address.rpartition(':')[2]):04X}"
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, _, timer, *_ = line.split()
        if state == "01" and port in (local.partition(":")[2], remote.partition(":")[2]):
            kind, _, when = timer.partition(":")
            found.append(int(when, 16) / JIFFIES if kind == KEEPALIVE_TIMER else float("inf"))
    return found


def both_ask_soon(address: str) -> bool:
    """Whether both ends of a connection ask soon, once nothing is under way any more."""
    asked = asked_within(address)
    return len(asked) == 2 and max(asked) <= IDLE_SECONDS


@pytest.mark.parametrize("master_address", ["tcp", "tls"], indirect=True)
def test_a_blocking_client(master_address: Where) -> None:
    """The master and a blocking client notice when the other's machine is dead."""
    with master_address.client() as client:
        client.getid()
        eventually("both ask", lambda: both_ask_soon(master_address.address))


@pytest.mark.parametrize("master_address", ["tcp", "tls"], indirect=True)
@on_reactor
async def test_an_async_client(master_address: Where) -> None:
    """So does a client on the reactor."""
    client = master_address.async_client()
    await soon(client.connect())
    eventually("both ask", lambda: both_ask_soon(master_address.address))
    await client.disconnect()


def test_a_switch(start_switch: StartSwitch) -> None:
    """A switch notices when the machine of a stream is dead."""
    switch = start_switch("--stream", "tcp:0")
    address = switch.listeners("stream")[0]["address"]
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))):
        eventually(
            "the switch asks, its peer does not",
            lambda: (
                sorted(asked := asked_within(address))[1:] == [float("inf")]
                and min(asked) <= IDLE_SECONDS
            ),
        )


@pytest.fixture
def there() -> Iterator[OtherMachine]:
    """Another machine."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("needs root and the Debian package iproute2, for a network namespace")
    with other_machine() as machine:
        yield machine


def connected(there: OtherMachine) -> tuple[socket.socket, socket.socket]:
    """The ends of a connection, ours and that there."""
    with socket.create_server((there.here, 0)) as listener:
        far = there.run(lambda: socket.create_connection(listener.getsockname()))
        return listener.accept()[0], far


def test_something_is_under_way(there: OtherMachine) -> None:
    """A machine that dies while something is under way to it is noticed; one that lives is not."""
    clock, dead = Clock(), list[str]()
    silence = Silence(clock, dead_seconds=0.5)
    dying, far = connected(there)
    silence.watch(dying, lambda: dead.append("dying"))
    living, near = connected(there)
    silence.watch(living, lambda: dead.append("living"))
    # Its reader does not read, which its machine tells us.
    living.setblocking(False)
    for _ in until("it is full", lambda: asked_to_wait(living)):
        pass
    for _ in range(5):
        clock.advance(LOOK_SECONDS)
    assert dead == []
    silence.forget(living)
    cable = cable_of(there)
    subprocess.run(["ip", "-n", there.name, "link", "set", cable, "down"], check=True)
    dying.send(b"hello")
    for _ in until("it is noticed", lambda: dead):
        clock.advance(LOOK_SECONDS)
    assert dead == ["dying"]
    silence.forget(dying)
    assert clock.getDelayedCalls() == []
    for sock in (dying, far, living, near):
        sock.close()


def asked_to_wait(sock: socket.socket) -> bool:
    """Send what there is room for; whether there is none."""
    try:
        sock.send(bytes(65536))
    except BlockingIOError:
        return True
    return False


def cable_of(there: OtherMachine) -> str:
    """The name of its end of the cable."""
    told = subprocess.run(
        ["ip", "-n", there.name, "-o", "-4", "addr", "show", "to", there.address],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return told.split()[1]
