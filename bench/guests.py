"""Our master as it is started and server.py, with real guests under emulation.

What bounds the rate are the emulated guests, whose processors need almost all of the machine's: see
their share beside the master's.
"""

from __future__ import annotations

from bench.contest import Contest
from bench.guestcases import COMPARED, GOALS, SHOWN, cases
from bench.records import Names
from bench.routercontestants import PACED, PACED_PURE, PACED_UNIX, STREAM, TOY
from tests.daemons import TWISTD

GUESTS = Contest(
    name="guests",
    title="Guests under emulation: the master as it is started, and server.py",
    names=Names(PACED.name, PACED_PURE.name, TOY.name),
    others=(STREAM.name, PACED_UNIX.name),
    unmarked=(),
    cases=cases,
    goals=GOALS,
    compared=COMPARED,
    plots=lambda records: {},
    tools={"qemu-system-x86_64": "qemu-system-x86", "gcc": "gcc", "dpkg": "dpkg"},
    versions=((TWISTD, "distnet", "--version"), ("qemu-system-x86_64", "--version")),
    note="not used here.",
    beside=(STREAM.name, PACED_UNIX.name),
    shown=SHOWN,
    usual=False,
)
