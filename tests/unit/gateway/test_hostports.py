"""What a guest's process does about ports of this machine; libslirp is the test's."""

from __future__ import annotations

import errno
from ipaddress import IPv4Address
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.datagrams import Datagrams
from distnet.gateway.hostforward import HostForward, parse_forwards
from distnet.gateway.hostports import (
    FIRST_SECONDS,
    LOOK_SECONDS,
    MOST_CONNECTIONS,
    MOST_SECONDS,
    HostPorts,
)
from distnet.gateway.loop import Loop
from distnet.gateway.stack import Stack
from distnet.guestnet import PLAN
from tests.unit.gateway.loops import ClockLoop

SSH, WEB = parse_forwards(["2222=10.0.2.17:22", "8080=10.0.2.17:80"], PLAN)
HEAD = "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n"


class Slirp:
    """
    A libslirp whose ports and connections are lists.

    @ivar taken: ports of this machine that somebody else has.
    @ivar connected: connections by the ports, and others.
    @ivar held: the descriptors that it is not to see.
    """

    def __init__(self) -> None:
        self.network = self
        self.taken: set[int] = set()
        self.ports: dict[int, tuple[IPv4Address, int]] = {}
        self.connected = 0
        self.held: frozenset[int] = frozenset()

    def forward_from_host(
        self, host: tuple[IPv4Address, int], guest: tuple[IPv4Address, int]
    ) -> None:
        """Listen."""
        if host[1] in self.taken:
            raise OSError(errno.EADDRINUSE, "Address already in use")
        self.ports[host[1]] = guest

    def stop_forwarding_from_host(self, host: tuple[IPv4Address, int]) -> None:
        """Do not any more."""
        del self.ports[host[1]]

    def connections(self) -> str:
        """As libslirp says it: of those that come from this machine the guest is the target."""
        lines = [
            f"  TCP[HOST_FORWARD] {port % 2000} 127.0.0.1 {port} {guest} {to} 0 0\n"
            for port, (guest, to) in self.ports.items()
        ]
        lines += ["  TCP[ESTABLISHED] 900 127.0.0.1 2222 10.0.2.17 22 0 0\n"] * self.connected
        lines += ["  TCP[ESTABLISHED] 901 10.0.2.17 22 10.0.2.16 1234 0 0\n"] * 60
        return HEAD + "".join(lines)

    def hold(self, descriptors: frozenset[int]) -> None:
        """Do not see these."""
        self.held = descriptors

    def turn(self) -> None:
        """There is nothing to do."""


class HostPortsTests(SynchronousTestCase):
    """Two ports."""

    def setUp(self) -> None:
        self.loop, self.slirp = ClockLoop(), Slirp()
        self.said: list[str] = []
        self.complaints: list[str] = []
        self.ports = HostPorts(
            cast(Loop, self.loop),
            cast(Stack, self.slirp),
            cast(Datagrams, cast(Any, None)),
            self.said.append,
            self.complaints.append,
        )

    def want(self, *forwards: HostForward) -> None:
        """These are to be listened at."""
        self.ports.want(list(forwards))

    def test_what_is_wanted(self) -> None:
        """That is listened at, and nothing else."""
        self.want(SSH, WEB)
        self.assertEqual(set(self.slirp.ports), {2222, 8080})
        self.want(WEB)
        self.assertEqual(set(self.slirp.ports), {8080})
        self.assertEqual(self.said[-1], f"{SSH}: not any more")
        self.want(WEB, SSH)
        self.assertEqual(set(self.slirp.ports), {2222, 8080})
        self.assertEqual(self.said.count(f"{WEB}: listens"), 1)

    def test_a_port_that_is_taken(self) -> None:
        """It is tried again, and said if that lasts; the other one is listened at meanwhile."""
        self.slirp.taken.add(2222)
        self.want(SSH, WEB)
        self.assertEqual(set(self.slirp.ports), {8080})
        self.loop.clock.advance(FIRST_SECONDS)
        self.assertEqual(self.complaints, [])
        self.loop.clock.pump([FIRST_SECONDS] * 20)
        self.assertIn(f"--forward {SSH}: cannot listen at 127.0.0.1:2222", self.complaints[0])
        self.slirp.taken.clear()
        self.loop.clock.advance(MOST_SECONDS)
        self.assertEqual(set(self.slirp.ports), {2222, 8080})

    def test_most_connections(self) -> None:
        """With so many, others wait until there are less; what the guest began is not counted."""
        self.want(SSH, WEB)
        for _ in range(MOST_CONNECTIONS):
            self.assertEqual(self.slirp.held, frozenset())
            self.slirp.connected += 1
            self.ports.connects()
        self.assertEqual(self.slirp.held, {222, 80})
        self.loop.clock.pump([0, LOOK_SECONDS, LOOK_SECONDS])
        self.assertEqual(self.slirp.held, {222, 80})
        self.slirp.connected -= 1
        self.loop.clock.advance(LOOK_SECONDS)
        self.assertEqual(self.slirp.held, frozenset())
        self.slirp.connected += 1
        self.ports.connects()
        self.assertEqual(self.slirp.held, {222, 80})

    def test_those_that_have_ended(self) -> None:
        """They are counted until it is looked whether they have."""
        self.want(SSH, WEB)
        for _ in range(MOST_CONNECTIONS):
            self.ports.connects()
        self.loop.clock.advance(0)
        self.assertEqual(self.slirp.held, frozenset())
