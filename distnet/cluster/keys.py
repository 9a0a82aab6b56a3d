"""The values of a file's table, checked one by one; a mistake is one line."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from distnet.errors import LocalError

T = TypeVar("T")


class BadConfig(LocalError):
    """A description of a cluster is wrong; the message is one line: where, which key, what."""


class Keys:
    """
    The values of a table by key, checked one by one.

    @ivar where: what errors begin with.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        known: tuple[str, ...],
        where: str,
        directory: Path,
        prefix: str = "",
    ) -> None:
        self.table = table
        self.where = where
        self.directory = directory
        self._prefix = prefix
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise self.wrong(str(key), f"there is no such key: {hint}")

    def wrong(self, key: str, why: str) -> BadConfig:
        """The error for a key."""
        return BadConfig(f"{self.where}: {self._prefix}{key}: {why}")

    def _typed(self, key: str, kind: type[T] | tuple[type[T], ...], what: str) -> T | None:
        value = self.table.get(key)
        if value is None:
            return None
        # True and false are numbers to Python.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"{value!r} is not {what}")
        return value

    def text(self, key: str, default: str) -> str:
        """The text of a key, or the default if it is not there."""
        value = self._typed(key, str, "a text")
        return default if value is None else value

    def flag(self, key: str, default: bool = False) -> bool:
        """Whether a key is true, or the default if it is not there."""
        value = self._typed(key, bool, "true or false")
        return default if value is None else value

    def number(self, key: str, least: int, most: int, default: int | None) -> int:
        """A whole number; one without a default must be there."""
        value = self._typed(key, int, "a whole number")
        value = default if value is None else value
        if value is None:
            raise self.wrong(key, f"it is missing: a number from {least} to {most}")
        if not least <= value <= most:
            raise self.wrong(key, f"{value} is not a number from {least} to {most}")
        return value

    def seconds(self, key: str, default: float) -> float:
        """A number of seconds above 0."""
        value = self._typed(key, (int, float), "a number of seconds")
        value = default if value is None else float(value)
        if not value > 0:
            raise self.wrong(key, f"{value:g} is not a number of seconds above 0")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        """A text that must be one of those that are allowed."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.wrong(key, f"{value!r} is not {' or '.join(allowed)}")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        """A text that a pattern matches as a whole; C{what} says in words what it should be."""
        value = self.text(key, "")
        if not pattern.fullmatch(value):
            raise self.wrong(key, f"{value!r} is not {what}")
        return value

    def memory(self, key: str) -> str | None:
        """An amount of memory: a number of MiB, or a text such as 512M or 2G."""
        value = self.table.get(key)
        if value is None:
            return None
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]{0,7}[MG]?", text):
            raise self.wrong(key, f'{value!r} is not an amount of memory, such as "512M" or "2G"')
        return text if text[-1] in "MG" else f"{text}M"

    def path(self, key: str) -> Path | None:
        """A path, from the directory of the file; C{~} is the user's home."""
        value = self._typed(key, str, "a path")
        if value is None:
            return None
        if not value:
            raise self.wrong(key, "the path is empty")
        return self.directory / Path(value).expanduser()

    def words(self, key: str) -> tuple[str, ...]:
        """Words of a command: a list of them, or one text as a shell would split it."""
        value = self.table.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            try:
                return tuple(shlex.split(value))
            except ValueError as error:
                raise self.wrong(key, f"{value!r}: {error}") from None
        if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
            return tuple(value)
        raise self.wrong(key, f"{value!r} is neither a text nor a list of texts")

    def tables(self, key: str) -> list[dict[str, Any]]:
        """The tables of a key, C{[[key]]} in the file; none if it is not there."""
        value = self.table.get(key, [])
        if isinstance(value, list) and all(isinstance(table, dict) for table in value):
            return value
        raise self.wrong(key, "it is written as [[node]], with an id and keys for that node")
