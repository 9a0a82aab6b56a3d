"""When a node may be sent messages: not before it has read its id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distnet.master.core.link import ILink


class Settling:
    """
    What happens to a node until it has settled, which is when it has read its id.

    Until then nothing else may be sent to it: a kernel takes all that its first read returns for
    the id. The node's first byte proves that it has read it. So does the disappearance of the id
    from the queue that the node reads from, but for the moment between the taking out and the
    reading, which the settle time covers.

    @ivar taken: the id has left the queue of the node.
    """

    def __init__(
        self, link: ILink, clock: Any, settle_seconds: float, settled: Callable[[str], None]
    ) -> None:
        """
        @param settle_seconds: from the observation that the id was taken until the node is settled.
        @param settled: called once, with how it was known; not after L{ended}.
        """
        self._link = link
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._settled = settled
        self._greeted = False
        self.taken = False
        self._timer: Any = None

    def greeted(self, mail: bool) -> None:
        """The id was handed to the operating system; C{mail} says whether messages wait."""
        self._greeted = True
        if mail:
            self.mail_waits()

    def mail_waits(self) -> None:
        """There is something to deliver: look for the id leaving the queue, where that is seen."""
        if self._greeted and self._timer is None and self._link.observable:
            self._link.watch_unread(eager=False)

    def id_was_taken(self) -> None:
        """The id has left the queue of the node, which reads it within the settle time."""
        if self._greeted and self._timer is None:
            self.taken = True
            self._timer = self._clock.callLater(self._settle_seconds, self._settled, "its queue")

    def first_byte(self) -> None:
        """The node has sent something, so that it has read its id."""
        self.ended()
        self._settled("its first byte")

    def ended(self) -> None:
        """The connection is over, or the settle time is of no interest any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
