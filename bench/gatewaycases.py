"""What is measured of the gateway, and what is to be reached.

A guest is a network namespace with Linux's own TCP that vde_plug2tap plugs into the switch. It
sends to a node of the master on this machine, or that one to it, messages of 1 KiB as fast as they
go. What it is compared with is plain TCP from one such guest to another on the same switch, the
same bytes: its way has one more namespace and vde_plug2tap, but neither gateway nor master.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compared import LESS, MORE
from bench.contest import Amount, Case
from bench.gatewaycontestants import (
    CONTESTANTS,
    GATEWAY,
    GUEST,
    MASTER,
    SWITCH,
    Contestant,
    InPasst,
    InQemu,
    Running,
    Way,
    started,
)
from bench.generator import BUSY
from bench.goals import Goal
from bench.pump import Pumped, pump
from bench.records import Measured
from distnet.wire import encode_message
from tests.daemons import PATIENCE, eventually
from tests.gateways import Machine
from tests.masters import Kernel

PAYLOAD = 1024
MESSAGES = 64
"""So many messages are sent by one call."""
RATE, CPU, ITS = "MB/s", "switch's and gateway's CPU, ms/MB", "master's CPU, ms/MB"
STREAM = ("--pace", "stream")
_OTHER = "10.0.2.41"
_PLUGS = "plugs"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Bytes:
    """
    As many messages as go through, one way.

    @ivar to_master: which way.
    @ivar options: of the master.
    """

    to_master: bool
    options: tuple[str, ...]
    amount: Amount
    contestants: Sequence[Contestant] = CONTESTANTS

    @property
    def name(self) -> str:
        """The way, and the pace."""
        way = "guest to master" if self.to_master else "master to guest"
        return f"{way}, {' '.join(self.options) or 'default pace'}"

    def measure(self, contestant: Contestant) -> Measured:
        """Send for a while: the rate, and what that cost."""
        with started(contestant, *self.options) as place:
            got = (
                self._beside(place) if contestant.way is Way.GUESTS
                else self._to_master(place, contestant.way)
            )  # fmt: skip
        megabytes = got.received / 1e6
        plugs = got.cpu[_PLUGS] / got.seconds
        figures = {
            RATE: megabytes / got.seconds,
            CPU: (got.cpu[SWITCH] + got.cpu[GATEWAY]) / megabytes * 1000,
            ITS: got.cpu[MASTER] / megabytes * 1000,
            "switch's CPU, %": got.cpu[SWITCH] / got.seconds * 100,
            "gateway's CPU, %": got.cpu[GATEWAY] / got.seconds * 100,
            "vde_plug2tap's CPU, %": plugs * 100,
        }
        return Measured(figures, bound=plugs > BUSY)

    def _to_master(self, place: Running, way: Way) -> Pumped:
        assert place.master is not None
        path = place.master.address("unix:").removeprefix("unix:")
        with _guest(place, way) as guest:
            node = Kernel(path)
            with node, guest.connect() as its:
                node.read_id()
                its.read_id()
                ends = (its, node) if self.to_master else (node, its)
                data = encode_message(ends[1].id, bytes(PAYLOAD)) * MESSAGES
                return pump(
                    ends[0].socket, ends[1].socket, data, self.amount.tcp,
                    _kinds(place, guest, way),
                )  # fmt: skip

    def _beside(self, place: Running) -> Pumped:
        with _guest(place, Way.GUESTS) as one, _guest(place, Way.GUESTS, _OTHER) as other:
            eventually("they reach each other", lambda: one.ping(_OTHER))
            with other.entered():
                listener = socket.create_server((_OTHER, 0))
            with one.entered():
                sender = socket.create_connection(listener.getsockname(), PATIENCE)
            with listener, sender, listener.accept()[0] as receiver:
                data = encode_message(0, bytes(PAYLOAD)) * MESSAGES
                return pump(
                    sender, receiver, data, self.amount.tcp,
                    _kinds(place, one, Way.GUESTS),
                )  # fmt: skip


def _kinds(place: Running, guest: Machine, way: Way) -> dict[str, list[int]]:
    """
    Whose processor time is counted as what.

    QEMU and passt are switch, gateway and plug at once.
    """
    plug = [guest.plug.pid]
    if way in (Way.QEMU, Way.PASST):
        return {**place.pids, GATEWAY: plug, _PLUGS: []}
    return {**place.pids, _PLUGS: plug}


@contextlib.contextmanager
def _guest(place: Running, way: Way, address: str = GUEST) -> Iterator[Machine]:
    name = f"bench{os.getpid()}g{next(_numbers)}"
    if way is Way.QEMU:
        assert place.master is not None
        machine: Machine = InQemu(Path(place.master.address("unix:").removeprefix("unix:")), name)
    elif way is Way.PASST:
        assert place.master is not None
        machine = InPasst(place.master.port, name)
    else:
        assert place.switch is not None
        machine = Machine(place.switch.sock, address, name)
    with machine:
        yield machine


def cases(amount: Amount) -> list[Case[Contestant]]:
    """All cases; without root there are none."""
    if os.geteuid():
        return []
    return [
        Bytes(to_master, options, amount) for options in ((), STREAM) for to_master in (True, False)
    ]


GOALS = tuple(
    Goal(Bytes(to_master, options, Amount()).name, RATE, least)
    for options, least in (((), 0.2), (STREAM, 0.5))
    for to_master in (True, False)
)
COMPARED = {RATE: MORE, CPU: LESS}
