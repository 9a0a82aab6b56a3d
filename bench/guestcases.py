"""What is measured of a master with real guests under emulation.

Guests are Linux kernels in QEMU, without virtualization, each of which runs a strict client: all
but the first send to it as fast as they can; then a node outside sends it messages of which each is
sent back before the next. Guests, master and whatever carries their frames share the processors.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.compared import LESS, MORE
from bench.contest import Amount, Case
from bench.generator import LoadError
from bench.goals import Goal
from bench.messages import Place
from bench.processes import cpu_seconds
from bench.pump import family
from bench.records import Measured
from bench.routercontestants import (
    PACED,
    PACED_PURE,
    PACED_UNIX,
    STREAM,
    TOY,
    Contestant,
    started,
)
from tests.gateways import Gateway, running_gateway
from tests.guest import wire
from tests.guest.image import Image, build
from tests.guest.qemu import Guest, GuestError, guestfwd
from tests.masters import Kernel
from tests.switches import Switch
from tests.switches import running as running_switch

SIZE, GO_SIZE = 1024, 16
PER_SECOND = 4_000
"""So many messages does each guest send, for each second that others would send."""
TRIPS_SHARE = 100
ADDRESSES = ("10.0.2.15", "10.0.2.17", "10.0.2.18")
PATIENCE_SECONDS = 180
RATE, MASTER, QEMUS = "messages/s", "master's CPU, %", "guests' CPU, %"
CPU, BETWEEN = "master's CPU, µs/message", "switch's and gateway's CPU, %"
TRIP, SPLIT = "there and back, p50, µs", "split"
_END = re.compile(r"\s*DN (PANIC|FAIL)\b")


@dataclass(frozen=True, slots=True)
class Network:
    """
    What connects guests to a master.

    @ivar switch: None if each has a network of its own, with guestfwd.
    @ivar place: where the master is.
    """

    switch: Switch | None
    gateway: Gateway | None
    place: Place

    def netdev(self, number: int) -> list[str]:
        """QEMU's options for a guest."""
        if self.switch is not None:
            mac = f"52:54:00:00:00:{number:02x}"
            device = f"e1000e,netdev=net1,mac={mac}"
            return ["-netdev", f"vde,id=net1,sock={self.switch.sock}", "-device", device]
        address = self.place.address
        return guestfwd(f"unix:{address}" if "/" in address else int(address))

    def between(self) -> list[int]:
        """The processes of switch and gateway."""
        found = (self.switch, self.gateway)
        return [pid for daemon in found if daemon for pid in family(daemon.process.pid)]


