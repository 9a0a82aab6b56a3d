"""The gateway on a real switch, ours and vde_switch, with a real master and Linux as guests."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from tests.daemons import PATIENCE, eventually
from tests.gateways import Gateway, Machine, running_gateway
from tests.hosts import other_machine
from tests.masters import Master
from tests.switches import Switch, VdeSwitch, switches

Start = Callable[..., Master]
StartSwitch = Callable[..., Switch]
Plug = Callable[..., Machine]
StartGateway = Callable[..., Gateway]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(shutil.which("vde_plug2tap") is None, reason="no vde2 here"),
    pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here"),
]

TCP_REPAIR = 19
"""linux/tcp.h."""

_numbers = itertools.count(1)


@pytest.fixture(params=[Switch, VdeSwitch], ids=["distnet-vde", "vde_switch"])
def switch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Switch]:
    """A switch of each kind, with a management socket."""
    with switches(tmp_path) as start:
        yield start("-M", str(tmp_path / "mgmt"), kind=request.param)


@pytest.fixture
def start_switch(tmp_path: Path) -> Iterator[StartSwitch]:
    """Start switches with options."""
    with switches(tmp_path) as start:
        yield start


@pytest.fixture
def start_gateway(tmp_path: Path) -> Iterator[StartGateway]:
    """Start gateways on a switch, for a master."""
    with contextlib.ExitStack() as stack:

        def start(switch: Switch, control: str, *words: str) -> Gateway:
            gateway = Gateway(tmp_path, switch, "--control", control, *words)
            return stack.enter_context(running_gateway(gateway))

        yield start


@pytest.fixture
def plug() -> Iterator[Plug]:
    """Plug machines into a switch; they are gone afterwards."""
    with contextlib.ExitStack() as stack:

        def plug(switch: Switch, address: str | None = "10.0.2.15") -> Machine:
            name = f"gw{os.getpid()}x{next(_numbers)}"
            return stack.enter_context(Machine(switch.sock, address, name))

        yield plug


def test_a_guest_finds_the_master(
    switch: Switch, master: Master, start_gateway: StartGateway, plug: Plug
) -> None:
    """On either switch a guest gets an id at 10.0.2.16:1234, messages, and takes leave by quit."""
    gateway = start_gateway(switch, master.control)
    machines = [plug(switch, f"10.0.2.{number}") for number in (15, 17)]
    assert machines[0].ping("10.0.2.2")
    assert machines[0].ping("10.0.2.17")
    one, other = (machine.connect() for machine in machines)
    with one, other:
        assert [one.read_id(), other.read_id()] == [0, 1]
        for number in range(50):
            one.send(1, bytes([number]) * 1024)
            assert other.receive() == (0, bytes([number]) * 1024)
            other.send(0, bytes([number]) * 16)
            assert one.receive() == (1, bytes([number]) * 16)
        one.quit()
        master.wait_for_log("node 0: left (quit)")
        other.send(1, b"to myself, still")
        assert other.receive() == (1, b"to myself, still")
    gateway.wait_for_log("10.0.2.17")
    gateway.wait_for_log("is node 1")


def test_nothing_is_left_behind(
    switch: Switch, master: Master, start_gateway: StartGateway, plug: Plug
) -> None:
    """Not even after kill -9 is there anything of a gateway, and the next one works at once."""
    before = set(Path("/tmp").glob("distnet-gateway-*"))
    gateway = start_gateway(switch, master.control)
    eventually("its name is gone", lambda: not list(switch.sock.glob(".[0-9]*")))
    machine = plug(switch)
    with machine.connect() as kernel:
        kernel.read_id()
        gateway.stop(signal.SIGKILL)
        master.wait_until_left(0)
        start_gateway(switch, master.control)
        with machine.connect() as again:
            again.read_id()
    assert not list(switch.sock.glob(".[0-9]*"))
    assert set(Path("/tmp").glob("distnet-gateway-*")) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_connections(
    number: int,
    start_switch: StartSwitch,
    master: Master,
    start_gateway: StartGateway,
    plug: Plug,
) -> None:
    """A gateway that is stopped in good order tells the master and the guests, and exits with 0."""
    switch = start_switch()
    gateway = start_gateway(switch, master.control)
    with plug(switch).connect() as kernel:
        kernel.read_id()
        assert gateway.stop(number) == 0
        assert kernel.is_closed()
    master.wait_until_left(0)


def test_two_dozen_guests(
    start_switch: StartSwitch, master: Master, start_gateway: StartGateway, plug: Plug
) -> None:
    """24 machines at once, more than libslirp's ARP table has room for, are a node each."""
    switch = start_switch()
    start_gateway(switch, master.control)
    machines = [plug(switch, f"10.0.2.{40 + number}") for number in range(24)]
    with contextlib.ExitStack() as stack:
        kernels = [stack.enter_context(machine.connect()) for machine in machines]
        assert sorted(kernel.read_id() for kernel in kernels) == list(range(24))
        for _ in range(3):
            for kernel in kernels:
                kernel.send((kernel.id + 1) % 24, kernel.id.to_bytes(16))
            for kernel in kernels:
                source, payload = kernel.receive()
                assert source == (kernel.id - 1) % 24 == int.from_bytes(payload)


