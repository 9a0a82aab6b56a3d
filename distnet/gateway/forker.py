"""What forks guests' processes, as the gateway has it: see L{distnet.gateway.zygote}."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.gateway.channel import Channel, Message, pair
from distnet.gateway.restarts import Restarts
from distnet.sockets.descriptor import Descriptor

ANSWER_SECONDS: Final = 5.0
"""How long it has to answer."""
END_SECONDS: Final = 2.0
"""How long it has to end."""
MESSAGES_AT_ONCE: Final = 16
"""How many are read before others have their turn."""
MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": str(128 * 1024)}
"""
mallopt(3): the size from which on memory is mapped by itself, and costs what is written of it. That
is its value, but unless it is said it grows with what was freed once: then libslirp's buffers cost
each guest's process 200 kB more, or do not, by what was imported before the fork(2).
"""

_log = Logger(namespace="distnet")


class Forker(Descriptor):
    """
    The process that forks guests' processes, and is started again if it ends. Those that it has
    forked go on without it.
    """

    prefix = "zygote"

    def __init__(
        self,
        reactor: Any,
        words: Sequence[str],
        told: Callable[[Message], None],
        there: Callable[[], None],
        gone: Callable[[], None],
    ) -> None:
        """
        @param words: for L{distnet.gateway.zygote.main}.
        @param told: called with what it tells.
        @param there: called when it can be asked.
        @param gone: called when it has ended, and will tell nothing more.
        """
        super().__init__(reactor)
        self._command = [sys.executable, "-m", "distnet.gateway.zygote", *words]
        self._told = told
        self._there = there
        self._gone = gone
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._restarts = Restarts(reactor, "what forks guests' processes", self.start)
        self._unanswered = 0
        self._deadline: Any = None

    @property
    def is_there(self) -> bool:
        """Whether it can be asked."""
        return self._channel is not None

    def start(self) -> None:
        """Start it."""
        self._restarts.begun()
        try:
            ours, its = pair()
        except OSError as error:
            self._restarts.later("cannot be started", error.strerror or str(error))
            return
        try:
            with its:
                self._process = subprocess.Popen(
                    self._command, stdin=its.fileno(), env=os.environ | MALLOC
                )
        except OSError as error:
            ours.close()
            self._restarts.later("cannot be started", error.strerror or str(error))
            return
        self._channel = Channel(ours)
        self.want_to_read(True)
        self._there()

    def stop(self) -> None:
        """End it, for good."""
        self._restarts.stop()
        self._end()

    def ask(self, words: Message, *descriptors: int) -> bool:
        """Ask for a process. Returns False if that is not possible now."""
        if self._channel is None or not self._channel.send(words, *descriptors):
            return False
        self._unanswered += 1
        if self._deadline is None:
            self._wait_for_answer()
        return True

    def _wait_for_answer(self) -> None:
        self._deadline = self._reactor.callLater(ANSWER_SECONDS, self._does_nothing)

    def _wait_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _does_nothing(self) -> None:
        """It may have been stopped: those that it has forked go on, and newcomers need another."""
        self._deadline = None
        assert self._process is not None
        _log.error("what forks guests' processes does nothing any more: ended")
        self._process.kill()

    def _hear(self, message: Message) -> None:
        if "ended" not in message:
            self._unanswered -= 1
            self._wait_no_more()
            if self._unanswered > 0:
                self._wait_for_answer()
        if "forked" not in message:
            self._told(message)

    def fileno(self) -> int:
        return -1 if self._channel is None else self._channel.socket.fileno()

    def doRead(self) -> None:
        """It tells of a process, or has ended."""
        assert self._channel is not None
        if not self._channel.hear(MESSAGES_AT_ONCE, self._hear):
            self._has_ended()

    def connectionLost(self, reason: Failure) -> None:
        """It cannot be read any more, for a mistake of ours perhaps: have another one."""
        if self._channel is not None:
            self._has_ended()

    def _has_ended(self) -> None:
        status = self._end()
        self._gone()
        self._restarts.later("has ended", f"status {status}")

    def _end(self) -> int | None:
        process, self._process = self._process, None
        self._unanswered = 0
        self._wait_no_more()
        if self._channel is not None:
            self.want_to_read(False)
            self._channel.close()
            self._channel = None
        if process is None:
            return None
        # Without its socket it ends by itself.
        try:
            return process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
