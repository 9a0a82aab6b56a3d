"""What the arguments of the C{distnet} command are, for argparse."""

from __future__ import annotations

import argparse
import math
import sys
from difflib import get_close_matches
from typing import Any, NoReturn

from distnet import __version__, _native
from distnet.address import Address, BadAddress, UnixAddress, parse
from distnet.errors import LocalError
from distnet.nic import check_nic
from distnet.qemu import UdpAddress, parse_dgram
from distnet.wire import MAX_ID


class NotDone(Exception):
    """What was asked for did not happen; the message is one line."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, which names the option and the command."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As everywhere, but that a command has no words that it does not know."""
        words = sys.argv[1:] if args is None else list(args)
        if words and len(words[0]) > 1 and words[0].startswith("-"):
            option = words[0].partition("=")[0]
            # Before words are missed that may have been meant to follow.
            if not any(known.startswith(option) for known in self._option_string_actions):
                self.error(self._unknown(option))
        read, unknown = super().parse_known_args(words, namespace)
        if unknown:
            # Here, or else the command that they were given to would not be named.
            self.error(self._unknown(unknown[0]))
        return read, unknown

    def error(self, message: str) -> NoReturn:
        """End the process with status 2."""
        why = message.removeprefix("argument ")
        self.exit(2, f"{self.prog}: {why} (see {self.prog} --help)\n")

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word!r} is a word too many"
        option = word.partition("=")[0]
        alike = get_close_matches(option, self._option_string_actions, 1)
        return f"there is no option {option}" + (f"; is {alike[0]} meant?" if alike else "")


class ShowVersion(argparse.Action):
    """Prints the version, and whether native code can run, and why not."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print(f"distnet {__version__}, {_native.describe()}")
        parser.exit()


def read_node(text: str) -> int:
    """An id, or the number of a guest."""
    if not text.isdecimal() or int(text) > MAX_ID:
        raise argparse.ArgumentTypeError(f"{text!r} is not an id")
    return int(text)


def read_address(text: str) -> Address:
    """Where a master or a switch listens."""
    try:
        return parse(text)
    except BadAddress as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_dgram_address(text: str) -> UdpAddress | UnixAddress:
    """Where a switch takes datagrams."""
    try:
        return parse_dgram(text)
    except BadAddress as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_nic(text: str) -> str:
    """A network card, as QEMU's C{-device} has it."""
    try:
        return check_nic(text)
    except LocalError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def read_count(text: str) -> int:
    """A number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def read_seconds(text: str) -> float:
    """A number of seconds, not an infinite one."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
