"""The packet dump: its format, and when it writes."""

from __future__ import annotations

import errno
import struct
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.switch.console.arguments import CommandError
from distnet.switch.console.pdump import (
    DEFAULT_FILENAME,
    SNAPSHOT_LENGTH,
    PacketDump,
    header,
    record,
)
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.limits import BridgeLimits
from distnet.testing import FakeFrameLink, NotingBridgeObserver

FRAME = bytes(range(60))


class MemoryFile:
    """A file that is the test."""

    def __init__(self) -> None:
        self.written = b""
        self.flushed = b""
        self.closed = False
        self.full = False

    def write(self, data: bytes, /) -> None:
        """Take it, unless full."""
        if self.full:
            raise OSError(errno.ENOSPC, "full")
        self.written += data

    def flush(self) -> None:
        """What was written until now is in the file."""
        self.flushed = self.written

    def close(self) -> None:
        """Flush, and be closed."""
        self.flush()
        self.closed = True


class FormatTests(SynchronousTestCase):
    """Tests for C{header} and C{record}."""

    def test_header(self) -> None:
        """The header says version 2.4, the longest frame, and Ethernet."""
        self.assertEqual(
            struct.unpack("=IHHiIII", header()), (0xA1B2C3D4, 2, 4, 0, 0, SNAPSHOT_LENGTH, 1)
        )

    def test_record(self) -> None:
        """A record has the time in seconds and microseconds, and both lengths."""
        data = record(FRAME, 1_700_000_000.25)
        self.assertEqual(struct.unpack("=IIII", data[:16]), (1_700_000_000, 250_000, 60, 60))
        self.assertEqual(data[16:], FRAME)

    def test_long_frame(self) -> None:
        """A frame beyond the limit is cut, and its record says how long it was."""
        data = record(bytes(SNAPSHOT_LENGTH + 1), 0)
        self.assertEqual(
            struct.unpack("=IIII", data[:16]), (0, 0, SNAPSHOT_LENGTH, SNAPSHOT_LENGTH + 1)
        )
        self.assertEqual(len(data), 16 + SNAPSHOT_LENGTH)

    def test_byte_order(self) -> None:
        """It is written in the order of this machine."""
        self.assertEqual(int.from_bytes(header()[:4], sys.byteorder), 0xA1B2C3D4)


class DumpTests(SynchronousTestCase):
    """Tests for L{PacketDump}."""

    def setUp(self) -> None:
        """A dump to memory."""
        self.files: dict[str, MemoryFile] = {}
        self.now = 0.0
        self.bridge = Bridge(BridgeLimits(), NotingBridgeObserver(), Clock())
        self.addCleanup(self.bridge.stop)
        self.endpoint = self.bridge.attach(FakeFrameLink())
        self.dump = PacketDump(self.open, lambda: self.now, self.bridge.wrap_received)

    def receive(self, now: float = 0) -> None:
        """A frame comes to the bridge."""
        self.now = now
        self.bridge.received(self.endpoint, FRAME)

    def open(self, path: str) -> MemoryFile:
        """A new file."""
        if path == "bad":
            raise OSError(errno.EACCES, "no")
        self.files[path] = MemoryFile()
        return self.files[path]

    def refused(self, number: int, action: object, *arguments: object) -> None:
        """It is refused with this errno."""
        error = self.assertRaises(CommandError, action, *arguments)
        self.assertEqual(error.number, number)

    def test_only_while_active(self) -> None:
        """Frames are written while it is active, those after a pause behind the others."""
        self.receive(0)
        self.assertEqual(self.files, {})
        self.dump.start()
        self.refused(errno.EEXIST, self.dump.start)
        self.receive(1)
        self.dump.stop()
        self.refused(errno.ENOENT, self.dump.stop)
        self.receive(2)
        self.dump.start()
        self.receive(3)
        self.assertEqual(
            self.files[DEFAULT_FILENAME].flushed, header() + record(FRAME, 1) + record(FRAME, 3)
        )
        self.assertEqual((self.dump.written, self.dump.failed), (2, 0))
        self.assertEqual(self.endpoint.port.counters.received.frames, 4)

    def test_diverts(self) -> None:
        """All frames go by Python while it is active, and not a moment longer."""
        for end in (self.dump.stop, self.dump.close):
            self.assertFalse(self.bridge.divert)
            self.dump.start()
            self.assertTrue(self.bridge.divert)
            end()
        self.assertFalse(self.bridge.divert)

    def test_buffered(self) -> None:
        """Buffered, nothing is flushed until it is not, or paused, or closed."""
        self.dump.start()
        self.dump.set_buffered(True)
        file = self.files[DEFAULT_FILENAME]
        self.receive(0)
        self.assertEqual(file.flushed, header())
        self.dump.set_buffered(False)
        self.assertEqual(file.flushed, header() + record(FRAME, 0))
        self.dump.set_buffered(True)
        self.receive(0)
        self.dump.stop()
        self.assertEqual(file.flushed, file.written)
        self.dump.close()
        self.assertTrue(file.closed)

    def test_another_file(self) -> None:
        """Another file is written from then on; one that cannot be written changes nothing."""
        self.dump.start()
        self.dump.set_filename("other")
        self.assertTrue(self.files[DEFAULT_FILENAME].closed)
        self.assertTrue(self.dump.active)
        self.assertRaises(OSError, self.dump.set_filename, "bad")
        self.receive(0)
        self.assertEqual(self.files["other"].flushed, header() + record(FRAME, 0))
        self.assertEqual(self.dump.filename, "other")

    def test_cannot_start(self) -> None:
        """What the machine says is the answer."""
        self.dump.filename = "bad"
        self.refused(errno.EACCES, self.dump.start)
        self.assertFalse(self.dump.active)

    def test_full(self) -> None:
        """A full disk ends it, and it can be begun anew."""
        self.dump.start()
        self.files[DEFAULT_FILENAME].full = True
        self.receive(0)
        self.assertEqual((self.dump.active, self.dump.written, self.dump.failed), (False, 0, 1))
        self.assertFalse(self.bridge.divert)
        self.dump.start()
        self.receive(0)
        self.assertEqual(self.dump.written, 1)
