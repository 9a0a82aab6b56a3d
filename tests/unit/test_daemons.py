"""What tests of daemons have in common, with daemons of one line of shell."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.daemons import Daemon, answer, eventually, until


class Shell(Daemon):
    """A shell that runs a line, and is never ready."""

    noun = "shell"

    def __init__(self, log_path: Path, line: str) -> None:
        super().__init__(log_path)
        self._line = line

    def launch(self) -> None:
        """Start it."""
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(["sh", "-c", self._line], stdout=log)

    def is_ready(self) -> bool:
        """It never is."""
        return False


class WaitingTests(SynchronousTestCase):
    """What tests wait for."""

    def test_what_happens(self) -> None:
        """What is found is returned, the first time that there is something."""
        found = iter(("", 0, "this", "that"))
        self.assertEqual(eventually("it is there", lambda: next(found)), "this")

    def test_what_never_happens(self) -> None:
        """What does not happen in time is an error that names it."""
        for patience in (0, 0.02):
            with self.assertRaisesRegex(AssertionError, "^it is there: not within"):
                eventually("it is there", lambda: None, patience)

    def test_repeated(self) -> None:
        """What is repeated has a number each time, and has an end."""
        seen: list[int] = []
        for number in until("there are three", lambda: len(seen) == 3):
            seen.append(number)
        self.assertEqual(seen, [0, 1, 2])

    def test_repeated_in_vain(self) -> None:
        """It is an error to have repeated it for so long; how often is told."""
        numbers = until("it is full", lambda: False, 0)
        with self.assertRaisesRegex(AssertionError, "^it is full: not within 0 s, 0 times"):
            next(numbers)


class DaemonTests(SynchronousTestCase):
    """L{Daemon}."""

    def shell(self, line: str) -> Shell:
        """A daemon whose log is in a file of its own; what it was is gone after the test."""
        shell = Shell(Path(self.mktemp()), line)
        self.addCleanup(shell.kill)
        return shell

    def test_one_that_ends(self) -> None:
        """Of one that ends before it is ready, its log is told."""
        shell = self.shell("echo no port is free; exit 3")
        error = self.assertRaises(AssertionError, shell.start)
        self.assertIn("the shell ended before it is ready:\nno port is free\n", str(error))
        self.assertEqual(shell.stop(), 3)

    def test_what_was_logged_last(self) -> None:
        """Words that it has logged at its end are found; of others it is told that it has ended."""
        shell = self.shell("echo good; echo bye")
        shell.launch()
        shell.process.wait()
        self.assertEqual(shell.wait_for_log("bye"), "good\nbye\n")
        error = self.assertRaises(AssertionError, shell.wait_for_log, "hello")
        self.assertIn("the shell ended before its log says 'hello':\ngood", str(error))

    def test_ends_while_one_looks(self) -> None:
        """What it has done just before it ended is found, also if one had just looked for it."""
        shell = self.shell("trap 'echo bye; exit' TERM; echo hello; while sleep 0.01; do :; done")
        shell.launch()
        shell.wait_for_log("hello")

        def found() -> bool:
            seen = "bye" in shell.log()
            shell.stop()
            return seen

        self.assertTrue(shell.wait_until("it says so", found))

    def test_stop(self) -> None:
        """The status of one that a signal has ended is that of the signal."""
        shell = self.shell("exec sleep 600")
        shell.launch()
        self.assertEqual(shell.stop(), -15)

    def test_nobody_answers(self) -> None:
        """Where nobody listens there is no answer, and no error."""
        self.assertIsNone(answer(self.mktemp(), "/status"))
