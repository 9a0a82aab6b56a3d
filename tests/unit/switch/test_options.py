"""The options of C{twistd distnet-vde}, and the service that they are wired to."""

from __future__ import annotations

import grp
import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from socket import AF_INET

from hypothesis import given
from hypothesis import strategies as st
from twisted.application.app import ServerOptions
from twisted.application.service import IServiceMaker, MultiService
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from distnet import __version__, _native
from distnet.control.paths import default_vde_directory
from distnet.control.server import ControlService
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.getopt import double_dashes
from distnet.switch.options import Options, makeService
from distnet.switch.plugs.dgram_udp import UdpDgramListener
from distnet.switch.plugs.dgram_unix import UnixDgramListener
from distnet.switch.plugs.vdedir import Permissions
from distnet.switch.service import Management, Settings, SwitchService
from tests.unit.control.runtime import RuntimeTestCase
from tests.unit.refusing import RefusingTestCase


def parse(*words: str) -> Options:
    """The options, read from a command line."""
    options = Options()
    options.parseOptions(list(words))
    return options


class OptionsTests(RefusingTestCase):
    """Tests for C{Options}."""

    parse = staticmethod(parse)

    def test_defaults(self) -> None:
        """Without options it is what vde_switch is, in the same directory."""
        options = parse()
        self.assertEqual(options.settings, Settings())
        self.assertEqual(options.permissions, Permissions(0o600, 0o2700))
        directory = "/var/run/vde.ctl" if os.geteuid() == 0 else "/tmp/vde.ctl"
        self.assertEqual(options["sock"], directory)

    def test_as_users_type_it(self) -> None:
        """The command line of the framework's document is understood."""
        options = parse("-F", "-sock", "/tmp/myswitch")
        self.assertEqual(options["sock"], "/tmp/myswitch")
        self.assertEqual(options.settings, Settings(spanning_tree=True))

    def test_the_directory_has_many_names(self) -> None:
        """Each name of the option for the directory works, in each way to write it."""
        for words in (
            ["-s", "/d"], ["-s/d"], ["--sock", "/d"], ["--sock=/d"], ["-sock=/d"], ["-so", "/d"],
            ["--vdesock", "/d"], ["-vdesock", "/d"], ["--unix", "/d"], ["-unix", "/d"],
            ["-u", "/x", "-s", "/d"][2:], ["-s", "/x", "-unix", "/d"],
        ):  # fmt: skip
            self.assertEqual(parse(*words)["sock"], "/d", words)
        self.assertEqual(parse("-s", "d")["sock"], str(Path("d").absolute()))

    def test_streams(self) -> None:
        """Each place for streams is complete, and may be for a port that there can be."""
        streams = parse("--stream", "5555", "-stream=7=unix:/tmp/u", "-n", "8").plugs.streams
        self.assertEqual([place.port for place in streams], [None, 7])
        self.assertIn("tcp:5555:interface=127.0.0.1", streams[0].description)
        self.assertIn("address=/tmp/u", streams[1].description)
        for words, says in (
            (("--stream", "frob"), "--stream: 'frob' is not a place to listen at"),
            (("--stream", "32=5555"), "--stream 32=5555: there is no port 32 for it, but 1 to 31"),
            (("--stream", "0=5555"), "no port 0"),
            (("--stream", "7=5555", "-n", "7"), "1 to 6 (--numports)"),
        ):
            self.refuses(says, *words)

    def test_all_settings(self) -> None:
        """Every other option that is there already has its effect, under each of its names."""
        for words in (
            "-x -F -n 64 -macaddr 00:ff:1:2:3:4 -priority 7 -hashsize 1000 -m 0666 -d -D 5",
            "--hub --fstp --numports=64 --macaddr 00:ff:01:02:03:04 --priority 7 --hashsize 1000"
            " --mode 666 --daemon --debugclients 5 --nostdin",
            "-xF -n64 -macaddr=0:FF:1:2:3:4 -prio 7 -hash 1000 -mode 666 -nostdin",
        ):
            options = parse(*words.split())
            self.assertEqual(
                options.settings,
                Settings(
                    numports=64,
                    hub=True,
                    spanning_tree=True,
                    priority=7,
                    hash_size=1000,
                    address=bytes([0, 255, 1, 2, 3, 4]),
                ),
            )
            self.assertEqual(options.permissions, Permissions(0o666, 0o2777))

    def test_permissions(self) -> None:
        """Modes are octal, a group is a name or a number."""
        group = grp.getgrall()[0]
        for name in (group.gr_name, str(group.gr_gid)):
            options = parse("-m", "660", "--dirmode", "2750", "-g", name)
            self.assertEqual(options.permissions, Permissions(0o660, 0o2750, group.gr_gid))

    def test_refusals(self) -> None:
        """What is wrong is said in one line."""
        for count in ("0", "-1", "abc", "", "1e3", "9" * 5000):
            self.refuses("--numports", "-n", count)
        self.refuses("--hashsize 0", "-hashsize", "0")
        self.refuses("--priority x", "--priority", "x")
        self.refuses("'zz' is not an Ethernet address", "-macaddr", "zz")
        for mode in ("9", "rw", "", "77777", "-1"):
            self.refuses("octal", "--mode", mode)
        self.refuses("no such group", "-g", "nobody has this")
        self.refuses("no such group", "-g", "4294967295")
        self.refuses("the directory is missing", "-s", "")
        self.refuses("'extra' is not an option", "extra")
        self.refuses("not recognized", "-qosuch")
        self.refuses("not recognized", "--nosuch")
        self.refuses("not a unique prefix", "-mg", "/x")
        self.refuses("requires argument", "-sock")
        self.refuses("twistd --pidfile=FILE", "-p", "/x")

    def test_plugs(self) -> None:
        """Taps and places for datagrams are taken in their order, and wrong ones are named."""
        options = parse("-t", "one", "-tap", "two", "--tap=three",
                        "-dgram", "udp:5", "--dgram", "unix:/x:mode=660")  # fmt: skip
        self.assertEqual(options.plugs.taps, ("one", "two", "three"))
        self.assertEqual(
            options.plugs.dgrams,
            (UdpDgramListener(AF_INET, ("127.0.0.1", 5)), UnixDgramListener("/x", 0o660)),
        )
        self.refuses("--tap 'nametoolongfortap': the name of an interface has 1 to 15 bytes",
                     "-t", "nametoolongfortap")  # fmt: skip
        self.refuses("--tap 'a/b'", "-t", "a/b")
        self.refuses("--dgram 'tcp:5' is not a place", "--dgram", "tcp:5")

    def test_the_same_place_twice(self) -> None:
        """Two options of one command line are not blamed on another process."""
        for first, second in (
            (("--tap", "t0"), ("--tap", "t0")),
            (("--stream", "1=tcp:5"), ("--stream", "tcp:5")),
            (("--dgram", "udp:5"), ("--dgram", "udp:0.0.0.0:5")),
            (("--mgmt", "/m"), ("--control", "/m")),
            (("--mgmt", "/m"), ("--dgram", "unix:/m")),
            (("--sock", "/s"), ("--mgmt", "/s/ctl")),
        ):
            self.refuses(f"{' '.join(second)}: {' '.join(first)} has that already", *first, *second)
        self.refuses(
            "--forward 127.0.0.1:5=10.0.2.17:22: --stream 5 has that already",
            "--gateway", "--stream", "5", "--forward", "5=10.0.2.17:22",
        )  # fmt: skip
        parse("--stream", "0", "--stream", "0", "--dgram", "udp:5", "--stream", "5", "--dgram",
              "udp:0", "--dgram", "udp:0")  # fmt: skip

    def test_limits(self) -> None:
        """Each limit has its option; sizes have units, and what is held follows the frames."""
        options = parse("--max-frame", "2000", "--queue-frames", "10", "--queue-bytes", "64K",
                        "--pause-seconds", "0.5", "--max-addresses", "100")  # fmt: skip
        self.assertEqual(
            options.settings.limits,
            BridgeLimits(max_frame=2000, queue_frames=10, queue_bytes=65536,
                         pause_seconds=0.5, max_addresses=100),
        )  # fmt: skip
        self.assertEqual(parse().settings.limits, BridgeLimits())
        options = parse("--max-frame", "1M", "--queue-bytes", "4M")
        self.assertEqual(options.settings.limits.held_bytes, 1 << 20)
        for words, says in (
            ("--max-frame 13", "--max-frame 13 is below 14"),
            ("--max-frame 2M --queue-bytes 4M", "--max-frame 2097152 is above 1048576"),
            ("--max-frame x", "--max-frame: 'x' is not a size"),
            ("--queue-bytes 1K", "--queue-bytes 1024 is below --max-frame 69632"),
            ("--queue-frames 0", "--queue-frames 0 is not at least 1"),
            ("--queue-frames -1", "--queue-frames: '-1' is not a number"),
            ("--pause-seconds inf", "--pause-seconds inf is not a number of seconds"),
            ("--pause-seconds nan", "--pause-seconds nan is not a number of seconds"),
            ("--pause-seconds soon", "--pause-seconds: 'soon' is not"),
            ("--max-addresses 0", "--max-addresses 0 is not at least 1"),
        ):
            self.refuses(says, *words.split())

    def test_management(self) -> None:
        """The console's socket has a path, a mode and a group; scripts have an absolute path."""
        options = parse("-M", "/x", "--mgmtmode", "660", "-mgmtgroup", "root", "-f", "/commands")
        self.assertEqual(options.management, Management("/x", 0o660, 0, False, "/commands"))
        self.assertEqual(parse("-M", "/x").management.mode, 0o600)
        self.refuses("are for --mgmt PATH", "--mgmtmode", "600")
        self.refuses("there is no such group", "-M", "/x", "--mgmtgroup", "no such group")

    def test_usual_scripts(self) -> None:
        """Without -f, the script of the user is taken if there is one."""
        home = Path(self.mktemp())
        self.patch(os, "environ", {"HOME": str(home)})
        self.assertNotIn(str(home), str(parse().management.script))
        script = home / ".vde2" / "vde_switch.rc"
        script.parent.mkdir(parents=True)
        script.touch()
        self.assertEqual(parse().management.script, str(script))
        self.assertEqual(parse("-f", "/commands").management.script, "/commands")

    def test_standard_input(self) -> None:
        """Commands are read from standard input where twistd stays in the foreground."""
        for foreground, words, expected in (
            (True, [], True), (True, ["--nostdin"], False), (False, [], False),
        ):  # fmt: skip
            twistd = ServerOptions()
            twistd["nodaemon"] = foreground
            options = Options()
            options.parent = twistd
            options.parseOptions(words)
            self.assertEqual(options.management.standard_input, expected)

    def test_help_and_version(self) -> None:
        """Help and version are told, by their short names too."""
        for word in ("--version", "-v", "-version", "--help", "-h", "-help"):
            output = StringIO()
            with redirect_stdout(output):
                self.assertRaises(SystemExit, parse, word)
            version = f"distnet {__version__}, {_native.describe()}\n"
            expected = version if "v" in word else "--numports="
            self.assertIn(expected, output.getvalue())


