"""What the options of both twistd commands share."""

from __future__ import annotations

import sys
from typing import NoReturn

from twisted.python import usage

from distnet import __version__
from distnet.errors import LocalError


def whole_number(text: str) -> int:
    """A number without a sign. Raises ValueError."""
    # The length first: int() refuses thousands of digits with an error of its own.
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{text!r} is not a number")
    return int(text)


class DaemonOptions(usage.Options):
    """Options that are checked as a whole, before anything is opened."""

    def opt_version(self) -> NoReturn:
        """Show the version of distnet."""
        print(f"distnet {__version__}")
        sys.exit(0)

    def postOptions(self) -> None:
        """Check everything that can be checked without opening anything."""
        try:
            self.check()
        except (ValueError, LocalError) as error:
            raise usage.UsageError(str(error)) from error

    def check(self) -> None:
        """Raise ValueError or LocalError, in one line, if the options cannot be used."""
        raise NotImplementedError
