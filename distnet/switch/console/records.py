"""Records of the console: what a command is, and what the console is told of switch and machine."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from distnet.switch.console.arguments import Kind
from distnet.switch.console.pdump import Sink

MAX_SCRIPT: Final = 1024 * 1024
"""Bytes of a script, which is read at once."""
_MENU: Final = "============"


@dataclass(frozen=True, slots=True)
class Command:
    """
    A command, or a menu, which is the head of some in C{help}.

    @ivar path: what is typed. What follows is its arguments, with a blank between or without.
    @ivar syntax: its arguments, as C{help} shows them.
    @ivar help: what it does, in a line.
    @ivar kinds: how its arguments are read.
    @ivar run: does it, and returns lines to show. Raises CommandError, before or while they are
        taken. None for a menu.
    @ivar data: it answers with data, though there may be no line of it.
    @ivar ends: it ends the session.
    """

    path: str
    syntax: str
    help: str
    kinds: tuple[Kind, ...] = ()
    run: Callable[..., Iterable[str] | None] | None = None
    data: bool = False
    ends: bool = False

    @property
    def line(self) -> str:
        """Its line in C{help}."""
        syntax = _MENU if self.run is None else self.syntax
        return f"{self.path:<18} {syntax:<15} {self.help}"


@dataclass(frozen=True, slots=True)
class About:
    """
    What the console tells of the switch and cannot find out.

    @ivar version: of this program.
    @ivar mac: the switch's own address.
    @ivar started: in seconds, as the clock counts that the console is given.
    @ivar directory: the directory of the control socket, or None without one.
    @ivar mode: of the control socket.
    @ivar management: path and mode of the console's own socket, or None.
    """

    version: str = ""
    mac: bytes = bytes(6)
    started: float = 0.0
    directory: str | None = None
    mode: int = 0o600
    management: tuple[str, int] | None = None

    @property
    def banner(self) -> list[str]:
        """Who we are, in two lines, which is where clients skip two."""
        return [
            f"VDE switch V.{self.version} (distnet)",
            "Commands and answers are those of vde_switch 2.3.2",
        ]


class Machine:
    """What the console needs of the machine. This one has no files, no names, and does not stop."""

    def wall_clock(self) -> float:
        """Seconds since the epoch."""
        return 0.0

    def read_script(self, path: str) -> bytes:
        """The bytes of a script, at most L{MAX_SCRIPT}. Raises OSError."""
        raise OSError(errno.ENOSYS, "there are no files here")

    def open_dump(self, path: str) -> Sink:
        """A new file for frames. Raises OSError."""
        raise OSError(errno.ENOSYS, "there are no files here")

    def shut_down(self) -> None:
        """Stop the switch."""

    def process(self) -> int:
        """The number of the switch's process, which is another one once that is a daemon."""
        return 0

    def user_id(self, name: str) -> int:
        """The uid of a user, by name or number. Raises KeyError or ValueError."""
        return int(name)

    def group_id(self, name: str) -> int:
        """The gid of a group, by name or number. Raises KeyError or ValueError."""
        return int(name)

    def user_name(self, number: int) -> str:
        """The name of a uid, or the uid itself."""
        return str(number)

    def group_name(self, number: int) -> str:
        """The name of a gid, or the gid itself."""
        return str(number)


@dataclass(slots=True)
class SpanningTree:
    """
    What was asked of the spanning tree, which is not done yet.

    @ivar wanted: it was turned on.
    @ivar priority: of this switch.
    @ivar bonus: port and cost, by VLAN.
    """

    wanted: bool = False
    priority: int = 0x8000
    bonus: dict[int, tuple[int, int]] = field(default_factory=dict)
