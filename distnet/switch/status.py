"""
The status of a switch as plain records: what it says of itself, at the moment it is asked.

Sizes are in bytes; times in seconds since the epoch. The control interface tells these records as
JSON, key for field: new fields may come, those that are there stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from distnet.daemon.clock import Date
from distnet.mac import format_mac
from distnet.switch.core.counters import Counters, Reason, Traffic
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.records import Endpoint, FdbEntry, Port, Vlan


@dataclass(frozen=True, slots=True)
class Amount:
    """Frames and their bytes."""

    frames: int
    bytes: int

    @classmethod
    def of(cls, traffic: Traffic) -> Amount:
        """What was counted until now."""
        return cls(traffic.frames, traffic.bytes)


@dataclass(frozen=True, slots=True)
class CountersStatus:
    """
    Of one port, or of all.

    @ivar received: frames that came in.
    @ivar sent: copies of frames that went out.
    @ivar undelivered: by reason; each reason is there.
    """

    received: Amount
    sent: Amount
    undelivered: Mapping[Reason, Amount]

    @classmethod
    def of(cls, counters: Counters) -> CountersStatus:
        """What a port, or all of them, has counted until now."""
        return cls(
            received=Amount.of(counters.received),
            sent=Amount.of(counters.sent),
            undelivered={reason: Amount.of(counters.lost(reason)) for reason in Reason},
        )


@dataclass(frozen=True, slots=True)
class EndpointStatus:
    """
    Something that is plugged in.

    @ivar number: its id at its port, as C{port/epclose} takes it.
    @ivar description: what it says of itself.
    @ivar module: what kind of link it is, as C{port/print} says it.
    @ivar user: the uid of whoever it is, or None if that is unknown.
    @ivar waiting: what waits to be sent to it.
    @ivar held: what came from it while it was paused, and is not dealt with yet.
    @ivar paused: it is not read, since somebody that it sends to has no room.
    @ivar slow_since: since when frames for it are dropped, as it has not drained in time,
        or None.
    """

    number: int
    description: str
    module: str
    user: int | None
    waiting: Amount
    held: Amount
    paused: bool
    slow_since: float | None

    @classmethod
    def of(cls, endpoint: Endpoint, date: Date) -> EndpointStatus:
        """The record of an endpoint as it is now."""
        return cls(
            number=endpoint.number,
            description=endpoint.description,
            module=endpoint.link.module,
            user=endpoint.user,
            waiting=Amount(len(endpoint.queue), endpoint.queued_bytes),
            held=Amount(len(endpoint.held), endpoint.held_bytes),
            paused=endpoint.paused,
            slow_since=None if endpoint.slow is None else date(endpoint.slow.since),
        )


@dataclass(frozen=True, slots=True)
class PortStatus:
    """
    A port, in use or not.

    @ivar number: 0 is the management port.
    @ivar allocatable: it may be given to whoever asks for any port.
    @ivar vlan: the number of the VLAN of its untagged frames, or None.
    @ivar tagged_vlans: the numbers of the VLANs that it is a tagged member of, in order.
    @ivar user: the uid of whoever is plugged in, or None.
    @ivar allowed_user: the uid that may use it, or None.
    @ivar allowed_group: the gid that may use it, or None.
    @ivar endpoints: what is plugged in.
    @ivar counters: of all its endpoints, those that have left too.
    """

    number: int
    allocatable: bool
    vlan: int | None
    tagged_vlans: tuple[int, ...]
    user: int | None
    allowed_user: int | None
    allowed_group: int | None
    endpoints: tuple[EndpointStatus, ...]
    counters: CountersStatus

    @classmethod
    def of(cls, port: Port, date: Date) -> PortStatus:
        """The record of a port as it is now."""
        return cls(
            number=port.number,
            allocatable=port.allocatable,
            vlan=None if port.home is None else port.home.number,
            tagged_vlans=tuple(sorted(port.tagged)),
            user=port.user,
            allowed_user=port.allowed_user,
            allowed_group=port.allowed_group,
            endpoints=tuple(EndpointStatus.of(each, date) for each in port.endpoints),
            counters=CountersStatus.of(port.counters),
        )


@dataclass(frozen=True, slots=True)
class VlanStatus:
    """
    @ivar number: 0 to 4094.
    @ivar untagged_ports: the numbers of the ports whose untagged frames are its, in order.
    @ivar tagged_ports: the numbers of the ports where its frames are tagged, in order.
    @ivar addresses: how many are known in it.
    """

    number: int
    untagged_ports: tuple[int, ...]
    tagged_ports: tuple[int, ...]
    addresses: int

    @classmethod
    def of(cls, vlan: Vlan) -> VlanStatus:
        """The record of a VLAN as it is now."""
        return cls(
            number=vlan.number,
            untagged_ports=tuple(sorted(vlan.untagged)),
            tagged_ports=tuple(sorted(vlan.tagged)),
            addresses=len(vlan.fdb),
        )


@dataclass(frozen=True, slots=True)
class FdbEntryStatus:
    """
    An entry of the forwarding database.

    @ivar mac: the address, like C{00:ff:41:02:a3:04}.
    @ivar vlan: the number of the VLAN.
    @ivar port: the number of the port that it is behind.
    @ivar age: how long ago a frame came from it, in seconds.
    """

    mac: str
    vlan: int
    port: int
    age: float

    @classmethod
    def of(cls, entry: FdbEntry, now: float) -> FdbEntryStatus:
        """The record of what is known of an address now."""
        return cls(
            mac=format_mac(entry.mac),
            vlan=entry.vlan,
            port=entry.port.number,
            # Native code may have said that it was seen a moment after the clock was read.
            age=max(0.0, now - entry.seen),
        )


class ListenerKind(Enum):
    """What plugs in at a listener."""

    STREAM = "stream"
    DGRAM = "dgram"


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """
    Where the switch listens, besides its directory.

    @ivar kind: of QEMU's C{-netdev}.
    @ivar address: as users type it, C{tcp:HOST:PORT}, C{unix:PATH} or C{udp:HOST:PORT}; with the
        port that the kernel has chosen, if any was to do.
    @ivar port: the number of the port that whoever connects there gets, or None for any.
    """

    kind: ListenerKind
    address: str
    port: int | None


@dataclass(frozen=True, slots=True)
class RefusedStatus:
    """
    How often something was refused since the switch started.

    @ivar vde: clients of VDE that could not plug in.
    @ivar streams: connections of C{--stream}.
    @ivar dgrams: datagrams of somebody who could not plug in with C{--dgram}.
    @ivar consoles: consoles, of which there were too many.
    @ivar addresses: times that an address was not learned, since there were too many.
    """

    vde: int
    streams: int
    dgrams: int
    consoles: int
    addresses: int


@dataclass(frozen=True, slots=True)
class DumpStatus:
    """
    The packet dump.

    @ivar filename: where it writes to.
    @ivar active: whether it does.
    @ivar written: frames since it was loaded.
    @ivar failed: frames that could not be written.
    """

    filename: str
    active: bool
    written: int
    failed: int


@dataclass(frozen=True, slots=True)
class SwitchStatus:
    """
    Everything.

    @ivar distnet: the version.
    @ivar started: when it started.
    @ivar directory: where clients of VDE find it.
    @ivar listeners: where else it listens: for streams, then for datagrams, as they were told.
    @ivar mac: its own address.
    @ivar hub: every frame goes to all ports of its VLAN.
    @ivar strict: tags of VLANs that a port is not in are refused.
    @ivar numports: how many ports there can be, port 0 counted.
    @ivar limits: of frames, queues and addresses.
    @ivar not_native: why native code does not forward frames, or None if it does.
    @ivar diverted: all frames go by Python just now, since somebody asked for it.
    @ivar ports: by number; unused ones too.
    @ivar vlans: by number.
    @ivar addresses: by VLAN.
    @ivar counters: of all ports, those that were removed too, since they were reset.
    @ivar refused: what was refused.
    @ivar contested: how often two ports took turns to send from one address.
    @ivar events_dropped: events that a console was not told of, since it did not read.
    @ivar errors: how many operations on sockets and tap interfaces have failed, by the name of the
        operating system's error, like C{ENOBUFS}.
    @ivar dump: the packet dump, or None until it is used, and after C{plugin/del}.
    """

    distnet: str
    pid: int
    started: float
    directory: str
    listeners: tuple[ListenerStatus, ...]
    mac: str
    hub: bool
    strict: bool
    numports: int
    limits: BridgeLimits
    not_native: str | None
    diverted: bool
    ports: tuple[PortStatus, ...]
    vlans: tuple[VlanStatus, ...]
    addresses: tuple[FdbEntryStatus, ...]
    counters: CountersStatus
    refused: RefusedStatus
    contested: int
    events_dropped: int
    errors: Mapping[str, int]
    dump: DumpStatus | None