class DoubleDashesTests(SynchronousTestCase):
    """Tests for C{double_dashes}."""

    LONG = ("sock=", "mode=", "hub", "mgmt=", "mgmtmode=")
    SHORT = "s:m:xF"

    def changed(self, *words: str) -> list[str]:
        """What becomes of a command line."""
        return double_dashes(words, self.SHORT, self.LONG)

    def test_values_are_left_alone(self) -> None:
        """What follows an option that has a value is that value, whatever it looks like."""
        for words in (["-s", "-hub"], ["--sock", "-hub"], ["-xs", "-hub"], ["-m", "--", "-x"]):
            self.assertEqual(self.changed(*words), words)
        self.assertEqual(self.changed("-mode", "-hub", "-hub"), ["--mode", "-hub", "--hub"])
        self.assertEqual(self.changed("-sock=x", "-hub"), ["--sock=x", "--hub"])

    def test_the_end_of_options(self) -> None:
        """What comes after the options is left alone."""
        self.assertEqual(self.changed("-x", "--", "-hub"), ["-x", "--", "-hub"])
        self.assertEqual(self.changed("-x", "word", "-hub"), ["-x", "word", "-hub"])

    def test_an_exact_name_wins(self) -> None:
        """A name that begins a longer one is no abbreviation."""
        self.assertEqual(self.changed("-mgmt", "-hub"), ["--mgmt", "-hub"])

    @given(st.lists(st.text("-shmx=ockub/", max_size=6)))
    def test_any_words(self, words: list[str]) -> None:
        """Words only ever get a dash more, and all stay where they are."""
        changed = self.changed(*words)
        self.assertEqual(len(changed), len(words))
        for before, after in zip(words, changed, strict=True):
            self.assertIn(after, (before, f"-{before}"))


