"""Records of the console: what a command is, and what the console is told of switch and machine."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

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
    @ivar pid: of its process.
    @ivar mac: the switch's own address.
    @ivar started: in seconds, as the clock counts that the console is given.
    @ivar directory: the directory of the control socket, or None without one.
    @ivar mode: of the control socket.
    @ivar management: path and mode of the console's own socket, or None.
    """

    version: str = ""
    pid: int = 0
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


def _no_file(path: str) -> Any:
    raise OSError(errno.ENOSYS, "there are no files here")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What the console needs of the machine; by default there is no machine.

    @ivar wall_clock: seconds since the epoch.
    @ivar read_script: the bytes of a script, at most L{MAX_SCRIPT}. Raises OSError.
    @ivar open_dump: a new file for frames. Raises OSError.
    @ivar shut_down: stop the switch.
    @ivar user_id: of a user by name or number. Raises KeyError.
    @ivar group_id: of a group by name or number. Raises KeyError.
    @ivar user_name: of a user's number, or the number.
    @ivar group_name: of a group's number, or the number.
    """

    wall_clock: Callable[[], float] = lambda: 0.0
    read_script: Callable[[str], bytes] = _no_file
    open_dump: Callable[[str], Sink] = _no_file
    shut_down: Callable[[], None] = lambda: None
    user_id: Callable[[str], int] = int
    group_id: Callable[[str], int] = int
    user_name: Callable[[int], str] = str
    group_name: Callable[[int], str] = str


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
