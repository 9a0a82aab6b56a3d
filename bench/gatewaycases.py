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

from bench.compared import LESS, MORE
from bench.contest import Amount, Case
from bench.gatewaycontestants import CONTESTANTS, Contestant, Running, started
from bench.generator import BUSY
from bench.goals import Goal
from bench.pump import Pumped, family, pump
from bench.records import Measured
from distnet.wire import encode_message
from tests.daemons import PATIENCE, eventually
from tests.gateways import Machine
from tests.masters import Kernel

PAYLOAD = 1024
MESSAGES = 64
"""So many messages are sent by one call."""
RATE, CPU, MASTER = "MB/s", "switch's and gateway's CPU, ms/MB", "master's CPU, ms/MB"
STREAM = ("--pace", "stream")
_ADDRESSES = ("10.0.2.40", "10.0.2.41")
_SWITCH, _GATEWAY, _MASTER, _PLUGS = "switch", "gateway", "master", "plugs"
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
            got = self._through(place) if place.gateway else self._beside(place)
        megabytes = got.received / 1e6
        plugs = got.cpu[_PLUGS] / got.seconds
        figures = {
            RATE: megabytes / got.seconds,
            CPU: (got.cpu[_SWITCH] + got.cpu[_GATEWAY]) / megabytes * 1000,
            MASTER: got.cpu[_MASTER] / megabytes * 1000,
            "switch's CPU, %": got.cpu[_SWITCH] / got.seconds * 100,
            "gateway's CPU, %": got.cpu[_GATEWAY] / got.seconds * 100,
            "vde_plug2tap's CPU, %": plugs * 100,
        }
        return Measured(figures, bound=plugs > BUSY)

    def _through(self, place: Running) -> Pumped:
        assert place.gateway is not None
        assert place.master is not None
        with _guest(place, 0) as guest:
            node = Kernel(place.master.address("unix:").removeprefix("unix:"))
            with node, guest.connect() as its:
                node.read_id()
                its.read_id()
                ends = (its, node) if self.to_master else (node, its)
                data = encode_message(ends[1].id, bytes(PAYLOAD)) * MESSAGES
                return pump(
                    ends[0].socket, ends[1].socket, data, self.amount.tcp,
                    {
                        _SWITCH: [place.switch.process.pid],
                        _GATEWAY: family(place.gateway.process.pid),
                        _MASTER: [place.master.process.pid],
                        _PLUGS: [guest.plug.pid],
                    },
                )  # fmt: skip

    def _beside(self, place: Running) -> Pumped:
        with _guest(place, 0) as one, _guest(place, 1) as other:
            eventually("they reach each other", lambda: one.ping(_ADDRESSES[1]))
            with other.entered():
                listener = socket.create_server((_ADDRESSES[1], 0))
            with one.entered():
                sender = socket.create_connection(listener.getsockname(), PATIENCE)
            with listener, sender, listener.accept()[0] as receiver:
                data = encode_message(0, bytes(PAYLOAD)) * MESSAGES
                return pump(
                    sender, receiver, data, self.amount.tcp,
                    {
                        _SWITCH: [place.switch.process.pid], _GATEWAY: [], _MASTER: [],
                        _PLUGS: [one.plug.pid],
                    },
                )  # fmt: skip


@contextlib.contextmanager
def _guest(place: Running, which: int) -> Iterator[Machine]:
    name = f"bench{os.getpid()}g{next(_numbers)}"
    with Machine(place.switch.sock, _ADDRESSES[which], name) as machine:
        yield machine


def cases(amount: Amount) -> list[Case[Contestant]]:
    """All cases; without root there are none."""
    if os.geteuid():
        return []
    return [
        Bytes(to_master, options, amount) for options in (STREAM, ()) for to_master in (True, False)
    ]


GOALS = tuple(
    Goal(Bytes(to_master, options, Amount()).name, RATE, least)
    for options, least in ((STREAM, 0.5), ((), 0.2))
    for to_master in (True, False)
)
COMPARED = {RATE: MORE, CPU: LESS}
