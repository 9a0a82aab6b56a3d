"""The management console without its socket: lines in, answers and events out.

What the commands do is in the modules beside this one; L{distnet.switch.console.commands} puts
them together. The conversation is that of vde_switch 2.3.2, as observed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from distnet.switch.console.arguments import CommandError, parse
from distnet.switch.console.events import Category, Subscriptions
from distnet.switch.console.pdump import PacketDump
from distnet.switch.console.records import About, Command, Machine, SpanningTree
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.errors import BridgeError
from distnet.text import printable

PROMPT: Final = "\nvde$ "
DATA: Final = "0000 DATA END WITH '.'\n"
END_OF_DATA: Final = ".\n"
SUCCESS: Final = "1000 Success\n"
END_OF_SESSION: Final = "9999 END OF SESSION"

MAX_LINE: Final = 8192
"""Bytes of a line; a path has at most 4096. A longer one is answered with an error, unread."""
MAX_SCRIPT_DEPTH: Final = 8
"""Scripts that load one another."""
MAX_SESSIONS: Final = 64
"""Consoles at a time."""


class Console:
    """
    What all sessions of a switch share.

    @ivar commands: all that there are, in the order in which help lists them.
    @ivar clock: seconds, from any point in time.
    @ivar dump: the packet dump.
    @ivar dump_added: its plugin was added, as vde_switch wants it. It works without.
    @ivar refused: sessions that were too many.
    @ivar events_dropped: how many a session was not told of, since it did not read.
    """

    def __init__(
        self,
        bridge: Bridge,
        commands: tuple[Command, ...],
        *,
        clock: Callable[[], float],
        about: About,
        machine: Machine,
        spanning_tree: SpanningTree,
    ) -> None:
        self.bridge = bridge
        self.commands = commands
        self.clock = clock
        self.about = about
        self.machine = machine
        self.spanning_tree = spanning_tree
        self.dump = self._new_dump()
        self.dump_added = False
        self.refused = 0
        self.events_dropped = 0
        self._shutting_down = False
        self._sessions: set[ConsoleSession] = set()

    def end_dump(self) -> None:
        """End the packet dump; its file is closed. The next one begins anew."""
        self.dump.close()
        self.dump = self._new_dump()
        self.dump_added = False

    def _new_dump(self) -> PacketDump:
        machine = self.machine
        return PacketDump(machine.open_dump, machine.wall_clock, self.bridge.wrap_received)

    def shut_down(self) -> None:
        """Stop the switch; asked again, it is stopping already."""
        if not self._shutting_down:
            self._shutting_down = True
            self.machine.shut_down()

    def close(self) -> None:
        """The switch stops: end what is being written."""
        self.end_dump()

    def find(self, line: str) -> Command | None:
        """The command at the start of a line."""
        for command in self.commands:
            if command.run is not None and line.startswith(command.path):
                return command
        return None

    def event(self, category: Category, show: Callable[..., str], *what: object) -> None:
        """Tell the sessions that want it; C{show} makes a line of what it is about."""
        wanting = [session for session in self._sessions if category in session.wanted]
        if wanting:
            line = category.line(printable(show(*what)))
            for session in wanting:
                session.event(line)

    def new_session(
        self, write: Callable[[bytes], None], *, prompts: bool = True
    ) -> ConsoleSession | None:
        """A session that writes to C{write}; None if there are too many."""
        if len(self._sessions) >= MAX_SESSIONS:
            self.refused += 1
            return None
        session = ConsoleSession(self, write, prompts)
        self._sessions.add(session)
        return session

    def forget(self, session: ConsoleSession) -> None:
        """A session is over."""
        self._sessions.discard(session)

    def run_startup_script(self, path: str) -> list[str]:
        """
        Run a script that nobody watches; return its lines that failed, with the reasons.

        @raise OSError: it cannot be read.
        """
        data = self.machine.read_script(path)
        session = ConsoleSession(self, lambda _: None, prompts=False)
        return session.run_script(path, data)


class ConsoleSession:
    """
    One console. Feed it what comes; it writes answers and events.

    @ivar ended: it was told to end, or the switch was: what was written is the last.
    @ivar paused: the other side does not read: lines wait, events are dropped.
    @ivar wanted: the events it is told of.
    """

    def __init__(self, console: Console, write: Callable[[bytes], None], prompts: bool) -> None:
        self.console = console
        self.ended = False
        self.paused = False
        self.wanted = Subscriptions()
        self._write_bytes = write
        self._prompts = prompts
        self._buffer = bytearray()
        self._too_long = False
        self._scripts: list[str] = []

    def greet(self) -> None:
        """Write the banner, as vde_switch has it, and a prompt."""
        self._write("".join(f"{line}\n" for line in self.console.about.banner))
        self._prompt()

    def feed(self, data: bytes) -> None:
        """Take what was typed. Whole lines are done, the rest waits for more."""
        self._buffer += data
        self._go_on()

    @property
    def incomplete(self) -> bool:
        """The beginning of a line waits for its end."""
        return bool(self._buffer or self._too_long) and not (self.ended or self.paused)

    def finish(self) -> None:
        """Nothing more is typed: what is left is a line too."""
        if self.incomplete:
            self.feed(b"\n")

    def pause(self) -> None:
        """The other side does not read: do nothing more until L{resume}."""
        self.paused = True

    def resume(self) -> None:
        """The other side reads again."""
        self.paused = False
        self._go_on()

    def close(self) -> None:
        """The other side is gone."""
        self.ended = True
        self.console.forget(self)

    def event(self, line: str) -> None:
        """Tell of an event, unless the other side does not read."""
        if self.paused:
            self.console.events_dropped += 1
        else:
            self._write(line)

    def run_script(self, path: str, data: bytes) -> list[str]:
        """
        Do the lines of a script, each shown with its answer; return those that failed, and why.

        @raise CommandError: it is running already, or too many others are.
        """
        if path in self._scripts or len(self._scripts) >= MAX_SCRIPT_DEPTH:
            raise CommandError(errno.ELOOP)
        failed = []
        self._scripts.append(path)
        try:
            lines = text_of(data).split("\n")
            # What is behind the last line's end is no line.
            for line in lines if lines[-1] else lines[:-1]:
                self._write(f"vde[{path}]: {line}\n")
                problem = self._answer(line)
                if problem is not None:
                    failed.append(f"{line.strip()}: {problem}")
        finally:
            self._scripts.pop()
        return failed

    def _go_on(self) -> None:
        while not (self.ended or self.paused):
            line, newline, rest = self._buffer.partition(b"\n")
            too_long = self._too_long or len(line) > MAX_LINE
            if not newline:
                self._too_long = too_long
                if too_long:
                    self._buffer.clear()
                return
            self._buffer = rest
            self._too_long = False
            if too_long:
                self._write(_failure(CommandError(errno.E2BIG)))
            else:
                self._answer(text_of(line))
            if not self.ended:
                self._prompt()

    def _answer(self, line: str) -> CommandError | None:
        try:
            self._execute(line)
        except CommandError as error:
            self._write(_failure(error))
            return error
        return None

    def _execute(self, line: str) -> None:
        line = line.lstrip(" \t").rstrip("\r")
        if not line.strip() or line.startswith("#"):
            return
        command = self.console.find(line)
        if command is None or command.run is None:
            raise CommandError(errno.ENOSYS)
        if command.ends:
            # In a script these do nothing, and say nothing.
            if not self._scripts:
                self._write(END_OF_SESSION)
                self.close()
                command.run(self)
            return
        lines: list[str] = []
        try:
            arguments = parse(command.kinds, line.removeprefix(command.path))
            lines.extend(command.run(self, *arguments) or ())
        except BridgeError as error:
            raise CommandError(error.number) from error
        finally:
            # Data that ends in an error has its frame too.
            if command.data:
                self._write(DATA + "".join(f"{line}\n" for line in lines) + END_OF_DATA)
        self._write(SUCCESS)

    def _prompt(self) -> None:
        if self._prompts:
            self._write(PROMPT)

    def _write(self, text: str) -> None:
        self._write_bytes(text.encode("utf-8", "surrogateescape"))


def text_of(data: bytes | bytearray) -> str:
    """Bytes as text that is the same bytes when written."""
    return data.decode("utf-8", "surrogateescape")


def _failure(error: CommandError) -> str:
    return f"1{error.number:03d} {error}\n"
