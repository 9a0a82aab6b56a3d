"""What an L{AsyncClient<distnet.client.twisted.AsyncClient>} has received, and who waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred

from distnet.wire import HEADER_SIZE


class Inbox:
    """
    Messages, as (source, data), for those who wait for them: both in order.

    @ivar reading: no more than the limit waits here, so that more is to be read.
    """

    def __init__(self, limit: int, read_on: Callable[[bool], object]) -> None:
        """
        @param limit: bytes, headers too, above which nothing more is to be read.
        @param read_on: called with L{reading} when that has changed.
        """
        self.reading = True
        self._limit = limit
        self._read_on = read_on
        self._messages: deque[tuple[int, bytes]] = deque()
        self._waiting = 0
        self._receivers: deque[Deferred[tuple[int, bytes]]] = deque()

    def is_empty(self) -> bool:
        """Whether no message is here."""
        return not self._messages

    def put(self, messages: Iterable[tuple[int, bytes]]) -> None:
        """Messages have come: hand them to those who wait, and keep the rest."""
        for message in messages:
            self._messages.append(message)
            self._waiting += HEADER_SIZE + len(message[1])
        while self._messages and self._receivers:
            self._receivers.popleft().callback(self._take())
        self._balance()

    def take(self) -> tuple[int, bytes] | None:
        """The next message; None if there is none, or others wait for it."""
        return self._take() if self._messages and not self._receivers else None

    def wait(self) -> Deferred[tuple[int, bytes]]:
        """The next message that is not for others who wait; may be cancelled."""
        receiver: Deferred[tuple[int, bytes]] = Deferred(self._receivers.remove)
        self._receivers.append(receiver)
        return receiver

    def fail(self, error: OSError) -> None:
        """Nothing more will come for those who wait, and why."""
        fail(self._receivers, error)

    def forget(self) -> None:
        """Throw away what was received."""
        self._messages.clear()
        self._waiting = 0
        self._balance()

    def _take(self) -> tuple[int, bytes]:
        message = self._messages.popleft()
        self._waiting -= HEADER_SIZE + len(message[1])
        self._balance()
        return message

    def _balance(self) -> None:
        """Stop reading above the limit, go on below half of it."""
        reading = self._waiting <= (self._limit // (1 if self.reading else 2))
        if reading != self.reading:
            self.reading = reading
            self._read_on(reading)


def again(error: OSError) -> OSError:
    """A fresh copy: an exception that is raised twice keeps both tracebacks."""
    copy = OSError(*error.args)
    copy.__cause__ = error.__cause__
    return copy


def fail(waiting: deque[Deferred[Any]], error: OSError) -> None:
    """Each gets the error, and whoever begins to wait meanwhile does not."""
    for _ in range(len(waiting)):
        if waiting:
            waiting.popleft().errback(again(error))
