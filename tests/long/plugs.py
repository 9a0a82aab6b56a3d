"""Stations of a bridge: their links, and the frames that they have sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zope.interface import implementer

from distnet.switch.core.link import IFrameLink
from distnet.switch.core.records import Endpoint


@dataclass(slots=True)
class Sent:
    """
    A frame that was handed to the bridge.

    @ivar moment: of the L{History}.
    @ivar seen: how each port that may see it must see it; None if it is decided later.
    """

    source: Plug
    moment: int
    frame: bytes
    seen: dict[int, bytes] | None


@implementer(IFrameLink)
class Plug:
    """
    A station and its link.

    @ivar room: how many frames the link takes; None for any number.
    @ivar failing: every second frame is refused by the operating system.
    @ivar latest: the number of the last frame that came from each other station.
    """

    module = "plug"
    endpoint: Endpoint
    port: int

    def __init__(self, arrived: Callable[[Plug, bytes], None]) -> None:
        self.description = "a plug"
        self.room: int | None = None
        self.full = False
        self.failing = False
        self.paused = False
        self.gone = False
        self.latest: dict[Plug, int] = {}
        self._arrived = arrived

    def send(self, frame: bytes) -> bool:
        """Take a frame if there is room."""
        self.full = self.room == 0
        if self.full:
            return False
        if self.room is not None:
            self.room -= 1
        self._arrived(self, frame)
        return True

    def pause(self) -> None:
        """The station is to send nothing for now."""
        assert not self.paused, "paused twice"
        self.paused = True

    def resume(self) -> None:
        """The station may send again."""
        assert self.paused, "resumed without a pause"
        self.paused = False

    def close(self) -> None:
        """The bridge has ended the endpoint, which was to be unplugged."""
        assert self.gone, "closed without being unplugged"
