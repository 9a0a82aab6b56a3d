"""Datagrams that are frames: unix and UDP sockets as QEMU's -netdev dgram has them."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.console.asking import console
from tests.daemons import PATIENCE, ROOT, TWISTD, eventually, until
from tests.switches import BROADCAST, RawClient, StartSwitch, Switch, frame, mac

Address = str | tuple[str, int]


class Guest:
    """
    A socket that sends and gets frames, as QEMU's.

    @ivar where: the switch.
    """

    def __init__(self, own: Address, where: Address) -> None:
        self.where = where
        if isinstance(own, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in own[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind(own)

    def send(self, data: bytes) -> None:
        """Send a frame; wait while that cannot be, as QEMU does."""

        def sent() -> bool:
            try:
                self.socket.sendto(data, self.where)
            except BlockingIOError:
                return False
            return True

        eventually("there is room for a frame", sent)

    def receive(self) -> bytes:
        """The next frame."""
        return self.socket.recv(1 << 20)

    def close(self) -> None:
        """Be gone."""
        self.socket.close()


Plug = Callable[[Address, Address], Guest]


@pytest.fixture
def plug() -> Iterator[Plug]:
    """Makes guests."""
    with ExitStack() as stack:

        def make(own: Address, where: Address) -> Guest:
            guest = Guest(own, where)
            stack.callback(guest.close)
            return guest

        yield make


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where the sockets are."""
    path = tmp_path / "home"
    path.mkdir()
    return path


