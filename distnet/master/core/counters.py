"""What is counted: per node, and over all by the fixed list of reasons for not delivering."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from distnet import text


class Reason(StrEnum):
    """Why a message was not delivered. The list is fixed; every message not delivered has one."""

    GONE = "gone"
    """It was sent to an id that has left and will not come back."""
    NO_SUCH_ID = "no-such-id"
    """It was sent above the highest id, or to a tool that is not connected."""
    MAILBOX_FULL = "mailbox-full"
    """Too many bytes were waiting for its destination."""
    MEMORY_FULL = "memory-full"
    """Too many bytes were waiting in all."""
    LEFT = "left"
    """It was waiting when its destination left."""
    CUT = "cut"
    """Its destination's connection ended when a part of it had been written."""
    TRUNCATED = "truncated"
    """Its sender's connection ended before all of it had come."""
    STOPPED = "stopped"
    """It was waiting when the master stopped."""


@dataclass(slots=True)
class Tally:
    """Messages and bytes; bytes count headers too."""

    messages: int = 0
    bytes: int = 0

    def __str__(self) -> str:
        """As people read it: C{3 messages (1.5 kB)}."""
        return text.amount(self.messages, self.bytes)

    def add(self, messages: int, size: int) -> None:
        """Count C{messages} of C{size} bytes together."""
        self.messages += messages
        self.bytes += size


@dataclass(slots=True)
class Counters:
    """
    Totals since the master started.

    @ivar received: messages that nodes sent, whole.
    @ivar delivered: messages handed to the operating system, whole.
    @ivar undelivered: the rest, by reason.
    """

    received: Tally = field(default_factory=Tally)
    delivered: Tally = field(default_factory=Tally)
    undelivered: dict[Reason, Tally] = field(
        default_factory=lambda: {reason: Tally() for reason in Reason}
    )
