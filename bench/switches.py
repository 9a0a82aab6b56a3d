"""Our switch and vde_switch side by side: throughput, loss, processor time, round trips.

All have their defaults. "no switch" is the same load on sockets that are connected to each other:
what the kernel and the load generator need for themselves.
"""

from __future__ import annotations

from bench.contest import Contest
from bench.records import Names
from bench.switchcases import COMPARED, GOALS, cases
from bench.switchcontestants import NOTHING, OURS, PURE, THEIRS
from bench.switchplots import plots
from tests.daemons import TWISTD

SWITCHES = Contest(
    name="switches",
    title="Frames: the switch and vde_switch",
    names=Names(OURS.name, PURE.name, THEIRS.name),
    others=(NOTHING.name,),
    unmarked=(NOTHING.name,),
    cases=cases,
    goals=GOALS,
    compared=COMPARED,
    plots=plots,
    tools={"gcc": "gcc", "taskset": "util-linux", "vde_switch": "vde2", "iperf3": "iperf3",
           "ip": "iproute2", "ping": "iputils-ping"},
    versions=((TWISTD, "distnet", "--version"), ("vde_switch", "--version"),
              ("iperf3", "--version")),
    note="sender or receivers were busy all the time: the switch may do better.",
)  # fmt: skip
