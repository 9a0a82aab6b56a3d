"""What is said of a wrong option, under twistd and under twist."""

from __future__ import annotations

from twisted.application.twist._options import TwistOptions
from twisted.python.usage import Options
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase


class WrongOptionTests(SynchronousTestCase):
    """One line, on standard error, with where to read more."""

    def says(self, line: str, *words: str, made: type[Options] = ServerOptions) -> None:
        """Some words end the process with a line."""
        options = made()
        self.assertEqual(self.assertRaises(SystemExit, options.parseOptions, words).code, line)

    def test_a_value(self) -> None:
        """The option is named, and the command's help."""
        self.says(
            "twistd distnet: --ids x: it is sequential or lowest (see twistd distnet --help)",
            "-n",
            "distnet",
            "--ids=x",
        )
        self.says(
            "twist distnet: --ids x: it is sequential or lowest (see twist distnet --help)",
            "distnet",
            "--ids=x",
            made=TwistOptions,
        )

    def test_a_name(self) -> None:
        """What may have been meant is said."""
        for words, why in (
            (["--lisen", "1"], "there is no option --lisen; is --listen meant?"),
            (["--frobnicate"], "there is no option --frobnicate"),
            (["-Z"], "there is no option -Z"),
            (["1234"], "'1234' is not an option"),
        ):
            self.says(f"twistd distnet: {why} (see twistd distnet --help)", "-n", "distnet", *words)
        self.says(
            "twistd distnet: --logfile is an option of twistd, and stands before its command"
            " (see twistd --help)",
            "-n",
            "distnet",
            "--logfile=x",
        )
        self.says(
            "twistd distnet-vde: there is no option --sok; is --sock meant?"
            " (see twistd distnet-vde --help)",
            "-n",
            "distnet-vde",
            "--sok",
        )
