"""A port of the switch, and the endpoints that are plugged into it. Records; no decisions."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from distnet.switch.core.counters import Counters
from distnet.switch.core.link import IFrameLink, IHotEndpoint

if TYPE_CHECKING:
    from distnet.switch.core.events import Episode
    from distnet.switch.core.vlans import Vlan

NO_VLAN = 4095
"""As a port's untagged VLAN: it takes and gets no untagged frames."""


class Endpoint:
    """
    One connection that is plugged into a port; most ports have one.

    @ivar port: where it is plugged in.
    @ivar link: where its frames go out.
    @ivar number: its id at its port, as C{port/print} shows and C{port/epclose} takes it.
    @ivar user: the uid of whoever made the connection, or None if that is unknown.
    @ivar description: what it says of itself; changed by L{Bridge.describe}.
    @ivar gone: it was detached.
    @ivar queue: frames that wait for its link, oldest first.
    @ivar queued_bytes: how many bytes these have.
    @ivar blocked: its link has refused a frame, which is the first one in the queue.
    @ivar slow: the episode of not draining in time that goes on, or None.
    @ivar deadline: if its queue is full and somebody was paused for it, until when, in seconds.
    @ivar waiters: endpoints that are paused for it, each with the frame that did not fit.
    @ivar awaited: endpoints that it is paused for.
    @ivar held: frames that came from it when it was paused, oldest first.
    @ivar held_bytes: how many bytes these have.
    @ivar paused: it is not read.
    @ivar impatient: its pause is over: until all that was held is dealt with it waits for nobody.
    @ivar pause_timer: ends its pause.
    @ivar hot: its native half, or None.
    """

    __slots__ = (
        "awaited",
        "blocked",
        "deadline",
        "description",
        "gone",
        "held",
        "held_bytes",
        "hot",
        "impatient",
        "link",
        "number",
        "pause_timer",
        "paused",
        "port",
        "queue",
        "queued_bytes",
        "slow",
        "user",
        "waiters",
    )

    def __init__(
        self, port: Port, link: IFrameLink, number: int, user: int | None, description: str
    ) -> None:
        self.port = port
        self.link = link
        self.number = number
        self.user = user
        self.description = description
        self.gone = False
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.blocked = False
        self.slow: Episode | None = None
        self.deadline: float | None = None
        self.waiters: dict[Endpoint, bytes] = {}
        self.awaited: dict[Endpoint, None] = {}
        self.held: deque[bytes] = deque()
        self.held_bytes = 0
        self.paused = False
        self.impatient = False
        self.pause_timer: Any = None
        self.hot: IHotEndpoint | None = None


class Port:
    """
    A numbered port. It can be there without an endpoint; then it is inactive.

    @ivar number: its number; 0 is the management port.
    @ivar allocatable: it may be given to whoever asks for any port.
    @ivar user: the uid that all its endpoints have, or None while there are none (or unknown).
    @ivar allowed_user: the uid that may use it, or None; root may always.
    @ivar allowed_group: the gid that may use it, or None. Without both everybody may.
    @ivar home: the VLAN of its untagged frames, or None.
    @ivar tagged: the numbers of the VLANs that it is a tagged member of.
    @ivar endpoints: what is plugged in.
    @ivar counters: of all its endpoints, those that have left too.
    """

    __slots__ = (
        "allocatable",
        "allowed_group",
        "allowed_user",
        "counters",
        "endpoints",
        "home",
        "number",
        "tagged",
        "user",
    )

    def __init__(self, number: int, allocatable: bool) -> None:
        self.number = number
        self.allocatable = allocatable
        self.user: int | None = None
        self.allowed_user: int | None = None
        self.allowed_group: int | None = None
        self.home: Vlan | None = None
        self.tagged: set[int] = set()
        self.endpoints: tuple[Endpoint, ...] = ()
        self.counters = Counters()

    @property
    def active(self) -> bool:
        """Something is plugged in."""
        return bool(self.endpoints)

    @property
    def untagged(self) -> int:
        """The number of the VLAN of its untagged frames, or L{NO_VLAN}."""
        return NO_VLAN if self.home is None else self.home.number

    @property
    def slow(self) -> bool:
        """Frames for some endpoint of it are dropped, since that has not drained in time."""
        return any(endpoint.slow for endpoint in self.endpoints)

    @property
    def queued_frames(self) -> int:
        """How many frames wait for its endpoints."""
        return sum(len(endpoint.queue) for endpoint in self.endpoints)
