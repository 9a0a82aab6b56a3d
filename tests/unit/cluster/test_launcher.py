"""What a launcher prints, where that cannot be."""

from __future__ import annotations

import contextlib
import io
import sys

from twisted.trial.unittest import SynchronousTestCase

from distnet.cluster.launcher import Launcher
from tests.unit.cluster.test_config import config


class PrintTests(SynchronousTestCase):
    """L{Launcher}"""

    def test_a_full_disk(self) -> None:
        """What cannot be printed ends nothing, and later there is a line in its place."""
        launcher = Launcher(config())
        # What it holds back is never to be written, not even at its end.
        with contextlib.suppress(OSError), open("/dev/full", "w") as full:
            self.patch(sys, "stdout", full)
            launcher._print("lost")
        printed = io.StringIO()
        self.patch(sys, "stdout", printed)
        launcher._print("after")
        self.assertEqual(
            printed.getvalue(),
            "there may be lines missing here: No space left on device\nafter\n",
        )

    def test_nobody_reads(self) -> None:
        """A reader that has enough ends it."""
        launcher = Launcher(config())

        class Pipe(io.StringIO):
            def flush(self) -> None:
                raise BrokenPipeError

        self.patch(sys, "stdout", Pipe())
        self.assertRaises(BrokenPipeError, launcher._print, "a line")