@contextmanager
def stopped(switch: Switch) -> Iterator[None]:
    """A switch that does nothing meanwhile."""
    os.kill(switch.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(switch.process.pid, signal.SIGCONT)


def udp(switch: Switch) -> tuple[str, int]:
    """Where a switch that was told a port of 0 listens."""
    (where,) = [
        rest
        for listener in switch.listeners("dgram")
        for kind, _, rest in [listener["address"].partition(":")]
        if kind == "udp"
    ]
    host, _, port = where.rpartition(":")
    return host.strip("[]"), int(port)


def attempt(*options: str) -> subprocess.CompletedProcess[str]:
    """Start a switch that cannot start."""
    return subprocess.run(
        [TWISTD, "--nodaemon", "--pidfile=", "distnet-vde", "--nostdin", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def greet(client: RawClient, guest: Guest, number: int) -> None:
    """A guest says something, which a client gets."""
    sent = frame(BROADCAST, mac(number), b"here I am")
    guest.send(sent)
    assert client.receive() == sent


def test_both_ways(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """Each sender gets a port and its frames, of every length, whatever kind of socket it has."""
    place = f"{home}/frames"
    switch = start_switch("--dgram", f"unix:{place}", "--dgram", "udp:0", "-M", f"{home}/console")
    where = udp(switch)
    assert where[0] == "127.0.0.1"
    for listener in (f"udp:127.0.0.1:{where[1]}", f"unix:{place}"):
        switch.wait_for_log(f"listening at {listener} for QEMU's -netdev dgram")
    with RawClient(switch.sock).plug() as client:
        guests = [
            plug(f"{home}/a", place),
            plug(f"{home}/b", place),
            plug(("127.0.0.1", 0), where),
            plug(("127.0.0.1", 0), where),
            plug(f"{home}/c", place),
        ]
        # As QEMU's with local.type=fd may be.
        guests[4].socket.connect(place)
        for number, guest in enumerate(guests, 1):
            greet(client, guest, number)
            for before in guests[: number - 1]:
                before.receive()
        for size in (14, 60, 1514, 1536, 9018, 65000):
            for number, guest in enumerate(guests, 1):
                sent = frame(mac(number), mac(9), os.urandom(size - 14))
                client.send(sent)
                assert guest.receive() == sent
                answer = frame(mac(9), mac(number), os.urandom(size - 14))
                guest.send(answer)
                assert client.receive() == answer
        lines = console(home / "console", "port/print").splitlines()
    names = [line.split("module ")[1].split() for line in lines if "module dgram" in line]
    ports = [f"udp:127.0.0.1:{guest.socket.getsockname()[1]}" for guest in guests[2:4]]
    unix = [f"unix:{home}/{name}" for name in "abc"]
    assert [name[2] for name in names] == [*unix[:2], *ports, unix[2]]
    assert switch.stop() == 0
    assert not Path(place).exists()


def test_six(start_switch: StartSwitch, plug: Plug) -> None:
    """An IPv6 address stands in brackets."""
    switch = start_switch("--dgram", "udp:[::1]:0")
    with RawClient(switch.sock).plug() as client:
        guest = plug(("::1", 0), udp(switch))
        greet(client, guest, 1)
        client.send(answer := frame(mac(1), mac(9), b"answer"))
        assert guest.receive() == answer


def test_a_burst_is_in_order(start_switch: StartSwitch, plug: Plug) -> None:
    """What two new senders send before there is a socket for each of them comes in their order."""
    switch = start_switch("--dgram", "udp:0")
    where = udp(switch)
    with RawClient(switch.sock).plug() as client:
        guests = [plug(("127.0.0.1", 0), where) for _ in range(2)]
        with stopped(switch):
            for count in range(100):
                for number, guest in enumerate(guests):
                    guest.send(frame(mac(9), mac(number), bytes([count])))
        got = [client.receive() for _ in range(200)]
        # Their own frames for nobody known go to the other one too; the order is the client's.
        for number in range(2):
            own = [each[14] for each in got if each[6:12] == mac(number)]
            assert own == list(range(100))


def test_permissions(start_switch: StartSwitch, home: Path) -> None:
    """The socket is for its user alone, unless a mode is given."""
    start_switch("--dgram", f"unix:{home}/mine", "--dgram", f"unix:{home}/all:mode=666")
    modes = [stat.S_IMODE((home / name).stat().st_mode) for name in ("mine", "all")]
    assert modes == [0o600, 0o666]


def test_stale_socket(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """A socket of a switch that was killed is taken over; one of a live switch is not."""
    option = ("--dgram", f"unix:{home}/frames")
    switch = start_switch(*option)
    failed = attempt("-s", f"{home}/s", *option)
    assert "another process listens there" in failed.stderr
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    switch.stop(signal.SIGKILL)
    assert (home / "frames").is_socket()
    switch.start()
    with RawClient(switch.sock).plug() as client:
        greet(client, plug(f"{home}/a", f"{home}/frames"), 1)


def test_port_in_use(start_switch: StartSwitch, plug: Plug) -> None:
    """No other process gets the port, nor a second switch, even when senders are plugged in."""
    switch = start_switch("--dgram", "udp:0")
    where = udp(switch)
    with RawClient(switch.sock).plug() as client:
        greet(client, plug(("127.0.0.1", 0), where), 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind(where)
    failed = attempt("-s", f"{switch.home}/other", "--dgram", f"udp:{where[1]}")
    assert f"cannot listen at udp:127.0.0.1:{where[1]}: Address already in use" in failed.stderr
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)


def test_who_cannot_be_answered(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """A sender without a path, or with one that is not absolute, is refused, logged once."""
    place = f"{home}/frames"
    switch = start_switch("--dgram", f"unix:{place}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unnamed:
        for _ in range(50):
            unnamed.sendto(frame(BROADCAST, mac(1)), place)
    switch.wait_for_log("it has no address to answer to")
    with RawClient(switch.sock).plug() as client:
        greet(client, plug(f"{home}/a", place), 1)
        assert client.is_silent()
    assert switch.log().count("is refused") == 1
    other = start_switch("--dgram", f"unix:{home}/other")
    here = Path.cwd()
    os.chdir(home)
    try:
        plug("relative", f"{home}/other").send(frame(BROADCAST, mac(1)))
    finally:
        os.chdir(here)
    other.wait_for_log("its socket relative is not an absolute path")


def test_no_free_port(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """A sender for which there is no port is told of once a while, and disturbs nobody."""
    place = f"{home}/frames"
    switch = start_switch("-n", "3", "--dgram", f"unix:{place}", "--dgram", "udp:0")
    where = udp(switch)
    with RawClient(switch.sock).plug() as client:
        first = plug(f"{home}/a", place)
        greet(client, first, 1)
        before = switch.descriptors()
        unwanted = [plug(f"{home}/b", place), plug(("127.0.0.1", 0), where)]
        for guest in unwanted:
            for _ in range(50):
                guest.send(frame(BROADCAST, mac(2)))
            greet(client, first, 1)
        switch.wait_for_log("none of 2 ports is free")
        eventually("each kind says it", lambda: switch.log().count("is refused") == 2)
        assert switch.descriptors() == before
        # The first has gone, and its port is free when something is for it.
        first.close()
        client.send(frame(BROADCAST, mac(9)))
        switch.wait_until_unplugged(f"unix:{home}/a")
        greet(client, unwanted[1], 2)


def test_another_qemu(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """Who is started again at its path goes on at its port; who is gone leaves it."""
    place = f"{home}/frames"
    switch = start_switch("--dgram", f"unix:{place}")
    with RawClient(switch.sock).plug() as client:
        first = plug(f"{home}/a", place)
        greet(client, first, 1)
        first.close()
        (home / "a").unlink()
        again = plug(f"{home}/a", place)
        sent = [frame(mac(1), mac(9), bytes([number])) for number in range(5)]
        for one in sent:
            client.send(one)
        assert [again.receive() for _ in sent] == sent
        assert "is unplugged" not in switch.log()
        again.close()
        client.send(sent[0])
        switch.wait_until_unplugged(f"unix:{home}/a")
        (home / "a").unlink()
        greet(client, plug(f"{home}/a", place), 1)


def test_gone_while_full(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """Who is gone while frames wait for it is unplugged, and they are counted."""
    place = f"{home}/frames"
    switch = start_switch("--dgram", f"unix:{place}", "-M", f"{home}/console")
    with RawClient(switch.sock).plug() as client:
        guest = plug(f"{home}/a", place)
        greet(client, guest, 1)
        for _ in until("it does not read", lambda: "does not read in time" in switch.log()):
            client.send(frame(mac(1), mac(9)))
        guest.close()
        switch.wait_until_unplugged(f"unix:{home}/a")
        shown = console(home / "console", "port/allprint 2")
    # What waited in the queue, and what came after that was full.
    assert "256          bytes                 3584 (send-failed)" in shown
    assert "(slow)" in shown


def test_udp_is_gone(start_switch: StartSwitch, plug: Plug) -> None:
    """A UDP sender whose port is closed is unplugged, and plugged in again when it sends again."""
    switch = start_switch("--dgram", "udp:0")
    where = udp(switch)
    with RawClient(switch.sock).plug() as client:
        guest = plug(("127.0.0.1", 0), where)
        own = guest.socket.getsockname()
        greet(client, guest, 1)
        before = switch.descriptors()
        guest.close()

        def unplugged() -> bool:
            client.send(frame(mac(1), mac(9)))
            return len(switch.plugged_in()) == 1

        eventually("its end is known", unplugged)
        eventually("its socket is closed", lambda: switch.descriptors() == before - 1)
        again = plug(own, where)
        greet(client, again, 1)
        client.send(sent := frame(mac(1), mac(9), b"to you"))
        assert again.receive() == sent


def test_nothing_is_lost_on_unix(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """A sender that waits when it must, and a reader, lose nothing, in order."""
    place = f"{home}/frames"
    switch = start_switch("--dgram", f"unix:{place}")
    one, other = plug(f"{home}/a", place), plug(f"{home}/b", place)
    one.send(frame(BROADCAST, mac(1)))
    eventually("it is plugged in", switch.plugged_in)
    other.send(frame(mac(1), mac(2)))
    one.receive()
    count = 3000
    with ExitStack() as stack:
        sender = os.fork()
        if not sender:
            try:
                for number in range(count):
                    one.send(frame(mac(2), mac(1), number.to_bytes(4) + bytes(1000)))
            finally:
                os._exit(0)
        stack.callback(os.waitpid, sender, 0)
        got: list[int] = []
        while len(got) < count:
            try:
                got.append(int.from_bytes(other.receive()[14:18]))
            except TimeoutError:
                break
    if "does not read in time" not in switch.log():
        assert got == list(range(count))


def test_overrun_is_counted(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """What the kernel has no room for at a UDP socket is counted at its port, all of it."""
    switch = start_switch("--dgram", "udp:0", "-M", f"{home}/console")
    with RawClient(switch.sock).plug() as client:
        guest = plug(("127.0.0.1", 0), udp(switch))
        greet(client, guest, 1)
        # In the socket of its own.
        greet(client, guest, 1)
        count = 20000
        with stopped(switch):
            for _ in range(count):
                guest.send(frame(mac(1), mac(1), bytes(1400)))

        def counts() -> dict[str, int]:
            lines = console(home / "console", "port/print 2").splitlines()
            found = [line.split() for line in lines if " pkts " in line]
            return {line[-1] if line[0] == "NOT:" else line[0]: int(line[2]) for line in found}

        eventually("all are counted", lambda: counts()["IN:"] - 2
                   + counts().get("(overrun)", 0) == count)  # fmt: skip
        assert counts()["(overrun)"] > 0
        greet(client, guest, 1)


def test_silent_ones_stay(start_switch: StartSwitch, home: Path, plug: Plug) -> None:
    """Who says nothing stays plugged in, and an empty datagram is a frame that is too short."""
    place = f"{home}/frames"
    switch = start_switch("--dgram", f"unix:{place}", "--dgram", "udp:0", "-M", f"{home}/console")
    guests = [plug(f"{home}/a", place), plug(("127.0.0.1", 0), udp(switch))]
    with RawClient(switch.sock).plug() as client:
        for number, guest in enumerate(guests, 1):
            greet(client, guest, number)
            guest.send(b"")
            guest.send(b"")
            greet(client, guest, number)
        assert console(home / "console", "port/print").count("2          bytes"
               "                    0 (runt)") == 2  # fmt: skip
        assert "unplugged" not in switch.log()


@pytest.mark.parametrize("address", ["udp:0", "unix"])
def test_closed_by_the_console(
    start_switch: StartSwitch, home: Path, plug: Plug, address: str
) -> None:
    """An endpoint that the console closes is gone, until it sends again."""
    place = f"{home}/frames"
    option = f"unix:{place}" if address == "unix" else address
    switch = start_switch("--dgram", option, "-M", f"{home}/console")
    own: Address = f"{home}/a" if address == "unix" else ("127.0.0.1", 0)
    guest = plug(own, place if address == "unix" else udp(switch))
    with RawClient(switch.sock).plug() as client:
        greet(client, guest, 1)
        before = switch.descriptors()
        number = console(home / "console", "port/print 2").split("endpoint ID ")[1].split()[0]
        assert "1000 Success" in console(home / "console", f"port/epclose 2 {number}")
        eventually("its socket is closed", lambda: switch.descriptors() < before)
        greet(client, guest, 1)
        assert switch.log().count("is unplugged") == 1
