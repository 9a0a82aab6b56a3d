"""What becomes of a log whose file is moved away."""

from __future__ import annotations

from pathlib import Path

from twisted.logger import Logger, globalLogPublisher, textFileLogObserver
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from distnet.daemon.logfile import reopen


class ReopenTests(SynchronousTestCase):
    """L{reopen}"""

    def setUp(self) -> None:
        """Log to a file, as twistd does, and move it away."""
        self.path = Path(self.mktemp()).absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = LogFile.fromFullPath(str(self.path))
        observer = textFileLogObserver(file)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(file.close)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
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
