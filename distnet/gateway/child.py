"""One guest's process, as the gateway has it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import termios
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.gateway.channel import Channel, Message
from distnet.gateway.merge import MOST_IN_BATCH, batch_of
from distnet.gateway.state import Flow
from distnet.mac import format_mac
from distnet.sockets.descriptor import Descriptor

STUCK_SECONDS: Final = 5.0
"""
How long a process may take nothing at all while there is more for it than there is room for; or
else, how long until it is asked whether it is there, and how long it has to answer.
"""
END_SECONDS: Final = 2.0
"""How long one has to end that was told to."""
MESSAGES_AT_ONCE: Final = 16
"""How many are read before others have their turn."""

_log = Logger(namespace="distnet")


class Child(Descriptor):
    """
    A guest's process.

    @ivar mac: the guest's, 6 bytes.
    @ivar proven: the guest has answered what was sent to it.
    @ivar open: its connections to the master, by the guest's address and port.
    @ivar ways_in: connections to its guest from ports of this machine; some may have ended.
    @ivar dropped: frames that it was not given, or has not taken, by the reason.
    @ivar pid: its number, or None until it has told.
    @ivar pinned: it is needed though its guest does nothing.
    @ivar ending: it was told to end, or killed, or has said good-bye.
    @ivar done: it has said good-bye.
    @ivar told: how it ended has been logged.
    @ivar orphan: what has forked it has ended, and will not tell how it does.
    """

    prefix = "guest"

    def __init__(self, reactor: Any, mac: bytes, frames: socket.socket, channel: Channel) -> None:
        super().__init__(reactor)
        self.mac = mac
        self.since: float = reactor.seconds()
        self.proven = False
        self.pinned = False
        self.ending = False
        self.done = False
        self.told = False
        self.orphan = False
        self.open: set[tuple[bytes, int]] = set()
        self.ways_in: dict[Flow, None] = {}
        self.dropped: Counter[str] = Counter()
        self.pid: int | None = None
        self.received: Callable[[Child, Message], None] | None = None
        self.lost: Callable[[Child], None] | None = None
        self._frames = frames
        self._channel = channel
        self._full_since: float | None = None
        self._watch: Any = None
        self._doubted = False
        self._deadline: Any = None
        self._closed = False
        self.want_to_read(True)

    def input(self, *frames: bytes) -> bool:
        """Hand it frames of its guest's. False if it has ended, which is only not told yet."""
        if len(frames) > MOST_IN_BATCH:
            return all([self.input(*frames[:MOST_IN_BATCH]), self.input(*frames[MOST_IN_BATCH:])])
        try:
            self._frames.send(batch_of(frames))
        except BlockingIOError:
            self.dropped["its process is busy"] += len(frames)
            self._full()
        except OSError:
            return False
        else:
            self._full_since = None
            if self._watch is None:
                self._watch = self._reactor.callLater(STUCK_SECONDS, self._look)
        return True

    def _look(self) -> None:
        """Whether it has taken what it was given; if not, it is asked, since it may be busy."""
        self._watch = None
        if self._closed or not _unread(self._frames):
            self._doubted = False
        elif self._doubted:
            self._is_stuck()
        else:
            self._doubted = True
            self.tell({"there": True})
            self._watch = self._reactor.callLater(STUCK_SECONDS, self._look)

    def tell(self, message: Message, *descriptors: int) -> None:
        """Send it a message."""
        if not self._channel.send(message, *descriptors):
            self._full()

    def end(self, why: str, *, reset: bool) -> None:
        """Have it end, by itself or else by force. C{reset}: its guest is to know."""
        self.ending = True
        self.tell({"end": why, "reset": reset})
        if self._deadline is None and not self._closed:
            self._deadline = self._reactor.callLater(END_SECONDS, self.kill)

    def make_room(self, why: str) -> None:
        """Have it end, unless its guest has answered, be it that it has not read that yet."""
        self.tell({"make_room": why})
        if self._deadline is None and not self._closed:
            self._deadline = self._reactor.callLater(END_SECONDS, self._kill_unproven)

    def _kill_unproven(self) -> None:
        self._deadline = None
        if not self.proven:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        if self._closed:
            return
        self.ending = True
        if self.pid is None:
            # There is none yet; should there be one after all, it sees that nobody wants it.
            self._end()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _full(self) -> None:
        if self._closed:
            return
        now = self._reactor.seconds()
        if self._full_since is None:
            self._full_since = now
        elif now - self._full_since > STUCK_SECONDS:
            self._is_stuck()

    def _is_stuck(self) -> None:
        if not self.ending:
            _log.error("{mac}: its process does nothing any more: ended", mac=format_mac(self.mac))
            self.kill()

    def fileno(self) -> int:
        return self._channel.socket.fileno()

    def doRead(self) -> None:
        """It has told something, or has ended."""
        if not self._channel.hear(MESSAGES_AT_ONCE, self._hear):
            self._end()

    def _hear(self, message: Message) -> None:
        # Whatever it says, it is there.
        self._doubted = False
        assert self.received is not None
        self.received(self, message)

    def connectionLost(self, reason: Failure) -> None:
        """It cannot be read any more, for a mistake of ours perhaps: end it, and go on."""
        self.kill()
        self._end()

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.want_to_read(False)
        self._channel.close()
        self._frames.close()
        assert self.lost is not None
        self.lost(self)


def _unread(sock: socket.socket) -> int:
    """How many bytes the other end has not read yet; unix(7) has nothing of it, but tcp(7) has."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
