"""
The event loop of a guest's process: descriptors by epoll(7), and timers.

Twisted's reactor or asyncio's loop would do all that it does; either costs each guest's process
about a megabyte more than the stack itself does, and there is one for every guest.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Callable
from typing import Any, Final

_READ: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_WRITE: Final = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_FOR_EVER: Final = -1


class Timer:
    """
    A call that is to come.

    @ivar when: at what time of the loop's.
    """

    __slots__ = ("_arguments", "_function", "when")

    def __init__(self, when: float, function: Callable[..., object], arguments: Any) -> None:
        self.when = when
        self._function: Callable[..., object] | None = function
        self._arguments = arguments

    def cancel(self) -> None:
        """It is not to come any more; or it has come."""
        self._function, self._arguments = None, ()

    def active(self) -> bool:
        """Whether it is still to come."""
        return self._function is not None

    def run(self) -> None:
        """It has come."""
        function, arguments = self._function, self._arguments
        self.cancel()
        if function is not None:
            function(*arguments)


class Loop:
    """
    Calls who waits for a descriptor, and who waits for a time. Not thread-safe.

    An exception of what it calls ends it: L{run} raises it.

    It can be made before a fork(2), and begin in the child.
    """

    def __init__(self) -> None:
        self._epoll: Any = None
        self._readers: dict[int, Callable[[], object]] = {}
        self._writers: dict[int, Callable[[], object]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._running = False

    def begin(self) -> None:
        """Be ready for descriptors, in this process and no other."""
        self._epoll = select.epoll()

    @staticmethod
    def seconds() -> float:
        """The time: of the monotonic clock."""
        return time.monotonic()

    def add_reader(self, descriptor: int, readable: Callable[[], object]) -> None:
        """Call C{readable} whenever there is something to read, the end of it, or an error."""
        self._change(self._readers, descriptor, readable)

    def remove_reader(self, descriptor: int) -> None:
        """Do not any more; harmless for one that is not read."""
        self._change(self._readers, descriptor, None)

    def add_writer(self, descriptor: int, writable: Callable[[], object]) -> None:
        """Call C{writable} whenever there is room to write, or an error."""
        self._change(self._writers, descriptor, writable)

    def remove_writer(self, descriptor: int) -> None:
        """Do not any more; harmless for one that is not written."""
        self._change(self._writers, descriptor, None)

    def call_later(self, seconds: float, function: Callable[..., object], *arguments: Any) -> Timer:
        """Call a function after so many seconds."""
        timer = Timer(self.seconds() + seconds, function, arguments)
        heapq.heappush(self._timers, (timer.when, next(self._numbers), timer))
        return timer

    def run(self) -> None:
        """Go on until L{stop}."""
        self._running = True
        while self._running:
            self._go_on(self.wait())

    def stop(self) -> None:
        """Have L{run} return."""
        self._running = False

    def step(self) -> None:
        """Call who need not wait any more, in the place of L{run}."""
        self._go_on(0)

    def fileno(self) -> int:
        """What can be read when there is somebody to call, but for those who wait for a time."""
        descriptor: int = self._epoll.fileno()
        return descriptor

    def close(self) -> None:
        """Let go of the epoll(7)."""
        self._epoll.close()

    def wait(self) -> float:
        """For how many seconds nobody is to be called; negative if nobody waits for a time."""
        while self._timers and not self._timers[0][2].active():
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - self.seconds()) if self._timers else _FOR_EVER

    def _go_on(self, seconds: float) -> None:
        for descriptor, events in self._epoll.poll(seconds):
            # One that was called before may have given up another.
            if events & _READ and (readable := self._readers.get(descriptor)) is not None:
                readable()
            if events & _WRITE and (writable := self._writers.get(descriptor)) is not None:
                writable()
        self._run_timers()

    def _run_timers(self) -> None:
        if not self._timers:
            return
        now = self.seconds()
        due = []
        while self._timers and self._timers[0][0] <= now:
            due.append(heapq.heappop(self._timers)[2])
        # What these add is for the next time.
        for timer in due:
            timer.run()

    def _change(
        self,
        calls: dict[int, Callable[[], object]],
        descriptor: int,
        call: Callable[[], object] | None,
    ) -> None:
        before = self._events(descriptor)
        if call is None:
            calls.pop(descriptor, None)
        else:
            calls[descriptor] = call
        after = self._events(descriptor)
        if not before and after:
            self._epoll.register(descriptor, after)
        elif before and not after:
            self._epoll.unregister(descriptor)
        elif before != after:
            self._epoll.modify(descriptor, after)

    def _events(self, descriptor: int) -> int:
        return (select.EPOLLIN if descriptor in self._readers else 0) | (
            select.EPOLLOUT if descriptor in self._writers else 0
        )
