"""The options of C{twistd distnet}, and the services that they are wired to."""

from __future__ import annotations

import math
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.application.service import IServiceMaker, MultiService
from twisted.internet import reactor
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from distnet import __version__, _native
from distnet.control.server import ControlService
from distnet.daemon.options import seconds, show_size, size, whole_number
from distnet.master.core.limits import Limits, Overflow
from distnet.master.core.registry import IdPolicy
from distnet.master.core.session import Kind
from distnet.master.listener import NodeListener
from distnet.master.options import Options, makeService
from distnet.master.service import MasterService
from distnet.sockets.listen import complete_description, unix_description
from tests.unit.refusing import RefusingTestCase


def parse(*words: str) -> Options:
    """The options, read from a command line."""
    options = Options()
    options.parseOptions(list(words))
    return options


class ValuesTests(SynchronousTestCase):
    """Tests for C{size}, C{show_size}, C{seconds} and C{whole_number}."""

    def test_sizes(self) -> None:
        """Sizes are bytes, or multiples of powers of 1024, in either case."""
        for text, value in (("0", 0), ("1460", 1460), ("64K", 65536), ("64k", 65536),
                            ("64KiB", 65536), ("2M", 2**21), ("1g", 2**30), ("5B", 5)):  # fmt: skip
            self.assertEqual(size(text), value)
        for text in ("", "K", "-1", "1.5M", "1 M", "1T", "x", "0x10"):
            self.assertRaises(ValueError, size, text)

    def test_shown_sizes(self) -> None:
        """A size is shown as the shortest text that means it."""
        for value, text in ((0, "0"), (1, "1"), (1460, "1460"), (65536, "64K"), (2**26, "64M"),
                            (2**30, "1G"), (2**30 + 1, "1073741825")):  # fmt: skip
            self.assertEqual(show_size(value), text)
            self.assertEqual(size(text), value)

    def test_numbers(self) -> None:
        """Seconds may have a fraction or be without end; other numbers are whole."""
        self.assertEqual((seconds("0.25"), seconds("inf"), whole_number("07")), (0.25, math.inf, 7))
        for text in ("", "soon", "1s"):
            self.assertRaises(ValueError, seconds, text)
        for text in ("", "-1", "1.0", "inf", "٣", "9" * 5000):
            self.assertRaises(ValueError, whole_number, text)


