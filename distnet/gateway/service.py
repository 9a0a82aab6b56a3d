"""The gateway as a service: the plug, libslirp, and the guests' connections to the master."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from twisted.application.service import Service
from twisted.logger import Logger

from distnet.gateway.forward import Forward
from distnet.gateway.fragments import Fragments
from distnet.gateway.frames import RST, SYN, Lens, Progress, Refusal, Seen, Segment
from distnet.gateway.guests import Guest, Notes
from distnet.gateway.management import Management
from distnet.gateway.masters import Masters, Near
from distnet.gateway.plug import Plug
from distnet.gateway.relay import Relay
from distnet.gateway.stack import Stack
from distnet.guestnet import PLAN, Plan

SWITCH_GONE_SECONDS: Final = 30.0
"""How long a guest may be silent after its switch has gone, before its connection is closed."""

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
    @ivar plan: the addresses.
    """

    directory: str
    control: str | None = None
    port: int = 0
    management: str | int | None = None
    master: Near | None = None
    nodes: dict[bytes, int] = field(default_factory=dict)
    nat: bool = False
    plan: Plan = PLAN


class GatewayService(Service):
    """
    A gateway on a switch.

    @ivar refused: how many frames did not get into libslirp, by the reason.
    @ivar relays: the connections to the master, by the guest's address and port.
    """

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self.refused: Counter[Refusal] = Counter()
        self.relays: dict[tuple[bytes, int], Relay] = {}
        self.settings = settings
        self._reactor = reactor
        self._lens = Lens(settings.plan)
        self._fragments = Fragments()
        self._notes = Notes(settings.plan)
        self._masters = Masters(reactor, settings.control, settings.master, settings.nodes)
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
        self._stack: Stack | None = None
        self._forward: Forward | None = None
        self._leased = False
        self._silent: set[Relay] = set()
        self._switch_gone: Any = None

    def startService(self) -> None:
        """Plug in, as soon as there is a switch. Raises StartupError."""
        super().startService()
        settings, plan = self.settings, self.settings.plan
        stack = self._stack = Stack(
            self._reactor, plan, nat=settings.nat, clock_ns=time.monotonic_ns, send=self._send
        )
        forward = self._forward = Forward()
        stack.forward(forward.path, plan.master, plan.port)
        _log.info(
            "libslirp {version}: {host} with DHCP{nat}",
            version=stack.network.version,
            host=plan.host,
            nat=", DNS and NAT" if settings.nat else "",
        )
        if self._management is not None:
            self._management.start()
        self._plug.start()

    def stopService(self) -> None:
        """Leave the switch; all connections end."""
        super().stopService()
        for relay in list(self.relays.values()):
            relay.abort("ended, since the gateway stops", to_guest=True)
        if self._switch_gone is not None and self._switch_gone.active():
            self._switch_gone.cancel()
        self._plug.stop()
        if self._management is not None:
            self._management.stop()
        if self._stack is not None:
            self._stack.close()
        if self._forward is not None:
            self._forward.close()
        told = {str(reason): count for reason, count in self.refused.items()}
        for what, counts in (("not taken", told), ("not sent", dict(self._plug.dropped))):
            if counts:
                shown = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
                _log.info("frames {what}: {shown}", what=what, shown=shown)

    # Frames

    def _received(self, frames: list[bytes]) -> None:
        stack = self._stack
        assert stack is not None
        touched = []
        for frame in frames:
            seen, packet = self._lens.look(frame), frame
            if seen.is_fragment:
                whole = self._fragments.add(frame, time.monotonic())
                if whole is None:
                    continue
                seen, packet = self._lens.look_at_whole(whole), whole
            if seen.refusal is not None:
                self._refuse(seen)
            elif seen.segment is not None:
                touched.append(self._segment(stack, packet, seen, seen.segment))
            elif seen.dhcp:
                self._dhcp(stack, packet, seen)
            else:
                stack.input(packet)
        for relay in touched:
            if relay is not None:
                relay.read_guest()
        self._turn()

    def _refuse(self, seen: Seen) -> None:
        assert seen.refusal is not None
        self.refused[seen.refusal] += 1
        if seen.refusal is Refusal.DUPLICATE:
            self._say(self._notes.owner_of_ours(seen.mac, seen.address))

    def _segment(self, stack: Stack, packet: bytes, seen: Seen, segment: Segment) -> Relay | None:
        """Hand libslirp a segment for the master; the relay that may have to read it then."""
        relay = self.relays.get((segment.address, segment.port))
        if relay is not None and relay.progress.begins_anew(segment):
            # It was started again and has the same port, or libslirp would be puzzled.
            relay.abort("begins anew", to_guest=False)
            relay = None
        if relay is not None:
            relay.progress.guest_sent(segment)
            self._silent.discard(relay)
        stack.input(packet)
        if relay is None and not segment.flags & (SYN | RST):
            self._accept(Guest(segment.address, seen.mac), Progress(segment))
        return relay

    def _dhcp(self, stack: Stack, frame: bytes, seen: Seen) -> None:
        self._leased = False
        stack.input(frame)
        if not self._leased:
            self._say(self._notes.no_lease(seen.mac))

    def _send(self, frame: bytes) -> None:
        segment = self._lens.from_master(frame)
        if segment is not None:
            relay = self.relays.get((segment.address, segment.port))
            if relay is not None:
                relay.progress.master_sent(segment)
                relay.went_on()
        else:
            self._leased = True
        self._plug.send(self._lens.with_own_mac(frame))

    def _turn(self) -> None:
        stack = self._stack
        if stack is not None:
            stack.turn()

    # Connections

    def _accept(self, guest: Guest, progress: Progress) -> None:
        assert self._forward is not None
        sock = self._forward.accept()
        if sock is None:
            return
        self._say(self._notes.connects(guest))
        fixed = guest.address in self.settings.nodes
        for old in self._relays_of(guest.address):
            if fixed:
                # The master lets a fixed node in once; this one was started again.
                old.abort("connects again", to_guest=False)
            else:
                # It may have been started again too, and then answers with a reset.
                self._plug.send(self._lens.probe(old.guest.mac, old.progress))
        relay = Relay(
            self._reactor,
            guest,
            progress,
            sock,
            find=self._masters.find,
            hand_over=self._turn,
            reset=self._reset,
            over=self._over,
        )
        self.relays[progress.address, progress.port] = relay
        if self._management is not None:
            self._management.whereabouts.follow(guest.mac)

    def _relays_of(self, address: bytes) -> list[Relay]:
        return [relay for relay in self.relays.values() if relay.guest.address == address]

    def _reset(self, relay: Relay, to_guest: bool) -> None:
        assert self._stack is not None
        mac, progress = relay.guest.mac, relay.progress
        self._stack.input(self._lens.reset(mac, progress, to_guest=False))
        if to_guest:
            self._plug.send(self._lens.reset(mac, progress, to_guest=True))

    def _over(self, relay: Relay) -> None:
        key = relay.progress.address, relay.progress.port
        if self.relays.get(key) is relay:
            del self.relays[key]
        self._silent.discard(relay)
        mac = relay.guest.mac
        if self._management is not None and not any(
            other.guest.mac == mac for other in self.relays.values()
        ):
            self._management.whereabouts.forget(mac)
        self._turn()

    # The switch

    def _gone(self, mac: bytes, port: int | None) -> None:
        for relay in list(self.relays.values()):
            if relay.guest.mac == mac:
                relay.abort(
                    f"has left the switch{f' (port {port})' if port is not None else ''}",
                    to_guest=False,
                )

    def _plugged(self) -> None:
        plan = self.settings.plan
        _log.info("ready: the master is at {host}:{port}", host=plan.master, port=plan.port)

    def _unplugged(self) -> None:
        # Most clients of VDE do not plug in again; one that does sends what was not acknowledged.
        self._silent = set(self.relays.values())
        if self._switch_gone is not None and self._switch_gone.active():
            self._switch_gone.cancel()
        self._switch_gone = self._reactor.callLater(SWITCH_GONE_SECONDS, self._give_up_silent)

    def _give_up_silent(self) -> None:
        for relay in list(self._silent):
            relay.abort("was not heard of since the switch had gone", to_guest=False)

    def _say(self, line: str | None) -> None:
        if line is not None:
            _log.warn("{line}", line=line)
