"""All commands of the console, in the order in which help lists them; and how to make one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from distnet.switch.console.basic import DATA_SOCKET_COMMANDS, DUMP_COMMANDS, SESSION_COMMANDS
from distnet.switch.console.observer import ConsoleObserver
from distnet.switch.console.ports import PORT_COMMANDS
from distnet.switch.console.records import About, Command, Machine, SpanningTree
from distnet.switch.console.session import Console
from distnet.switch.console.tables import HASH_COMMANDS, TREE_COMMANDS, VLAN_COMMANDS
from distnet.switch.core.bridge import Bridge

COMMANDS: Final[tuple[Command, ...]] = (
    *DATA_SOCKET_COMMANDS,
    *SESSION_COMMANDS,
    *HASH_COMMANDS,
    *TREE_COMMANDS,
    *PORT_COMMANDS,
    *VLAN_COMMANDS,
    *DUMP_COMMANDS,
)


def make_console(
    bridge: Bridge,
    observer: ConsoleObserver,
    *,
    clock: Callable[[], float],
    about: About,
    machine: Machine | None = None,
    spanning_tree: SpanningTree | None = None,
) -> Console:
    """
    The console of a bridge.

    @param observer: which the bridge was made with, alone or among others.
    @param clock: the seconds that the bridge counts too.
    """
    console = Console(
        bridge,
        COMMANDS,
        clock=clock,
        about=about,
        machine=machine or Machine(),
        spanning_tree=spanning_tree or SpanningTree(),
    )
    observer.tell = console.event
    return console
