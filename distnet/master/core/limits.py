"""The limits of the master, each with a name, a unit and a default. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from distnet.text import GIB, KIB, MIB
from distnet.wire import FIRST_TOOL_ID, HEADER_SIZE


class Overflow(StrEnum):
    """What happens to a message for a full mailbox when its sender has been paused long enough."""

    DROP_NEWEST = "drop-newest"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True)
class Limits:
    """
    @ivar max_payload: bytes of payload in one message. A header that says more ends its connection.
    @ivar max_waiting_per_id: bytes waiting for one id, headers included.
    @ivar max_waiting: bytes waiting for all ids together; a settled id may still have C{reserve}.
    @ivar reserve: bytes that every settled id may have waiting whatever the others hold.
    @ivar highest_id: the highest id a kernel can get, and the highest that can be sent to.
    @ivar pause_seconds: how long a sender to a full mailbox is kept waiting; 0 never, inf for ever.
    @ivar overflow: what happens after that.
    @ivar segment: bytes of whole messages written at once to a node that has read all before,
        or None to write without such care.
    @ivar settle_seconds: from the observation that an id was taken until its node gets messages.
    @ivar keep_pinned: keep what waits for a pinned node when it leaves.
    @ivar replace_pinned: a second connection for a pinned node replaces the first.
    @ivar mailbox_overhead: bytes that a mailbox takes besides what waits in it; they count as bytes
        that wait for all ids together.
    """

    max_payload: int = 64 * KIB
    max_waiting_per_id: int = 64 * MIB
    max_waiting: int = GIB
    reserve: int = 128 * KIB
    highest_id: int = 65535
    pause_seconds: float = 1.0
    overflow: Overflow = Overflow.DROP_NEWEST
    segment: int | None = 1460
    settle_seconds: float = 0.25
    keep_pinned: bool = False
    replace_pinned: bool = False
    mailbox_overhead: int = 512

    def problem(self) -> str | None:
        """What makes these limits unusable together, in one line that names it, or None."""
        largest = self.max_payload + HEADER_SIZE
        if self.max_payload < 0:
            return f"--max-payload {self.max_payload} is negative"
        if not 0 <= self.highest_id < FIRST_TOOL_ID:
            return f"--highest-id {self.highest_id} is not between 0 and {FIRST_TOOL_ID - 1}"
        if self.reserve < largest:
            return (
                f"--reserve {self.reserve} holds no whole message: "
                f"it must be at least --max-payload plus {HEADER_SIZE}, {largest}"
            )
        if self.max_waiting_per_id < self.reserve:
            return (
                f"--max-waiting-per-id {self.max_waiting_per_id} is below --reserve {self.reserve}"
            )
        if self.max_waiting < self.reserve:
            return f"--max-waiting {self.max_waiting} is below --reserve {self.reserve}"
        if not self.pause_seconds >= 0:
            return f"--pause-seconds {self.pause_seconds} is not 0, a number of seconds, or inf"
        if not 0 <= self.settle_seconds < float("inf"):
            return f"--settle-seconds {self.settle_seconds} is not a number of seconds"
        return None
