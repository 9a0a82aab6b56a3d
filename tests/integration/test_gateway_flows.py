"""The limits of one guest in the real libslirp, and resets that Linux's own TCP obeys."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import time
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from distnet.gateway.flows import (
    HALF_OPEN_SECONDS,
    MOST_CONNECTIONS,
    MOST_HALF_OPEN,
    MOST_PORTS,
    Flows,
    Socket,
    parse_connection_info,
)
from distnet.gateway.libslirp import Network
from distnet.gateway.resets import question, reset_for
from distnet.guestnet import PLAN
from tests.daemons import PATIENCE
from tests.gateways import (
    ACK,
    FIN,
    MASTER,
    RST,
    SYN,
    FrameGuest,
    Gateway,
    Machine,
    gateway_mac,
    packed,
    running_gateway,
)
from tests.switches import RawClient, switches

pytestmark = pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")

SOCKET_BYTES = 256 * 1024
"""What libslirp takes for a connection, at least."""

_numbers = itertools.count(1)


class Stack:
    """
    A libslirp with the limits before it, and a guest on it.

    @ivar listener: where connections to the master come out.
    @ivar sent: what libslirp sends.
    @ivar skew: seconds that its clock is ahead.
    """

    def __init__(self, directory: Path) -> None:
        self.sent: list[bytes] = []
        self.skew = 0.0
        self.network = Network(
            PLAN,
            nat=True,
            clock_ns=lambda: int(self.now() * 1e9),
            send=lambda frame: self.sent.append(bytes(frame)),
            descriptor_closes=lambda _: None,
            say=lambda _: None,
            failed=lambda _: None,
        )
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(directory / "s"))
        self.listener.listen(100)
        self.network.forward(bytes(directory / "s"), PLAN.master, PLAN.port)
        self.flows = Flows(PLAN, listed=self.listed, inject=self.network.input)
        self.guest = FrameGuest(self.take, self.receive)
        self.take_all()
        self.guest.arp("10.0.2.2")

    def now(self) -> float:
        """Seconds."""
        return time.monotonic() + self.skew

    def listed(self) -> str:
        """What libslirp says that it has."""
        return self.network.connections()

    def sockets(self, protocol: str = "TCP") -> list[Socket]:
        """What libslirp has."""
        found = parse_connection_info(self.listed())
        return [socket for socket in found if socket.protocol == protocol]

    def states(self) -> list[str]:
        """The states of all connections."""
        return [found.state for found in self.sockets()]

    def take(self, frame: bytes) -> None:
        """A frame comes from the guest."""
        if frame[12:14] == b"\x08\x00":
            admission = self.flows.admit(frame, self.now())
            if admission.answer is not None:
                self.sent.append(admission.answer)
            if not admission.passes:
                return
        self.network.input(frame)

    def receive(self) -> bytes:
        """The next frame for the guest."""
        for _ in range(100):
            if self.sent:
                return self.sent.pop(0)
            self.take_all()
        raise TimeoutError

    def take_all(self) -> None:
        """Let libslirp go on."""
        self.network.fill()
        self.network.poll({})

    def close(self) -> None:
        """End it."""
        self.network.close()
        self.listener.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A libslirp."""
    stack = Stack(tmp_path)
    yield stack
    stack.close()


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def syn(stack: Stack, port: int) -> None:
    """The guest sends a SYN from a port."""
    stack.guest.port, stack.guest.acknowledged = port, 0
    stack.guest.tcp(SYN)


def test_a_flood_of_syns(stack: Stack) -> None:
    """However many come, and for however long, libslirp has a few; memory is bounded."""
    for port in range(MOST_HALF_OPEN):
        syn(stack, 2000 + port)
    before = resident()
    for turn in range(20):
        for port in range(300):
            syn(stack, 3000 + 300 * turn + port)
        assert stack.states() == ["SYN_RCVD"] * MOST_HALF_OPEN
        stack.skew += HALF_OPEN_SECONDS
    assert stack.flows.evicted == 19 * MOST_HALF_OPEN
    assert resident() - before < MOST_HALF_OPEN * SOCKET_BYTES
    stack.guest.port, stack.guest.acknowledged = 9000, 0
    stack.guest.connect()
    assert stack.states().count("ESTABLISHED") == 1


