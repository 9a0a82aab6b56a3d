"""The gateway that is measured, as processes, and what carries as much without one."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.checkout import Checkout
from bench.compared import subject_at
from bench.routercontestants import WITHOUT_NATIVE
from bench.switchcontestants import _SwitchAt
from tests.daemons import TWISTD, environment
from tests.gateways import Gateway, running_gateway
from tests.masters import Master
from tests.masters import running as running_master
from tests.switches import Switch, running


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    A switch, and what connects its guests.

    @ivar within: a command that runs switch, master and gateway.
    @ivar gateway: the way leads through a gateway and a master; otherwise from guest to guest.
    @ivar checkout: whose programs they are; None for this one's.
    """

    name: str
    within: Sequence[str] = ()
    gateway: bool = True
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

    @ivar master: None if there is no gateway.
    """

    switch: Switch
    gateway: Gateway | None
    master: Master | None


OURS = Contestant("distnet gateway")
PURE = Contestant("distnet gateway, pure", WITHOUT_NATIVE)
THEIRS = Contestant("guest to guest", gateway=False)
CONTESTANTS = (OURS, PURE, THEIRS)


@contextlib.contextmanager
def started(contestant: Contestant, *options: str) -> Iterator[Running]:
    """A fresh switch, and with a gateway a master with these options."""
    checkout, within = contestant.checkout, list(contestant.within)
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        switch = (
            _SwitchAt(checkout, home, within=within) if checkout else Switch(home, within=within)
        )
        stack.enter_context(running(switch))
        if not contestant.gateway:
            yield Running(switch, None, None)
            return
        words = ["--port", "0", "--listen", f"unix:{home}/nodes", *options]
        master = Master(
            home,
            *words,
            twistd=checkout.twistd if checkout else TWISTD,
            environment=checkout.environment() if checkout else environment(),
        )
        master.within = within
        stack.enter_context(running_master(master))
        gateway = _Gateway(contestant, home, switch, "--control", master.control)
        stack.enter_context(running_gateway(gateway))
        yield Running(switch, gateway, master)
