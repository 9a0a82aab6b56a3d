"""The console without its socket: lines, sessions, limits, scripts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distnet.switch.console.commands import COMMANDS
from distnet.switch.console.session import MAX_LINE, MAX_SCRIPT_DEPTH, MAX_SESSIONS
from tests.unit.switch.console.consoles import PROMPT, ConsoleTestCase

SUCCESS = b"1000 Success\n"
UNKNOWN = b"1038 Function not implemented\n"


class LineTests(ConsoleTestCase):
    """Lines, sessions, and limits."""

    def test_greeting(self) -> None:
        """It says who it is, in two lines, and prompts."""
        self.session.greet()
        greeting = self.take()
        self.assertTrue(greeting.startswith(b"VDE switch V.9"))
        self.assertTrue(greeting.endswith(b"\n" + PROMPT))
        self.assertEqual(greeting.count(b"\n"), 3)

    def test_pieces(self) -> None:
        """Byte by byte and all at once, the same is answered."""
        lines = b"port/create 3\n\nport/create 3\n#\nnosuch\nport/allprint\nport/remove 3\n"
        self.session.feed(lines)
        whole = self.take()
        self.assertEqual(whole.count(PROMPT), 7)
        for position in range(len(lines)):
            self.session.feed(lines[position : position + 1])
        self.assertEqual(self.take(), whole)

    def test_end_of_input(self) -> None:
        """What is left at the end is a line; if nothing is, nothing is answered."""
        self.session.finish()
        self.assertEqual(self.take(), b"")
        self.session.feed(b"port/create 3")
        self.assertTrue(self.session.incomplete)
        self.session.finish()
        self.assertEqual(self.take(), SUCCESS + PROMPT)
        self.assertFalse(self.session.incomplete)

    def test_longest_line(self) -> None:
        """A line at the limit is a command."""
        line = b"port/create 3".ljust(MAX_LINE)
        self.assertEqual(self.ask(line), SUCCESS)

    def test_too_long_a_line(self) -> None:
        """A longer one is an error, without being kept, and the next is a command again."""
        self.assertEqual(
            self.ask(b"port/create 3".ljust(MAX_LINE + 1)), b"1007 Argument list too long\n"
        )
        for _ in range(10):
            self.session.feed(b" " * MAX_LINE)
        self.assertEqual(self.take(), b"")
        self.assertEqual(self.ask(b"port/create 3"), b"1007 Argument list too long\n")
        self.assertEqual(self.ask(b"port/create 3"), SUCCESS)

    def test_logout(self) -> None:
        """logout ends the session: what was typed after it is not done, and no event is told."""
        self.ask("debug/add port")
        self.session.feed(b"logout\nport/create 3\n")
        self.assertEqual(self.take(), b"9999 END OF SESSION")
        self.assertTrue(self.session.ended)
        self.bridge.ports.create(4)
        self.assertEqual(self.take(), b"")
        self.assertEqual([port.number for port in self.bridge.ports], [4])
        self.assertEqual(self.shut_down, 0)

    def test_shutdown(self) -> None:
        """shutdown ends the session and the switch, once."""
        other, output = self.new_session()
        self.session.feed(b"shutdown\n")
        self.assertEqual(self.take(), b"9999 END OF SESSION")
        other.feed(b"shutdown\n")
        self.assertEqual(output, b"9999 END OF SESSION")
        self.assertEqual(self.shut_down, 1)

    def test_pause(self) -> None:
        """While the other side does not read, lines wait, and events are dropped and counted."""
        self.ask("debug/add port/+")
        self.session.pause()
        self.session.feed(b"port/createauto\nlogout\n")
        self.bridge.ports.create(5)
        self.assertEqual(self.take(), b"")
        self.assertEqual(self.session.console.events_dropped, 1)
        self.session.resume()
        self.assertEqual(
            self.take(),
            b"3021 port/+ 01\n0000 DATA END WITH '.'\nPort 0001\n.\n1000 Success\n"
            + PROMPT
            + b"9999 END OF SESSION",
        )

    def test_paused_by_an_answer(self) -> None:
        """A session that is paused while it writes goes on only when it is resumed."""
        asked = b"help\n" * 10
        written: list[bytes] = []

        def write(data: bytes) -> None:
            written.append(data)
            session.pause()

        new = self.console.new_session(write)
        assert new is not None
        session = new
        session.feed(asked)
        turns = 0
        while written.count(PROMPT) < 10 and turns < 10:
            session.resume()
            turns += 1
        self.assertEqual(turns, 9)

    def test_too_many_sessions(self) -> None:
        """There is a limit on sessions; one that has ended leaves its place."""
        sessions = [self.session]
        for _ in range(MAX_SESSIONS - 1):
            sessions.append(self.new_session()[0])
        self.assertIsNone(self.console.new_session(self.output.extend))
        self.assertEqual(self.console.refused, 1)
        sessions[5].close()
        self.assertIsNotNone(self.console.new_session(self.output.extend))

    def test_other_bytes(self) -> None:
        """Bytes that are no text come back as they were."""
        self.assertEqual(self.ask(b"\xff\xfe"), UNKNOWN)
        self.scripts["\udcff"] = b"nosuch \xfe\n"
        self.assertEqual(self.ask(b"load \xff"), b"vde[\xff]: nosuch \xfe\n" + UNKNOWN + SUCCESS)

    @given(st.lists(st.one_of(
        st.sampled_from([command.path.encode() for command in COMMANDS if not command.ends]),
        st.sampled_from([b"\n", b" ", b" 1", b" 0", b" 5", b" -1", b" pdump", b"1:2:3:4:5:6"]),
        st.binary(max_size=5),
    ), max_size=30))  # fmt: skip
    def test_anything(self, pieces: list[bytes]) -> None:
        """Whatever is typed, each line is answered with one status at most, and nothing breaks."""
        session, output = self.new_session()
        typed = b"".join(pieces) + b"\n"
        session.feed(typed)
        self.assertEqual(bytes(output).count(PROMPT), typed.count(b"\n"))
        session.close()


class ScriptTests(ConsoleTestCase):
    """Scripts."""

    def test_shown(self) -> None:
        """Lines are shown with what they are answered, the last one without an end too."""
        self.scripts["rc"] = b"port/create 3\n\n# no\nport/create 3\nlogout\nshutdown"
        self.assertEqual(
            self.ask("load rc"),
            b"vde[rc]: port/create 3\n1000 Success\nvde[rc]: \nvde[rc]: # no\n"
            b"vde[rc]: port/create 3\n1017 File exists\nvde[rc]: logout\nvde[rc]: shutdown\n"
            b"1000 Success\n",
        )
        self.assertFalse(self.session.ended)
        self.assertEqual(self.shut_down, 0)

    def test_missing(self) -> None:
        """A script that is not there, or not named, is an error."""
        for line in ("load", "load nosuch"):
            self.assertEqual(self.ask(line), b"1002 No such file or directory\n")

    def test_itself(self) -> None:
        """A script that loads itself is an error."""
        self.scripts["rc"] = b"load rc\n"
        self.assertIn(b"1040 Too many levels", self.ask("load rc"))

    def test_depth(self) -> None:
        """A script that is loaded by too many others is an error."""
        for number in range(MAX_SCRIPT_DEPTH):
            self.scripts[str(number)] = b"load %d\n" % (number + 1)
        self.scripts[str(MAX_SCRIPT_DEPTH)] = b"port/create 9\n"
        self.assertIn(b"port/create 9\n1000 Success\n", self.ask("load 1"))
        self.assertIn(b"1040 Too many levels", self.ask("load 0"))

    def test_at_the_start(self) -> None:
        """A script at the start is done silently, and what failed in it is returned."""
        self.scripts["rc"] = b"port/create 3\nnosuch\n port/create 3\n"
        self.assertEqual(
            self.console.run_startup_script("rc"),
            ["nosuch: Function not implemented", "port/create 3: File exists"],
        )
        self.assertIn(3, self.bridge.ports)
        self.assertRaises(OSError, self.console.run_startup_script, "nosuch")
