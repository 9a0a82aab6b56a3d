"""The file of a dump, where it can be written only in part."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from distnet.switch.console.dumpfile import BLOCK, DumpFile
from tests.unit.disks import room


class DumpFileTests(SynchronousTestCase):
    """L{DumpFile}"""

    def setUp(self) -> None:
        """A file."""
        self.path = Path(self.mktemp())
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = DumpFile(os.open(self.path, os.O_WRONLY | os.O_CREAT))

    def test_kept_back(self) -> None:
        """What is written is there after a flush, at the end, or once there is much of it."""
        self.file.write(b"a")
        self.assertEqual(self.path.read_bytes(), b"")
        self.file.flush()
        self.file.write(b"b" * BLOCK)
        self.file.write(b"c")
        self.assertEqual(self.path.read_bytes(), b"a" + b"b" * BLOCK)
        self.file.close()
        self.assertEqual(self.path.read_bytes(), b"a" + b"b" * BLOCK + b"c")

    def test_full(self) -> None:
        """However many bytes there is room for, whole records are there, and no other follow."""
        records = [b"one", b"three", b"seventeen"]
        for size in range(sum(map(len, records))):
            file = DumpFile(os.open(self.path, os.O_WRONLY | os.O_TRUNC))
            for record in records:
                file.write(record)
            with room(size):
                self.assertRaises(OSError, file.flush)
            file.close()
            whole = b"" if size < 3 else b"one" if size < 8 else b"onethree"
            self.assertEqual(self.path.read_bytes(), whole)

    def test_a_fifo(self) -> None:
        """What reads it has had what was written; that it has gone is told."""
        reader, writer = os.pipe()
        file = DumpFile(writer)
        file.write(b"a")
        file.flush()
        self.assertEqual(os.read(reader, 10), b"a")
        os.close(reader)
        file.write(b"b")
        self.assertRaises(BrokenPipeError, file.close)
