"""The gateway's server of DHCP and BOOTP: what it says to what guests ask. No I/O.

RFC 2131, as libslirp's server, but for what keeps guests apart: an address is given to the MAC
address that has asked for it, and was looked for on the switch before it was ever offered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from distnet.gateway.bootp import (
    BROADCAST,
    NOBODY,
    Kind,
    Option,
    Refused,
    Request,
    asks,
    probe,
    read,
    reply,
)
from distnet.gateway.leases import Leases
from distnet.gateway.packets import mac_of
from distnet.guestnet import Plan

LEASE_SECONDS: Final = 24 * 3600
"""As libslirp's."""
PROBE_SECONDS: Final = 0.25
"""How long others have to say that an address is theirs."""
MOST_PROBES: Final = 64
"""How many addresses are asked for at once; beyond, only those are given that were just now."""
MOST_WAITING: Final = 256
"""How many guests wait until others' addresses have been asked for."""
PROBES_EACH: Final = 4
"""How many addresses of others are found for one request, before the guest has to ask again."""

_PAUSE_SECONDS: Final = PROBE_SECONDS / MOST_PROBES

_NO: Final = b"requested address not available"


class _Purpose(Enum):
    """What a guest gets when there is an address for it."""

    OFFER = "offer"
    ACK = "ack"
    BOOTP = "bootp"


@dataclass(slots=True)
class _Search:
    """
    An address is looked for.

    @ivar request: for which, the last one of its guest's.
    @ivar wanted: an address that the guest would like, or None.
    @ivar only: it is that one or none.
    @ivar tries: how many others' addresses were found.
    """

    request: Request
    purpose: _Purpose
    wanted: bytes | None
    only: bool
    tries: int = 0


