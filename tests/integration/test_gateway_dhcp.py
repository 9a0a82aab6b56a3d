"""Real clients of DHCP, and Linux's own ARP and pings, at what the gateway answers by itself."""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distnet.gateway.answers import Answers
from distnet.gateway.dhcp import DhcpServer
from distnet.gateway.leases import Leases
from distnet.gateway.state import State
from distnet.guestnet import PLAN
from tests.daemons import PATIENCE
from tests.gateways import packed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are for root")

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 2, 0x1000
SCRIPT = """#!/bin/sh
case $1 in
bound|renew)
    ip addr flush dev $interface
    ip addr add $ip/$mask dev $interface
    echo "$1 ip=$ip mask=$mask server=$serverid router=$router dns=$dns lease=$lease" ;;
deconfig) ip addr flush dev $interface ;;
nak) echo "nak $message" ;;
esac
"""


class Front:
    """
    A network namespace with one interface, and what the gateway answers at its other end.

    @ivar name: of the namespace.
    """

    def __init__(self, name: str, *, nat: bool) -> None:
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._frames = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        wanted = struct.pack("16sH22x", b"dhcptest%d", IFF_TAP | IFF_NO_PI)
        interface = fcntl.ioctl(self._frames, TUNSETIFF, wanted)[:16].rstrip(b"\0").decode()
        ip = ["ip", "link", "set", interface]
        subprocess.run([*ip, "netns", name, "name", "eth0"], check=True)
        self.run("ip", "link", "set", "eth0", "up")
        self.leases = Leases(PLAN, State(print), time.monotonic)
        self._answers = Answers(PLAN, nat)
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._server = DhcpServer(
            PLAN,
            self.leases,
            nat=nat,
            has_dns=lambda: nat,
            send=self._send,
            later=self._later,
            none_left=print,
        )
        self._over = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def run(self, *words: str) -> str:
        """What a command says that runs there."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.name, *words],
            capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
        return done.stdout

    def close(self) -> None:
        """Remove it."""
        self._over = True
        self._thread.join()
        os.close(self._frames)
        subprocess.run(["ip", "netns", "del", self.name], check=True)

    def _send(self, frame: bytes) -> None:
        os.write(self._frames, frame)

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, id(function), function))

    def _serve(self) -> None:
        while not self._over:
            while self._timers and self._timers[0][0] <= time.monotonic():
                heapq.heappop(self._timers)[2]()
            if select.select([self._frames], [], [], 0.02)[0]:
                self._take(os.read(self._frames, 65536))

    def _take(self, frame: bytes) -> None:
        if frame[12:14] == b"\x08\x06":
            self.leases.seen(frame[22:28], frame[28:32])
        elif frame[12:14] == b"\x08\x00":
            self.leases.seen(frame[6:12], frame[26:30])
        if self._server.wants(frame):
            assert self._server.take(frame) is None
            return
        answer = self._answers.arp(frame) or self._answers.echo(frame)
        if answer is not None:
            self._send(answer)


@pytest.fixture
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    """A guest's end of the gateway, with NAT if so parametrized."""
    front = Front(f"dhcp{os.getpid()}", nat=getattr(request, "param", False))
    yield front
    front.close()


@pytest.fixture
def udhcpc(front: Front, tmp_path: Path) -> Callable[..., str]:
    """Run busybox's client, and get what it says."""
    script = tmp_path / "script"
    script.write_text(SCRIPT)
    script.chmod(0o755)

    def run(*words: str) -> str:
        return front.run("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-s", str(script),
                         *words)  # fmt: skip

    return run


@pytest.mark.parametrize("front", [False, True], indirect=True, ids=["plain", "nat"])
def test_a_real_client(front: Front, udhcpc: Callable[..., str]) -> None:
    """busybox's client has an address, and with it the gateway answers; the next time the same."""
    nat = "router=10.0.2.2 dns=10.0.2.3" in udhcpc()
    said = udhcpc()
    router, dns = ("10.0.2.2", "10.0.2.3") if nat else ("", "")
    assert said == (
        f"bound ip=10.0.2.31 mask=23 server=10.0.2.2 router={router} dns={dns} lease=86400\n"
    )
    for address in ("10.0.2.2", "10.0.2.16", *["10.0.2.3"] * nat):
        for size in ("56", "1472", "9000"):
            front.run("ping", "-c", "1", "-W", "5", "-s", size, address)
    lease = front.leases.holder(packed("10.0.2.31"))
    assert lease is not None
    assert lease.hex(":") in front.run("ip", "link", "show", "eth0")


def test_a_client_that_wants_an_address(front: Front, udhcpc: Callable[..., str]) -> None:
    """It gets the one that it wants, if nobody has it, and what it cannot have it does not get."""
    assert "ip=10.0.3.7 " in udhcpc("-r", "10.0.3.7")
    front.run("ip", "link", "set", "eth0", "down")
    front.run("ip", "link", "set", "eth0", "address", "02:00:00:00:00:77", "up")
    assert "ip=10.0.2.31 " in udhcpc("-r", "10.0.2.16")


def test_an_address_that_is_in_use(front: Front, udhcpc: Callable[..., str]) -> None:
    """What another machine has by itself is not given: it answers the probe."""
    front.run("ip", "link", "add", "other", "link", "eth0", "type", "macvlan", "mode", "bridge")
    front.run("ip", "link", "set", "other", "up")
    front.run("ip", "addr", "add", "10.0.2.31/24", "dev", "other")
    assert "ip=10.0.2.32 " in udhcpc()
