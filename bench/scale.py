"""Our master as it is started beside nats-server, with more and more nodes.

Of the nodes that are connected all but a few have read their ids, and do nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.contest import Contest
from bench.curves import figures, subjects_of
from bench.records import Names, Record
from bench.routercases import CPU
from bench.routercontestants import NATS, PACED, PACED_PURE, PACED_UNIX, THEIRS, TOY
from bench.scalecases import (
    COMPARED,
    CONNECTED,
    CONTESTANTS,
    GOALS,
    SHOWN,
    STREAMS,
    TALKING,
    cases,
    figure_of,
    talk_name,
)
from tests.daemons import TWISTD


def plots(records: Sequence[Record]) -> dict[str, str]:
    """What a message costs by the number of nodes, of which some talk; SVG by names of files."""
    how, size = STREAMS[0]
    talking = TALKING[1]
    drawn = figures(
        records,
        {talk_name(number, talking): number for number in CONNECTED},
        figure=figure_of(how, size, CPU),
        title=f"Messages of {size} bytes, {how}, among {talking} nodes",
        labels=("nodes that are connected", CPU),
        subjects=subjects_of(records, [each.name for each in CONTESTANTS]),
    )
    return {"scale-nodes.svg": drawn} if drawn else {}


SCALE = Contest(
    name="scale",
    title="Messages: how cost grows with nodes",
    names=Names(PACED.name, PACED_PURE.name, THEIRS.name),
    others=(PACED_UNIX.name, TOY.name),
    unmarked=(),
    cases=cases,
    goals=GOALS,
    compared=COMPARED,
    plots=plots,
    tools={"gcc": "gcc", NATS: "nats-server"},
    versions=((TWISTD, "distnet", "--version"), (NATS, "--version")),
    note="senders or receivers were busy all the time: the router may do better.",
    shown=SHOWN,
    usual=False,
)
