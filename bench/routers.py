"""Our master and nats-server side by side: throughput, processor time, round trips, idle nodes.

Our master has its defaults, with limits, mailboxes and counters, but for C{--pace stream}, as the
nodes here read on until a message is whole. nats-server has its defaults, and one subject for each
receiver. "C relay" is relay.c, the least that carries the same messages; "no router" are senders
that are connected to their receivers over TCP.

Senders and receivers, two processes of one thread each, share the machine's processors with the
router: where they need most of one, the router may do better than is shown.
"""

from __future__ import annotations

from bench.contest import Contest
from bench.records import Names
from bench.routercases import COMPARED, GOALS, cases
from bench.routercontestants import NATS, NOTHING, OURS, OURS_UNIX, PURE, RELAY, THEIRS
from bench.routerplots import plots
from tests.daemons import TWISTD

ROUTERS = Contest(
    name="routers",
    title="Messages with --pace stream: the master and nats-server",
    names=Names(OURS.name, PURE.name, THEIRS.name),
    others=(OURS_UNIX.name, RELAY.name, NOTHING.name),
    unmarked=(NOTHING.name,),
    cases=cases,
    goals=GOALS,
    compared=COMPARED,
    plots=plots,
    tools={"gcc": "gcc", "taskset": "util-linux", NATS: "nats-server"},
    versions=((TWISTD, "distnet", "--version"), (NATS, "--version")),
    note="senders or receivers were busy all the time: the router may do better.",
)
