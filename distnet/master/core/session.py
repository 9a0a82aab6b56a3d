"""One connection as a node: what is known of it. What becomes of it says the router."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Any

from distnet.master.core.counters import Tally
from distnet.master.core.link import ILink
from distnet.master.core.outbox import Outbox
from distnet.master.core.settling import Settling
from distnet.once import Once
from distnet.wire import Run, Splitter

MOST_REFUSALS_SAID = 64
"""Of one node, by destination and reason; each is counted."""


class Kind(StrEnum):
    """What a node is: which ids it can get, and how it is written to, depend on that."""

    KERNEL = "kernel"
    TOOL = "tool"
    """A program such as C{distnet ping}. Its id is only its own while it is connected."""


class Session:
    """
    A connection that has an id.

    @ivar node: the id.
    @ivar kind: what it is.
    @ivar pinned: the id belongs to this node's listener.
    @ivar since: when it connected, in seconds as the clock counts.
    @ivar settled_by: how it was known that it had read its id, or None while it has not.
    @ivar settled_at: when, in seconds as the clock counts.
    @ivar process: what tells the process that connected from all others, or None if unknown.
    @ivar resumed: it goes on with a connection that an earlier run of the master had.
    @ivar runs: received, but held up while the session is paused.
    @ivar paused_for: the id whose full mailbox it waits for, or None.
    @ivar pause_ends: when it has been paused long enough, or None while its link is read.
    @ivar received: messages it sent.
    @ivar delivered: messages handed to the operating system for it.
    @ivar undelivered: messages it sent that could not be delivered.
    """

    settling: Settling
    splitter: Splitter
    outbox: Outbox

    def __init__(
        self,
        node: int,
        link: ILink,
        since: float,
        *,
        kind: Kind = Kind.KERNEL,
        pinned: bool = False,
    ) -> None:
        self.node = node
        self.link = link
        self.since = since
        self.kind = kind
        self.pinned = pinned
        self.settled = False
        self.settled_by: str | None = None
        self.settled_at: float | None = None
        self.process: str | None = None
        self.resumed = False
        self.gone = False
        self.runs: deque[Run] = deque()
        self.paused_for: int | None = None
        self.pause_timer: Any = None
        self.pause_ends: float | None = None
        self.received = Tally()
        self.delivered = Tally()
        self.undelivered = Tally()
        self.refusals_said = Once(MOST_REFUSALS_SAID)

    @property
    def has_read(self) -> bool:
        """It has read its id, or is about to, though it may not have settled yet."""
        return self.settled or self.settling.taken

    @property
    def state(self) -> str:
        """C{unsettled}, C{settled}, C{paused} or C{gone}."""
        if self.gone:
            return "gone"
        if not self.settled:
            return "unsettled"
        return "settled" if self.paused_for is None else "paused"
