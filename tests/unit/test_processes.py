"""Processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from distnet.processes import how_ended, identity, program_of, start_time

NOBODY = 2**22 + 1
"""Above the highest pid that Linux gives, proc_sys_kernel(5)."""


class ProcessTests(SynchronousTestCase):
    """What tells one from another."""

    def test_ours(self) -> None:
        """A process that runs has started, and is known by that after the machine has too."""
        started = start_time(os.getpid())
        assert started is not None
        self.assertGreaterEqual(started, start_time(1) or 0)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self.assertEqual(identity(os.getpid()), f"{boot} {os.getpid()} {started}")

    def test_ended(self) -> None:
        """One that has ended is none, though its pid is kept until somebody asks how it ended."""
        with subprocess.Popen(["true"]) as child:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
            for pid in (NOBODY, child.pid):
                self.assertIsNone(start_time(pid))
                self.assertIsNone(identity(pid))

    def test_program(self) -> None:
        """A program is named as the kernel has it."""
        self.assertEqual(program_of(os.getpid()), Path("/proc/self/comm").read_text().strip())
        self.assertEqual(program_of(NOBODY), "gone")

    def test_how_ended(self) -> None:
        """A status is told, or the signal by its name, if it has one."""
        for end, told in (
            ("exit 3", "ended with status 3"),
            ("kill -TERM $$", "ended by SIGTERM"),
            (f"kill -{signal.SIGRTMIN + 3} $$", f"ended by signal {signal.SIGRTMIN + 3}"),
        ):
            self.assertEqual(how_ended(subprocess.call(["sh", "-c", end])), told)