class OptionsTests(RefusingTestCase):
    """Tests for C{Options}."""

    parse = staticmethod(parse)

    def test_defaults(self) -> None:
        """Without options the limits are the defaults, at the documented port."""
        options = parse()
        self.assertEqual((options.limits, options.policy), (Limits(), IdPolicy.SEQUENTIAL))
        self.assertEqual(options.listeners, [NodeListener(complete_description("1234"))])
        self.assertTrue(options.tools_beside_control)
        assert options.control is not None
        self.assertEqual(options.control.path, "")

    def test_all_limits(self) -> None:
        """Every limit has an option."""
        options = parse(
            "--max-payload", "4K", "--max-waiting-per-id", "1M", "--max-waiting", "2M",
            "--reserve", "8K", "--highest-id", "15", "--pause-seconds", "inf",
            "--overflow", "disconnect", "--pace", "stream", "--settle-seconds", "0.5",
            "--keep-mail", "--second-connection", "replace", "--ids", "lowest",
            "--grace-seconds", "7",
        )  # fmt: skip
        self.assertEqual(
            options.limits,
            Limits(
                4096, 2**20, 2**21, 8192, 15, math.inf, Overflow.DISCONNECT, None, 0.5, True, True
            ),
        )
        self.assertEqual((options.policy, options.grace_seconds), (IdPolicy.LOWEST, 7.0))

    def test_listeners(self) -> None:
        """Listeners add up; the documented port is only for whoever asks for nothing else."""
        options = parse("--listen", "1", "-l", "tcp6:2", "--node", "3=unix:/n", "--node", "4=5",
                        "--tools", "none", "--settle-remote", "acked")  # fmt: skip
        self.assertEqual(
            [(one.description, one.node, one.acked_is_read) for one in options.listeners],
            [
                (complete_description("1"), None, True),
                (complete_description("tcp6:2"), None, True),
                (complete_description("unix:/n"), 3, True),
                (complete_description("5"), 4, True),
            ],
        )
        both = parse("--port", "1", "--listen", "2", "--control", "/c")
        self.assertEqual(
            [one.description for one in both.listeners],
            [complete_description("1"), complete_description("2"), unix_description("/c.tools")],
        )

    def test_relative_paths(self) -> None:
        """Paths are those of the directory that twistd is started in, whatever it changes to."""
        options = parse("--listen", "unix:k:mode=666", "--state", "s", "--control", "c",
                        "--tools", "t")  # fmt: skip
        here = Path.cwd()
        kernels, tools = options.listeners
        self.assertEqual((kernels.path, tools.path), (f"{here}/k", f"{here}/t"))
        self.assertIn("mode=666", kernels.description)
        self.assertEqual(options["state"], f"{here}/s")
        assert options.control is not None
        self.assertEqual(options.control.path, f"{here}/c")

    def test_without_a_control_socket(self) -> None:
        """Without a control socket there is none for tools, unless that is asked for."""
        self.assertEqual(len(parse("--control", "none").listeners), 1)
        with_tools = parse("--control", "none", "--tools", "/t").listeners
        self.assertEqual(with_tools[1], NodeListener(unix_description("/t"), kind=Kind.TOOL))

    def test_each_wrong_option_is_named(self) -> None:
        """Whatever is wrong with an option, the line names it."""
        wrong = {
            "port": ["x", "tcp:99999", "unix:"],
            "listen": ["http:1", ""],
            "node": ["x", "3", "=1", "-1=1", "3=http:1", "70000=1", f"{0x74697571}=1"],
            "ids": ["random"],
            "highest-id": ["x", "-1", str(2**31)],
            "second-connection": ["both"],
            "max-payload": ["x", "-1", "1T"],
            "max-waiting-per-id": ["x", "1"],
            "max-waiting": ["x", "1"],
            "reserve": ["x", "1"],
            "pause-seconds": ["x", "-1", "nan"],
            "overflow": ["drop-oldest"],
            "pace": ["fast"],
            "settle-seconds": ["x", "-1", "nan", "inf"],
            "settle-remote": ["never"],
            "grace-seconds": ["x", "-1", "nan", "inf"],
            "tls": ["tcp:1"],
            "tls-cert": ["/none"],
            "tls-key": ["/none"],
            "tls-client-ca": ["/none"],
        }
        for option, values in wrong.items():
            for value in values:
                self.refuses(f"--{option}", f"--{option}", value)

    def test_a_node_given_twice(self) -> None:
        """A node has one listener."""
        self.refuses("--node 3=... is given twice", "--node", "3=1", "--node", "3=2")

    def test_what_is_no_number_of_a_node(self) -> None:
        """The option is named, with all that was given to it."""
        for pin in ("9" * 30 + "=1", "x=1", "3", "-1=1"):
            self.refuses(f"--node {pin}: ", "--node", pin)

    def test_the_same_place_twice(self) -> None:
        """Two options of one command line are not blamed on another process."""
        for first, second in (
            (("--port", "1234"), ("--listen", "1234")),
            (("--listen", "5"), ("--node", "3=tcp:5:interface=0.0.0.0")),
            (("--listen", "unix:/k"), ("--control", "/k")),
            (("--state", "/k"), ("--listen", "unix:/k")),
            (("--listen", "unix:/k"), ("--tools", "/k")),
        ):
            self.refuses(f"{' '.join(second)}: {' '.join(first)} has that already", *first, *second)
        parse("--port", "0", "--listen", "0", "--control", "none", "--tools", "none")

    def test_tls_needs_its_files(self) -> None:
        """TLS needs all three files, which must be what they should be; the line names which."""
        files = [
            "--tls-cert",
            "/none/cert",
            "--tls-key",
            "/none/key",
            "--tls-client-ca",
            "/none/ca",
        ]
        self.refuses("--tls needs --tls-key and --tls-client-ca too", "--tls", "tcp:1", *files[:2])
        self.refuses("--tls-cert /none/cert: No such file", "--tls", "tcp:1", *files)
        self.refuses("are for --tls ENDPOINT", *files)

    def test_words_without_an_option(self) -> None:
        """A port without its option is not taken for one."""
        self.assertRaises(UsageError, parse, "1234")

    def test_help(self) -> None:
        """Every option is explained in a sentence."""
        options = Options()
        parameters: list[Any] = options.optParameters
        for name, _, _, about in parameters:
            self.assertTrue(about.endswith((".", "]")), name)
        text = options.getUsage(width=100)
        for name in ("port", "listen", "node", "tls", "keep-mail", "state", "control", "tools"):
            self.assertIn(f"--{name}", text)

    def test_version(self) -> None:
        """The version is that of distnet, not of Twisted."""
        shown = StringIO()
        with redirect_stdout(shown):
            self.assertEqual(self.assertRaises(SystemExit, parse, "--version").code, 0)
        self.assertEqual(shown.getvalue(), f"distnet {__version__}, {_native.describe()}\n")


class MakeServiceTests(SynchronousTestCase):
    """Tests for C{makeService}."""

    def setUp(self) -> None:
        """Notice whatever begins to listen, and whatever is made in a directory."""
        self.before = set(reactor.getReaders())
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def make(self, *words: str) -> MultiService:
        """The services, of which none has opened anything."""
        service = makeService(parse(*words))
        assert isinstance(service, MultiService)
        self.assertEqual(set(reactor.getReaders()), self.before)
        self.assertEqual(list(self.directory.iterdir()), [])
        return service

    def test_it_only_wires(self) -> None:
        """A control service and a master come out, with nothing opened, listening or written."""
        path = str(self.directory)
        control, master = self.make(
            "--listen", f"unix:{path}/kernels", "--node", "3=tcp:0", "--state", f"{path}/state",
            "--control", f"{path}/control", "--ids", "lowest", "--highest-id", "9",
        )  # fmt: skip
        assert isinstance(control, ControlService)
        assert isinstance(master, MasterService)
        self.assertEqual([one.node for one in master.listeners], [None, 3, None])
        self.assertEqual(master.router.limits.highest_id, 9)
        self.assertEqual(master.router.registry.policy, IdPolicy.LOWEST)
        self.assertEqual(master.router.registry.pinned, {3})

    def test_without_control(self) -> None:
        """Without a control socket there is no service for it."""
        (master,) = self.make("--control", "none")
        self.assertIsInstance(master, MasterService)

    def test_the_plugin(self) -> None:
        """twistd finds distnet, and gets these options and services from it."""
        (plugin,) = [one for one in getPlugins(IServiceMaker) if one.tapname == "distnet"]
        self.assertIs(plugin.options, Options)
        self.assertIsInstance(plugin.makeService(parse("--control", "none")), MultiService)
