"""The limits of the switch, each with a name, a unit and a default. No behaviour."""

from __future__ import annotations

from dataclasses import dataclass

from distnet.text import KIB, MIB

MIN_FRAME = 14
"""Bytes in an Ethernet header, and so in the shortest frame."""
MAX_NUMPORTS = 1 << 20
MAX_FRAME = MIB
"""The most that C{max_frame} may be: each frame that is read gets a buffer of that size."""


@dataclass(frozen=True, slots=True)
class BridgeLimits:
    """
    @ivar max_frame: bytes in a frame. The default is the most that QEMU sends or receives.
    @ivar queue_frames: frames waiting for one endpoint.
    @ivar queue_bytes: bytes of frames waiting for one endpoint.
    @ivar held_frames: frames held of an endpoint that goes on handing them over when paused.
    @ivar held_bytes: bytes of such frames.
    @ivar pause_seconds: how long one who sends to a full queue is kept waiting; 0 never. A QEMU
        that waits does not read, so this is short. A queue in which no quarter was freed in that
        time is of a slow reader.
    @ivar max_addresses: addresses in the forwarding database; others are flooded to.
    """

    max_frame: int = 68 * KIB
    queue_frames: int = 256
    queue_bytes: int = MIB
    held_frames: int = 4096
    held_bytes: int = MIB
    pause_seconds: float = 0.02
    max_addresses: int = 16384

    def problem(self) -> str | None:
        """What makes these limits unusable together, in one line that names it, or None."""
        if self.max_frame < MIN_FRAME:
            return f"--max-frame {self.max_frame} is below {MIN_FRAME}, an Ethernet header"
        if self.max_frame > MAX_FRAME:
            return f"--max-frame {self.max_frame} is above {MAX_FRAME}"
        for name in ("queue_frames", "held_frames", "max_addresses"):
            if getattr(self, name) < 1:
                return f"--{name.replace('_', '-')} {getattr(self, name)} is not at least 1"
        for name in ("queue_bytes", "held_bytes"):
            if getattr(self, name) < self.max_frame:
                option = f"--{name.replace('_', '-')}"
                return f"{option} {getattr(self, name)} is below --max-frame {self.max_frame}"
        if not 0 <= self.pause_seconds < float("inf"):
            return f"--pause-seconds {self.pause_seconds} is not a number of seconds"
        return None
