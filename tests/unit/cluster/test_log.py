"""What consoles have said, and how it is shown."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from distnet.cluster.log import Follower, last_lines, size


class ConsoleTests(SynchronousTestCase):
    """A log that grows."""

    def setUp(self) -> None:
        """There is none yet."""
        self.log = Path(self.mktemp())

    def write(self, data: bytes) -> None:
        """Append to the log."""
        with self.log.open("ab") as log:
            log.write(data)

    def test_lines(self) -> None:
        """A line is told once, when it has come to its end, without what ends it."""
        follower = Follower(self.log)
        self.assertEqual(follower.lines(), [])
        self.write(b"one\r\ntw")
        self.assertEqual(follower.lines(), ["one"])
        self.write(b"o\n\xff\n")
        self.assertEqual(follower.lines(), ["two", "\ufffd"])
        self.assertEqual(follower.lines(), [])

    def test_as_it_comes(self) -> None:
        """What is read as it comes may end within a line."""
        follower = Follower(self.log)
        self.write(b"login: ")
        self.assertEqual(follower.read(), "login: ")
        self.write(b"me\r\n")
        self.assertEqual(follower.read(), "me\n")

    def test_last_lines(self) -> None:
        """The last lines are found in a long log; what is before a start is not looked at."""
        self.assertEqual(last_lines(self.log, 2), [])
        self.write(b"".join(b"line %d\n" % number for number in range(100_000)))
        self.assertEqual(last_lines(self.log, 2), ["line 99998", "line 99999"])
        start = size(self.log)
        self.assertEqual(last_lines(self.log, 2, start), [])
        self.write(b"new\n")
        self.assertEqual(last_lines(self.log, 2, start), ["new"])
