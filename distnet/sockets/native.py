"""Where native code meets the reactor: in the place of its epoll object.

Twisted owns the reactor and every transport. But in the place of its epoll object stands one that
serves the descriptors which it was told of itself, and returns what it does not serve.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

from distnet._native import NotNative

_log = Logger(namespace="distnet")


def poller_of(reactor: Any) -> Any:
    """The epoll object of a reactor. Raises L{NotNative} if it has none of its own."""
    if not isinstance(reactor, EPollReactor) or not isinstance(reactor._poller, select.epoll):
        raise NotNative("the reactor has no epoll of its own")
    return reactor._poller


class NativePath:
    """The way of traffic by native code: what stands in the place of a reactor's epoll object."""

    def __init__(self, reactor: Any, native: Any) -> None:
        """
        @param native: an object of L{distnet._native} that serves the epoll descriptor of
            L{poller_of} this reactor.
        """
        self._reactor = reactor
        self._native = native
        self._poller: Any = reactor._poller
        self.register = native.register
        self.modify = native.modify
        self.unregister = native.unregister

    def start(self) -> None:
        """Serve from now on."""
        for fd in self._reactor._selectables:
            reads = select.EPOLLIN if fd in self._reactor._reads else 0
            writes = select.EPOLLOUT if fd in self._reactor._writes else 0
            self._native.knows(fd, reads | writes)
        self._reactor._poller = self

    def stop(self) -> None:
        """Serve no more."""
        if self._reactor._poller is self:
            self._reactor._poller = self._poller

    # For a subclass to say

    def count(self) -> None:
        """Add what was counted by native code to the counters that Python has."""
        raise NotImplementedError

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As C{select.epoll.poll}: events of descriptors that are not served here."""
        raise NotImplementedError


NativeT = TypeVar("NativeT", bound=NativePath)


class Way(Generic[NativeT]):
    """
    The way that the traffic of a service goes: by native code, or by Python, and why.

    @ivar native: the way by native code, or None if there is none.
    @ivar why_not: why there is none, in a few words; None if there is one.
    """

    def __init__(self, what: str, make: Callable[[], NativeT]) -> None:
        """
        @param what: what is done to the traffic, for the log, such as C{messages are routed}.
        @param make: makes the way by native code, or raises L{NotNative}.
        """
        self.native: NativeT | None = None
        self.why_not: str | None = None
        self._what = what
        try:
            self.native = make()
        except NotNative as why:
            self.why_not = str(why)

    def start(self) -> None:
        """Serve by native code from now on, where it can; say in the log which way it is."""
        if self.native is not None:
            self.native.start()
            _log.info("{what} by native code", what=self._what)
        else:
            _log.info(
                "{what} by Python, not by native code: {why}", what=self._what, why=self.why_not
            )

    def stop(self) -> None:
        """Serve no more by native code."""
        if self.native is not None:
            self.native.stop()

    def count(self) -> None:
        """Bring the counters that Python has up to date."""
        if self.native is not None:
            self.native.count()
