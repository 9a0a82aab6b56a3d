"""The way out to endpoints: at once, or from bounded queues, or not at all to those too slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from distnet.switch.core.counters import Reason, Traffic
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.records import Endpoint, SlowEpisode

Deliver = Callable[[Endpoint, Iterable[Endpoint], bytes], None]
"""Delivers a frame of an endpoint to others, but not to those of the port that it came from."""


class Delivery:
    """
    Hands frames to links, queues what these do not take, and pauses whoever sends to full queues.

    A queue that is full lets those who send to it wait until a quarter of it is free. If that
    takes longer than a pause may last, its endpoint is slow: nobody waits for it, and frames for
    it are dropped, until its queue is empty. So one that is dead costs the others one pause.

    @param forward: deals with a frame of an endpoint that was held while that was paused.
    """

    def __init__(
        self,
        limits: BridgeLimits,
        observer: IBridgeObserver,
        clock: Any,
        forward: Callable[[Endpoint, bytes], None],
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._forward = forward
        self._max_frames = limits.queue_frames
        self._max_bytes = limits.queue_bytes
        self._drained_frames = limits.queue_frames * 3 // 4
        self._drained_bytes = limits.queue_bytes * 3 // 4
        self._held_frames = limits.held_frames
        self._held_bytes = limits.held_bytes
        self._pause_seconds = limits.pause_seconds
        # Endpoints that wait for nobody any more: they go on one after the other, not from
        # within each other.
        self._ready: dict[Endpoint, None] = {}
        self._going_on = False

    def deliver(self, source: Endpoint, targets: Iterable[Endpoint], frame: bytes) -> None:
        """Deliver a frame to endpoints, but not to those of the port that it came from."""
        own = source.port
        size = len(frame)
        full = None
        for target in targets:
            port = target.port
            if port is own:
                continue
            if not target.blocked and target.link.send(frame):
                sent = port.counters.sent
                sent.frames += 1
                sent.bytes += size
            elif not self._queue(target, frame):
                full = [target] if full is None else [*full, target]
        if full is not None:
            self._wait(source, full, frame)

    def deliver_late(self, source: Endpoint, targets: Iterable[Endpoint], frame: bytes) -> None:
        """
        The same, at any time after it was decided where the frame goes.

        Its source and its targets may have gone by then. A source that waits for a target already,
        or has gone, cannot wait for it with this frame too.
        """
        wait = []
        for target in targets:
            if target.port is source.port:
                continue
            if target.gone:
                self._drop(target, Reason.RECEIVER_LEFT, frame)
            elif not source.gone and source not in target.waiters:
                wait.append(target)
            elif not self._offer(target, frame):
                self._drop(target, Reason.QUEUE_FULL, frame)
        if wait:
            self.deliver(source, wait, frame)

    def hold(self, source: Endpoint, frame: bytes) -> None:
        """Keep a frame that came from an endpoint although that is paused."""
        size = len(frame)
        if len(source.held) >= self._held_frames or source.held_bytes + size > self._held_bytes:
            source.port.counters.lose(Reason.HELD_FULL, size)
            return
        source.held.append(frame)
        source.held_bytes += size

    def writable(self, target: Endpoint) -> None:
        """The link of an endpoint takes more."""
        self._write(target)
        if target.deadline is not None and self._is_drained(target):
            self._admit_waiters(target)
            self._go_on()

    def send_failed(self, target: Endpoint, frame: bytes) -> None:
        """The operating system has refused a frame that a link took."""
        counters = target.port.counters
        counters.sent.frames -= 1
        counters.sent.bytes -= len(frame)
        counters.lose(Reason.SEND_FAILED, len(frame))

    def detach(self, endpoint: Endpoint) -> None:
        """
        An endpoint is not there any more.

        What came from it is delivered as far as that goes at once; what waits for it is dropped.
        """
        endpoint.gone = True
        while endpoint.queue:
            self._drop(endpoint, Reason.RECEIVER_LEFT, endpoint.queue.popleft())
        endpoint.queued_bytes = 0
        self._turn_away(endpoint, Reason.RECEIVER_LEFT)
        self._recover(endpoint)
        if endpoint.paused:
            self._end_pause(endpoint)
        endpoint.paused = True
        self._go_on()

    # What does not go out at once

    def _offer(self, target: Endpoint, frame: bytes) -> bool:
        """Hand a frame over, or queue or drop it; if it should wait for room return False."""
        if not target.blocked and target.link.send(frame):
            target.port.counters.sent.add(len(frame))
            return True
        return self._queue(target, frame)

    def _write(self, target: Endpoint) -> None:
        """Hand over what waits for an endpoint, as far as its link takes it."""
        queue = target.queue
        send = target.link.send
        sent = target.port.counters.sent
        while queue:
            frame = queue[0]
            if not send(frame):
                return
            queue.popleft()
            target.queued_bytes -= len(frame)
            sent.add(len(frame))
        target.blocked = False
        self._recover(target)

    def _is_drained(self, target: Endpoint) -> bool:
        """Whether so much of a full queue is free that others may send to it again."""
        return (
            len(target.queue) <= self._drained_frames and target.queued_bytes <= self._drained_bytes
        )

    def _queue(self, target: Endpoint, frame: bytes) -> bool:
        """Queue a frame, or drop it; if it should wait for room return False."""
        size = len(frame)
        queue = target.queue
        if target.slow is not None:
            self._drop(target, Reason.SLOW, frame)
            return True
        if target.waiters:
            # They came first, and their wait must not depend on others' patience.
            return False
        if len(queue) >= self._max_frames or target.queued_bytes + size > self._max_bytes:
            if target.deadline is None or self._clock.seconds() < target.deadline:
                return False
            if self._has_drained_after_all(target):
                return self._offer(target, frame)
            self._give_up(target)
            self._drop(target, Reason.SLOW, frame)
            return True
        if not target.blocked:
            target.blocked = True
            if target.native is not None:
                target.native.closed()
        queue.append(frame)
        target.queued_bytes += size
        return True

    def _wait(self, source: Endpoint, targets: list[Endpoint], frame: bytes) -> None:
        """Pause an endpoint until others have room for a frame, unless it has waited enough."""
        now = self._clock.seconds()
        ends = now + self._pause_seconds
        for target in targets:
            if target.deadline is None:
                target.deadline = ends
            if not source.impatient and self._pause_seconds:
                target.waiters[source] = frame
                source.awaited[target] = None
            elif target.deadline <= now and not self._has_drained_after_all(target):
                self._give_up(target)
                self._drop(target, Reason.SLOW, frame)
            elif not self._offer(target, frame):
                self._drop(target, Reason.QUEUE_FULL, frame)
        if source.awaited and not source.paused:
            source.paused = True
            source.pause_timer = self._clock.callLater(
                self._pause_seconds, self._paused_enough, source
            )
            source.link.pause()

    def _drop(self, target: Endpoint, reason: Reason, frame: bytes) -> None:
        size = len(frame)
        target.port.counters.lose(reason, size)
        if target.slow is not None:
            target.slow.dropped.add(size)

    # Pauses and their ends

    def _paused_enough(self, source: Endpoint) -> None:
        source.pause_timer = None
        for target in list(source.awaited):
            if target in source.awaited:
                self._has_drained_after_all(target)
        # By now it may be paused anew.
        if source.awaited and source.pause_timer is None:
            self._end_pause(source)
            self._go_on()

    def _has_drained_after_all(self, target: Endpoint) -> bool:
        """
        Try once more whether the link of an endpoint takes what waits, before it counts as slow.

        Where processors are busy a timer comes late, and then before the news that there is room.
        """
        self.writable(target)
        return target.deadline is None or target.deadline > self._clock.seconds()

    def _end_pause(self, source: Endpoint) -> None:
        """Whoever had the time to drain and did not is slow; from here on there is no waiting."""
        source.impatient = True
        now = self._clock.seconds()
        for target in list(source.awaited):
            if target.deadline is not None and target.deadline <= now:
                self._give_up(target)
            else:
                self._drop(target, Reason.QUEUE_FULL, target.waiters.pop(source))
        source.awaited.clear()
        self._ready[source] = None

    def _give_up(self, target: Endpoint) -> None:
        """An endpoint is slow."""
        waiting = Traffic(len(target.queue), target.queued_bytes)
        target.slow = SlowEpisode(target, self._clock.seconds(), waiting)
        self._turn_away(target, Reason.SLOW)
        self._observer.slow(target.slow)

    def _turn_away(self, target: Endpoint, reason: Reason) -> None:
        """Whoever waits for an endpoint waits in vain."""
        target.deadline = None
        waiters, target.waiters = target.waiters, {}
        for source, frame in waiters.items():
            self._drop(target, reason, frame)
            self._waited(source, target)

    def _admit_waiters(self, target: Endpoint) -> None:
        """There is room at an endpoint: for the first of those who wait for it, perhaps for all."""
        target.deadline = None
        waiters, target.waiters = target.waiters, {}
        for source, frame in waiters.items():
            if self._offer(target, frame):
                self._waited(source, target)
            else:
                target.waiters[source] = frame
        if target.waiters:
            target.deadline = self._clock.seconds() + self._pause_seconds

    def _waited(self, source: Endpoint, target: Endpoint) -> None:
        """An endpoint need not wait for another any more."""
        del source.awaited[target]
        if not source.awaited:
            self._ready[source] = None

    def _go_on(self) -> None:
        """Deal with what was held of those who wait for nobody, then read from them again."""
        if self._going_on:
            # From within what one of them has sent: they have their turn after that.
            return
        self._going_on = True
        ready = self._ready
        try:
            while ready:
                source = next(iter(ready))
                del ready[source]
                self._read_on(source)
        finally:
            self._going_on = False

    def _read_on(self, source: Endpoint) -> None:
        """Deal with what was held of one, and read from it again if it need not wait for more."""
        held = source.held
        while held and not source.awaited:
            frame = held.popleft()
            source.held_bytes -= len(frame)
            self._forward(source, frame)
        if not source.awaited:
            source.impatient = False
            if source.pause_timer is not None:
                source.pause_timer.cancel()
                source.pause_timer = None
            if not source.gone:
                source.paused = False
                source.link.resume()

    def _recover(self, target: Endpoint) -> None:
        """If an endpoint was slow it is so no longer."""
        if target.slow is not None:
            episode, target.slow = target.slow, None
            self._observer.recovered(episode)
