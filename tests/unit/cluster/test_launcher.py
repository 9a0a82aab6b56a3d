"""What a launcher prints, where that cannot be."""

from __future__ import annotations

import os
import sys

from twisted.trial.unittest import SynchronousTestCase

from distnet.cluster.launcher import Launcher
from distnet.daemon import outlet
from tests.daemons import eventually
from tests.unit.cluster.test_config import config


class PrintTests(SynchronousTestCase):
    """L{Launcher}"""

    def setUp(self) -> None:
        """A launcher that prints into a pipe."""
        self.launcher = Launcher(config())
        self.end, descriptor = os.pipe()
        stdout = os.fdopen(descriptor, "w")
        self.addCleanup(stdout.close)
        self.patch(sys, "stdout", stdout)

    def test_a_full_disk(self) -> None:
        """What cannot be printed ends nothing, and is printed when there is space."""
        self.patch(outlet, "FULL_SECONDS", 0.01)
        pipe = os.dup(sys.stdout.fileno())
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, sys.stdout.fileno())
        os.close(full)
        self.launcher._print("before")
        os.dup2(pipe, sys.stdout.fileno())
        os.close(pipe)
        self.launcher._print("after")
        self.launcher._wait_until_printed()
        self.assertEqual(os.read(self.end, 100), b"before\nafter\n")
        os.close(self.end)

    def test_nobody_reads(self) -> None:
        """A reader that has enough ends it."""
        os.close(self.end)
        self.launcher._print("a line")
        printing = self.launcher._outlet
        assert printing is not None
        eventually("it is noticed", lambda: printing.closed)
        self.assertRaises(BrokenPipeError, self.launcher._print, "another line")
