"""The gateway that is measured, as processes, and what carries as much without one."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from pathlib import Path

from bench.checkout import Checkout
from bench.compared import subject_at
from bench.pump import family
from bench.routercontestants import WITHOUT_NATIVE
from bench.switchcontestants import _SwitchAt
from distnet.guestnet import GUEST_MASTER, PLAN
from tests.daemons import TWISTD, environment
from tests.gateways import Gateway, Machine, running_gateway
from tests.masters import Kernel, Master
from tests.masters import running as running_master
from tests.switches import Switch, running

GUEST = "10.0.2.40"
HOST = str(PLAN.host)
SWITCH, GATEWAY, MASTER = "switch", "gateway", "master"


class Way(Enum):
    """
    How a guest gets where it wants to.

    In QEMU and by passt it has a network for itself, and in that its master: there is no switch.
    """

    GATEWAY = auto()
    GUESTS = auto()
    QEMU = auto()
    PASST = auto()


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    What connects guests.

    @ivar within: a command that runs switch, master and gateway.
    @ivar way: by what.
    @ivar checkout: whose programs they are; None for this one's.
    """

    name: str
    within: Sequence[str] = ()
    way: Way = Way.GATEWAY
    checkout: Checkout | None = None

    def at(self, checkout: Checkout) -> Contestant:
        """The same of another checkout."""
        return replace(self, name=subject_at(self.name, checkout.commit), checkout=checkout)


class _Gateway(Gateway):
    """
    A gateway, perhaps of another checkout.

    @ivar contestant: which.
    """

    def __init__(self, contestant: Contestant, directory: Path, switch: Switch, *words: str):
        super().__init__(directory, switch, *words)
        self.contestant = contestant

    def command(self) -> list[str]:
        """How it is started."""
        _, *words = super().command()
        checkout = self.contestant.checkout
        python = str(checkout.root / ".venv/bin/python") if checkout else sys.executable
        return [*self.contestant.within, python, *words]

    def is_ready(self) -> bool:
        """Whether it says so: a switch may be older than the control interface of switches."""
        return "ready: the master is at" in self.log()


@dataclass(frozen=True, slots=True)
class Running:
    """
    All that a contestant has running.

    @ivar switch: None if there is none.
    @ivar gateway: likewise.
    @ivar master: likewise.
    """

    switch: Switch | None
    gateway: Gateway | None
    master: Master | None

    @property
    def pids(self) -> dict[str, list[int]]:
        """The processes of each."""
        return {
            kind: family(daemon.process.pid) if daemon else []
            for kind, daemon in (
                (SWITCH, self.switch), (GATEWAY, self.gateway), (MASTER, self.master)
            )
        }  # fmt: skip


class InQemu(Machine):
    """A guest of QEMU's C{-netdev user}, its master where guestfwd is; no code runs there."""

    def __init__(self, master: Path, name: str) -> None:
        """
        @param master: its unix socket.
        """
        super().__init__(master, GUEST, name)

    def command(self, directory: Path) -> list[str]:
        """QEMU, with a hub between the guest's tap and C{-netdev user}."""
        netdevs = [
            f"user,id=user,restrict=on,guestfwd=tcp:{GUEST_MASTER}-unix:{directory}",
            "tap,id=tap,ifname=tap0,script=no,downscript=no",
            "hubport,id=one,hubid=0,netdev=user",
            "hubport,id=other,hubid=0,netdev=tap",
        ]
        words = [word for netdev in netdevs for word in ("-netdev", netdev)]
        qemu = ["qemu-system-x86_64", "-M", "none", "-nodefaults", "-display", "none", *words]
        return ["ip", "netns", "exec", self.name, *qemu]


class InPasst(Machine):
    """A guest of passt's, as pasta has it; its gateway's address leads to this machine."""

    def __init__(self, port: int, name: str) -> None:
        """
        @param port: of the master.
        """
        self._port = port
        super().__init__(Path(), None, name)

    def command(self, directory: Path) -> list[str]:
        """pasta, for Ethernet as switches have it."""
        network = ["-a", GUEST, "-n", "24", "-g", HOST, "-I", "tap0", "-m", "1500"]
        return [
            *("pasta", "--runas", "0", "-f", "-q", "-4", "--config-net", *network),
            *("--netns", f"/run/netns/{self.name}"),
        ]

    def connect(self) -> Kernel:
        """A connection to the master, of which the id is not read yet."""
        with self.entered():
            return Kernel((HOST, self._port))


OURS = Contestant("distnet gateway")
PURE = Contestant("distnet gateway, pure", WITHOUT_NATIVE)
THEIRS = Contestant("guest to guest", way=Way.GUESTS)
QEMU = Contestant("QEMU's guestfwd", way=Way.QEMU)
PASST = Contestant("passt", way=Way.PASST)
CONTESTANTS = (OURS, PURE, THEIRS, QEMU, PASST)


@contextlib.contextmanager
def _master(contestant: Contestant, home: Path, options: Sequence[str]) -> Iterator[Master]:
    checkout = contestant.checkout
    words = ["--port", "0", "--listen", f"unix:{home}/nodes", *options]
    master = Master(
        home,
        *words,
        twistd=checkout.twistd if checkout else TWISTD,
        environment=checkout.environment() if checkout else environment(),
    )
    master.within = list(contestant.within)
    with running_master(master):
        yield master


@contextlib.contextmanager
def started(contestant: Contestant, *options: str) -> Iterator[Running]:
    """What a contestant needs, fresh; a master has these options."""
    checkout, within = contestant.checkout, list(contestant.within)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if contestant.way in (Way.QEMU, Way.PASST):
            yield Running(None, None, stack.enter_context(_master(contestant, home, options)))
            return
        switch = (
            _SwitchAt(checkout, home, within=within) if checkout else Switch(home, within=within)
        )
        stack.enter_context(running(switch))
        if contestant.way is Way.GUESTS:
            yield Running(switch, None, None)
            return
        master = stack.enter_context(_master(contestant, home, options))
        gateway = _Gateway(contestant, home, switch, "--control", master.control)
        stack.enter_context(running_gateway(gateway))
        yield Running(switch, gateway, master)
