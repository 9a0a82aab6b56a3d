"""libslirp in a loop: one descriptor for all of libslirp's, and one timer."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Final

from distnet.gateway.libslirp import Network
from distnet.gateway.loop import Loop, Timer
from distnet.guestnet import Plan

ROUNDS: Final = 16
"""How often libslirp goes on in one turn, before others have theirs."""
QUIET_SECONDS: Final = 10.0
"""
After so long without a frame or a byte libslirp's timers may be late, by as much as the silence has
lasted so far: of a connection where all is acknowledged, as after such a time it is or its guest is
gone, they do nothing, twice a second.
"""
LATEST_SECONDS: Final = 60.0
"""The most that they may be late."""

# libslirp's numbers are its own.
_EVENTS: Final = (
    (1, select.EPOLLIN),
    (2, select.EPOLLOUT),
    (4, select.EPOLLPRI),
    (8, select.EPOLLERR),
    (16, select.EPOLLHUP),
)


class Stack:
    """
    A network of libslirp's that goes on by itself. It can be made before a fork(2), and begin in
    the child.

    Its descriptors are in an epoll(7) of their own, which the loop waits for as if it were one:
    what libslirp waits for changes with every frame, and what it does not wait for (a hang-up,
    always) must not wake anybody.

    @ivar network: libslirp.
    @ivar turns: how often it went on.
    """

    def __init__(
        self,
        loop: Loop,
        plan: Plan,
        *,
        nat: bool,
        clock_ns: Callable[[], int],
        send: Callable[[bytearray], None],
        say: Callable[[str], None],
        failed: Callable[[str], object],
    ) -> None:
        """Raises StartupError if there is no usable libslirp here."""
        self._loop = loop
        self._epoll: Any = None
        self._registered: dict[int, int] = {}
        self._timer: Timer | None = None
        self._turning = False
        self._active = loop.seconds()
        self.turns = 0
        self.network = Network(
            plan,
            nat=nat,
            clock_ns=clock_ns,
            send=send,
            descriptor_closes=self._forget,
            say=say,
            failed=failed,
        )
        self._fill = self.network.fill
        self._held: frozenset[int] = frozenset()

    def begin(self) -> None:
        """Be ready for descriptors, in this process and no other."""
        self._epoll = select.epoll()
        self._loop.add_reader(self._epoll.fileno(), self.turn)

    def input(self, frame: bytes) -> None:
        """A frame has come from the guest; L{turn} must follow, sooner or later."""
        self.network.input(frame)

    def turn(self) -> None:
        """Let libslirp go on with what it can."""
        self._active = self._loop.seconds()
        self._turn()

    def hold(self, descriptors: frozenset[int]) -> None:
        """Do as if nothing came from these of libslirp's descriptors, and no others."""
        self._held = descriptors
        self._fill = self._fill_but_held if descriptors else self.network.fill

    def _fill_but_held(self) -> tuple[dict[int, int], float | None]:
        asked, timeout = self.network.fill()
        return {each: asked[each] for each in asked.keys() - self._held}, timeout

    def _turn(self) -> None:
        if self._turning:
            return
        self._turning = True
        try:
            for _ in range(ROUNDS):
                self.turns += 1
                asked, timeout = self._fill()
                self._register(asked)
                ready = dict(self._ready())
                self.network.poll(ready)
                if not ready:
                    break
        finally:
            self._turning = False
        self._wait(timeout)

    def close(self) -> None:
        """Let go of libslirp."""
        self._loop.remove_reader(self._epoll.fileno())
        self._wait(None)
        self.network.close()
        self._epoll.close()

    def _register(self, asked: dict[int, int]) -> None:
        registered = self._registered
        if asked == registered:
            return
        for descriptor in registered.keys() - asked.keys():
            self._epoll.unregister(descriptor)
            del registered[descriptor]
        for descriptor, events in asked.items():
            if descriptor not in registered:
                self._epoll.register(descriptor, _translated(events))
            elif registered[descriptor] != events:
                self._epoll.modify(descriptor, _translated(events))
            registered[descriptor] = events

    def _ready(self) -> list[tuple[int, int]]:
        return [
            (descriptor, sum(ours for ours, theirs in _EVENTS if events & theirs))
            for descriptor, events in self._epoll.poll(0)
        ]

    def _forget(self, descriptor: int) -> None:
        # Before it is closed: its number may be another's the next time that we look.
        if self._registered.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _wait(self, seconds: float | None) -> None:
        timer = self._timer
        if seconds is not None:
            silent = self._loop.seconds() - self._active
            late = min(silent, LATEST_SECONDS) if silent > QUIET_SECONDS else 0
            seconds = max(seconds, late)
            if timer is not None and timer.active():
                if timer.when <= self._loop.seconds() + seconds:
                    # Another one for each turn would be memory, and too early does no harm.
                    return
                timer.cancel()
            self._timer = self._loop.call_later(seconds, self._turn)
        elif timer is not None:
            timer.cancel()
            self._timer = None


def _translated(events: int) -> int:
    return sum(theirs for ours, theirs in _EVENTS if events & ours)
