"""What the options of both twistd commands share."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, MutableMapping
from difflib import get_close_matches
from typing import Any, Final, NoReturn, TypeVar

from twisted.python import usage

from distnet import __version__, _native
from distnet.daemon.files import check_files, forget_plugin_cache
from distnet.daemon.log import use_in_twist, use_in_twistd
from distnet.errors import LocalError
from distnet.text import GIB, KIB, MIB

T = TypeVar("T")

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

    def parseOptions(self, options: Any = None) -> None:
        """
        Read a command line. Under twistd, or twist, one that is wrong ends the process.

        Raises L{usage.UsageError} elsewhere.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            if self.parent is None:
                raise
            # twistd would print all its options before the reason.
            sys.exit(self._in_a_line(str(error), self.parent))

    def parseArgs(self, *words: str) -> None:
        """There are none but options."""
        if words:
            raise usage.UsageError(f"{words[0]!r} is not an option")

    def _in_twist(self) -> bool:
        return self.parent is not None and "fileLogObserverFactory" in self.parent

    def _in_a_line(self, problem: str, twistd: usage.Options) -> str:
        """What is wrong with an option, what may have been meant, and where to read more."""
        program = "twist" if self._in_twist() else "twistd"
        command = f"{program} {twistd.subCommand}"
        own, its = _names(self), _names(twistd)
        unknown = re.fullmatch(r"option -{1,2}(\S+) not recognized", problem)
        if unknown is not None:
            name = unknown[1]
            option = f"-{name}" if len(name) == 1 else f"--{name}"
            problem = f"there is no option {option}"
            if name in its:
                problem = f"{option} is an option of {program}, and stands before its command"
            elif alike := get_close_matches(name, own, 1):
                problem += f"; is --{alike[0]} meant?"
        named = re.match(r"-{1,2}([a-zA-Z-]+)", problem)
        its_own = named is not None and named[1] in its and named[1] not in own
        return f"{command}: {problem} (see {program if its_own else command} --help)"

    def postOptions(self) -> None:
        """Check everything that can be checked without opening anything."""
        twistd: MutableMapping[str, Any] = self.parent or {}
        try:
            if self._in_twist():
                use_in_twist(twistd)
            elif "pidfile" in twistd:
                check_files(twistd)
                use_in_twistd(twistd)
            self.check()
        except (ValueError, LocalError) as error:
            raise usage.UsageError(str(error)) from error
        forget_plugin_cache()

    def check(self) -> None:
        """Raise ValueError or LocalError, in one line, if the options cannot be used."""
        raise NotImplementedError

    def read(self, option: str, read: Callable[[str], T]) -> T:
        """What the text of an option means to a function. Raises ValueError, naming the option."""
        try:
            return read(str(self[option]))
        except ValueError as error:
            raise ValueError(f"--{option}: {error}") from error


def _names(options: usage.Options) -> list[str]:
    """Of all options, long and short, without dashes."""
    return [name.rstrip("=") for name in (*options.longOpt, *options.shortOpt.replace(":", ""))]