def start_gateway_alone(
    switch: Switch, directory: Path, start_gateway: StartGateway
) -> tuple[Master, Gateway]:
    """A gateway, and the master that it is for, which is not started yet."""
    where = f"unix:{directory}/kernels"
    master = Master(directory, "--port", where)
    return master, start_gateway(switch, master.control, "--master", where)


def test_the_master_comes_later(
    start_switch: StartSwitch, tmp_path: Path, start_gateway: StartGateway, plug: Plug
) -> None:
    """A guest that connects while no master is there gets its id when it is, and no end before."""
    switch = start_switch()
    master, gateway = start_gateway_alone(switch, tmp_path, start_gateway)
    with plug(switch).connect() as kernel:
        gateway.wait_for_log("waits for the master")
        assert kernel.is_silent()
        try:
            master.start()
            assert kernel.read_id() == 0
            kernel.send(0, b"sixteen bytes of")
            assert kernel.receive() == (0, b"sixteen bytes of")
            master.stop(signal.SIGKILL)
            assert kernel.is_closed()
            master.start()
            with plug(switch, "10.0.2.17").connect() as other:
                assert other.read_id() == 0
        finally:
            master.stop()


def test_a_guest_that_gives_up_waiting(
    start_switch: StartSwitch, tmp_path: Path, start_gateway: StartGateway, plug: Plug
) -> None:
    """A guest that closes its connection before the master is there uses up no id."""
    switch = start_switch()
    master, gateway = start_gateway_alone(switch, tmp_path, start_gateway)
    machine = plug(switch)
    machine.connect().close()
    gateway.wait_for_log("has ended the connection")
    with machine.connect() as kernel:
        try:
            master.start()
            assert kernel.read_id() == 0
        finally:
            master.stop()
    assert "node 1" not in master.log()


def test_a_master_that_refuses(
    start_switch: StartSwitch, tmp_path: Path, start_gateway: StartGateway, plug: Plug
) -> None:
    """A guest does not notice that the master has closed its connection before it gave an id."""
    switch = start_switch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        gateway = start_gateway(switch, f"{tmp_path}/none", "--master", where)
        with plug(switch).connect() as kernel:
            for _ in range(3):
                listener.accept()[0].close()
            gateway.wait_for_log("before it gave an id")
            with listener.accept()[0] as accepted:
                accepted.sendall(b"5")
                assert kernel.read_id() == 5


def test_a_full_master_holds_up_nobody(
    start_switch: StartSwitch, tmp_path: Path, start_gateway: StartGateway, plug: Plug
) -> None:
    """While connections wait in the backlog of a master that does not accept, frames pass."""
    switch = start_switch()
    path = str(tmp_path / "full")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind(path)
        listener.listen(0)
        filler = stack.enter_context(socket.socket(socket.AF_UNIX))
        filler.connect(path)
        gateway = start_gateway(switch, f"{tmp_path}/none", "--master", f"unix:{path}")
        machine = plug(switch)
        for _ in range(3):
            stack.enter_context(machine.connect())
        gateway.wait_for_log("waits for the master")
        assert machine.ping("10.0.2.2")


