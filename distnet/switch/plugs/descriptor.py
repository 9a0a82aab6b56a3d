"""Descriptors of which each read and each write is one frame, as endpoints of the switch."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from twisted.python.failure import Failure
from zope.interface import implementer

from distnet.sockets.descriptor import RetriedDescriptor, error_name
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.link import IFrameLink
from distnet.switch.core.records import Endpoint

FRAMES_AT_ONCE: Final = 64
"""Frames read from a descriptor before the others have their turn."""


class Errors(Counter[str]):
    """How many operations on descriptors failed, by the name of the error."""

    def count(self, error: OSError) -> None:
        """Count an operation that failed, under its error's name."""
        self[error_name(error)] += 1

    def __str__(self) -> str:
        return ", ".join(f"{name} {count} times" for name, count in sorted(self.items()))


@implementer(IFrameLink)
class FrameDescriptor(RetriedDescriptor):
    """
    Frames from and to a descriptor. A subclass says what that is.

    @ivar description: who is at the other end.
    @cvar module: what kind of link it is.
    @cvar empty_is_the_end: a read of nothing says that nothing more comes; else it is a frame.
    @cvar is_socket: it is a socket.
    @cvar is_sent_to: what is written to the descriptor goes to the other end, so that native code
        may do it too.
    @cvar is_only_read: all that it does when frames have come is to read them, and this here is
        where it does so: so native code may.
    """

    module: ClassVar[str]
    empty_is_the_end: ClassVar[bool] = True
    is_socket: ClassVar[bool] = True
    is_sent_to: ClassVar[bool] = True
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
        super().__init__(reactor)
        self.description = description
        self._bridge = bridge
        self._errors = errors
        self._receive = receive
        self._transmit = transmit
        self._endpoint: Endpoint | None = None
        self._open = True
        self._paused = False

    # For a subclass to say

    def close(self) -> None:
        """The bridge has ended the endpoint: end what it was for."""
        raise NotImplementedError

    def ended(self) -> None:
        """Nothing more will be read: whoever is at the other end has gone."""
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
        """The endpoint is plugged in: read from now on."""
        self._endpoint = endpoint
        if not self._paused:
            self.want_to_read(True)

    def read_rest(self) -> None:
        """Whoever is at the other end has left: read what is still there, unless it is paused."""
        if not self._open or self._endpoint is None:
            return
        if self._endpoint.native is not None:
            self._endpoint.native.let_go()
        while not self._paused and self._read_some():
            pass

    def release(self) -> bool:
        """Use the descriptor no more. False if that was so already; else the caller closes it."""
        was_open, self._open = self._open, False
        if was_open:
            self.want_to_read(False)
            self.stop_waiting()
        return was_open

    # What the bridge calls

    def send(self, frame: bytes) -> bool:
        """Write a frame now; False if there is no room, so that it has to be sent again."""
        try:
            self._transmit(frame)
        except (BlockingIOError, InterruptedError):
            self.wait_for_room()
            return False
        except OSError as error:
            if not self.refused(error, frame):
                return False
        self.retry.in_vain = 0
        return True

    def pause(self) -> None:
        """Read no more, so that what comes waits in the operating system."""
        self._paused = True
        self.want_to_read(False)

    def resume(self) -> None:
        """Read again, after a pause."""
        self._paused = False
        if self._open and self._endpoint is not None:
            self.want_to_read(True)

    # What the reactor calls

    def logPrefix(self) -> str:
        """How the reactor names it in the log: by its kind."""
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
        self.stop_waiting()
        assert self._endpoint is not None
        self._bridge.writable(self._endpoint)

    def connectionLost(self, reason: Failure) -> None:
        """The operating system has given the descriptor up."""
        self.ended()


class PlugService(Protocol):
    """What plugs descriptors in."""

    reactor: Any
    bridge: Bridge
    errors: Errors


class FrameSocket(FrameDescriptor):
    """
    Frames from and to a connected datagram socket, which is its own. A subclass says whose they
    are.
    """

    def __init__(self, service: PlugService, sock: socket.socket, description: str) -> None:
        super().__init__(
            service.reactor,
            service.bridge,
            service.errors,
            description,
            receive=sock.recv,
            transmit=sock.send,
        )
        self._socket = sock

    def fileno(self) -> int:
        """The descriptor of the socket, or -1 when it is closed."""
        return self._socket.fileno()

    def release(self) -> bool:
        """Close the socket. False if it was closed already."""
        if not super().release():
            return False
        self._socket.close()
        return True
