"""The gateway as a service: its parts, and what each is told of the others."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.errors import DistnetError
from distnet.gateway import libslirp
from distnet.gateway.answers import Answers
from distnet.gateway.child import Child
from distnet.gateway.children import Children, What
from distnet.gateway.dhcp import DhcpServer
from distnet.gateway.dns import ResolvConf
from distnet.gateway.forwarded import ASK_SECONDS as LOOK_SECONDS
from distnet.gateway.forwarded import Forwarded
from distnet.gateway.frames import Refusal
from distnet.gateway.guests import Guest, Notes
from distnet.gateway.hostforward import HostForward
from distnet.gateway.ingress import Ingress
from distnet.gateway.leases import Leases
from distnet.gateway.management import Management
from distnet.gateway.masters import Masters, Near
from distnet.gateway.plug import Plug
from distnet.gateway.stale import Stale
from distnet.gateway.state import Flow, State, default_state
from distnet.guestnet import PLAN, Plan

MOST_NAMED: Final = 16
"""How many guests are named in one line."""
MOST_LINES: Final = 64
"""How many lines name guests; of those beyond only the number is told."""
MOST_WAYS_IN: Final = 256
"""How many connections by ports of this machine are remembered of a guest, the newest."""
_log = Logger(namespace="distnet")


@dataclass(frozen=True, slots=True)
class Settings:
    """
    What a gateway is like.

    @ivar directory: of the switch.
    @ivar control: path of the master's control socket, or None to look for it.
    @ivar port: of the switch, or 0 for any.
    @ivar management: path of the switch's management socket, a descriptor connected to its
        console, or None.
    @ivar master: where the master is, or None to ask it.
    @ivar nodes: which node each address is, for guests that are fixed.
    @ivar nat: let guests reach the network of this machine.
    @ivar forwards: ports of this machine that lead to guests'.
    @ivar plan: the addresses.
    """

    directory: str
    control: str | None = None
    port: int = 0
    management: str | int | None = None
    master: Near | None = None
    nodes: dict[bytes, int] = field(default_factory=dict)
    nat: bool = False
    forwards: tuple[HostForward, ...] = ()
    plan: Plan = PLAN


class GatewayService(Service):
    """
    A gateway on a switch.

    What takes a guest's TCP, and NAT, is a process for each guest, which this one hands the
    guest's frames: see L{distnet.gateway.guest_process}.

    @ivar refused: how many frames were not taken, by the reason.
    @ivar children: the guests' processes.
    """

    def __init__(self, reactor: Any, settings: Settings) -> None:
        plan = settings.plan
        self.refused: Counter[Refusal] = Counter()
        self.settings = settings
        self.children = Children(reactor, What(settings.nat, frozenset(settings.nodes)), self)
        self._reactor = reactor
        self._notes = Notes(plan)
        self._masters = Masters(reactor, settings.control, settings.master, settings.nodes)
        self._answers = Answers(plan, settings.nat)
        self._plug = Plug(
            reactor,
            settings.directory,
            settings.port,
            received=self._received,
            plugged=self._plugged,
            unplugged=self._unplugged,
        )
        self._management: Management | None = None
        if settings.management is not None:
            self._management = Management(reactor, settings.management, self._gone)
        self._forwarded = Forwarded(
            settings.forwards, ask=self._who_has, changed=self._pin, seconds=reactor.seconds
        )
        self._looking: Any = None
        self._running = self.children.running
        self._began = False

    def startService(self) -> None:
        """Plug in, as soon as there is a switch. Raises StartupError."""
        super().startService()
        settings, plan = self.settings, self.settings.plan
        version = libslirp.load().version
        self._state = State.open(default_state(settings.directory), self._warn)
        self._leases = Leases(plan, self._state, time.monotonic, held=self._follow)
        self._stale = Stale(
            self._reactor,
            self._state,
            send=self._plug.send,
            is_plugged=lambda: self._plug.port is not None,
        )
        servers = ResolvConf()
        self._dhcp = DhcpServer(
            plan,
            self._leases,
            nat=settings.nat,
            has_dns=lambda: settings.nat and bool(servers()),
            send=self._plug.send,
            later=self._reactor.callLater,
            none_left=lambda mac: self._say(self._notes.no_lease(mac)),
        )
        self._ingress = Ingress(
            self._reactor,
            plan,
            nat=settings.nat,
            children=self.children,
            leases=self._leases,
            dhcp=self._dhcp,
            forwarded=self._forwarded,
            stale=self._stale,
            notes=self._notes,
            answers=self._answers,
            refused=self.refused,
            send=self._plug.send,
            warn=self._warn,
        )
        offers = ["DHCP"]
        if settings.nat:
            offers += ["DNS", "NAT"] if servers() else ["NAT"]
        *first, last = offers
        _log.info(
            "libslirp {version}: {host} with {offers}",
            version=version,
            host=plan.host,
            offers=f"{', '.join(first)} and {last}" if first else last,
        )
        self.children.start()
        if self._management is not None:
            self._management.start()
        self._plug.start()

    def stopService(self) -> Deferred[None]:
        """Leave the switch; all connections end. Fires when all guests' processes have."""
        super().stopService()
        self._stale.stop()
        self._ingress.stop()
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._dhcp.stop()
        stopped = self.children.stop("ended, since the gateway stops")
        stopped.addCallback(lambda _: self._stopped())
        return stopped

    def _stopped(self) -> None:
        self._plug.stop()
        if self._management is not None:
            self._management.stop()
        self._state.close()
        told = {str(reason): count for reason, count in self.refused.items()}
        for what, counts in (("not taken", told), ("not sent", dict(self._plug.dropped))):
            if counts:
                shown = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
                _log.info("frames {what}: {shown}", what=what, shown=shown)

    def _received(self, frames: list[bytes]) -> None:
        self._ingress.received(frames)

    # What guests' processes want; see children.Parent

    def started(self, child: Child) -> None:
        """A guest has a process: where it is tells when it is gone."""
        self._follow(child.mac, True)

    def find(self, child: Child, number: int, address: bytes) -> None:
        """Find the master for one of a guest's addresses, and tell its process."""
        found = Deferred.fromCoroutine(self._masters.place_for(Guest(address, child.mac)))
        found.addCallbacks(
            lambda place: child.tell({"found": number, **place}),
            lambda failure: child.tell({"found": number, "why": _why(failure)}),
        )

    def opened(self, child: Child, address: bytes, port: int) -> None:
        """A guest has connected to the master."""
        flow = self._flow(child.mac, address, port)
        self._stale.begun(flow)
        self._state.add_flow(flow)
        for other in self._running.values():
            # It may have another MAC address since it was started again.
            if other is not child and any(address == each for each, _ in other.open):
                other.tell({"again": address.hex()})

    def closed(self, child: Child, address: bytes, port: int) -> None:
        """A guest's connection to the master has ended."""
        self._state.drop_flow(self._flow(child.mac, address, port))

    def let_in(self, child: Child, flow: Flow) -> None:
        """Somebody connects to a guest by a port of this machine."""
        self._stale.begun(flow)
        self._state.add_flow(flow)
        child.ways_in[flow] = None
        if len(child.ways_in) > MOST_WAYS_IN:
            oldest = next(iter(child.ways_in))
            del child.ways_in[oldest]
            self._state.drop_flow(oldest)

    def let_none_in(self, child: Child) -> None:
        """All such connections have ended, or their guest has gone."""
        for flow in child.ways_in:
            self._state.drop_flow(flow)
        child.ways_in.clear()

    def gone(self, child: Child, expected: bool) -> None:
        """A guest's process has ended; if that was not expected, its guest does not know yet."""
        flows = [self._flow(child.mac, *each) for each in child.open]
        # Of these it never does.
        ways_in = list(child.ways_in)
        child.open.clear()
        child.ways_in.clear()
        self._follow(child.mac, self._leases.has_one(child.mac))
        if expected:
            for flow in flows:
                self._state.drop_flow(flow)
            flows = []
        if self.running:
            self._stale.add(flows + ways_in)
        # If not, the next gateway asks.
        self._forwarded.lost(child.mac)

    def _flow(self, mac: bytes, address: bytes, port: int) -> Flow:
        plan = self.settings.plan
        return Flow(mac, address, port, plan.master.packed, plan.port)

    # Guests that ports of this machine lead to

    def _look_for_guests(self) -> None:
        self._looking = None
        if self._plug.port is not None:
            self._forwarded.look()
            self._looking = self._reactor.callLater(LOOK_SECONDS, self._look_for_guests)

    def _who_has(self, address: bytes, mac: bytes | None) -> None:
        self._plug.send(self._answers.who_has(address, mac))

    def _pin(self, mac: bytes, forwards: list[HostForward]) -> None:
        self.children.pin(mac, [forward.to_list() for forward in forwards])

    # Connections that are no more

    def _take_over(self) -> None:
        """See to the connections of a gateway that was killed."""
        flows = self._state.flows()
        guests = sorted({str(Guest(flow.address, flow.mac)) for flow in flows})
        for named in range(0, len(guests), MOST_NAMED)[:MOST_LINES]:
            self._warn(
                "connections of before are no more, and are reset:"
                f" {', '.join(guests[named : named + MOST_NAMED])}"
            )
        if (more := len(guests) - MOST_NAMED * MOST_LINES) > 0:
            self._warn(f"connections of before are no more, and are reset: {more} others'")
        self._stale.add(flows)

    # The switch

    def _follow(self, mac: bytes, has_something: bool) -> None:
        """Whether a guest has what is to be free when it has gone."""
        if self._management is None:
            return
        if has_something or mac in self._running:
            self._management.whereabouts.follow(mac)
        else:
            self._management.whereabouts.forget(mac)

    def _gone(self, mac: bytes, port: int | None) -> None:
        self._leases.left(mac)
        child = self._running.get(mac)
        if child is not None:
            self.let_none_in(child)
            where = f" (port {port})" if port is not None else ""
            child.end(f"has left the switch{where}", reset=False)
        else:
            self._forwarded.lost(mac)

    def _plugged(self) -> None:
        plan = self.settings.plan
        self.children.plugged(self._plug.socket)
        _log.info("ready: the master is at {host}:{port}", host=plan.master, port=plan.port)
        before, self._began = self._began, True
        if before:
            self._stale.go_on()
        else:
            self._take_over()
        if self.settings.forwards and self._looking is None:
            self._look_for_guests()

    def _unplugged(self) -> None:
        self.children.plugged(None)

    # The log

    def _say(self, line: str | None) -> None:
        if line is not None:
            self._warn(line)

    def _warn(self, line: str) -> None:
        _log.warn("{line}", line=line)


def _why(failure: Failure) -> str:
    error: Any = failure.value
    if not isinstance(error, OSError | DistnetError):
        _log.failure("where the master is cannot be found out", failure)
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
