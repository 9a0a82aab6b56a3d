"""Those who cannot plug in: how many there were, and a line in the log about some of them."""

from __future__ import annotations

from typing import Any, Final

from twisted.logger import Logger

QUIET_SECONDS: Final = 10.0
"""How long nothing more is logged of refused ones after one was."""

_log = Logger(namespace="distnet")


class Refusals:
    """
    Counts who is refused, and logs it unless that was done just now.

    @ivar count: how many were.
    @ivar unsaid: how many of them since the last one that is logged.
    """

    def __init__(self, clock: Any, who: str = "a client") -> None:
        self.count = 0
        self.unsaid = 0
        self._clock = clock
        self._who = who
        self._quiet_until = float("-inf")

    def refuse(self, why: str) -> None:
        """Somebody is refused."""
        self.count += 1
        now = self._clock.seconds()
        if now < self._quiet_until:
            self.unsaid += 1
            return
        more = f" ({self.unsaid} more were since the last one that is logged)"
        _log.warn(
            "{who} is refused: {why}{more}",
            who=self._who,
            why=why,
            more=more if self.unsaid else "",
        )
        self._quiet_until, self.unsaid = now + QUIET_SECONDS, 0
