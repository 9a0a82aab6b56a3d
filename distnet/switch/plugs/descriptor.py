"""A descriptor of which each read and each write is one frame, as an endpoint of the switch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Final

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from distnet.sockets.descriptor import error_name
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.link import IFrameLink
from distnet.switch.core.records import Endpoint

FRAMES_AT_ONCE: Final = 64
"""Frames read from a descriptor before the others have their turn."""
RETRY_SECONDS: Final = 0.002
"""
How often a full one is tried again, whatever poll(2) says of it.

That says of a socket that it can be written only when three quarters of the buffer have been read,
which for a reader of 10,000 frames in a second takes longer than anybody is paused.
"""
TRIES: Final = 50
"""After so many in vain its reader is taken to be dead, and poll(2) is waited for."""


class Errors(Counter[str]):
    """How many operations on descriptors failed, by the name of the error."""

    def count(self, error: OSError) -> None:
        """Count one."""
        self[error_name(error)] += 1

    def __str__(self) -> str:
        return ", ".join(f"{name} {count} times" for name, count in sorted(self.items()))


@implementer(IFrameLink, IReadWriteDescriptor)
class FrameDescriptor:
    """
    Frames from and to a descriptor that does not block. What that is says a subclass.

    @ivar description: who is at the other end.
    @cvar module: what kind of link it is.
    @cvar empty_is_the_end: a read of nothing says that nothing more comes; else it is a frame.
    @cvar is_socket: it is a socket.
    @cvar is_only_read: all that it does when frames have come is to read them, and this here is
        where it does so: so native code may.
    """

    module: ClassVar[str]
    empty_is_the_end: ClassVar[bool] = True
    is_socket: ClassVar[bool] = True
    is_only_read: ClassVar[bool] = False

    def __init__(
        self,
        reactor: Any,
        bridge: Bridge,
        errors: Errors,
        description: str,
        *,
        receive: Callable[[int], bytes],
        transmit: Callable[[bytes], object],
    ) -> None:
        """
        @param receive: reads a frame, of which it returns no more bytes than it is told.
        @param transmit: writes a frame.
        """
        self.description = description
        self._reactor = reactor
        self._bridge = bridge
        self._errors = errors
        self._receive = receive
        self._transmit = transmit
        self._endpoint: Endpoint | None = None
        self._open = True
        self._paused = False
        self._tries = 0
        self._retry: Any = None

    # For a subclass to say

    def fileno(self) -> int:
        """See IFileDescriptor."""
        raise NotImplementedError

    def close(self) -> None:
        """See L{IFrameLink}."""
        raise NotImplementedError

    def ended(self) -> None:
        """Nothing more will come."""
        raise NotImplementedError

    def unreadable(self, error: OSError) -> None:
        """Reading has failed."""
        self._errors.count(error)

    def refused(self, error: OSError, frame: bytes) -> bool:
        """
        The operating system does not take a frame, and not because it is full.

        @return: as C{send}.
        """
        self._errors.count(error)
        if self._endpoint is not None:
            self._bridge.send_failed(self._endpoint, frame)
        return True

    # For its owner

    def start(self, endpoint: Endpoint) -> None:
        """It is plugged in: read from now on."""
        self._endpoint = endpoint
        if not self._paused:
            self._reactor.addReader(self)

    def read_rest(self) -> None:
        """Whoever is at the other end has left: read what is still there, unless it is paused."""
        if not self._open or self._endpoint is None:
            return
        if self._endpoint.hot is not None:
            self._endpoint.hot.let_go()
        while not self._paused and self._read_some():
            pass

    def release(self) -> bool:
        """Use the descriptor no more. False if that was so already; else the caller closes it."""
        was_open, self._open = self._open, False
        if was_open:
            self._reactor.removeReader(self)
            self._stop_waiting()
        return was_open

    # What the bridge calls

    def send(self, frame: bytes) -> bool:
        """See L{IFrameLink}."""
        try:
            self._transmit(frame)
        except (BlockingIOError, InterruptedError):
            self._wait_for_room()
            return False
        except OSError as error:
            if not self.refused(error, frame):
                return False
        self._tries = 0
        return True

    def pause(self) -> None:
        """See L{IFrameLink}."""
        self._paused = True
        self._reactor.removeReader(self)

    def resume(self) -> None:
        """See L{IFrameLink}."""
        self._paused = False
        if self._open and self._endpoint is not None:
            self._reactor.addReader(self)

    # What the reactor calls

    def logPrefix(self) -> str:
        """See ILoggingContext."""
        return self.module

    def doRead(self) -> None:
        """Frames have come: take some, then it is the turn of others."""
        self._read_some()

    def _read_some(self) -> bool:
        """Whether there may be more to read."""
        receive, received, endpoint = self._receive, self._bridge.received, self._endpoint
        assert endpoint is not None
        # One more, so that a longer one does not look like a frame that fits.
        most = self._bridge.limits.max_frame + 1
        for _ in range(FRAMES_AT_ONCE):
            try:
                frame = receive(most)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                self.unreadable(error)
                return False
            if not frame and self.empty_is_the_end:
                self.ended()
                return False
            if not received(endpoint, frame) or not self._open:
                return False
        return True

    def doWrite(self) -> None:
        """There is room for what was refused."""
        self._stop_waiting()
        assert self._endpoint is not None
        self._bridge.writable(self._endpoint)

    def connectionLost(self, reason: Failure) -> None:
        """The operating system has given the descriptor up."""
        self.ended()

    def _wait_for_room(self) -> None:
        self._reactor.addWriter(self)
        if self._tries < TRIES and self._retry is None:
            self._tries += 1
            self._retry = self._reactor.callLater(RETRY_SECONDS, self.doWrite)

    def _stop_waiting(self) -> None:
        self._reactor.removeWriter(self)
        retry, self._retry = self._retry, None
        if retry is not None and retry.active():
            retry.cancel()
