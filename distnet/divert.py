"""One switch on each service: native code or Python, for all traffic.

Whoever needs to see or change what passes (a capture, a fault) asks for the Python way, and it is
taken as long as somebody does.
"""

from __future__ import annotations

from collections.abc import Callable


class Divert:
    """
    Who needs all traffic to go by Python.

    @ivar changed: called when the first one begins and when the last one has ended, with whether
        traffic is to be diverted from then on; None where there is no native code anyway.
    """

    def __init__(self, changed: Callable[[bool], None] | None = None) -> None:
        self.changed = changed
        self._held: dict[object, None] = {}

    def __bool__(self) -> bool:
        """Whether traffic is diverted."""
        return bool(self._held)

    def begin(self) -> Callable[[], None]:
        """
        Send all traffic by Python from now on.

        @return: what ends that, for this caller; calling it twice is the same as once.
        """
        held = object()
        self._held[held] = None
        if len(self._held) == 1 and self.changed is not None:
            self.changed(True)

        def end() -> None:
            if self._held.pop(held, self) is None and not self._held and self.changed is not None:
                self.changed(False)

        return end
