"""What comes from the switch: what answers each frame, or which guest's process has it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import Logger

from distnet.gateway.answers import Answers
from distnet.gateway.bootp import Refused
from distnet.gateway.budget import Budget
from distnet.gateway.child import Child
from distnet.gateway.children import Children
from distnet.gateway.dhcp import DhcpServer
from distnet.gateway.forwarded import Forwarded
from distnet.gateway.frames import Lens, Refusal, Seen
from distnet.gateway.guests import Guest, Notes
from distnet.gateway.leases import Leases
from distnet.gateway.packets import IPV4
from distnet.gateway.resets import reset_for
from distnet.gateway.segments import ACK, RST, SYN, Segment, segment_of
from distnet.gateway.stale import Stale
from distnet.gateway.state import Flow
from distnet.gateway.turns import Turns
from distnet.guestnet import Plan
from distnet.mac import format_mac
from distnet.once import Once

AGAIN_SECONDS: Final = 60.0
"""How long frames that are not taken for one reason are only counted."""

# A switch sends everybody what it does not know, and guests speak IPv6: neither is worth a line.
_TOLD: Final = (Refusal.SIZE, Refusal.BROKEN, Refusal.FORBIDDEN)
_ICMP: Final = 1
_TCP: Final = 6
_log = Logger(namespace="distnet")


class Ingress:
    """
    What the gateway does with a frame.

    It answers itself for its own addresses: ARP, pings, requests for addresses, and segments of
    connections that nobody has. Anything else goes to the process of its guest.

    @ivar refused: how many frames were not taken, by the reason.
    """

    def __init__(
        self,
        reactor: Any,
        plan: Plan,
        *,
        nat: bool,
        children: Children,
        leases: Leases,
        dhcp: DhcpServer,
        forwarded: Forwarded,
        stale: Stale,
        notes: Notes,
        answers: Answers,
        refused: Counter[Refusal],
        send: Callable[[bytes], object],
        warn: Callable[[str], object],
    ) -> None:
        """
        @param nat: guests may reach others.
        @param send: sends a frame to the switch.
        @param warn: takes a line for the log.
        """
        self.refused = refused
        self._nat = nat
        self._children = children
        self._leases = leases
        self._dhcp = dhcp
        self._forwarded = forwarded
        self._stale = stale
        self._notes = notes
        self._answers = answers
        self._send = send
        self._warn = warn
        self._lens = Lens(plan)
        self._said = Once(seconds=reactor.seconds, again=AGAIN_SECONDS)
        # Each costs so much more than another frame that it could be everybody's time.
        self._requests = Budget(20, 1000, time.monotonic)
        self._pings = Budget(200, 2000, time.monotonic)
        self._doubts = Budget(2, 100, time.monotonic)
        self._turns = Turns(reactor, self._take_dhcp)
        self._own = {address.packed for address in plan.own}
        self._master = plan.master.packed
        self._running = children.running

    def stop(self) -> None:
        """Forget what has not had its turn."""
        self._turns.stop()

    def received(self, frames: list[bytes]) -> None:
        """Frames have come."""
        running, macs = self._running, self._lens.macs
        batches: dict[Child, list[bytes]] = {}
        others = []
        for frame in frames:
            # A segment of TCP, of a guest with a process: nothing else comes often.
            child = running.get(frame[6:12])
            if (
                child is not None
                and frame[12:14] == IPV4
                and frame[23:24] == b"\x06"
                and frame[:6] in macs
            ):
                if child in batches:
                    batches[child].append(frame)
                else:
                    batches[child] = [frame]
            else:
                others.append(frame)
        # Those first: each of the others costs as much as many of them, and may be anything.
        for child, batch in batches.items():
            if not child.input(*batch):
                others = batch + others
        for frame in others:
            self._look_safely(frame)

    def _look_safely(self, frame: bytes) -> None:
        try:
            self._look(frame)
        except Exception:
            self._failed_at(frame)

    def _failed_at(self, frame: bytes) -> None:
        # Nobody else's frames may depend on this one.
        _log.failure("a frame could not be looked at: {frame}", frame=frame[:64].hex())

    def _look(self, frame: bytes) -> None:
        seen = self._lens.look(frame)
        if seen.refusal is Refusal.FORBIDDEN and self._answer_instead(frame):
            return
        if seen.refusal is not None and seen.refusal is not Refusal.UNWANTED:
            self._refuse(seen.refusal, seen.mac, seen.address)
            return
        if seen.address is not None and any(seen.address):
            self._leases.seen(seen.mac, seen.address)
            if seen.address in self._forwarded.addresses:
                self._forwarded.seen(seen.mac, seen.address)
            self._whose(seen.mac, seen.address)
        if seen.refusal is not None:
            self.refused[seen.refusal] += 1
        elif self._dhcp.wants(frame):
            self._ask_for_address(frame)
        elif (answer := self._answers.arp(frame)) is not None:
            self._send(answer)
        elif frame[12:14] == IPV4:
            self._take_packet(seen, frame)

    def _take_packet(self, seen: Seen, frame: bytes) -> None:
        if frame[23] == _ICMP and frame[30:34] in self._own:
            self._answer_ping(seen.mac, frame)
        else:
            self._to_child(seen, frame)

    def _answer_ping(self, mac: bytes, frame: bytes) -> None:
        answer = self._answers.echo(frame) if self._pings.allows(mac) else None
        if answer is not None:
            self._send(answer)

    def _whose(self, mac: bytes, address: bytes) -> None:
        """A machine has an address: if another one has it too, that is to be said."""
        line, other = self._notes.seen(mac, address)
        self._say(line)
        if other is not None and self._doubts.allows(address):
            # If it is there as well, it answers.
            self._send(self._answers.who_has(address, other))

    def _refuse(self, refusal: Refusal, mac: bytes, address: bytes | None) -> None:
        self.refused[refusal] += 1
        if refusal is Refusal.DUPLICATE:
            self._say(self._notes.owner_of_ours(mac, address))
        elif refusal in _TOLD:
            self._warn_once(refusal, f"{format_mac(mac)}: frames are not taken: {refusal}")

    def _ask_for_address(self, frame: bytes) -> None:
        if not (self._requests.allows(frame[6:12]) and self._turns.add(frame)):
            self._warn_once("requests", "there are too many requests for addresses")

    def _take_dhcp(self, frame: bytes) -> None:
        try:
            refusal = self._dhcp.take(frame)
        except Exception:
            self._failed_at(frame)
            return
        if refusal is not None and refusal is not Refused.NONE_LEFT:
            self._warn_once(refusal, f"DHCP of {format_mac(frame[6:12])}: {refusal}")

    def _to_child(self, seen: Seen, frame: bytes) -> None:
        """Hand a packet to the process of its guest, which is started if it begins something."""
        mac = seen.mac
        child = self._running.get(mac)
        if child is not None and child.input(frame):
            return
        if frame[23] != _TCP:
            # UDP and the like: to others, since nothing here answers it.
            if self._nat:
                self._children.input(mac, frame)
            else:
                self.refused[Refusal.FORBIDDEN] += 1
            return
        segment = seen.segment or segment_of(frame)
        if segment is None:
            self.refused[Refusal.BROKEN] += 1
            return
        may_connect = self._nat or frame[30:34] == self._master
        if segment.flags & (SYN | ACK | RST) == SYN and may_connect:
            self._children.input(mac, frame)
        elif not segment.flags & RST:
            # Of a connection whose process has ended, or of another gateway before this one.
            self._reset(frame)
            self._told(mac, frame, segment)

    def _answer_instead(self, frame: bytes) -> bool:
        """Answer what is for us and not for libslirp: pings, and connections to no port of ours."""
        if frame[30:34] not in self._own:
            return False
        if frame[23] == _ICMP:
            self._answer_ping(frame[6:12], frame)
            return True
        if not self._reset(frame):
            return False
        self.refused[Refusal.FORBIDDEN] += 1
        return True

    def _reset(self, frame: bytes) -> bool:
        reset = reset_for(frame)
        if reset is not None:
            self._send(reset)
        return reset is not None

    def _told(self, mac: bytes, frame: bytes, segment: Segment) -> None:
        start = 14 + (frame[14] & 15) * 4
        own_port = int.from_bytes(frame[start + 2 : start + 4])
        self._stale.over(Flow(mac, segment.address, segment.port, frame[30:34], own_port))
        guest = Guest(segment.address, mac)
        self._warn_once(guest, f"{guest}: its connection of before is no more: reset")

    # The log

    def _say(self, line: str | None) -> None:
        if line is not None:
            self._warn(line)

    def _warn_once(self, key: object, line: str) -> None:
        unsaid = self._said.say(key)
        if unsaid is not None:
            self._warn(f"{line} ({unsaid + 1} times)" if unsaid else line)
