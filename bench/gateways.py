"""The gateway beside plain TCP on the same switch: throughput, processor time.

Everything is in one machine: guests, switch, gateway and master share its processors, so that
what each of them needs for a byte is taken from the others.
"""

from __future__ import annotations

from bench.contest import Contest
from bench.gatewaycases import COMPARED, GOALS, cases
from bench.gatewaycontestants import OURS, PASST, PURE, QEMU, THEIRS
from bench.records import Names
from tests.daemons import TWISTD

GATEWAY = Contest(
    name="gateway",
    title="Guests: through the gateway, and beside it",
    names=Names(OURS.name, PURE.name, THEIRS.name),
    others=(QEMU.name, PASST.name),
    unmarked=(),
    cases=cases,
    goals=GOALS,
    compared=COMPARED,
    plots=lambda records: {},
    tools={
        "vde_plug2tap": "vde2",
        "ip": "iproute2",
        "ping": "iputils-ping",
        "qemu-system-x86_64": "qemu-system-x86",
        "pasta": "passt",
    },
    versions=(
        (TWISTD, "distnet", "--version"),
        ("qemu-system-x86_64", "--version"),
        ("pasta", "--version"),
    ),
    note="a guest's vde_plug2tap was busy all the time: the gateway may do better.",
    beside=(QEMU.name, PASST.name),
)
