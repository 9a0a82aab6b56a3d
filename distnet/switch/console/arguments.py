"""The arguments of console commands: how each kind is read from what follows the command.

Numbers are read as loosely as users of vde_switch are used to, but never beyond 32 bits.
"""

from __future__ import annotations

import errno
import os
import re
from enum import Enum, auto
from typing import Final

from distnet.errors import PeerError

Value = int | bool | str | bytes | None
"""What an argument becomes."""

_LARGEST: Final = 2**31 - 1
_LOOSE: Final = re.compile(r"[ \t\r\v\f]*([+-]?[0-9]+)")
_EXACT: Final = re.compile(r"[ \t\r\v\f]*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)")
_MAC: Final = re.compile(r"([0-9a-fA-F]{1,2}(?::[0-9a-fA-F]{1,2}){5})(?=[ \t\r]|$)")
# Longer ones are out of range, and int() is slow for thousands of digits.
_MOST_DIGITS: Final = 32


class CommandError(PeerError):
    """
    A command that cannot be done.

    @ivar number: the errno that the console answers it with.
    """

    def __init__(self, number: int) -> None:
        super().__init__(os.strerror(number))
        self.number = number


class Kind(Enum):
    """
    What an argument may be.

    LOOSE is a decimal number at the start of the rest; anything else, and nothing, is 0. OPTIONAL
    is the same, but nothing is None. FLAG is a LOOSE number that is 0 or not. EXACT has to be
    there: a number, decimal (with leading zeros too, as they are printed) or hexadecimal after 0x.
    NAME is the rest of the line, and has to be there too. TEXT is the rest of the line, MAC an
    address.
    """

    LOOSE = auto()
    OPTIONAL = auto()
    FLAG = auto()
    EXACT = auto()
    NAME = auto()
    TEXT = auto()
    MAC = auto()


def parse(kinds: tuple[Kind, ...], text: str) -> list[Value]:
    """
    The arguments in the rest of a line. Raises CommandError for one that is missing or wrong.

    What is left after the last of them is not looked at.
    """
    values: list[Value] = []
    for kind in kinds:
        value, text = _take(kind, text)
        values.append(value)
    return values


def _take(kind: Kind, text: str) -> tuple[Value, str]:
    stripped = text.lstrip(" \t")
    if kind is Kind.TEXT:
        return stripped, ""
    if kind is Kind.NAME:
        if not stripped:
            raise CommandError(errno.EINVAL)
        return stripped, ""
    if kind is Kind.MAC:
        found = _MAC.match(stripped)
        if found is None:
            raise CommandError(errno.EINVAL)
        mac = bytes(int(digits, 16) for digits in found[1].split(":"))
        return mac, stripped[found.end() :]
    if kind is Kind.EXACT:
        return _take_exact(text)
    if kind is Kind.OPTIONAL and not stripped.strip():
        return None, ""
    found = _LOOSE.match(text)
    number = _checked(found[1], 10) if found is not None else 0
    rest = text[found.end() :] if found is not None else text
    return (number != 0 if kind is Kind.FLAG else number), rest


def _take_exact(text: str) -> tuple[int, str]:
    found = _EXACT.match(text)
    if found is None:
        raise CommandError(errno.EINVAL)
    sign, digits = found.groups()
    end = found.end()
    if digits[:2] in ("0x", "0X"):
        return _checked(sign + digits[2:], 16), text[end:]
    return _checked(sign + digits, 10), text[end:]


def _checked(digits: str, base: int) -> int:
    if len(digits) > _MOST_DIGITS:
        raise CommandError(errno.EINVAL)
    number = int(digits, base)
    if not -_LARGEST - 1 <= number <= _LARGEST:
        raise CommandError(errno.EINVAL)
    return number
