"""Command lines of daemons that are refused."""

from __future__ import annotations

from collections.abc import Callable

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase


class RefusingTestCase(SynchronousTestCase):
    """
    Tests of C{Options} that say what is wrong with them.

    @cvar parse: reads a command line.
    """

    parse: Callable[..., object]

    def refuses(self, says: str, *words: str) -> None:
        """The options are refused in one line that has a text."""
        why = str(self.assertRaises(UsageError, self.parse, *words))
        self.assertIn(says, why)
        self.assertNotIn("\n", why)
