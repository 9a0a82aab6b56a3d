"""The switches that are compared, as processes: ours, vde_switch, and none."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.routercontestants import WITHOUT_NATIVE
from tests.switches import Switch, VdeSwitch, running


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    Something that carries frames.

    @ivar kind: what starts it; None if there is no switch at all.
    @ivar within: a command that runs it.
    """

    name: str
    kind: type[Switch] | None
    within: Sequence[str] = ()


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
