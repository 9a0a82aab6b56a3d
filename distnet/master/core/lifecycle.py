"""When a node may be sent messages: not before it has read its id. A state machine, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from automat import TypeMachineBuilder

from distnet.master.core.link import ILink


class Lifecycle(Protocol):
    """
    What happens to a node, as far as its id is concerned.

    Until it has read its id nothing else may be sent to it: a kernel takes all that its first read
    returns for the id. The node's first byte proves that it has read it. So does the disappearance
    of the id from the queue that the node reads from, but for the moment between the taking out
    and the reading, which the settle time covers.
    """

    def id_sent(self, mail: bool) -> None:
        """The id was handed to the operating system; C{mail} says whether messages wait."""

    def resumed(self) -> None:
        """The node has read its id in an earlier run of the master."""

    def mail_waits(self) -> None:
        """There is something to deliver."""

    def id_was_taken(self) -> None:
        """The id has left the peer's queue."""

    def settle_time_is_over(self) -> None:
        """The settle time has passed since then."""

    def first_byte(self) -> None:
        """The node has sent something."""

    def ended(self) -> None:
        """The connection is over."""


class Settling:
    """
    What the lifecycle does.

    @ivar settle_seconds: from the observation that the id was taken until messages are delivered.
    @ivar settled: called once, with how it was known.
    """

    def __init__(
        self,
        link: ILink,
        clock: Any,
        settle_seconds: float,
        settled: Callable[[str], None],
    ) -> None:
        self.settled = settled
        self._link = link
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._timer: Any = None

    def watch(self) -> None:
        """Look for the id leaving the peer's queue, where that can be seen."""
        if self._link.observable:
            self._link.watch_unread(eager=False)

    def start_timer(self, expired: Callable[[], None]) -> None:
        """Begin the settle time."""
        self._timer = self._clock.callLater(self._settle_seconds, expired)

    def stop_timer(self) -> None:
        """The settle time is of no interest any more."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def _build() -> Callable[[Settling], Lifecycle]:
    builder = TypeMachineBuilder(Lifecycle, Settling)
    new = builder.state("new")
    unsettled = builder.state("unsettled")
    settling = builder.state("settling")
    settled = builder.state("settled")
    gone = builder.state("gone")

    @new.upon(Lifecycle.id_sent).to(unsettled)
    def look_if_mail_waits(lifecycle: Lifecycle, core: Settling, mail: bool) -> None:
        if mail:
            core.watch()

    @new.upon(Lifecycle.resumed).to(settled)
    def go_on(lifecycle: Lifecycle, core: Settling) -> None:
        core.settled("an earlier run")

    @unsettled.upon(Lifecycle.mail_waits).loop()
    def look(lifecycle: Lifecycle, core: Settling) -> None:
        core.watch()

    @unsettled.upon(Lifecycle.id_was_taken).to(settling)
    def wait_a_moment(lifecycle: Lifecycle, core: Settling) -> None:
        core.start_timer(lifecycle.settle_time_is_over)

    @settling.upon(Lifecycle.settle_time_is_over).to(settled)
    def believe(lifecycle: Lifecycle, core: Settling) -> None:
        core.settled("its queue")

    @unsettled.upon(Lifecycle.first_byte).to(settled)
    @settling.upon(Lifecycle.first_byte).to(settled)
    def know(lifecycle: Lifecycle, core: Settling) -> None:
        core.stop_timer()
        core.settled("its first byte")

    @new.upon(Lifecycle.ended).to(gone)
    @unsettled.upon(Lifecycle.ended).to(gone)
    @settling.upon(Lifecycle.ended).to(gone)
    @settled.upon(Lifecycle.ended).to(gone)
    def stop(lifecycle: Lifecycle, core: Settling) -> None:
        core.stop_timer()

    for state, ignored in (
        (new, Lifecycle.mail_waits),
        (new, Lifecycle.id_was_taken),
        (settling, Lifecycle.mail_waits),
        (settled, Lifecycle.mail_waits),
        (settling, Lifecycle.id_was_taken),
        (gone, Lifecycle.ended),
    ):
        state.upon(ignored).loop().returns(None)
    return builder.build()


make_lifecycle = _build()
"""Make the L{Lifecycle} of one node from its L{Settling}."""
