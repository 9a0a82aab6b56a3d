"""Mistakes of the switch's console without its socket."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_ARGUMENTS = "distnet/ethernet/console_arguments.py"
_CONSOLE = "distnet/ethernet/console.py"
_BASIC = "distnet/ethernet/console_basic.py"
_EVENTS = "distnet/ethernet/console_events.py"
_OBSERVER = "distnet/ethernet/console_observer.py"
_PORTS = "distnet/ethernet/console_ports.py"
_REFUSALS = "distnet/ethernet/refusals.py"
_TABLES = "distnet/ethernet/console_tables.py"

_ETHERNET = "tests.unit.ethernet"
_TRANSPORTS = "tests.unit.transports"

MUTATIONS = (
    Mutation(
        "rest-of-the-line-lost",
        "two lines in one write are two commands",
        _CONSOLE,
        "            self._buffer = rest\n",
        "            self._buffer = bytearray()\n",
        (
            f"{_ETHERNET}.test_console.LineTests.test_paused_by_an_answer",
            f"{_ETHERNET}.test_console.LineTests.test_pieces",
        ),
    ),
    Mutation(
        "data-without-an-end",
        "0000 DATA END WITH '.'",
        _CONSOLE,
        "for line in lines) + END_OF_DATA)",
        "for line in lines))",
        (
            f"{_ETHERNET}.test_console_shows.PrintTests.test_help_has_all",
            f"{_ETHERNET}.test_console_shows.PrintTests.test_info",
        ),
    ),
    Mutation(
        "no-data-no-frame",
        "a command that answers with data does so though there is none",
        _CONSOLE,
        "            if command.data:\n",
        "            if command.data and lines:\n",
        (
            f"{_ETHERNET}.test_console_commands.AnswerTests.test_data_that_is_none",
            f"{_ETHERNET}.test_console_commands.AnswerTests.test_why_not",
        ),
    ),
    Mutation(
        "failed-data-without-frame",
        "data that ends in an error has its frame too",
        _CONSOLE,
        "        finally:\n            # Data",
        "        else:\n            # Data",
        (
            f"{_ETHERNET}.test_console_commands.AnswerTests.test_data_that_is_none",
            f"{_ETHERNET}.test_console_commands.AnswerTests.test_why_not",
        ),
    ),
    Mutation(
        "error-number-of-one-digit",
        "1 and the errno in three digits",
        _CONSOLE,
        '    return f"1{error.number:03d} {error}\\n"',
        '    return f"1{error.number} {error}\\n"',
        (
            f"{_ETHERNET}.test_console.LineTests.test_other_bytes",
            f"{_ETHERNET}.test_console.ScriptTests.test_itself",
        ),
    ),
    Mutation(
        "every-refusal-is-invalid",
        "each refusal is answered with its own errno",
        _CONSOLE,
        "            raise CommandError(error.number) from error\n",
        "            raise CommandError(errno.EINVAL) from error\n",
        (
            f"{_ETHERNET}.test_console.ScriptTests.test_at_the_start",
            f"{_ETHERNET}.test_console.ScriptTests.test_shown",
        ),
    ),
    Mutation(
        "in-use-is-busy",
        "vde_switch's errno",
        _REFUSALS,
        "number = errno.EADDRINUSE",
        "number = errno.EBUSY",
        (
            f"{_ETHERNET}.test_console_commands.AnswerTests.test_why_not",
            f"{_ETHERNET}.test_console_commands.PartTests.test_members",
        ),
    ),
    Mutation(
        "goes-on-after-logout",
        "logout ends the session",
        _CONSOLE,
        "                self._write(END_OF_SESSION)\n                self.close()\n",
        "                self._write(END_OF_SESSION)\n",
        (
            f"{_ETHERNET}.test_console.LineTests.test_logout",
            f"{_TRANSPORTS}.test_console.ProtocolTests.test_logout",
        ),
    ),
    Mutation(
        "scripts-log-out",
        "in a script logout and shutdown do nothing",
        _CONSOLE,
        "            if not self._scripts:\n",
        "            if True:\n",
        (f"{_ETHERNET}.test_console.ScriptTests.test_shown",),
    ),
    Mutation(
        "shut-down-twice",
        "shutdown stops the switch once",
        _CONSOLE,
        "        if not self._shutting_down:\n",
        "        if True:\n",
        (f"{_ETHERNET}.test_console.LineTests.test_shutdown",),
    ),
    Mutation(
        "prompts-always",
        "no prompts where nobody is at a terminal",
        _CONSOLE,
        "        if self._prompts:\n",
        "        if True:\n",
        (f"{_ETHERNET}.test_console_commands.AnswerTests.test_without_prompts",),
    ),
    Mutation(
        "prompts-after-the-end",
        "END OF SESSION is the last",
        _CONSOLE,
        "            if not self.ended:\n                self._prompt()\n",
        "            self._prompt()\n",
        (
            f"{_ETHERNET}.test_console.LineTests.test_logout",
            f"{_TRANSPORTS}.test_console.ProtocolTests.test_logout",
        ),
    ),
    Mutation(
        "events-for-everybody",
        "a session is told of what it has asked for",
        _CONSOLE,
        "        if category not in self.wanted:\n            return\n",
        "",
        (
            f"{_ETHERNET}.test_console.LineTests.test_end_of_input",
            f"{_ETHERNET}.test_console.LineTests.test_longest_line",
        ),
    ),
    Mutation(
        "events-for-ever",
        "debug/del ends events",
        _EVENTS,
        "        self._wanted -= named\n",
        "",
        (
            f"{_ETHERNET}.test_console_commands.PartTests.test_some_events",
            f"{_ETHERNET}.test_console_shows.EventTests.test_told_at_once",
        ),
    ),
    Mutation(
        "all-of-them-or-none",
        "debug/add of categories of which some are wanted already adds the others",
        _EVENTS,
        "        if named <= self._wanted:\n",
        "        if named & self._wanted:\n",
        (f"{_ETHERNET}.test_console_commands.PartTests.test_some_events",),
    ),
    Mutation(
        "none-or-all-of-them",
        "debug/del of categories of which some are wanted removes those",
        _EVENTS,
        "        if not named & self._wanted:\n",
        "        if not named <= self._wanted:\n",
        (f"{_ETHERNET}.test_console_commands.PartTests.test_some_events",),
    ),
    Mutation(
        "events-forge-answers",
        "a description cannot forge an answer",
        _CONSOLE,
        "category.line(printable(text))",
        "category.line(text)",
        (f"{_ETHERNET}.test_console_shows.EventTests.test_told_at_once",),
    ),
    Mutation(
        "lines-though-paused",
        "who does not read is waited for",
        _CONSOLE,
        "        while not (self.ended or self.paused):\n",
        "        while not self.ended:\n",
        (
            f"{_ETHERNET}.test_console.LineTests.test_paused_by_an_answer",
            f"{_TRANSPORTS}.test_console.ProtocolTests.test_not_read",
        ),
    ),
    Mutation(
        "end-of-a-long-line-is-a-line",
        "a line that is too long is answered with one error, unread",
        _CONSOLE,
        "            too_long = self._too_long or len(line) > MAX_LINE\n",
        "            too_long = len(line) > MAX_LINE\n",
        (f"{_ETHERNET}.test_console.LineTests.test_too_long_a_line",),
    ),
    Mutation(
        "sessions-without-limit",
        "every table has a limit",
        _CONSOLE,
        "        if len(self._sessions) >= MAX_SESSIONS:\n",
        "        if len(self._sessions) > MAX_SESSIONS:\n",
        (
            f"{_ETHERNET}.test_console.LineTests.test_too_many_sessions",
            f"{_TRANSPORTS}.test_console.ProtocolTests.test_too_many",
        ),
    ),
    Mutation(
        "scripts-without-bottom",
        "scripts that load one another have a limit",
        _CONSOLE,
        "if path in self._scripts or len(self._scripts) >= MAX_SCRIPT_DEPTH:",
        "if path in self._scripts:",
        (f"{_ETHERNET}.test_console.ScriptTests.test_depth",),
    ),
    Mutation(
        "script-forgets-failures",
        "what failed in the rc file is said",
        _CONSOLE,
        "                if problem is not None:\n",
        "                if False:\n",
        (f"{_ETHERNET}.test_console.ScriptTests.test_at_the_start",),
    ),
    Mutation(
        "comments-are-commands",
        "a line that begins with # is a comment",
        _CONSOLE,
        'if not line.strip() or line.startswith("#"):',
        "if not line.strip():",
        (f"{_ETHERNET}.test_console.ScriptTests.test_shown",),
    ),
    Mutation(
        "carriage-returns-are-arguments",
        "lines may end as those of terminals",
        _CONSOLE,
        '.rstrip("\\r")',
        "",
        (f"{_ETHERNET}.test_console_commands.AnswerTests.test_ends_of_lines",),
    ),
    Mutation(
        "nothing-is-0",
        "an optional number that is not there is none",
        _ARGUMENTS,
        '    if kind is Kind.OPTIONAL and not stripped.strip():\n        return None, ""\n',
        "",
        (
            f"{_ETHERNET}.test_console_arguments.ArgumentTests.test_optional",
            f"{_ETHERNET}.test_console_commands.PartTests.test_counters_of_one",
        ),
    ),
    Mutation(
        "octal-numbers",
        "a number with leading zeros is decimal, as ports are printed",
        _ARGUMENTS,
        "    return _checked(sign + digits, 10), text[end:]\n",
        "    return _checked(sign + digits, 8), text[end:]\n",
        (
            f"{_ETHERNET}.test_console_arguments.ArgumentTests.test_exact",
            f"{_ETHERNET}.test_console_shows.EventTests.test_vlan_of_two_bytes",
        ),
    ),
    Mutation(
        "numbers-without-end",
        "numbers are of 32 bits",
        _ARGUMENTS,
        "    if not -_LARGEST - 1 <= number <= _LARGEST:\n",
        "    if False:\n",
        (
            f"{_ETHERNET}.test_console_arguments.ArgumentTests.test_exact",
            f"{_ETHERNET}.test_console_arguments.ArgumentTests.test_loose",
        ),
    ),
    Mutation(
        "names-may-be-missing",
        "a name has to be there",
        _ARGUMENTS,
        "        if not stripped:\n",
        "        if False:\n",
        (f"{_ETHERNET}.test_console_arguments.ArgumentTests.test_texts",),
    ),
    Mutation(
        "longer-addresses",
        "a MAC address ends where it ends",
        _ARGUMENTS,
        "{5})(?=[ \\t\\r]|$)",
        "{5})",
        (f"{_ETHERNET}.test_console_arguments.ArgumentTests.test_mac",),
    ),
    Mutation(
        "oldest-endpoint-first",
        "endpoints are shown as vde_switch does, the newest first",
        _PORTS,
        "    for endpoint in reversed(port.endpoints):\n",
        "    for endpoint in port.endpoints:\n",
        (f"{_ETHERNET}.test_console_shows.PrintTests.test_port",),
    ),
    Mutation(
        "losses-not-shown",
        "ports show what was not delivered",
        _PORTS,
        "port.counters.undelivered.items():",
        "dict[str, Traffic]().items():",
        (
            f"{_ETHERNET}.test_console_shows.PrintTests.test_port",
            f"{_ETHERNET}.test_console_shows.PrintTests.test_slow",
        ),
    ),
    Mutation(
        "counts-all-again",
        "port/resetcounter N is for one port",
        _PORTS,
        "        if number is None or port.number == number:\n            port.counters",
        "        if True:\n            port.counters",
        (f"{_ETHERNET}.test_console_commands.PartTests.test_counters_of_one",),
    ),
    Mutation(
        "untagged-member-removed",
        "vlan/delport is for tagged members",
        _TABLES,
        "    if port.home is vlan:\n",
        "    if False:\n",
        (f"{_ETHERNET}.test_console_commands.PartTests.test_members",),
    ),
    Mutation(
        "port-gone-with-any-endpoint",
        "port/- when the last endpoint has gone",
        _OBSERVER,
        "        if not endpoint.port.active:\n",
        "        if True:\n",
        (f"{_ETHERNET}.test_console_commands.PartTests.test_one_of_two_endpoints",),
    ),
    Mutation(
        "bridge-stays-tapped",
        "a bridge that is not dumped costs nothing",
        _CONSOLE,
        '            entrance.pop("received", None)\n',
        '            entrance.get("received", None)\n',
        (f"{_ETHERNET}.test_console_shows.DumpTests.test_frames",),
    ),
    Mutation(
        "file-stays-open",
        "plugin/del closes the dump's file",
        _CONSOLE,
        "            self.dump.close()\n",
        "",
        (f"{_ETHERNET}.test_console_shows.DumpTests.test_frames",),
    ),
    Mutation(
        "any-file-is-pdump",
        "there is no other plugin",
        _BASIC,
        "    if name != _PDUMP:\n",
        "    if False:\n",
        (f"{_ETHERNET}.test_console_commands.AnswerTests.test_why_not",),
    ),
)