class DhcpServer:
    """
    The server.

    @ivar probes: how many addresses are being asked for now.
    """

    def __init__(
        self,
        plan: Plan,
        leases: Leases,
        *,
        nat: bool,
        has_dns: Callable[[], bool],
        send: Callable[[bytes], object],
        later: Callable[[float, Callable[[], None]], object],
        none_left: Callable[[bytes], object],
    ) -> None:
        """
        @param nat: guests are told of a router.
        @param has_dns: with that, whether they are told of a name server.
        @param send: sends a frame to the switch.
        @param later: calls a function after so many seconds.
        @param none_left: is told the MAC address of a guest that gets no address.
        """
        self._leases = leases
        self._nat = nat
        self._has_dns = has_dns
        self._send = send
        self._later = later
        self._none_left = none_left
        self._network = plan.network
        self._host = plan.host.packed
        self._name_server = plan.name_server.packed
        self._servers = frozenset((self._host, BROADCAST))
        self._macs = {mac_of(address.packed) for address in plan.own}
        # By MAC address: those with a probe under way, and those who wait for one.
        self._searches: dict[bytes, _Search] = {}
        self._waiting: dict[bytes, _Search] = {}

    @property
    def probes(self) -> int:
        """How many addresses are being asked for."""
        return len(self._searches)

    def wants(self, frame: bytes) -> bool:
        """Whether a frame is for this server: asked of every frame, so that this is quick."""
        return asks(frame, self._servers)

    def take(self, frame: bytes) -> Refused | None:
        """
        Take a frame that the server L{wants}, and answer it, at once or after a probe.

        @return: why it is not answered, if there is something wrong with it.
        """
        request = read(frame)
        if isinstance(request, Refused):
            return request
        if request.mac in self._macs:
            return Refused.SENDER
        match request.kind:
            case None:
                return self._search(_Search(request, _Purpose.BOOTP, None, False))
            case Kind.DISCOVER:
                wanted = request.options.get(Option.ADDRESS)
                return self._search(_Search(request, _Purpose.OFFER, wanted, False))
            case Kind.REQUEST:
                return self._take_request(request)
            case Kind.DECLINE:
                address = request.options.get(Option.ADDRESS, NOBODY)
                return self._refused_unless(self._leases.decline(request.mac, address))
            case Kind.RELEASE:
                return self._refused_unless(self._leases.release(request.mac, request.current))
            case Kind.INFORM:
                return self._take_inform(request)
            case _:
                return Refused.KIND

    def stop(self) -> None:
        """Forget what is under way: what is still called later does nothing."""
        self._searches.clear()
        self._waiting.clear()

    @staticmethod
    def _refused_unless(accepted: bool) -> Refused | None:
        return None if accepted else Refused.FOREIGN

    # Requests

    def _take_request(self, request: Request) -> Refused | None:
        """RFC 2131, 4.3.2: which of its four states a guest is in shows in what it sends."""
        server = request.options.get(Option.SERVER)
        wanted = request.options.get(Option.ADDRESS)
        if server is not None and server != self._host:
            self._leases.withdraw(request.mac)
            return None
        has_address = request.current != NOBODY
        if server is not None:
            # Selecting. Some leave out what they select.
            wanted = wanted or (request.current if has_address else None)
            address = wanted or self._leases.address_of(request.mac)
            if address is not None and self._leases.confirm(request.mac, address):
                self._acknowledge(request, address)
                return None
            self._refuse_address(request)
            return None
        if has_address:
            return self._renew(request)
        if wanted is None:
            # It does not say what it wants, and gets something, as from libslirp.
            return self._search(_Search(request, _Purpose.ACK, None, False))
        return self._give_again(request, wanted)

    def _renew(self, request: Request) -> Refused | None:
        """Renewing, to us alone, or rebinding, to everybody."""
        address = request.current
        living = request.source == address
        if self._leases.confirm(request.mac, address, living=living):
            self._acknowledge(request, address)
            return None
        if not request.is_for_us and not self._is_in_network(address):
            # It is another server's.
            return Refused.FOREIGN
        if not living:
            return self._give_again(request, address)
        self._refuse_address(request)
        return None

    def _give_again(self, request: Request, address: bytes) -> Refused | None:
        """A guest that was started again wants the address that it had, and maybe we forgot."""
        if self._leases.confirm(request.mac, address):
            self._acknowledge(request, address)
            return None
        return self._search(_Search(request, _Purpose.ACK, address, True))

    def _take_inform(self, request: Request) -> Refused | None:
        """A guest with an address of its own asks for the rest."""
        if not self._is_in_network(request.current):
            return Refused.FOREIGN
        options = self._options(request, Kind.ACK)
        self._send(reply(request, self._host, NOBODY, options))
        return None

    def _is_in_network(self, address: bytes) -> bool:
        network = self._network
        number = int.from_bytes(address)
        return int(network.network_address) < number < int(network.broadcast_address)

    # Looking for an address

    def _search(self, search: _Search) -> Refused | None:
        mac = search.request.mac
        before = self._searches.get(mac) or self._waiting.get(mac)
        if before is not None:
            # It is impatient; or does otherwise now, and has to ask again.
            if before.purpose is search.purpose:
                before.request = search.request
            return None
        may_probe = len(self._searches) < MOST_PROBES
        choice = self._leases.choose(mac, search.wanted, only=search.only, may_probe=may_probe)
        if choice is not None and choice.probe:
            self._searches[mac] = search
            self._send(probe(self._host, choice.address))
            self._later(PROBE_SECONDS, lambda: self._probed(search, choice.address))
            return None
        if choice is not None:
            return self._found(search, choice.address)
        if not may_probe:
            if len(self._waiting) >= MOST_WAITING:
                return Refused.BUSY
            self._waiting[mac] = search
            return None
        if search.only:
            self._refuse_address(search.request)
            return None
        self._none_left(mac)
        return Refused.NONE_LEFT

    def _probed(self, search: _Search, address: bytes) -> None:
        mac = search.request.mac
        if self._searches.get(mac) is not search:
            return
        del self._searches[mac]
        if self._leases.probed(mac, address):
            self._found(search, address)
        else:
            search.tries += 1
            if search.tries < PROBES_EACH:
                self._search(search)
        self._next()

    def _next(self) -> None:
        """Go on for one of those who wait: with all at once, others would have to wait for us."""
        for mac in self._waiting:
            self._search(self._waiting.pop(mac))
            break
        if self._waiting and not self._searches:
            self._later(_PAUSE_SECONDS, self._next)

    def _found(self, search: _Search, address: bytes) -> Refused | None:
        request = search.request
        if search.purpose is _Purpose.OFFER:
            options = self._options(request, Kind.OFFER, leased=True)
            self._send(reply(request, self._host, address, options))
            return None
        if not self._leases.confirm(request.mac, address):
            self._refuse_address(request)
            return None
        self._acknowledge(request, address)
        return None

    # Answers

    def _acknowledge(self, request: Request, address: bytes) -> None:
        options = self._options(request, Kind.ACK, leased=True)
        self._send(reply(request, self._host, address, options))

    def _refuse_address(self, request: Request) -> None:
        """A guest may not have what it wants, and has to begin anew."""
        if request.kind is None:
            return
        options = [
            (Option.KIND, bytes((Kind.NAK,))),
            (Option.SERVER, self._host),
            (Option.MESSAGE, _NO),
            *self._echoed(request),
        ]
        self._send(reply(request, self._host, NOBODY, options, is_its_own=False))

    def _options(
        self, request: Request, kind: Kind, *, leased: bool = False
    ) -> list[tuple[Option, bytes]]:
        """What a guest is told; with BOOTP, nothing of what only DHCP has (RFC 1534)."""
        options: list[tuple[Option, bytes]] = []
        if request.kind is not None:
            options += [(Option.KIND, bytes((kind,))), (Option.SERVER, self._host)]
        options.append((Option.NETMASK, self._network.netmask.packed))
        if self._nat:
            options.append((Option.ROUTER, self._host))
            if self._has_dns():
                options.append((Option.NAME_SERVER, self._name_server))
        if request.kind is not None and leased:
            options.append((Option.LEASE_SECONDS, LEASE_SECONDS.to_bytes(4)))
        return [*options, *self._echoed(request)]

    @staticmethod
    def _echoed(request: Request) -> list[tuple[Option, bytes]]:
        """What a client calls itself is sent back, RFC 6842, but means nothing here."""
        client = request.options.get(Option.CLIENT, b"")
        return [(Option.CLIENT, client)] if 0 < len(client) <= 255 else []