class ServiceTests(SynchronousTestCase):
    """Tests for C{makeService} and the plugin."""

    def test_wired(self) -> None:
        """A switch stands in the services, and nothing was opened."""
        directory = self.mktemp()
        service = makeService(parse("-s", directory, "-n", "7", "-x", "-hashsize", "100"))
        assert isinstance(service, MultiService)
        control, switch = service
        assert isinstance(control, ControlService)
        assert isinstance(switch, SwitchService)
        self.assertEqual(switch.bridge.ports.numports, 7)
        self.assertTrue(switch.bridge.hub)
        self.assertEqual(switch.bridge.fdb.size, 128)
        self.assertEqual(switch.vde.directory.path, str(Path(directory).absolute()))
        self.assertFalse(Path(directory).exists())

    def test_without_control(self) -> None:
        """Without a control socket there is no service for it."""
        service = makeService(parse("-control", "none"))
        assert isinstance(service, MultiService)
        self.assertEqual([type(each) for each in service], [SwitchService])

    def test_plugin(self) -> None:
        """twistd knows the command."""
        found = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "distnet-vde"]
        self.assertEqual([type(maker.options()) for maker in found], [Options])


class ControlTests(RuntimeTestCase):
    """What the control socket of a switch is called."""

    def test_names(self) -> None:
        """The usual directory has the plain name; others are called as the directory is."""
        for words, name in (
            ((), "switch"),
            (("-sock", default_vde_directory()), "switch"),
            (("-sock", "/tmp/my.switch/"), "switch-my-switch"),
        ):
            options = parse(*words)
            assert options.control is not None
            with options.control.claimed() as path:
                self.assertEqual(path, f"{self.directory}/{name}")

    def test_told(self) -> None:
        """A path that is told is the same wherever twistd goes."""
        control = parse("-control", "here").control
        assert control is not None
        self.assertEqual((control.path, control.told), (str(Path("here").absolute()), True))
