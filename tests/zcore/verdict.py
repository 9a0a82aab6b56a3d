"""
Whose fault it is when kernels do not do what they were told to.

zCore stands still now and then, whatever the network does: its scheduler resumes a task that was
preempted only when no other is ready, and its network card is handled by such a task. So a run in
which something does not come is no failure, as long as the network has delivered what it was given;
it is one if the network has lost anything, also where all came that was looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_THEIR_OWN = ("nobody", "local", "receiver-left")
"""Frames that nobody could get: the last station has left, or there is none."""


def lost(master: dict[str, Any], switch: dict[str, Any] | None = None) -> list[str]:
    """
    What the network was given and has neither delivered nor holds, in words.

    @param master: what the master says at C{/status}.
    @param switch: what the switch says at C{/counters}, if there is one.
    """
    counters = master["counters"]
    found = [
        f"the master has not delivered {count} messages: {reason}"
        for reason, count in _reasons(counters["undelivered"], "messages")
    ]
    waiting = sum(box["waiting"]["messages"] for box in master["mailboxes"])
    known = sum(count for _, count in _reasons(counters["undelivered"], "messages"))
    missing = counters["received"]["messages"] - counters["delivered"]["messages"] - waiting - known
    if missing:
        found.append(f"the master does not know what has become of {missing} messages")
    if switch is not None:
        found += [
            f"the switch has not delivered {count} frames: {reason}"
            for reason, count in _reasons(switch["undelivered"], "frames")
            if reason not in _THEIR_OWN
        ]
    return found


def _reasons(undelivered: dict[str, Any], what: str) -> Iterator[tuple[str, int]]:
    for reason, counts in undelivered.items():
        if counts[what]:
            yield reason, counts[what]


def told(master: dict[str, Any]) -> str:
    """What the kernels have sent and got, in one line: how far each has come."""
    return ", ".join(
        f"node {node['id']} {node['state']}, sent {node['received']['messages']},"
        f" got {node['delivered']['messages']}, {node['waiting']['messages']} wait"
        for node in master["nodes"]
    )
