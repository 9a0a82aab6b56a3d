"""Mistakes of the switch as a daemon: its options, its log, its console's socket, its dumps."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_CONSOLE = "distnet/switch/console/sockets.py"
_DIRECTORY = "distnet/switch/plugs/vdedir.py"
_DUMP = "distnet/switch/console/pdump.py"
_SWITCH = "distnet/switch/service.py"
_TAP = "distnet/switch/options.py"


MUTATIONS = (
    Mutation(
        "one-dash-is-letters",
        "-sock as users type it",
        _TAP,
        'word.startswith("--") or (len(word) > 2 and bool(meant))',
        'word.startswith("--")',
        (
            "tests.unit.switch.test_options.OptionsTests.test_help_and_version",
            "tests.unit.switch.test_options.OptionsTests.test_refusals",
        ),
    ),
    Mutation(
        "values-are-options",
        "what follows an option that has a value is that value",
        _TAP,
        'takes_next = "=" not in word and any(names[full] for full in meant)',
        "takes_next = False",
        (
            "tests.unit.switch.test_options.DoubleDashesTests.test_an_exact_name_wins",
            "tests.unit.switch.test_options.DoubleDashesTests.test_values_are_left_alone",
        ),
    ),
    Mutation(
        "other-numports",
        "32 ports by default, as vde_switch",
        _TAP,
        '["numports", "n", "32",',
        '["numports", "n", "64",',
        (
            "tests.unit.switch.test_options.OptionsTests.test_as_users_type_it",
            "tests.unit.switch.test_options.OptionsTests.test_defaults",
        ),
    ),
    Mutation(
        "other-directory",
        "vde_switch's directory by default",
        _DIRECTORY,
        '"/var/run/vde.ctl" if os.geteuid() == 0 else "/tmp/vde.ctl"',
        '"/tmp/vde.ctl"',
        ("tests.unit.switch.test_options.OptionsTests.test_defaults",),
    ),
    Mutation(
        "decimal-modes",
        "a MODE is octal",
        _TAP,
        "        return int(text, 8)\n",
        "        return int(text)\n",
        (
            "tests.unit.switch.test_options.OptionsTests.test_all_settings",
            "tests.unit.switch.test_options.OptionsTests.test_permissions",
        ),
    ),
    Mutation(
        "input-of-a-daemon",
        "commands are taken from standard input under twistd -n only",
        _TAP,
        "self._in_the_foreground() and not",
        "not",
        (
            "tests.unit.switch.test_options.OptionsTests.test_management",
            "tests.unit.switch.test_options.OptionsTests.test_standard_input",
        ),
    ),
    Mutation(
        "usual-script-forgotten",
        "~/.vde2/vde_switch.rc is done at the start",
        _TAP,
        "if os.path.isfile(script)",
        "if False",
        ("tests.unit.switch.test_options.OptionsTests.test_usual_scripts",),
    ),
    Mutation(
        "spanning-tree-pretended",
        "-F is taken, and the log says that there is none",
        _SWITCH,
        "        if self.settings.spanning_tree:\n",
        "        if False:\n",
        ("tests.unit.switch.test_service.ServiceTests.test_no_spanning_tree",),
    ),
    Mutation(
        "script-fails-in-silence",
        "what failed in the rc file is in the log",
        _SWITCH,
        "        for line in failed:\n",
        "        for line in ():\n",
        ("tests.unit.switch.test_service.ServiceTests.test_script",),
    ),
    Mutation(
        "no-script-no-matter",
        "an rc file that cannot be read is an error at the start",
        _SWITCH,
        "        except OSError as error:\n            raise StartupError",
        "        except OSError as error:\n            return None\n            raise StartupError",
        ("tests.unit.switch.test_service.ServiceTests.test_no_script",),
    ),
    Mutation(
        "slow-in-silence",
        "the log says who does not read in time",
        _SWITCH,
        '"{who} does not read in time: ',
        '"{who} is slow: ',
        ("tests.unit.switch.test_service.LogTests.test_comings_and_goings",),
    ),
    Mutation(
        "line-without-end-waits",
        "vdeterm sends no ends of lines",
        _CONSOLE,
        "        if self._clock is not None and session is not None and session.incomplete:\n",
        "        if False:\n",
        ("tests.unit.switch.console.test_sockets.ProtocolTests.test_silence",),
    ),
    Mutation(
        "last-line-lost",
        "a last line without its end is answered when nothing more comes",
        _CONSOLE,
        "            session.finish()\n",
        "            pass\n",
        (
            "tests.unit.switch.console.test_sockets.ProtocolTests.test_end_of_input",
            "tests.unit.switch.console.test_sockets.ProtocolTests.test_end_of_input_while_not_read",
        ),
    ),
    Mutation(
        "reads-from-the-deaf",
        "a console that reads nothing costs no memory",
        _CONSOLE,
        "            cast(Any, self.transport).pauseProducing()\n",
        "            pass\n",
        ("tests.unit.switch.console.test_sockets.ProtocolTests.test_not_read",),
    ),
    Mutation(
        "sessions-leak",
        "a session that has ended leaves its place",
        _CONSOLE,
        "        if self._session is not None:\n            self._session.close()\n"
        "        self._await_silence()\n",
        "        self._await_silence()\n",
        ("tests.unit.switch.console.test_sockets.ProtocolTests.test_nothing_is_left",),
    ),
    Mutation(
        "console-for-everybody",
        "the mode of the management socket",
        _CONSOLE,
        ":mode={self._mode:o}",
        ":mode=666",
        ("tests.unit.switch.console.test_sockets.ManagementServiceTests.test_modes",),
    ),
    Mutation(
        "console-of-no-group",
        "--mgmtgroup",
        _CONSOLE,
        "        if self._group is not None:\n",
        "        if False:\n",
        (
            "tests.unit.switch.console.test_sockets.ManagementServiceTests.test_group",
            "tests.unit.switch.console.test_sockets.ManagementServiceTests.test_not_our_group",
        ),
    ),
    Mutation(
        "consoles-stay-open",
        "the end of the switch ends all sessions",
        _CONSOLE,
        "        for protocol in list(self._open):\n            protocol.close()\n",
        "",
        ("tests.unit.switch.console.test_sockets.ManagementServiceTests.test_end",),
    ),
    Mutation(
        "dump-for-everybody",
        "a dump is for its user alone",
        _CONSOLE,
        "os.open(path, flags, 0o600)",
        "os.open(path, flags, 0o644)",
        ("tests.unit.switch.console.test_sockets.MachineTests.test_dump",),
    ),
    Mutation(
        "endless-script",
        "a script has at most 1 MiB",
        _CONSOLE,
        "    if len(data) > MAX_SCRIPT:\n",
        "    if False:\n",
        ("tests.unit.switch.console.test_sockets.MachineTests.test_script",),
    ),
    Mutation(
        "old-pcap",
        "pcap version 2.4",
        _DUMP,
        "_HEADER.pack(_MAGIC, 2, 4,",
        "_HEADER.pack(_MAGIC, 2, 3,",
        ("tests.unit.switch.console.test_pdump.FormatTests.test_header",),
    ),
    Mutation(
        "cut-in-silence",
        "a record says how long its frame was",
        _DUMP,
        "            len(frame),\n",
        "            len(kept),\n",
        ("tests.unit.switch.console.test_pdump.FormatTests.test_long_frame",),
    ),
    Mutation(
        "frames-not-cut",
        "65535 bytes of a frame are kept",
        _DUMP,
        "bytes(frame[:SNAPSHOT_LENGTH])",
        "bytes(frame)",
        ("tests.unit.switch.console.test_pdump.FormatTests.test_long_frame",),
    ),
    Mutation(
        "never-buffered",
        "pdump/buffered 1: write when there is much",
        _DUMP,
        "            if not self.buffered:\n",
        "            if True:\n",
        ("tests.unit.switch.console.test_pdump.DumpTests.test_buffered",),
    ),
    Mutation(
        "always-buffered",
        "pdump/buffered 0: write every frame",
        _DUMP,
        "            if not self.buffered:\n",
        "            if False:\n",
        (
            "tests.unit.switch.console.test_pdump.DumpTests.test_another_file",
            "tests.unit.switch.console.test_pdump.DumpTests.test_only_while_active",
        ),
    ),
    Mutation(
        "dumps-while-paused",
        "pdump/active 0: pause",
        _DUMP,
        "        if sink is None or not self.active:\n",
        "        if sink is None:\n",
        ("tests.unit.switch.console.test_pdump.DumpTests.test_only_while_active",),
    ),
    Mutation(
        "kept-back-at-the-pause",
        "what was kept back is written when the dump pauses",
        _DUMP,
        "            self._attempt(self._sink.flush)\n\n    def set_f",
        "            pass\n\n    def set_f",
        ("tests.unit.switch.console.test_pdump.DumpTests.test_buffered",),
    ),
    Mutation(
        "former-file-left",
        "a file that cannot be written changes nothing",
        _DUMP,
        "        sink = self._opened(filename)\n"
        "        active = self.active\n        self.close()\n",
        "        active = self.active\n        self.close()\n"
        "        sink = self._opened(filename)\n",
        ("tests.unit.switch.console.test_pdump.DumpTests.test_another_file",),
    ),
)
