"""How much libslirp may hold for one guest: connections, UDP ports, pings. No I/O.

A TCP connection costs libslirp 260 kB from its SYN on, and each of the others a descriptor for four
minutes. What libslirp has is not made out from the segments that pass, since it forgets sockets at
other times than a guest may think (a reset that it sends need not end one): it is counted what may
have been added since libslirp was last asked, and libslirp is asked when that reaches a limit. Only
connections to the guest are not known before.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from distnet.gateway.resets import reset_for
from distnet.gateway.segments import RST, bare_segment, ends_of
from distnet.guestnet import Plan

MOST_CONNECTIONS: Final = 64
"""TCP connections in libslirp, whatever their state."""
MOST_HALF_OPEN: Final = 16
"""Those to the master that the guest has not acknowledged; and as many to others."""
HALF_OPEN_SECONDS: Final = 1.0
"""How long a connection may be half-open before it gives way to a newer one."""
MOST_PORTS: Final = 128
"""Ports that the guest sends UDP from."""
MOST_PINGS: Final = 64
"""Pings of others that have no answer yet."""
PAUSE_SECONDS: Final = 0.05
"""How long libslirp is not asked again after it had as much as it may."""

_IP: Final = 14
_LEAST_SIZE: Final = _IP + 20
_ICMP: Final = 1
_TCP: Final = 6
_UDP: Final = 17
_SYN_ALONE: Final = 0x02
_WITHOUT_PUSH: Final = 0x37
_DNS: Final = (53).to_bytes(2)
_DHCP: Final = (67).to_bytes(2)
_TFTP: Final = (69).to_bytes(2)
_ECHO: Final = 7
_SEQUENCES: Final = 1 << 32
_HALF_OPEN: Final = frozenset({"SYN_RCVD", "SYN_SENT", "LISTEN", "NONE"})
_LINE: Final = re.compile(
    r"^ *(TCP|UDP|ICMP)\[([^\]\n]*)\] +(-?\d+) +(\*|\d+(?:\.\d+){3}) +(\d+|-) +(\d+(?:\.\d+){3})"
    r" +(\d+|-) ",
    re.ASCII | re.MULTILINE,
)


class Socket(NamedTuple):
    """
    What libslirp has, as it says it.

    @ivar protocol: C{"TCP"}, C{"UDP"}, C{"ICMP"}.
    @ivar state: of TCP, like C{"ESTABLISHED"}; C{"HOST_FORWARD"}; or how long it will live yet.
    @ivar descriptor: -1 if it has none.
    @ivar source: the guest's address and port, 6 bytes; of an ICMP socket the port is 0.
    @ivar target: whom it talks to, likewise.
    """

    protocol: str
    state: str
    descriptor: int
    source: bytes
    target: bytes


def parse_connection_info(text: str) -> list[Socket]:
    """What C{slirp_connection_info} says, the newest of each protocol first."""
    return [
        Socket(protocol, state, int(descriptor), _end(source, port), _end(target, to))
        for protocol, state, descriptor, source, port, target, to in _LINE.findall(text)
    ]


def _end(address: str, port: str) -> bytes:
    packed = bytes(4) if address == "*" else bytes(int(part) & 255 for part in address.split("."))
    return packed + (0 if port == "-" else int(port) & 0xFFFF).to_bytes(2)


class Excess(StrEnum):
    """What a guest had too much of, so that a packet of its was not taken."""

    CONNECTIONS = "too many connections"
    HALF_OPEN = "too many connections that are not answered"
    PORTS = "UDP from too many ports"
    PINGS = "too many pings that are not answered"


class Admission(NamedTuple):
    """
    Whether libslirp may have a frame.

    @ivar passes: it may.
    @ivar answer: a frame that the guest is sent instead, or None.
    """

    passes: bool
    answer: bytes | None = None


_PASSES: Final = Admission(True)
_DROPPED: Final = Admission(False)


class _Flow:
    """
    A connection that libslirp may have.

    @ivar ethernet: the MAC addresses of its SYN.
    @ivar numbers: the sequence numbers of its last two SYNs.
    @ivar since: when the last of them came first, in seconds.
    @ivar state: as libslirp said it.
    @ivar stays: libslirp does not give it up for a reset: it has not connected yet.
    """

    __slots__ = ("ethernet", "numbers", "since", "state", "stays")

    def __init__(self, ethernet: bytes, numbers: tuple[int, ...], since: float) -> None:
        self.ethernet, self.numbers, self.since = ethernet, numbers, since
        self.state = "SYN_RCVD"
        self.stays = not numbers


class Flows:
    """
    The limits of one guest.

    @ivar excess: how many packets were not taken, by the reason.
    @ivar evicted: how many connections gave way to newer ones.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        listed: Callable[[], str],
        inject: Callable[[bytes], object],
        begun: Callable[[], Iterable[tuple[bytes, bytes, bytes, int, float]]] = tuple,
    ) -> None:
        """
        @param listed: what C{slirp_connection_info} says now.
        @param inject: gives libslirp a frame as if from the guest, and lets it see it at once.
        @param begun: tells, once each, of connections that libslirp was let begin without this:
            the MAC addresses of its SYN, both ends as in a L{Socket}, the SYN's sequence number,
            and when it came, of the clock that L{admit} has.
        """
        self.excess: Counter[Excess] = Counter()
        self.evicted = 0
        self._listed, self._inject, self._begun = listed, inject, begun
        self._host, self._name_server = plan.host.packed, plan.name_server.packed
        self._master = plan.master.packed
        # Never less than libslirp has of the guest's; the oldest first.
        self._flows: dict[bytes, _Flow] = {}
        self._ports: set[bytes] = set()
        self._pings = 0
        self._full_until: dict[Excess, float] = {}

    def admit(self, frame: bytes, now: float) -> Admission:
        """
        Decide on a frame; if it passes, libslirp must have it before the next one is decided on.

        Segments of TCP that are no bare SYN need not be asked for: they make no socket.

        @param frame: an Ethernet frame with a whole IPv4 packet. It may hold anything.
        @param now: a clock that only goes forward, in seconds.
        """
        if len(frame) < _LEAST_SIZE:
            return _DROPPED
        start, protocol = _IP + (frame[_IP] & 15) * 4, frame[23]
        if protocol == _TCP:
            if len(frame) < start + 20 or frame[start + 13] & _WITHOUT_PUSH != _SYN_ALONE:
                return _PASSES
            return self._connect(frame, start, now)
        if protocol == _UDP:
            return self._datagram(frame, start, now)
        if protocol == _ICMP:
            return self._ping(frame, now)
        return _PASSES

    def _connect(self, frame: bytes, start: int, now: float) -> Admission:
        for ethernet, source, target, its_number, since in self._begun():
            self._flows[source + target] = _Flow(ethernet, (its_number,), since)
        key = ends_of(frame, start)
        number = int.from_bytes(frame[start + 4 : start + 8])
        known = self._flows.get(key)
        if known is not None:
            # It is sent again, or is another one: libslirp decides.
            if number not in known.numbers:
                known.numbers = (*known.numbers[-1:], number)
                known.since, known.state = now, "SYN_RCVD"
            return _PASSES
        if len(self._half_open(key)) >= MOST_HALF_OPEN:
            if self._is_full(Excess.HALF_OPEN, now):
                return _DROPPED
            self._ask_for_flows(now)
            if len(self._half_open(key)) >= MOST_HALF_OPEN and not self._evict(
                self._unanswered(key, now), now
            ):
                # TCP sends it again.
                self._full(Excess.HALF_OPEN, now)
                return _DROPPED
        if len(self._flows) >= MOST_CONNECTIONS:
            if self._is_full(Excess.CONNECTIONS, now):
                return _DROPPED
            self._ask_for_flows(now)
            if len(self._flows) >= MOST_CONNECTIONS and not self._evict(self._over(), now):
                self._full(Excess.CONNECTIONS, now)
                return Admission(False, reset_for(frame))
        self._flows[key] = _Flow(frame[:12], (number,), now)
        return _PASSES

    def _half_open(self, key: bytes) -> list[bytes]:
        """What is half-open to where a connection is to go: the master, or others."""
        to_master = key[6:10] == self._master
        return [
            other
            for other, flow in self._flows.items()
            if flow.state in _HALF_OPEN and (other[6:10] == self._master) is to_master
        ]

    def _unanswered(self, key: bytes, now: float) -> list[bytes]:
        """What is half-open for so long that it may give way."""
        return [
            other
            for other in self._half_open(key)
            if now - self._flows[other].since >= HALF_OPEN_SECONDS
        ]

    def _over(self) -> list[bytes]:
        """What is only kept in case that something of it comes again."""
        return [key for key, flow in self._flows.items() if flow.state == "TIME_WAIT"]

    def _evict(self, keys: list[bytes], now: float) -> bool:
        """Have libslirp give up the first of some connections that it gives up."""
        for key in keys:
            flow = self._flows[key]
            if flow.stays:
                continue
            ports = int.from_bytes(key[4:6]), int.from_bytes(key[10:12])
            for number in flow.numbers:
                numbers = (number + 1) % _SEQUENCES, 0
                self._inject(bare_segment(flow.ethernet, key[:4] + key[6:10], ports, numbers, RST))
            self._ask_for_flows(now)
            if key not in self._flows:
                self.evicted += 1
                return True
            flow.stays = True
        return False

    def _ask_for_flows(self, now: float) -> None:
        flows = {}
        for socket in reversed(parse_connection_info(self._listed())):
            if socket.protocol == "TCP" and socket.state != "HOST_FORWARD":
                key = socket.source + socket.target
                flow = self._flows.get(key)
                # One that the guest did not begin.
                flow = _Flow(b"", (), now) if flow is None else flow
                flow.state = socket.state
                flows[key] = flow
        self._flows = flows

    def _datagram(self, frame: bytes, start: int, now: float) -> Admission:
        target, port = frame[30:34], frame[start + 2 : start + 4]
        if port == _DHCP or (
            (target == self._name_server and port == _DNS)
            or (target == self._host and port == _TFTP)
        ):
            # These are answered without a socket of libslirp's.
            return _PASSES
        source = frame[26:30] + frame[start : start + 2]
        if source in self._ports:
            return _PASSES
        if len(self._ports) >= MOST_PORTS:
            if self._is_full(Excess.PORTS, now):
                return _DROPPED
            sockets = parse_connection_info(self._listed())
            self._ports = {
                socket.source
                for socket in sockets
                if socket.protocol == "UDP" and socket.state != "HOST_FORWARD"
            }
            if len(self._ports) >= MOST_PORTS:
                self._full(Excess.PORTS, now)
                return _DROPPED
        self._ports.add(source)
        return _PASSES

    def _ping(self, frame: bytes, now: float) -> Admission:
        if self._pings >= MOST_PINGS:
            if self._is_full(Excess.PINGS, now):
                return _DROPPED
            # Where ping sockets are not allowed, libslirp sends UDP to the port for echoes.
            self._pings = sum(
                socket.protocol == "ICMP"
                or (socket.protocol == "UDP" and socket.target[4:] == _ECHO.to_bytes(2))
                for socket in parse_connection_info(self._listed())
            )
            if self._pings >= MOST_PINGS:
                self._full(Excess.PINGS, now)
                return _DROPPED
        self._pings += 1
        return _PASSES

    def _is_full(self, excess: Excess, now: float) -> bool:
        """Whether libslirp had as much as it may a moment ago; it is counted then."""
        is_full = now < self._full_until.get(excess, now)
        if is_full:
            self.excess[excess] += 1
        return is_full

    def _full(self, excess: Excess, now: float) -> None:
        self.excess[excess] += 1
        self._full_until[excess] = now + PAUSE_SECONDS
