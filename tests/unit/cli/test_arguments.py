"""The arguments of the C{distnet} command: what is said of one that is wrong."""

from __future__ import annotations

import os
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from distnet import __version__, _native
from distnet.cli.main import make_parser


class ParserTests(SynchronousTestCase):
    """L{make_parser}"""

    def refuses(self, line: str, *words: str) -> None:
        """Some words are wrong usage, as a line says that names the command."""
        command, why = line.split(": ", 1)
        with redirect_stderr(StringIO()) as errors:
            ended = self.assertRaises(SystemExit, make_parser().parse_args, words)
        self.assertEqual(ended.code, 2)
        self.assertEqual(errors.getvalue(), f"{command}: {why} (see {command} --help)\n")

    def test_values(self) -> None:
        """The option is named, or the word."""
        self.refuses("distnet ping: ID: 'x' is not an id", "ping", "x")
        self.refuses("distnet recv: --count: '0' is not a number from 1 on", "recv", "--count=0")
        self.refuses("distnet gateway: --port: 'x' is not the number of a port",
                     "gateway", "--port", "x")  # fmt: skip

    def test_names(self) -> None:
        """What may have been meant is said; of the command that it was given to."""
        self.refuses("distnet: there is no option --versoin; is --version meant?", "--versoin")
        self.refuses("distnet status: there is no option --jsn; is --json meant?",
                     "status", "--jsn")  # fmt: skip
        self.refuses("distnet send: there is no option --xyz", "send", "1", "x", "--xyz=1")
        self.refuses("distnet cluster up: 'b' is a word too many", "cluster", "up", "a", "b")

    def test_what_is_missing(self) -> None:
        """It is named."""
        self.refuses("distnet ping: the following arguments are required: ID", "ping")
        self.refuses("distnet cluster: the following arguments are required: COMMAND", "cluster")

    def version(self) -> str:
        """What C{--version} prints."""
        with redirect_stdout(StringIO()) as output:
            ended = self.assertRaises(SystemExit, make_parser().parse_args, ["--version"])
        self.assertFalse(ended.code)
        return output.getvalue()

    def test_version(self) -> None:
        """It says whether native code runs, and why not."""
        self.assertEqual(self.version(), f"distnet {__version__}, {_native.describe()}\n")

        def no_module(name: str) -> None:
            raise ModuleNotFoundError(f"No module named {name}")

        def other_module(name: str) -> None:
            raise ImportError("router.so: undefined symbol: PyOther")

        for load, why in (
            (no_module, "it was installed without a C compiler"),
            (other_module, "it cannot be loaded (router.so: undefined symbol: PyOther)"),
        ):
            self.patch(_native, "import_module", load)
            self.patch(os, "environ", {})
            self.assertEqual(self.version(), f"distnet {__version__}, pure Python: {why}\n")
