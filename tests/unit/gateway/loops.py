"""A loop whose time is the test's, and whose descriptors nobody looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from distnet.gateway.loop import Timer


class ClockLoop:
    """
    As L{distnet.gateway.loop.Loop}.

    @ivar clock: makes time pass.
    @ivar readers: what waits for which descriptor.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.readers: dict[int, Callable[[], object]] = {}
        self.writers: dict[int, Callable[[], object]] = {}

    def begin(self) -> None:
        """There is nothing to begin."""

    run = begin

    def seconds(self) -> float:
        """The time."""
        return self.clock.seconds()

    def add_reader(self, descriptor: int, readable: Callable[[], object]) -> None:
        """Remember who waits."""
        self.readers[descriptor] = readable

    def remove_reader(self, descriptor: int) -> None:
        """Forget it."""
        self.readers.pop(descriptor, None)

    def add_writer(self, descriptor: int, writable: Callable[[], object]) -> None:
        """Remember who waits."""
        self.writers[descriptor] = writable

    def remove_writer(self, descriptor: int) -> None:
        """Forget it."""
        self.writers.pop(descriptor, None)

    def call_later(self, seconds: float, function: Callable[..., object], *arguments: Any) -> Timer:
        """Call a function when so much time has passed."""
        timer = Timer(self.seconds() + seconds, function, arguments)
        self.clock.callLater(seconds, timer.run)
        return timer
