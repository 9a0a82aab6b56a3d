"""vde_switch's command line, whole, and what is made of it."""

from __future__ import annotations

from distnet.switch.cli import CommandLine, read
from tests.unit.refusing import RefusingTestCase


class ReadTests(RefusingTestCase):
    """Tests for C{read}."""

    def parse(self, *words: str) -> CommandLine:
        """Read a command line."""
        return read(words)

    def test_as_debian_starts_it(self) -> None:
        """The words of Debian's script for ifupdown, as it has them."""
        words = "-s /run/a.ctl -m 660 -p /run/a.pid -t tap0 -M /run/a.mgmt --mgmtmode 660 -d -x"
        self.assertEqual(
            read(words.split()),
            CommandLine(
                True,
                "/run/a.pid",
                ("-s/run/a.ctl", "-m660", "-ttap0", "-M/run/a.mgmt", "--mgmtmode=660", "-x"),
            ),
        )

    def test_forms(self) -> None:
        """Long, with one dash, shortened, in one word or two, several letters together."""
        for words in (
            ["--pidfile", "p", "--daemon", "--numports", "5"],
            ["-pidfile=p", "-daemon", "-numports", "5"],
            ["--pidf=p", "--daem", "--nump=5"],
            ["-dpp", "--num", "5"],
        ):
            self.assertEqual(read(words), CommandLine(True, "p", ("--numports=5",)))
        self.assertEqual(read(["-xp", "p", "-F"]), CommandLine(False, "p", ("-x", "-F")))
        self.assertEqual(
            read(["-n5", "-sock", "-d"]), CommandLine(False, None, ("-n5", "--sock=-d"))
        )
        self.assertEqual(read([]), CommandLine(False, None, ()))

    def test_refusals(self) -> None:
        """What is wrong is said before there is a process in the background."""
        self.refuses("option --bogus not recognized", "--bogus")
        self.refuses("option -n requires argument", "-d", "-n")
        self.refuses("--numports abc", "-d", "-n", "abc")
        self.refuses("'word' is not an option", "-d", "word")

    def test_for_twistd(self) -> None:
        """twistd does what vde_switch would do with its process."""
        self.assertEqual(
            read(["-d", "-p", "x/y.pid", "-F"]).for_twistd("/here", 0o27),
            [
                "--pidfile=/here/x/y.pid", "--umask=27",
                "--syslog", "--prefix=distnet-vde-switch",
                "distnet-vde", "-F",
            ],
        )  # fmt: skip
        self.assertEqual(read(["-p", "/y.pid"]).for_twistd("/here", 0o22)[:1], ["--pidfile=/y.pid"])
        self.assertEqual(
            read([]).for_twistd("/here", 0o22),
            [
                "--pidfile=", "--umask=22",
                "--nodaemon", "--logger=distnet.daemon.log.standard_error",
                "distnet-vde",
            ],
        )  # fmt: skip
