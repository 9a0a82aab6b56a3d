"""The switches that are compared, as processes: ours, here and elsewhere, vde_switch, none."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.checkout import Checkout
from bench.compared import subject_at
from bench.routercontestants import WITHOUT_NATIVE
from tests.switches import RawClient, Switch, VdeSwitch, running


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    Something that carries frames.

    @ivar kind: what starts it; None if there is no switch at all.
    @ivar within: a command that runs it.
    """

    name: str
    kind: Callable[..., Switch] | None
    within: Sequence[str] = ()

    def at(self, checkout: Checkout) -> Contestant:
        """The switch of another checkout, with the same options."""
        name = subject_at(self.name, checkout.commit)
        return replace(self, name=name, kind=partial(_SwitchAt, checkout))


class _SwitchAt(Switch):
    """
    The switch of another checkout, which may be older than the control interface of switches.

    @ivar checkout: which one.
    """

    def __init__(
        self, checkout: Checkout, directory: Path, *options: str, within: Sequence[str] = ()
    ) -> None:
        super().__init__(directory, *options, within=within)
        self.checkout = checkout

    def environment(self) -> dict[str, str]:
        """That of the checkout, with a place of its own for a control socket, if it has one."""
        return {**self.checkout.environment(), "XDG_RUNTIME_DIR": str(self.home)}

    def command(self) -> list[str]:
        """How it is started, without C{--control}."""
        return [
            *self.within,
            self.checkout.twistd, "--nodaemon", "--pidfile=", "--rundir", str(self.home),
            "distnet-vde", "-sock", str(self.sock), *self.options,
        ]  # fmt: skip

    def is_ready(self) -> bool:
        """Whether it gives ports: its reactor runs, so that what follows is no longer its start."""
        if not self.listens():
            return False
        with RawClient(self.sock).plug():
            return True


OURS = Contestant("distnet-vde", Switch)
PURE = Contestant("distnet-vde, pure", Switch, WITHOUT_NATIVE)
THEIRS = Contestant("vde_switch", VdeSwitch)
NOTHING = Contestant("no switch", None)
SWITCHES = (OURS, PURE, THEIRS)
CONTESTANTS = (*SWITCHES, NOTHING)


@contextlib.contextmanager
def started(
    contestant: Contestant, *options: str, core: int | None = None
) -> Iterator[Switch | None]:
    """
    A fresh switch with its defaults, or none.

    @param options: the same for all.
    @param core: the processor that it may use; all if None.
    """
    if contestant.kind is None:
        yield None
        return
    within = [] if core is None else ["taskset", "--cpu-list", str(core)]
    within += contestant.within
    with (
        tempfile.TemporaryDirectory() as name,
        running(contestant.kind(Path(name), *options, within=within)) as switch,
    ):
        yield switch
