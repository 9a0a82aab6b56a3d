"""The switch as a service: the bridge, the sockets that plug into it, and its log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from distnet.daemon.clock import Dates
from distnet.divert import Divert
from distnet.errors import StartupError
from distnet.mac import format_mac
from distnet.observers import broadcast
from distnet.once import Once
from distnet.sockets.native import Way
from distnet.switch.console.commands import make_console
from distnet.switch.console.machine import ThisMachine
from distnet.switch.console.observer import ConsoleObserver
from distnet.switch.console.records import About, SpanningTree
from distnet.switch.console.sockets import ManagementService, StandardInputService
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.counters import Traffic
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.records import Endpoint, FdbEntry, Port, SlowEpisode
from distnet.switch.native import NativeBridge
from distnet.switch.plugs.descriptor import Errors
from distnet.switch.plugs.dgram import DgramListener
from distnet.switch.plugs.stream import FrameStreamService, StreamListener
from distnet.switch.plugs.tap import TapService
from distnet.switch.plugs.vde import VdeService
from distnet.switch.plugs.vdedir import VdeDirectory
from distnet.switch.status import (
    CountersStatus,
    DumpStatus,
    FdbEntryStatus,
    ListenerKind,
    ListenerStatus,
    PortStatus,
    RefusedStatus,
    SwitchStatus,
    VlanStatus,
)

_log = Logger(namespace="distnet")

CONTEST_SECONDS: Final = 60.0
"""How long nothing more is logged of an address that two ports send from."""

_LIMITS: Final = BridgeLimits()


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a switch is like.

    @ivar numports: how many ports there can be, port 0 counted.
    @ivar hub: send every frame to every port.
    @ivar strict: refuse frames with tags of VLANs that their port is not in, as vde_switch does.
    @ivar spanning_tree: it was asked for; there is none yet.
    @ivar priority: for that.
    @ivar hash_size: as vde_switch has it; shown, and without an effect.
    @ivar address: of the switch itself, 6 bytes, or None to make one up.
    @ivar limits: of frames, queues and addresses.
    """

    numports: int = 32
    hub: bool = False
    strict: bool = False
    spanning_tree: bool = False
    priority: int = 0x8000
    hash_size: int = 128
    address: bytes | None = None
    limits: BridgeLimits = _LIMITS


@dataclass(frozen=True, slots=True)
class Management:
    """
    How a switch is managed.

    @ivar path: of the management socket, or None; C{mode} and C{group} are that socket's.
    @ivar standard_input: commands are read from there too.
    @ivar script: the path of a file of commands to begin with, or None.
    """

    path: str | None = None
    mode: int = 0o600
    group: int | None = None
    standard_input: bool = False
    script: str | None = None


@dataclass(frozen=True, slots=True)
class Plugs:
    """
    What plugs into a switch besides clients of VDE.

    @ivar taps: names of tap interfaces.
    @ivar streams: where QEMU's C{-netdev stream} connects.
    @ivar dgrams: where QEMU's C{-netdev dgram} sends.
    """

    taps: tuple[str, ...] = ()
    streams: tuple[StreamListener, ...] = ()
    dgrams: tuple[DgramListener, ...] = ()


