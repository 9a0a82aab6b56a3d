"""Channels in memory, for tests of L{distnet.client.blocking}."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from distnet.client.blocking import Client

EVER = 10**9


class MemoryChannel:
    """
    A channel whose reads are given and whose writes are kept.

    @ivar reads: what the reads give one by one: bytes, None for "nothing now", an error to raise.
        When they are used up there is nothing now and never will be.
    @ivar room: how many bytes writes take before "nothing now".
    @ivar refills: how many more they take after each wait for writing.
    @ivar now: seconds; grows only by waiting in vain.
    """

    def __init__(self, *reads: bytes | OSError | None) -> None:
        self.reads = deque(reads)
        self.room = EVER
        self.refills: deque[int] = deque()
        self.write_error: OSError | None = None
        self.written = bytearray()
        self.closed = False
        self.now = 0.0

    def read(self, size: int) -> bytes | None:
        if not self.reads:
            return None
        data = self.reads.popleft()
        if isinstance(data, OSError):
            raise data
        if data is not None and len(data) > size:
            self.reads.appendleft(data[size:])
            data = data[:size]
        return data

    def write(self, data: memoryview) -> int:
        if self.write_error is not None:
            raise self.write_error
        taken = min(len(data), self.room)
        self.room -= taken
        self.written += data[:taken]
        return taken

    def writable(self) -> bool:
        return self.room > 0

    def wait(self, read: bool, write: bool, timeout: float | None) -> bool:
        if write and self.refills:
            self.room += self.refills.popleft()
            return True
        if (write and self.room) or (read and self.reads):
            return True
        if timeout is None:
            raise AssertionError("waits for ever")
        self.now += timeout
        return False

    def fileno(self) -> int:
        return 77

    def close(self) -> None:
        self.closed = True


class ClientCase(SynchronousTestCase):
    """What the cases share."""

    def client(self, channel: MemoryChannel, max_payload: int = 1024) -> Client:
        """A client that is not connected yet and will be through C{channel}."""
        return Client(
            max_payload=max_payload, open_channel=lambda _: channel, clock=lambda: channel.now
        )

    def connected(
        self, *reads: bytes | OSError | None, max_payload: int = 1024
    ) -> tuple[Client, MemoryChannel]:
        """A client with id 5 to which C{reads} come after its id."""
        # None: the greeting is a read of its own, and what follows is not there yet.
        channel = MemoryChannel(b"5", None, *reads)
        client = self.client(channel, max_payload)
        client.connect()
        return client, channel

    def fails(self, number: int, call: Callable[..., object], *arguments: object) -> OSError:
        """C{call} raises OSError with this errno."""
        error = self.assertRaises(OSError, call, *arguments)
        assert isinstance(error, OSError)
        self.assertEqual(error.errno, number, str(error))
        return error