@dataclass(frozen=True, slots=True)
class Guests:
    """Some guests on a network."""

    number: int
    switched: bool
    amount: Amount

    @property
    def name(self) -> str:
        """How many there are, and their network."""
        return f"{self.number} guests, {'switch' if self.switched else 'guestfwd'}"

    @property
    def contestants(self) -> Sequence[Contestant]:
        """Those that can be reached so: the gateway connects to TCP here."""
        whom = (PACED, PACED_PURE, TOY, STREAM)
        return whom if self.switched else (*whom, PACED_UNIX)

    @property
    def count(self) -> int:
        """How many messages each guest but the first one sends."""
        return max(1, min(self.amount.count, int(self.amount.seconds * PER_SECOND)))

    @property
    def trips(self) -> int:
        """How many messages go there and back."""
        return max(10, self.amount.trips // TRIPS_SHARE)

    def measure(self, contestant: Contestant) -> Measured:
        """Boot the guests, and have them send; then a node sends to the first one."""
        image = build("x86_64")
        with started(contestant) as place, _network(self.switched, place) as network:
            try:
                with contextlib.ExitStack() as stack:
                    guests = self._boot(network, image, stack)
                    with Kernel(_address(place)) as node:
                        node.read_id()
                        return self._run(network, guests, node)
            except GuestError as error:
                raise LoadError(_why(error)) from error

    def _boot(self, network: Network, image: Image, stack: contextlib.ExitStack) -> list[Guest]:
        """All guests, the first one first, so that its id is 0 with every master."""
        share = self.count * (self.number - 1)
        first = f"connect;load:any:{share}:{PATIENCE_SECONDS};echo"
        other = f"connect;expect:any:1:{PATIENCE_SECONDS};send:0:{SIZE}:{self.count};wait"
        guests: list[Guest] = []
        for number in range(self.number):
            guest = Guest(
                network.netdev(number),
                other if number else first,
                name=f"guest{number}",
                ip=ADDRESSES[number],
                mac=f"52:54:00:00:00:{number:02x}",
                image=image,
            )
            guests.append(stack.enter_context(guest))
            guest.wait_for("^DN id=", PATIENCE_SECONDS)
        return guests

    def _run(self, network: Network, guests: Sequence[Guest], node: Kernel) -> Measured:
        """What comes of it."""
        assert network.place.pid is not None
        kinds = ([network.place.pid], [guest.pid for guest in guests], network.between())
        counts = [_used(each) for each in kinds]
        began = time.monotonic()
        for number in range(1, len(guests)):
            node.send(number, wire.payload(node.id, 0, GO_SIZE))
        # It ends so only if nothing was lost, doubled or damaged.
        line = r"^DN load .* split_payloads=(\d+) ms=\d+ ok$"
        loaded = guests[0].wait_for(line, PATIENCE_SECONDS)
        took = time.monotonic() - began
        master, qemus, carriers = (
            _used(each) - before for each, before in zip(kinds, counts, strict=True)
        )
        messages = self.count * (len(guests) - 1)
        figures = {
            RATE: messages / took,
            MASTER: master / took * 100,
            CPU: master / messages * 1e6,
            QEMUS: qemus / took * 100,
            BETWEEN: carriers / took * 100,
            SPLIT: int(loaded[1]),
            TRIP: statistics.median(self._trip(node, each) for each in range(self.trips)) * 1e6,
        }
        return Measured(figures, {"sent": messages, "delivered": messages})

    def _trip(self, node: Kernel, number: int) -> float:
        """Seconds of a message there and back."""
        data = wire.payload(node.id, number, SIZE)
        began = time.monotonic()
        node.send(0, data)
        if node.receive() != (0, data):
            raise LoadError("another message than that which was sent has come back")
        return time.monotonic() - began


def _why(error: GuestError) -> str:
    """In a line: what was waited for, and what the guest said of its end, if it did."""
    first, *report = str(error).splitlines()
    return "; ".join([first, *(line.strip() for line in report if _END.match(line))])


def _address(place: Place) -> tuple[str, int] | str:
    return place.address if "/" in place.address else ("127.0.0.1", int(place.address))


def _used(pids: Sequence[int]) -> float:
    return sum(cpu_seconds(pid) for pid in pids)


@contextlib.contextmanager
def _network(switched: bool, place: Place) -> Iterator[Network]:
    if not switched:
        yield Network(None, None, place)
        return
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        switch = stack.enter_context(running_switch(Switch(home)))
        words = ["--master", f"127.0.0.1:{place.address}"]
        gateway = stack.enter_context(running_gateway(Gateway(home, switch, *words)))
        yield Network(switch, gateway, place)


def cases(amount: Amount) -> list[Case[Contestant]]:
    """All cases."""
    return [Guests(number, switched, amount) for switched in (False, True) for number in (2, 3)]


GOALS = (
    *(Goal(case.name, RATE, 1.0) for case in cases(Amount())),
    *(Goal(case.name, MASTER, 1 / 3, least=False) for case in cases(Amount())),
    *(Goal(case.name, SPLIT, 0, least=False, pure=0, absolute=True) for case in cases(Amount())),
)
COMPARED = {RATE: MORE, CPU: LESS, TRIP: LESS}
SHOWN = (RATE, MASTER, QEMUS, BETWEEN, TRIP, SPLIT)
