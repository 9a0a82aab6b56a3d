"""Our master as it is started and the toy that it replaces side by side, with nats-server beside.

The toy, "server.py", is C{tests/guest/toy_server.py}: one thread that looks at one connection after
the other, reads a header, then the payload, and writes each message by itself, without waiting for
anything. It does as the first master of such kernels did, but that it prints nothing: that one
prints each message, twice, which takes half of its time or more; "server.py, printing" does, too.

Senders and receivers are those of L{bench.routers}, but that receivers of small messages read no
more at once than a QEMU does.
"""

from __future__ import annotations

from bench.contest import Contest
from bench.pacedcases import COMPARED, GOALS, cases
from bench.records import Names
from bench.routercontestants import (
    NATS,
    PACED,
    PACED_PURE,
    PACED_UNIX,
    STREAM,
    THEIRS,
    TOY,
    TOY_PRINTING,
)
from bench.routerplots import paced_plots
from tests.daemons import TWISTD

PACED_ROUTERS = Contest(
    name="paced",
    title="Messages: the master as it is started, and server.py",
    names=Names(PACED.name, PACED_PURE.name, TOY.name),
    others=(PACED_UNIX.name, STREAM.name, TOY_PRINTING.name, THEIRS.name),
    unmarked=(),
    cases=cases,
    goals=GOALS,
    compared=COMPARED,
    plots=paced_plots,
    tools={"gcc": "gcc", NATS: "nats-server"},
    versions=((TWISTD, "distnet", "--version"), (NATS, "--version")),
    note="senders or receivers were busy all the time: the router may do better.",
    beside=(STREAM.name, TOY_PRINTING.name, THEIRS.name),
)