class SwitchService(MultiService):
    """
    A switch, and the directory where clients of VDE find it.

    @ivar bridge: the switch without its sockets.
    @ivar vde: where clients of VDE plug in.
    @ivar console: what its management socket and standard input talk to.
    @ivar divert: who needs all frames to go by Python.
    """

    def __init__(
        self,
        reactor: Any,
        directory: VdeDirectory,
        settings: Settings,
        management: Management,
        plugs: Plugs,
        *,
        version: str,
    ) -> None:
        super().__init__()
        self.settings = settings
        self._management = management
        observer = ConsoleObserver()
        everybody: list[Any] = [SwitchLog(reactor), observer]
        self._way = Way("frames are forwarded", lambda: NativeBridge(reactor, settings.limits))
        if self._way.native is not None:
            everybody.append(self._way.native)
        self.bridge = Bridge(
            settings.limits,
            broadcast(IBridgeObserver, *everybody),
            reactor,
            numports=settings.numports,
            hub=settings.hub,
            strict=settings.strict,
        )
        self.divert: Divert = self.bridge.divert
        if self._way.native is not None:
            self._way.native.work_for(self.bridge)
        self.bridge.fdb.set_size(settings.hash_size)
        self._errors = Errors()
        self.vde = VdeService(reactor, self.bridge, directory, self._errors)
        self.console = make_console(
            self.bridge,
            observer,
            clock=reactor.seconds,
            about=About(
                version=version,
                mac=settings.address or make_address(),
                started=reactor.seconds(),
                directory=directory.path,
                mode=directory.permissions.mode,
                management=(management.path, management.mode) if management.path else None,
            ),
            machine=ThisMachine(reactor),
            spanning_tree=SpanningTree(settings.spanning_tree, settings.priority),
        )
        if management.path is not None:
            ManagementService(
                reactor, self.console, management.path, management.mode, management.group
            ).setServiceParent(self)
        if management.standard_input:
            StandardInputService(reactor, self.console).setServiceParent(self)
        for name in plugs.taps:
            TapService(reactor, self.bridge, name, self._errors).setServiceParent(self)
        self._seconds = reactor.seconds
        self._date = Dates(reactor.seconds)
        self._dgrams = [
            listener.service(reactor, self.bridge, self._errors) for listener in plugs.dgrams
        ]
        for dgrams in self._dgrams:
            dgrams.setServiceParent(self)
        self._streams = FrameStreamService(reactor, self.bridge, plugs.streams)
        if plugs.streams:
            self._streams.setServiceParent(self)
        self.vde.setServiceParent(self)

    def startService(self) -> None:
        """Do the commands of the script, then listen. Raises L{StartupError}."""
        self._way.start()
        if self._management.script is not None:
            self._run_script(self._management.script)
        self.vde.claim()
        super().startService()
        if self.settings.spanning_tree:
            _log.warn("there is no spanning tree yet (-F): the network must not have loops")

    # What it says of itself

    def count(self) -> None:
        """Bring the counters of ports up to date."""
        self._way.count()

    def status(self) -> SwitchStatus:
        """Everything: how it was started, its ports, VLANs and addresses, and what was counted."""
        bridge, about = self.bridge, self.console.about
        # First, since it brings the counters up to date, for the totals too.
        ports = tuple(self.ports())
        return SwitchStatus(
            distnet=about.version,
            pid=self.console.machine.process(),
            started=self._date(about.started),
            directory=self.vde.directory.path,
            listeners=tuple(self._listeners()),
            mac=format_mac(about.mac),
            hub=bridge.hub,
            strict=bridge.strict,
            numports=bridge.ports.numports,
            limits=bridge.limits,
            not_native=self._way.why_not,
            diverted=bool(self.divert),
            ports=ports,
            vlans=tuple(self.vlans()),
            addresses=tuple(self.addresses()),
            counters=CountersStatus.of(bridge.ports.totals()),
            refused=self._refused(),
            contested=bridge.fdb.contested,
            events_dropped=self.console.events_dropped,
            errors=dict(sorted(self._errors.items())),
            dump=self._dump(),
        )

    def ports(self) -> Iterator[PortStatus]:
        """All ports, by number, each made when it is asked for; to be taken at once."""
        self.count()
        return (PortStatus.of(port, self._date) for port in self.bridge.ports)

    def port(self, number: int) -> PortStatus:
        """One port. Raises L{NoSuchThing}."""
        self.count()
        return PortStatus.of(self.bridge.ports[number], self._date)

    def vlans(self) -> Iterator[VlanStatus]:
        """All VLANs, by number, as L{ports}."""
        return map(VlanStatus.of, self.bridge.vlans)

    def addresses(self) -> Iterator[FdbEntryStatus]:
        """The forwarding database, by VLAN, as L{ports}."""
        now = self._seconds()
        return (FdbEntryStatus.of(entry, now) for entry in self.bridge.fdb)

    def counters(self) -> CountersStatus:
        """What was counted at all ports, those that were removed too."""
        self.count()
        return CountersStatus.of(self.bridge.ports.totals())

    def _listeners(self) -> Iterator[ListenerStatus]:
        for listener, address in self._streams.addresses():
            yield ListenerStatus(ListenerKind.STREAM, str(address), listener.port)
        for dgrams in self._dgrams:
            if dgrams.running:
                yield ListenerStatus(ListenerKind.DGRAM, dgrams.where(), None)

    def _refused(self) -> RefusedStatus:
        return RefusedStatus(
            vde=self.vde.refusals.count,
            streams=self._streams.refusals.count,
            dgrams=sum(each.refusals.count for each in self._dgrams),
            consoles=self.console.refused,
            addresses=self.bridge.fdb.refused,
        )

    def _dump(self) -> DumpStatus | None:
        dump = self.console.dump
        if not (self.console.dump_added or dump.active or dump.written or dump.failed):
            return None
        return DumpStatus(dump.filename, dump.active, dump.written, dump.failed)

    def _run_script(self, path: str) -> None:
        try:
            failed = self.console.run_startup_script(path)
        except OSError as error:
            raise StartupError(f"cannot read the commands in {path}: {error.strerror}") from None
        for line in failed:
            _log.warn("{path}: {line}", path=path, line=line)

    def stopService(self) -> Deferred[None]:
        """Unplug everybody."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(super().stopService)
        # The socket of the console may have been the last thing in it.
        self.vde.directory.leave()
        self.console.close()
        self.bridge.stop()
        self._way.stop()
        self._say_what_failed()

    def _say_what_failed(self) -> None:
        refused = self._refused()
        happened = [
            f"{count} {what}"
            for count, what in (
                (refused.vde + refused.streams + refused.dgrams, "clients were refused"),
                (self.bridge.fdb.contested, "times two ports took turns to send from one address"),
                (self.console.events_dropped, "events were not told to consoles that did not read"),
                (self._errors.total(), f"operations on sockets and taps failed ({self._errors})"),
            )
            if count
        ]
        if happened:
            _log.info("in all, {what}", what="; ".join(happened))


def make_address() -> bytes:
    """A MAC address for the switch itself: made up, of one station, locally administered."""
    made_up = bytearray(os.urandom(6))
    made_up[0] = made_up[0] & 0xFC | 0x02
    return bytes(made_up)


class SwitchLog:
    """Says in the log who comes and goes, and who does not keep up."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._contests = Once(seconds=clock.seconds, again=CONTEST_SECONDS)

    def endpoint_attached(self, endpoint: Endpoint) -> None:
        """Who has come, and where."""
        _log.info("{who} is plugged in", who=_name(endpoint))

    def endpoint_detached(self, endpoint: Endpoint) -> None:
        """Say who was unplugged."""
        _log.info("{who} is unplugged", who=_name(endpoint))

    def address_contested(self, entry: FdbEntry, port: Port) -> None:
        """Say of what address, and which ports they are, once in a while."""
        ports = sorted({entry.port, port}, key=lambda port: port.number)
        unsaid = self._contests.say((entry.vlan, entry.mac, *(port.number for port in ports)))
        if unsaid is not None:
            one, other = map(_ports_name, ports)
            _log.warn(
                "{mac} sends at {one} and at {other}: two guests have the same address, which each"
                " must have for itself (QEMU's mac=), or the network has a loop",
                mac=format_mac(entry.mac),
                one=one,
                other=other,
            )

    def addresses_full(self) -> None:
        """Say that frames for some addresses are flooded from now on."""
        _log.warn("there are more addresses than are remembered: frames for others go everywhere")

    def slow(self, episode: SlowEpisode) -> None:
        """Who does not keep up, and what waits."""
        _log.warn(
            "{who} does not read in time: {waiting} wait, more is dropped",
            who=_name(episode.endpoint),
            waiting=_amount(episode.waiting),
        )

    def recovered(self, episode: SlowEpisode) -> None:
        """What that has cost."""
        _log.info(
            "{who} {what} after {seconds:.3f} s: {dropped} were dropped",
            who=_name(episode.endpoint),
            what="has gone" if episode.endpoint.gone else "has read",
            seconds=self._clock.seconds() - episode.since,
            dropped=_amount(episode.dropped),
        )


def _name(endpoint: Endpoint) -> str:
    description = f" ({endpoint.description})" if endpoint.description else ""
    return f"port {endpoint.port.number}, endpoint {endpoint.number}{description}"


def _ports_name(port: Port) -> str:
    who = ", ".join(each.description for each in port.endpoints if each.description)
    return f"port {port.number} ({who})" if who else f"port {port.number}"


def _amount(traffic: Traffic) -> str:
    return f"{traffic.frames} frames of {traffic.bytes} bytes"
