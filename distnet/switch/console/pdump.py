"""pdump: copies of frames in a pcap file. What to write and when; the file itself is a sink.

The format is pcap's first (version 2.4, host byte order, microseconds, Ethernet), which every
reader knows: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from twisted.logger import Logger

from distnet.switch.console.arguments import CommandError
from distnet.switch.core.bridge import Receive
from distnet.switch.core.records import Endpoint

DEFAULT_FILENAME: Final = "vde_dump.cap"
SNAPSHOT_LENGTH: Final = 65535
"""Bytes of a frame that are kept; what is longer is cut, and its record says so."""

_MAGIC: Final = 0xA1B2C3D4
_ETHERNET: Final = 1
_HEADER: Final = struct.Struct("=IHHiIII")
_RECORD: Final = struct.Struct("=IIII")


_log = Logger(namespace="distnet")


class Sink(Protocol):
    """Where a dump is written to."""

    def write(self, data: bytes, /) -> object:
        """Write a record, perhaps not yet to the disk. Raises OSError."""

    def flush(self) -> None:
        """Write what was kept back. Raises OSError."""

    def close(self) -> None:
        """Flush and close. Raises OSError."""


def header() -> bytes:
    """What a pcap file starts with."""
    return _HEADER.pack(_MAGIC, 2, 4, 0, 0, SNAPSHOT_LENGTH, _ETHERNET)


def record(frame: bytes | bytearray | memoryview, now: float) -> bytes:
    """A frame, seen at C{now} (seconds since the epoch), as a record of a pcap file."""
    microseconds = int(now * 1_000_000)
    kept = bytes(frame[:SNAPSHOT_LENGTH])
    return (
        _RECORD.pack(
            (microseconds // 1_000_000) & 0xFFFFFFFF,
            microseconds % 1_000_000,
            len(kept),
            len(frame),
        )
        + kept
    )


class PacketDump:
    """
    The dump of one switch.

    A file is opened when it is first needed, and kept until another is named: what is dumped after
    a pause comes behind what was there.

    @ivar filename: where to; the directory is the switch's own where it is relative.
    @ivar buffered: leave it to the sink when it writes; otherwise after every frame.
    @ivar written: frames.
    @ivar failed: frames that could not be written; the first of them ends the dump.
    """

    def __init__(
        self,
        open_file: Callable[[str], Sink],
        clock: Callable[[], float],
        wrap_received: Callable[[Callable[[Receive], Receive]], Callable[[], None]],
    ) -> None:
        """
        @param open_file: opens a new file. Raises OSError.
        @param clock: seconds since the epoch.
        @param wrap_received: as that of the bridge, which this sees the frames of.
        """
        self.filename = DEFAULT_FILENAME
        self.buffered = False
        self.written = 0
        self.failed = 0
        self._open_file = open_file
        self._clock = clock
        self._wrap_received = wrap_received
        self._sink: Sink | None = None
        self._leave: Callable[[], None] | None = None

    @property
    def active(self) -> bool:
        """Frames are being written."""
        return self._leave is not None

    def start(self) -> None:
        """Begin. Raises CommandError if it has begun, or if the file cannot be opened."""
        if self.active:
            raise CommandError(errno.EEXIST)
        if self._sink is None:
            try:
                self._sink = self._opened(self.filename)
            except OSError as error:
                raise CommandError(error.errno or errno.EIO) from error
        self._leave = self._wrap_received(self._dumping)

    def stop(self) -> None:
        """Pause. Raises CommandError if there is nothing to pause."""
        if not self.active:
            raise CommandError(errno.ENOENT)
        self._end()
        if self._sink is not None:
            self._attempt(self._sink.flush)

    def set_filename(self, filename: str) -> None:
        """Write to another file from now on. Raises OSError, and keeps the former one."""
        sink = self._opened(filename)
        self._close_file()
        self._sink, self.filename = sink, filename

    def set_buffered(self, buffered: bool) -> None:
        """Leave it to the sink when it writes, or not."""
        self.buffered = buffered
        if not buffered and self._sink is not None:
            self._attempt(self._sink.flush)

    def add(self, frame: bytes | bytearray | memoryview) -> None:
        """Write a frame. A disk that is full ends the dump."""
        sink = self._sink
        if sink is None:
            return
        data = record(frame, self._clock())

        def write() -> None:
            sink.write(data)
            if not self.buffered:
                sink.flush()

        if self._attempt(write):
            self.written += 1
        else:
            self.failed += 1

    def close(self) -> None:
        """Stop, and leave the file."""
        self._end()
        self._close_file()

    def _dumping(self, received: Receive) -> Receive:
        """What links call meanwhile: it takes a copy."""

        def dumped(endpoint: Endpoint, frame: bytes) -> bool:
            self.add(frame)
            return received(endpoint, frame)

        return dumped

    def _end(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()

    def _close_file(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            # What a full disk does not take is lost, the dump is over all the same.
            with suppress(OSError):
                sink.close()

    def _opened(self, filename: str) -> Sink:
        sink = self._open_file(filename)
        try:
            sink.write(header())
            sink.flush()
        except OSError:
            with suppress(OSError):
                sink.close()
            raise
        return sink

    def _attempt(self, write: Callable[[], None]) -> bool:
        try:
            write()
        except OSError as error:
            _log.warn(
                "the dump to {file} has ended, since that cannot be written: {why}",
                file=self.filename,
                why=error.strerror or error,
            )
            self.close()
            return False
        return True
