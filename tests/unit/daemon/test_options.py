"""What options of both daemons do to twistd's own, and take from them."""

from __future__ import annotations

from pathlib import Path

from twisted.application.twist._options import TwistOptions
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase


def pidfile(*words: str) -> str:
    """The name of the file for its process's id that twistd writes, given some words."""
    options = ServerOptions()
    options.parseOptions(words)
    return Path(options["pidfile"]).name


class PidFileTests(SynchronousTestCase):
    """Two daemons can run in one directory."""

    def test_in_the_foreground(self) -> None:
        """There is none, of either daemon."""
        self.assertEqual(pidfile("-n", "distnet"), "")
        self.assertEqual(pidfile("--nodaemon", "distnet-vde", "--nostdin"), "")

    def test_named(self) -> None:
        """One that is named is written."""
        self.assertEqual(pidfile("-n", "--pidfile=b.pid", "distnet"), "b.pid")

    def test_in_the_background(self) -> None:
        """A daemon can be found by it."""
        self.assertEqual(pidfile("distnet"), "twistd.pid")


class BackgroundTests(SynchronousTestCase):
    """Whether a daemon has a terminal."""

    def test_twistd(self) -> None:
        """C{twistd} makes one that has none, unless it is told not to."""
        for words, background in (([], True), (["-n"], False), (["--nodaemon"], False)):
            options = ServerOptions()
            options.parseOptions([*words, "distnet"])
            self.assertEqual(options.subOptions.background, background)

    def test_twist(self) -> None:
        """C{twist} never does."""
        options = TwistOptions()
        options.parseOptions(["distnet-vde"])
        self.assertFalse(options.subOptions.background)
        self.assertTrue(options.subOptions.management.standard_input)
