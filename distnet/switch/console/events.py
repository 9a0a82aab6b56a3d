"""What a console can be told of without asking: the categories of events, and who wants which."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from distnet.switch.console.arguments import CommandError


@dataclass(frozen=True, slots=True)
class Category:
    """
    A kind of event.

    @ivar path: its name, as C{debug/add} takes it.
    @ivar tag: its number on the console, shown in octal.
    @ivar help: what it tells.
    """

    path: str
    tag: int
    help: str

    def line(self, text: str) -> str:
        """An event of this category."""
        return f"3{self.tag:03o} {self.path} {text}\n"


HASH_ADDED: Final = Category("hash/+", 0o11, "an address was learned")
HASH_REMOVED: Final = Category("hash/-", 0o12, "an address was forgotten")
FSTP_STATUS: Final = Category("fstp/status", 0o44, "spanning tree: a port's status (never yet)")
FSTP_ROOT: Final = Category("fstp/root", 0o45, "spanning tree: another root (never yet)")
FSTP_ADDED: Final = Category("fstp/+", 0o41, "spanning tree: a port takes part (never yet)")
FSTP_REMOVED: Final = Category("fstp/-", 0o42, "spanning tree: a port left it (never yet)")
PORT_ADDED: Final = Category("port/+", 0o21, "a port came into being")
PORT_REMOVED: Final = Category("port/-", 0o22, "a port lost its last endpoint")
PORT_DESCRIPTION: Final = Category("port/descr", 0o23, "an endpoint was described")
ENDPOINT_ADDED: Final = Category("port/ep/+", 0o31, "an endpoint was plugged in")
ENDPOINT_REMOVED: Final = Category("port/ep/-", 0o32, "an endpoint was unplugged")
PACKET_IN: Final = Category("pdump/packetin", 0o101, "a frame came in (only to the file)")
PACKET_OUT: Final = Category("pdump/packetout", 0o102, "a frame went out (only to the file)")

CATEGORIES: Final = (
    HASH_ADDED,
    HASH_REMOVED,
    FSTP_STATUS,
    FSTP_ROOT,
    FSTP_ADDED,
    FSTP_REMOVED,
    PORT_ADDED,
    PORT_REMOVED,
    PORT_DESCRIPTION,
    ENDPOINT_ADDED,
    ENDPOINT_REMOVED,
    PACKET_IN,
    PACKET_OUT,
)
"""All, in the order in which they are listed."""


class Subscriptions:
    """The categories that one session wants. Each is named by the start of its path."""

    def __init__(self) -> None:
        self._wanted: set[str] = set()

    def __contains__(self, category: Category) -> bool:
        return category.path in self._wanted

    def add(self, start: str, categories: Iterable[Category]) -> None:
        """Want them. Raises CommandError if there are none, or none that was not wanted before."""
        named = _named(start, categories)
        if named <= self._wanted:
            raise CommandError(errno.EEXIST)
        self._wanted |= named

    def remove(self, start: str, categories: Iterable[Category]) -> None:
        """Want them no more. Raises CommandError if there are none, or none that was wanted."""
        named = _named(start, categories)
        if not named & self._wanted:
            raise CommandError(errno.ENOENT)
        self._wanted -= named


def _named(start: str, categories: Iterable[Category]) -> set[str]:
    named = {category.path for category in categories if category.path.startswith(start)}
    if not named:
        raise CommandError(errno.EINVAL)
    return named