def test_ends_go_both_ways(
    start_switch: StartSwitch, tmp_path: Path, start_gateway: StartGateway, plug: Plug
) -> None:
    """Half a close, a close and a reset, of a guest's or of the master's, arrive as what they are.

    But for a guest's reset, which the master sees as an end: a reset could overtake its last words.
    """
    switch = start_switch()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        start_gateway(switch, f"{tmp_path}/none", "--master", where)
        machine = plug(switch)

        def pair() -> tuple[socket.socket, socket.socket]:
            near = machine.connect().socket
            far, _ = listener.accept()
            far.settimeout(PATIENCE)
            far.sendall(b"7")
            assert near.recv(10) == b"7"
            return near, far

        near, far = pair()
        with near, far:
            near.sendall(b"last words")
            near.shutdown(socket.SHUT_WR)
            assert far.recv(100) == b"last words"
            assert far.recv(100) == b""
            far.sendall(b"and an answer")
            assert near.recv(100) == b"and an answer"
            far.close()
            assert near.recv(100) == b""
        near, far = pair()
        with near, far:
            far.sendall(b"the end")
            far.shutdown(socket.SHUT_WR)
            assert near.recv(100) == b"the end"
            assert near.recv(100) == b""
            near.sendall(b"quit")
            assert far.recv(100) == b"quit"
        near, far = pair()
        with near, far:
            near.sendall(b"quit")
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            near.close()
            assert far.recv(100) == b"quit"
            assert far.recv(100) == b""
        near, far = pair()
        with near, far:
            far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            far.close()
            with pytest.raises(ConnectionResetError):
                near.recv(100)


def test_the_switch_is_started_again(
    start_switch: StartSwitch, master: Master, start_gateway: StartGateway, plug: Plug
) -> None:
    """When the switch was killed and is there again, so is the gateway, for new guests."""
    switch = start_switch()
    gateway = start_gateway(switch, master.control)
    switch.stop(signal.SIGKILL)
    gateway.wait_for_log("lost the switch")
    switch.start()
    switch.wait_for_gateway()
    with plug(switch).connect() as kernel:
        assert kernel.read_id() == 0


def test_before_there_is_a_switch(
    master: Master, start_switch: StartSwitch, tmp_path: Path, plug: Plug
) -> None:
    """A gateway that is started before its switch waits for it."""
    switch = start_switch()
    switch.stop()
    gateway = Gateway(tmp_path, switch, "--control", master.control)
    gateway.launch()
    try:
        gateway.wait_for_log("cannot plug into")
        switch.start()
        switch.wait_for_gateway()
        with plug(switch).connect() as kernel:
            assert kernel.read_id() == 0
    finally:
        gateway.stop()


def test_a_dead_guest_is_noticed(
    switch: Switch,
    master: Master,
    start_gateway: StartGateway,
    plug: Plug,
    tmp_path: Path,
) -> None:
    """The node of a guest whose port leaves the switch is gone for the master; the others stay."""
    gateway = start_gateway(switch, master.control, "--mgmt", str(tmp_path / "mgmt"))
    machines = [plug(switch, f"10.0.2.{number}") for number in (15, 17)]
    kernels = []
    for number, machine in enumerate(machines):
        kernels.append(machine.connect())
        assert kernels[-1].read_id() == number
    # Its port is known from when it answers; nobody dies faster than that.
    machines[0].plug.kill()
    master.wait_until_left(0)
    gateway.wait_for_log("has left the switch")
    kernels[1].send(1, b"sixteen bytes of")
    assert kernels[1].receive() == (1, b"sixteen bytes of")
    assert master.node(1)["state"] == "settled"
    for kernel in kernels:
        kernel.close()


