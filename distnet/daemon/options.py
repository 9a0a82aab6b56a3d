"""What the options of both twistd commands share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, MutableMapping
from typing import Any, Final, NoReturn, TypeVar

from twisted.python import usage

from distnet import __version__, _native
from distnet.daemon.log import use_in_twist, use_in_twistd
from distnet.errors import LocalError
from distnet.text import GIB, KIB, MIB

T = TypeVar("T")

_TWISTDS_PIDFILE: Final = "twistd.pid"
_UNITS: Final = {"": 1, "k": KIB, "m": MIB, "g": GIB}


def whole_number(text: str) -> int:
    """A number without a sign. Raises ValueError."""
    # The length first: int() refuses thousands of digits with an error of its own.
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


def size(text: str) -> int:
    """A number of bytes; K, M and G stand for 1024, 1024² and 1024³ of them. Raises ValueError."""
    parts = re.fullmatch(r"(\d+)([kmg]?)(?:i?b)?", text.lower())
    if parts is None:
        raise ValueError(f"{text!r} is not a size: use a number of bytes, 64K, 64M or 1G")
    return int(parts[1]) * _UNITS[parts[2]]


def show_size(number: int) -> str:
    """The shortest text that L{size} reads as a number."""
    for unit in ("g", "m", "k"):
        if number and number % _UNITS[unit] == 0:
            return f"{number // _UNITS[unit]}{unit.upper()}"
    return str(number)


def seconds(text: str) -> float:
    """A number of seconds. Raises ValueError."""
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds") from None


class DaemonOptions(usage.Options):
    """Options that are checked as a whole, before anything is opened."""

    @property
    def background(self) -> bool:
        """Whether twistd makes a daemon of this process; twist, which has no such option, not."""
        return self.parent is not None and not self.parent.get("nodaemon", True)

    @property
    def user(self) -> int:
        """The number of the user that the daemon runs as, once twistd has become that."""
        uid = None if self.parent is None else self.parent.get("uid")
        return os.geteuid() if uid is None else int(uid)

    def opt_version(self) -> NoReturn:
        """Show the version of distnet, and whether native code runs."""
        print(f"distnet {__version__}, {_native.describe()}")
        sys.exit(0)

    def postOptions(self) -> None:
        """
        Check everything that can be checked without opening anything.

        In the foreground there is no file with a process's id, unless one is named: twistd would
        leave it in the current directory, where a second daemon could then not be started.
        """
        twistd: MutableMapping[str, Any] = self.parent or {}
        if twistd.get("nodaemon") and twistd.get("pidfile") == _TWISTDS_PIDFILE:
            twistd["pidfile"] = ""
        if "fileLogObserverFactory" in twistd:
            use_in_twist(twistd)
        else:
            use_in_twistd(twistd)
        try:
            self.check()
        except (ValueError, LocalError) as error:
            raise usage.UsageError(str(error)) from error

    def check(self) -> None:
        """Raise ValueError or LocalError, in one line, if the options cannot be used."""
        raise NotImplementedError

    def read(self, option: str, read: Callable[[str], T]) -> T:
        """What the text of an option means to a function. Raises ValueError, naming the option."""
        try:
            return read(str(self[option]))
        except ValueError as error:
            raise ValueError(f"--{option}: {error}") from error
