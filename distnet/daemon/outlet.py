"""
Where a process writes lines that somebody reads who may stand still: a pager, a terminal on which
Control-S was pressed, a collector that hangs. No line ever waits for its reader.

A thread writes, since the descriptor is often shared with a shell or with other programs, for
which it would stop to block too if it did for us.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

MOST_BYTES: Final = 1024 * 1024
"""How much may wait for the reader; what comes beyond is dropped, and counted."""
PATIENCE_SECONDS: Final = 1.0
"""How long whoever waits until all is out bears with a reader that takes nothing."""
END_SECONDS: Final = 10.0
"""How long whoever waits until all is out does that for a reader that takes little."""
FULL_SECONDS: Final = 1.0
"""How long until it is tried again where there was no space, on a disk."""


class Outlet:
    """
    Lines, whole and in order, for a descriptor.

    @ivar dropped: lines that were not written and never will be.
    @ivar closed: whoever read the pipe has enough.
    """

    def __init__(
        self, descriptor: int, gap: Callable[[int], bytes], *, most_bytes: int = MOST_BYTES
    ) -> None:
        """
        @param gap: makes the line that stands in the place of so many that were dropped.
        """
        self.dropped = 0
        self.closed = False
        self._descriptor = descriptor
        self._gap = gap
        self._most_bytes = most_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._missing = 0
        self._patient = True
        self._given_up = False
        self._written = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Bytes that are not out yet."""
        return self._bytes

    def write(self, line: bytes) -> None:
        """Have a line written, with its end. While L{hurry} holds, it returns at once."""
        with self._changed:
            # Once there is a gap, it is one long one and not many short ones.
            limit = self._most_bytes // 2 if self._missing else self._most_bytes
            if self._bytes + len(line) > limit:
                self._missing += 1
                self.dropped += 1
            else:
                self._fill_gap()
                self._append(line)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
            self._changed.notify_all()
            if self._patient:
                self._wait()

    def hurry(self) -> None:
        """From now on nothing waits for the reader: the network does not stand still for it."""
        with self._changed:
            self._patient = False

    def be_patient(self) -> None:
        """
        Wait until all is out, and from now on with each line: nothing else is left to be done.

        A reader that takes nothing for L{PATIENCE_SECONDS} is not waited for until it takes more.
        """
        with self._changed:
            self._patient = True
            self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + END_SECONDS
        while (self._lines or self._missing) and not self._given_up:
            before = self._written
            self._changed.wait_for(partial(self._has_written_more, before), PATIENCE_SECONDS)
            self._given_up = self._written == before or time.monotonic() > end

    def _has_written_more(self, before: int) -> bool:
        return self._written != before

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        self._bytes += len(line)

    def _fill_gap(self) -> None:
        if self._missing:
            self._append(self._gap(self._missing))
            self._missing = 0

    # In the thread

    def _run(self) -> None:
        # They are to wake the thread that waits for them.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._missing)
                if not self._lines:
                    self._fill_gap()
                # It stays in the queue until it is written: it waits for the reader too.
                line = self._lines[0]
            written = self._write(line)
            with self._changed:
                self._lines.popleft()
                self._bytes -= len(line)
                self._written += 1
                self.dropped += not written
                self._given_up = False
                self._changed.notify_all()

    def _write(self, line: bytes) -> bool:
        """Returns whether anybody can read it."""
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Another program has the same terminal, and has it not block.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    self.closed = error.errno == errno.EPIPE
                    return False
                time.sleep(FULL_SECONDS)
        return True
