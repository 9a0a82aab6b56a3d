"""Those who cannot plug in: how many there were, and a line in the log about some of them."""

from __future__ import annotations

import re
from typing import Any, Final

from twisted.logger import Logger

from distnet.once import Once

QUIET_SECONDS: Final = 10.0
"""How long nothing more is logged of those refused for a reason after one was."""

_MADE_UP: Final = re.compile(r"[/@]\S*|0x[0-9a-f]+|\d+")
"""What differs between two who are refused for one reason: numbers, and where their sockets are."""

_log = Logger(namespace="distnet")


class Refusals:
    """
    Counts who is refused, and logs it unless that was done just now for the same reason.

    @ivar count: how many were.
    """

    def __init__(self, clock: Any, what: str = "a client") -> None:
        """
        @param what: what they are, for the log.
        """
        self.count = 0
        self._what = what
        self._once = Once(seconds=clock.seconds, again=QUIET_SECONDS)

    def refuse(self, why: str, who: str | None = None) -> None:
        """
        Somebody is refused.

        @param why: the reason. Numbers and paths in it do not make it another one: whoever is
            refused has made them up.
        @param who: whose name is to be logged too.
        """
        self.count += 1
        unsaid = self._once.say(_MADE_UP.sub("#", why))
        if unsaid is not None:
            _log.warn(
                "{what} is refused: {why}{more}",
                what=self._what,
                why=why if who is None else f"{who}: {why}",
                more=f" ({unsaid} more were since the last one that is logged)" if unsaid else "",
            )
