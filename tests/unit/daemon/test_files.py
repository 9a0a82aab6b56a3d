"""The files that twistd writes for a daemon."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from tests.daemons import eventually


def twistd(*words: str) -> Any:
    """The options of twistd that some words make, the command's among them."""
    options = ServerOptions()
    options.parseOptions(words)
    return options


class FilesTests(SynchronousTestCase):
    """C{check_files}, as it is called for the master's options."""

    def setUp(self) -> None:
        """A directory to start in, which is not the tests'."""
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.directory)

    def refuses(self, says: str, *words: str) -> None:
        """It is said in one line, which names the option, and twistd's help."""
        why = self.assertRaises(SystemExit, twistd, *words, "distnet").code
        self.assertEqual(why, f"twistd distnet: {says} (see twistd --help)")

    def other(self, name: str) -> int:
        """A process that is called so until the test ends; returns its number."""
        process = subprocess.Popen([name, "1000"], executable="sleep")
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        # It has no words yet just after it has become what it is.
        words = Path(f"/proc/{process.pid}/cmdline")
        eventually("it has its name", lambda: words.read_bytes().startswith(name.encode()))
        return process.pid

    def test_pidfile(self) -> None:
        """In the foreground there is one if it is named; a daemon can be found by it."""
        for words, name in (
            (("-n", "distnet"), ""),
            (("--nodaemon", "distnet-vde", "--nostdin"), ""),
            (("-n", "--pidfile=b.pid", "distnet"), "b.pid"),
            (("distnet",), "twistd.pid"),
        ):
            self.assertEqual(Path(twistd(*words)["pidfile"]).name, name)

    def test_log(self) -> None:
        """Each daemon in a directory has a log of its own, as it has a pidfile."""
        for words, name in (
            ((), None),
            (("--pidfile=b.pid",), "b.log"),
            (("--pidfile", f"{self.directory}/c.pid"), "c.log"),
            (("--pidfile=b.pid", "--logfile=c"), "c"),
            (("--pidfile=", "--logfile=/dev/null"), "/dev/null"),
            (("--pidfile=b.pid", "--syslog"), None),
            (("--pidfile=b.pid", "-n"), None),
        ):
            self.assertEqual(twistd(*words, "distnet")["logfile"], name)

    def test_places_that_are_not_there(self) -> None:
        """Nobody is left with a traceback, or a daemon that is not there."""
        none = self.directory / "none"
        daemon = "; name another FILE, or stay in the foreground with -n"
        (self.directory / "pipe").mkdir()
        self.refuses("--rundir none: that is no directory; name another DIRECTORY",
                     "--rundir=none")  # fmt: skip
        self.refuses(f"--logfile {none}/log: there is no directory {none}{daemon}",
                     "--logfile=none/log")  # fmt: skip
        self.refuses(f"--logfile {none}/log: there is no directory {none}; name another FILE",
                     "-n", "--logfile=none/log")  # fmt: skip
        self.refuses(f"--logfile {self.directory}/pipe: that is no regular file{daemon}",
                     "--logfile=pipe")  # fmt: skip
        self.refuses("--logfile -: a daemon has no standard output; name another FILE, or stay in"
                     " the foreground with -n", "--logfile=-")  # fmt: skip
        self.refuses(f"--pidfile {none}/pid: there is no directory {none}{daemon}",
                     "--pidfile=none/pid")  # fmt: skip

    def test_the_null_device_is_no_pidfile(self) -> None:
        """What is no regular file is neither read nor removed."""
        self.refuses(
            "--pidfile /dev/null: that is no regular file; name another FILE",
            "-n",
            "--pidfile=/dev/null",
        )

    def test_stale_pidfiles(self) -> None:
        """One that names this process, as in a container, no process, or no daemon is removed."""
        pidfile = self.directory / "twistd.pid"
        for text in (str(os.getpid()), f"{self.other('sleep')}\n", "", "1" * 10):
            pidfile.write_text(text)
            twistd("distnet")
            self.assertFalse(pidfile.exists(), text)

    def test_pidfiles_of_others(self) -> None:
        """Those of a daemon that runs, and files with something else, stay."""
        pidfile = self.directory / "twistd.pid"
        for program in ("twistd", "distnet-vde-switch"):
            daemon = self.other(program)
            pidfile.write_text(str(daemon))
            self.refuses(
                f"--pidfile {pidfile}: process {daemon} runs and has that; stop it, or give"
                " this daemon a --pidfile of its own"
            )
        pidfile.write_text("precious")
        self.refuses(f"--pidfile {pidfile}: that holds no number of a process; name another FILE")
        self.assertEqual(pidfile.read_text(), "precious")
