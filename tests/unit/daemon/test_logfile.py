"""What becomes of a log whose file is moved away, or whose disk is full."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger, LogLevel, globalLogPublisher, textFileLogObserver
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from distnet.daemon.logfile import WholeLines, keep_lines_whole, reopen
from tests.unit.disks import room


class ReopenTests(SynchronousTestCase):
    """L{reopen}"""

    def setUp(self) -> None:
        """Log to a file, as twistd does, and move it away."""
        self.path = Path(self.mktemp()).absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = LogFile.fromFullPath(str(self.path))
        self.observer = observer = textFileLogObserver(file)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(file.close)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        keep_lines_whole()
        self.moved = self.path.rename(f"{self.path}.1")
        self.log = Logger()

    def test_moved(self) -> None:
        """It goes on in a new file, which says why it begins there."""
        reopen()
        self.log.info("what comes after")
        self.assertEqual(self.moved.read_text(), "")
        first, second = self.path.read_text().splitlines()
        self.assertIn("received SIGHUP", first)
        self.assertIn("what comes after", second)

    def test_made_by_another(self) -> None:
        """It goes on at the end of one that is there."""
        self.path.write_text("there already\n")
        reopen()
        self.assertEqual(self.path.read_text().splitlines()[0], "there already")
        self.assertEqual(len(self.path.read_text().splitlines()), 2)

    def test_cannot_be_opened(self) -> None:
        """It goes on where it was, and says why."""
        self.path.mkdir()
        reopen()
        self.log.info("what comes after")
        first, second = self.moved.read_text().splitlines()
        self.assertIn(f"{self.path} cannot be opened anew", first)
        self.assertIn("Is a directory", first)
        self.assertIn("what comes after", second)

    def test_a_full_disk(self) -> None:
        """What has no room is not there in part, and is counted where it is missing."""

        def log(text: str) -> None:
            # Past trial's own log, which would meet the same end.
            self.observer({"log_format": text, "log_level": LogLevel.info, "log_time": 0.0})

        log("first")
        size = self.moved.stat().st_size
        for more in (0, 1, 20):
            with room(size + more):
                log("second")
                log("third")
            self.assertEqual(self.moved.stat().st_size, size)
        log("fourth")
        log("fifth")
        first, gap, fourth, fifth = self.moved.read_text().splitlines()
        self.assertIn("first", first)
        self.assertIn("lines of the log that are missing here (File too large): 6", gap)
        self.assertIn("fourth", fourth)
        self.assertIn("fifth", fifth)

    def test_a_device(self) -> None:
        """A device takes what it takes."""
        for path, dropped in (("/dev/null", 0), ("/dev/full", 1)):
            lines = WholeLines(LogFile.fromFullPath(path), lambda event: "gap\n")
            lines.write("a line\n")
            self.assertEqual(lines.dropped, dropped)