def test_a_silent_guest_is_not_dead(
    switch: Switch,
    master: Master,
    start_gateway: StartGateway,
    plug: Plug,
    tmp_path: Path,
) -> None:
    """A guest that stays silent until its address has expired keeps its connection.

    Even if another port leaves the switch then.
    """
    start_gateway(switch, master.control, "--mgmt", str(tmp_path / "mgmt"))
    silent, passing = plug(switch), plug(switch, "10.0.2.17")
    with silent.connect() as kernel:
        kernel.read_id()
        mac = silent.run("cat", "/sys/class/net/tap0/address").stdout.strip().encode()
        assert mac
        with socket.socket(socket.AF_UNIX) as console:
            console.settimeout(PATIENCE)
            console.connect(str(tmp_path / "mgmt"))

            def said() -> bytes:
                # vde_switch takes what comes at once for one command: the next after the prompt.
                text = b""
                while not text.endswith(b"vde$ "):
                    text += console.recv(65536)
                return text

            said()
            console.send(b"hash/setexpire 1\n")
            assert b"1000 Success" in said()

            def expired() -> bool:
                # vde_switch looks for what has expired when there is traffic.
                passing.ping("10.0.2.2")
                console.send(b"hash/print\n")
                return mac not in said()

            eventually("its address has expired", expired)
        passing.plug.kill()
        eventually("a port has left", lambda: len(switch.sockets()) == 2)
        kernel.send(0, b"sixteen bytes of")
        assert kernel.receive() == (0, b"sixteen bytes of")
    assert master.log().count("connected from") == 1


def test_fixed_nodes(
    start_switch: StartSwitch,
    start_master: Start,
    start_gateway: StartGateway,
    plug: Plug,
    tmp_path: Path,
) -> None:
    """Mapped guests are the same node each time; one that comes again takes its own place."""
    switch = start_switch()
    master = start_master("--node", f"3=unix:{tmp_path}/3", "--node", f"2=unix:{tmp_path}/2")
    gateway = start_gateway(
        switch, master.control, "--map-zcore", "--map", "10.0.2.15=3", "--map", "10.0.2.100=9"
    )
    one, two, nine = (plug(switch, f"10.0.2.{number}") for number in (15, 17, 100))
    with one.connect() as first, two.connect() as other, nine.connect() as lost:
        assert first.read_id() == 3
        assert other.read_id() == 2
        # Its machine was started again inside its QEMU: the old connection never ends.
        with one.connect() as again:
            assert again.read_id() == 3
            again.send(2, b"sixteen bytes of")
            assert other.receive() == (3, b"sixteen bytes of")
        gateway.wait_for_log("no listener for node 9: start it with --node 9=unix:PATH")
        assert lost.is_silent()


def test_a_guest_that_was_started_again(
    start_switch: StartSwitch, master: Master, start_gateway: StartGateway, plug: Plug
) -> None:
    """The old connection of a guest ends when it connects anew, but not if it still has it."""
    switch = start_switch()
    start_gateway(switch, master.control)
    machine = plug(switch)
    with machine.connect() as lost, machine.connect() as kept:
        assert {lost.read_id(), kept.read_id()} == {0, 1}
        lost.send(kept.id, b"sixteen bytes of")
        assert kept.receive() == (lost.id, b"sixteen bytes of")
        # Under repair, a connection is closed without a word to the other side.
        lost.socket.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        lost.close()
        with machine.connect() as again:
            assert again.read_id() == 2
            master.wait_until_left(lost.id)
            again.send(kept.id, b"sixteen bytes of")
            assert kept.receive() == (2, b"sixteen bytes of")


@pytest.mark.parametrize("nat", [False, True], ids=["restricted", "nat"])
def test_nat_only_if_asked_for(
    nat: bool,
    start_switch: StartSwitch,
    master: Master,
    start_gateway: StartGateway,
    plug: Plug,
) -> None:
    """Guests reach what this machine reaches with --nat, and without it nothing."""
    switch = start_switch()
    start_gateway(switch, master.control, *(["--nat"] if nat else []))
    machine = plug(switch)
    machine.run("ip", "route", "add", "default", "via", "10.0.2.2")
    with other_machine() as far:
        listener = far.run(lambda: socket.create_server((far.address, 7000)))
        with listener, machine.entered(), socket.socket() as near:
            near.settimeout(PATIENCE)
            if nat:
                near.connect((far.address, 7000))
                near.sendall(b"hello")
                with listener.accept()[0] as arrived:
                    assert arrived.recv(100) == b"hello"
            else:
                with pytest.raises(ConnectionRefusedError):
                    near.connect((far.address, 7000))
                # If the guest has a process it is for libslirp to refuse.
                with machine.connect() as kernel, socket.socket() as again:
                    kernel.read_id()
                    again.settimeout(PATIENCE)
                    with pytest.raises(ConnectionRefusedError):
                        again.connect((far.address, 7000))
