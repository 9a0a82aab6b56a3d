"""Where lines go whose reader may stand still."""

from __future__ import annotations

import contextlib
import os
import threading

from twisted.trial.unittest import SynchronousTestCase

from distnet.daemon import outlet
from distnet.daemon.outlet import Outlet
from tests.daemons import eventually

PIPE = 65536
"""Bytes that a pipe holds on Linux, if not more."""


def gap(lines: int) -> bytes:
    """What stands for lines that are missing."""
    return b"missing %d\n" % lines


class OutletTests(SynchronousTestCase):
    """L{Outlet}"""

    def setUp(self) -> None:
        """A pipe, and an outlet for one of its ends."""
        self.end, self.descriptor = os.pipe()
        self.outlet = Outlet(self.descriptor, gap, most_bytes=PIPE)
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close both ends; nothing waits any more for what was open there to be read."""
        os.close(self.end)
        eventually("all is dropped", lambda: not self.outlet.waiting)
        os.close(self.descriptor)

    def read(self) -> bytes:
        """All that comes, while the outlet writes it."""
        pieces: list[bytes] = []
        reading = os.dup(self.end)

        def read() -> None:
            while piece := os.read(reading, 4096):
                pieces.append(piece)

        reader = threading.Thread(target=read)
        reader.start()
        self.outlet.be_patient()
        # Its end is the end of what was written.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.descriptor)
        os.close(nowhere)
        reader.join()
        os.close(reading)
        return b"".join(pieces)

    def fill(self) -> list[bytes]:
        """Write more than the pipe and the outlet hold, without waiting. Returns the lines."""
        self.outlet.hurry()
        lines = [b"line %04d" % number + b"." * 1000 for number in range(1000)]
        for line in lines:
            self.outlet.write(line + b"\n")
        return lines

    def test_at_once(self) -> None:
        """A line is out when it was written, unless there is hurry."""
        for line in (b"one\n", b"two\n"):
            self.outlet.write(line)
            os.set_blocking(self.end, False)
            self.assertEqual(os.read(self.end, 100), line)

    def test_a_reader_that_stands_still(self) -> None:
        """Nothing waits for it. When it reads, all comes in order, and what is missing is told."""
        lines = self.fill()
        got = self.read().splitlines()
        self.assertEqual(got[0], lines[0])
        told = [line for line in got if line.startswith(b"missing")]
        there = [line for line in got if line not in told]
        self.assertEqual(there, sorted(there))
        self.assertEqual(set(there) - set(lines), set())
        missing = sum(int(line.split()[1]) for line in told)
        self.assertTrue(missing)
        self.assertEqual(missing, len(lines) - len(there))
        self.assertEqual(self.outlet.dropped, missing)

    def test_the_place_of_what_is_missing(self) -> None:
        """It is told between the line before it and the one after it."""
        self.fill()
        before, taken = -1, b""
        while self.outlet.dropped != before:
            # Once half of what waits is out, there is room again.
            taken += os.read(self.end, PIPE)
            before = self.outlet.dropped
            self.outlet.write(b"after\n")
        got = (taken + self.read()).splitlines()
        self.assertTrue(got[got.index(b"after") - 1].startswith(b"missing"))

    def test_the_end_comes_without_it(self) -> None:
        """Whoever waits until all is out does not wait for ever; with nothing new, not again."""
        self.patch(outlet, "PATIENCE_SECONDS", 0.01)
        self.fill()
        self.outlet.be_patient()
        self.patch(outlet, "PATIENCE_SECONDS", 1000)
        self.outlet.write(b"the last one\n")

    def test_it_may_be_a_terminal_that_does_not_block(self) -> None:
        """Another program has it not block: nothing is lost for that."""
        os.set_blocking(self.descriptor, False)
        written = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                written += os.write(self.descriptor, b"-")
        self.outlet.hurry()
        lines = [b"%d\n" % number for number in range(100)]
        for line in lines:
            self.outlet.write(line)
        self.assertEqual(self.read(), b"-" * written + b"".join(lines))

    def test_nobody_reads(self) -> None:
        """What nobody will ever read is dropped."""
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, self.end)
        os.close(nowhere)
        self.outlet.write(b"one\n")
        self.assertEqual(self.outlet.dropped, 1)

    def test_a_full_disk(self) -> None:
        """A line waits until there is space."""
        self.patch(outlet, "FULL_SECONDS", 0.01)
        self.patch(outlet, "PATIENCE_SECONDS", 0.01)
        pipe = os.dup(self.descriptor)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, self.descriptor)
        os.close(full)
        self.outlet.write(b"one\n")
        self.assertEqual(self.outlet.dropped, 0)
        os.dup2(pipe, self.descriptor)
        os.close(pipe)
        self.assertEqual(os.read(self.end, 100), b"one\n")
