"""What the bridge is made of: ports, endpoints, VLANs, what it knows of addresses. No decisions.

They know each other, so they stand together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from distnet.switch.core.counters import Counters, Traffic
from distnet.switch.core.link import IFrameLink, INativeEndpoint

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
    @ivar native: its native half, or None.
    """

    __slots__ = (
        "awaited",
        "blocked",
        "deadline",
        "description",
        "gone",
        "held",
        "held_bytes",
        "impatient",
        "link",
        "native",
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
        self.slow: SlowEpisode | None = None
        self.deadline: float | None = None
        self.waiters: dict[Endpoint, bytes] = {}
        self.awaited: dict[Endpoint, None] = {}
        self.held: deque[bytes] = deque()
        self.held_bytes = 0
        self.paused = False
        self.impatient = False
        self.pause_timer: Any = None
        self.native: INativeEndpoint | None = None


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


class Vlan:
    """
    A VLAN, and where its frames go.

    @ivar number: 0 to 4094.
    @ivar fdb: what the forwarding database knows of it, by address.
    @ivar untagged: its ports, by number, whose untagged frames are its; inactive ones too.
    @ivar tagged: its other ports, by number, where its frames are tagged.
    """

    __slots__ = (
        "_plain_out",
        "_tagged_out",
        "fdb",
        "number",
        "tagged",
        "untagged",
    )

    def __init__(self, number: int, fdb: FdbTable) -> None:
        self.number = number
        self.fdb = fdb
        self.untagged: dict[int, Port] = {}
        self.tagged: dict[int, Port] = {}
        self._plain_out: tuple[Endpoint, ...] | None = None
        self._tagged_out: tuple[Endpoint, ...] | None = None

    @property
    def plain_out(self) -> tuple[Endpoint, ...]:
        """All endpoints to which its frames go without a tag."""
        if self._plain_out is None:
            self._plain_out = _endpoints(self.untagged.values())
        return self._plain_out

    @property
    def tagged_out(self) -> tuple[Endpoint, ...]:
        """All endpoints to which its frames go with a tag."""
        if self._tagged_out is None:
            self._tagged_out = _endpoints(self.tagged.values())
        return self._tagged_out

    def is_alone(self, port: Port) -> bool:
        """Whether this port of it is the only one that has endpoints."""
        return len(self.plain_out) + len(self.tagged_out) == len(port.endpoints)

    def changed(self) -> None:
        """Its ports, or their endpoints, are others than they were."""
        self._plain_out = self._tagged_out = None


def _endpoints(ports: Iterable[Port]) -> tuple[Endpoint, ...]:
    return tuple(endpoint for port in ports for endpoint in port.endpoints)


@dataclass(slots=True, eq=False)
class FdbEntry:
    """
    What the forwarding database knows of an address in one VLAN.

    @ivar mac: the address, 6 bytes.
    @ivar vlan: the number of the VLAN.
    @ivar port: behind which port.
    @ivar seen: when a frame last came from it, in seconds as the clock counts.
    @ivar elsewhere: when one last came from it through another port.
    @ivar turns: how often it was seen behind its port after that, and then through another again.
    """

    mac: bytes
    vlan: int
    port: Port
    seen: float
    elsewhere: float = -inf
    turns: int = 0


FdbTable = dict[bytes, "FdbEntry"]
"""What is known of one VLAN, by the 6 bytes of an address."""


@dataclass(slots=True, eq=False)
class SlowEpisode:
    """
    From when an endpoint did not drain in time until its queue is empty, or it has left.

    @ivar endpoint: who.
    @ivar since: when, in seconds as the clock counts.
    @ivar waiting: what waited for it then.
    @ivar dropped: frames for it that were dropped since.
    """

    endpoint: Endpoint
    since: float
    waiting: Traffic
    dropped: Traffic = field(default_factory=Traffic)
