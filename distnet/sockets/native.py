"""Where native code meets the reactor: in the place of its epoll object.

Twisted owns the reactor and every transport. But in the place of its epoll object stands one that
serves the descriptors which it was told of itself, and returns what it does not serve.
"""

from __future__ import annotations

import select
from typing import Any

from twisted.internet.epollreactor import EPollReactor

from distnet._native import NotNative


def poller_of(reactor: Any) -> Any:
    """The epoll object of a reactor. Raises L{NotNative} if it has none of its own."""
    if not isinstance(reactor, EPollReactor) or not isinstance(reactor._poller, select.epoll):
        raise NotNative("the reactor has no epoll of its own")
    return reactor._poller


class HotPath:
    """What stands in the place of a reactor's epoll object. A subclass has L{poll}."""

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

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """As of C{select.epoll}: events of descriptors that are not served here."""
        raise NotImplementedError