def test_as_many_connections_as_there_may_be(stack: Stack) -> None:
    """One more is refused; when one has ended another is not."""
    for port in range(MOST_CONNECTIONS):
        stack.guest.port, stack.guest.acknowledged = 2000 + port, 0
        stack.guest.connect()
    assert stack.states() == ["ESTABLISHED"] * MOST_CONNECTIONS
    syn(stack, 3000)
    stack.guest.until(lambda: stack.guest.was_reset)
    assert len(stack.sockets()) == MOST_CONNECTIONS
    stack.guest.port = 2000
    stack.guest.tcp(RST)
    stack.skew += 1
    stack.guest.port, stack.guest.acknowledged = 3001, 0
    stack.guest.connect()
    assert stack.states() == ["ESTABLISHED"] * MOST_CONNECTIONS


def test_connections_that_libslirp_ends(stack: Stack) -> None:
    """Those that libslirp remembers only for a while keep no others out."""
    for port in range(2 * MOST_CONNECTIONS):
        guest = stack.guest
        guest.port, guest.sequence, guest.acknowledged, guest.ended = 2000 + port, 1000, 0, False
        guest.connect()
        stack.listener.accept()[0].close()
        asked, _ = stack.network.fill()
        stack.network.poll(dict.fromkeys(asked, 1))
        guest.until(lambda: stack.guest.ended)
        guest.tcp(FIN | ACK)
    assert "TIME_WAIT" in stack.states()
    assert len(stack.sockets()) <= MOST_CONNECTIONS
    assert not stack.flows.excess
    assert stack.flows.evicted


def test_udp_from_many_ports(stack: Stack) -> None:
    """UDP makes so many sockets, and no more."""
    for port in range(2 * MOST_PORTS):
        stack.guest.udp("192.0.2.1", (2000 + port, 7), b"", gateway_mac("10.0.2.2"))
    assert len(stack.sockets("UDP")) <= MOST_PORTS


# Linux's own TCP


def segment_from(client: RawClient, port: int) -> bytes:
    """The next frame with a segment from a guest's port."""
    while True:
        frame = client.receive()
        if frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[34:36] == port.to_bytes(2):
            return frame


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here")
def test_a_reset_without_any_number(tmp_path: Path) -> None:
    """After a gateway was killed, a guest that waits for the master can be told that it is over."""
    with contextlib.ExitStack() as cleanup:
        switch = cleanup.enter_context(switches(tmp_path))()
        listener = cleanup.enter_context(socket.create_server(("127.0.0.1", 0)))
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        name = f"gf{os.getpid()}x{next(_numbers)}"
        machine = cleanup.enter_context(Machine(switch.sock, "10.0.2.15", name))
        shown = machine.run("cat", "/sys/class/net/tap0/address").stdout
        mac = bytes.fromhex(shown.replace(":", ""))
        with running_gateway(Gateway(tmp_path, switch, "--master", where)) as gateway:
            with machine.entered():
                guest = cleanup.enter_context(socket.create_connection(MASTER, PATIENCE))
            master = cleanup.enter_context(listener.accept()[0])
            master.send(b"hello")
            assert guest.recv(5) == b"hello"
            gateway.kill_all()
        port = guest.getsockname()[1]
        ethernet = mac + gateway_mac(MASTER[0])
        addresses, ports = packed(MASTER[0]) + packed("10.0.2.15"), (MASTER[1], port)
        client = cleanup.enter_context(RawClient(switch.sock).plug())
        client.send(question(ethernet, addresses, ports))
        answer = segment_from(client, port)
        assert answer[47] == ACK
        reset = reset_for(answer)
        assert reset is not None
        client.send(reset)
        with pytest.raises(ConnectionResetError):
            guest.recv(1)
        # Nobody has it any more.
        client.send(question(ethernet, addresses, ports, 1 << 31))
        assert segment_from(client, port)[47] & RST
