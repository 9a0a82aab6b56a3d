"""What is counted of frames: per port, and by the fixed list of reasons for not delivering."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a frame, or a copy of one, was not delivered. The list is fixed."""

    RUNT = "runt"
    """It was shorter than an Ethernet header, or than the tag that it began."""
    OVERSIZE = "oversize"
    """It was longer than the limit on frames."""
    NOT_MEMBER = "not-member"
    """It was tagged for a VLAN that its port is not in, on a strict switch."""
    NO_VLAN = "no-vlan"
    """Its port takes no untagged frames."""
    HELD_FULL = "held-full"
    """It came in spite of the pause, and too many such frames were held already."""
    LOCAL = "local"
    """Its destination is on the port it came from; nothing was to be done."""
    NOBODY = "nobody"
    """No other port is in use that it could go to; nothing was to be done."""
    OVERRUN = "overrun"
    """
    The operating system had no room to keep it until it was read.

    So it is not among the received ones, and how many bytes it had is not known.
    """

    HIDDEN_TAG = "hidden-tag"
    """A tag inside it would have shown it, at that port, as of a VLAN that it is not in."""
    QUEUE_FULL = "queue-full"
    """A queue had no room, and its sender could not be paused any longer for it."""
    SLOW = "slow"
    """It was for an endpoint that did not drain in time and has not drained since."""
    RECEIVER_LEFT = "receiver-left"
    """It waited for an endpoint that was detached."""
    SEND_FAILED = "send-failed"
    """The operating system refused it."""


OF_WHOLE_FRAMES = frozenset(
    {
        Reason.RUNT,
        Reason.OVERSIZE,
        Reason.NOT_MEMBER,
        Reason.NO_VLAN,
        Reason.HELD_FULL,
        Reason.LOCAL,
        Reason.NOBODY,
        Reason.OVERRUN,
    }
)
"""The reasons that are about a frame as a whole, counted at the port it came from.

The others are about one copy for one endpoint, and counted at the port of that.
"""


@dataclass(slots=True)
class Traffic:
    """Frames and their bytes, from the destination address to the last byte of the payload."""

    frames: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one frame of C{size} bytes."""
        self.frames += 1
        self.bytes += size

    def include(self, other: Traffic) -> None:
        """Add another count to this."""
        self.frames += other.frames
        self.bytes += other.bytes


class Counters:
    """
    Of one port, or of all.

    @ivar received: frames that came from its endpoints, refused ones too if they were read.
    @ivar sent: copies of frames that were handed to the operating system for its endpoints.
    @ivar undelivered: by reason; see L{OF_WHOLE_FRAMES} for which are frames and which are copies.
    """

    __slots__ = ("received", "sent", "undelivered")

    def __init__(self) -> None:
        self.received = Traffic()
        self.sent = Traffic()
        self.undelivered: dict[Reason, Traffic] = {}

    def lose(self, reason: Reason, size: int, frames: int = 1) -> None:
        """Count frames, or copies, of C{size} bytes together as not delivered."""
        traffic = self.undelivered.get(reason)
        if traffic is None:
            traffic = self.undelivered[reason] = Traffic()
        traffic.frames += frames
        traffic.bytes += size

    def lost(self, reason: Reason) -> Traffic:
        """What was not delivered for this reason."""
        return self.undelivered.get(reason) or Traffic()

    def include(self, other: Counters) -> None:
        """Add other counts to these."""
        self.received.include(other.received)
        self.sent.include(other.sent)
        for reason, traffic in other.undelivered.items():
            self.undelivered.setdefault(reason, Traffic()).include(traffic)

    def reset(self) -> None:
        """Begin again at nothing."""
        self.received.frames = self.received.bytes = 0
        self.sent.frames = self.sent.bytes = 0
        self.undelivered.clear()
