"""Many guests made of frames, in one thread: each has an address, or asks for one, and connects."""

from __future__ import annotations

import contextlib
import functools
import random
import select
import selectors
import struct
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Self

from distnet.wire import HEADER, encode_message
from tests.daemons import PATIENCE
from tests.frame_tcp import AGAIN, SEQUENCES, Connection
from tests.gateways import MASTER, RST, gateway_mac, packed
from tests.packets import (
    arp_body,
    bootp_message,
    dhcp_answer,
    ip_packet,
    tcp_segment,
    udp_datagram,
)
from tests.switches import BROADCAST, RawClient

_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
DISCOVER, OFFER, REQUEST, DECLINE, LEASED, REFUSED, RELEASE, INFORM = range(1, 9)
"""The types of messages of DHCP, RFC 2132 9.6."""


class CrowdGuest:
    """
    A guest: it answers ARP, asks for an address if it is told to, and has connections.

    @ivar address: None until it has one.
    @ivar asks: it wants an address, and has none yet.
    @ivar options: what DHCP told it last.
    @ivar answers: how many answers of ARP have come to it.
    """

    def __init__(
        self, client: RawClient, mac: bytes, address: str | None, numbers: random.Random
    ) -> None:
        self.client, self.mac, self.numbers = client, mac, numbers
        self.address: bytes | None = None if address is None else packed(address)
        self.connections: dict[int, Connection] = {}
        self.asks = False
        self.options: dict[int, bytes] = {}
        self.answers = 0
        self._asked_at = 0.0
        self._next_port = 30_000

    @property
    def ip(self) -> str:
        """Its address as people write it."""
        assert self.address is not None, "it has no address"
        return str(IPv4Address(self.address))

    # Frames out

    def send(self, frame: bytes) -> None:
        """Send a frame, when there is room."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.client.send(frame)
            except BlockingIOError:
                select.select([], [self.client.data], [], PATIENCE)
                assert time.monotonic() < deadline, "the switch takes no frames"

    def send_tcp(self, port: int, flags: int, numbers: tuple[int, int], data: bytes) -> None:
        """Send a segment to the master."""
        assert self.address is not None
        ends = (self.address, packed(MASTER[0]))
        segment = tcp_segment(ends, (port, MASTER[1]), numbers, flags, data)
        self.send(gateway_mac(MASTER[0]) + self.mac + _IPV4 + ip_packet(*ends, 6, segment))

    def arp(self, target: str) -> None:
        """Ask for an address."""
        assert self.address is not None
        body = arp_body(1, self.mac, self.address, bytes(6), packed(target))
        self.send(BROADCAST + self.mac + _ARP + body)

    def connect(self, port: int | None = None) -> Connection:
        """Begin to connect to the master, from a port of its own."""
        if port is None:
            self._next_port += 1
            port = self._next_port
        send = functools.partial(self.send_tcp, port)
        self.connections[port] = Connection(send, self.numbers.randrange(SEQUENCES))
        return self.connections[port]

    def ask_for_address(self) -> None:
        """Ask by DHCP until there is an address."""
        self.address, self.asks = None, True
        self.send_dhcp(DISCOVER)

    def renew(self) -> None:
        """Ask, as one who has booted again, for the address that it had."""
        assert self.address is not None
        self.options = {0: self.address}
        self.address, self.asks = None, True
        self.send_dhcp(REQUEST)

    def send_dhcp(self, kind: int) -> None:
        """Send a message of DHCP; a request is for what was offered last."""
        self._asked_at = time.monotonic()
        more = b""
        if kind == REQUEST:
            more = b"\x32\x04" + self.options[0]
            if 54 in self.options:
                more += b"\x36\x04" + self.options[54]
        data = udp_datagram((68, 67), bootp_message(self.mac, kind, more))
        packet = ip_packet(bytes(4), b"\xff" * 4, 17, data)
        self.send(BROADCAST + self.mac + _IPV4 + packet)

    # Frames in

    def take(self, frame: bytes) -> None:
        """Take a frame that is for it, or for all; others may send what is no whole one."""
        if len(frame) < 42:
            return
        if frame[12:14] == _ARP:
            self.answers += frame[:6] == self.mac and frame[21] == 2
            if self.address is not None and frame[38:42] == self.address and frame[21] == 1:
                body = arp_body(2, self.mac, self.address, frame[22:28], frame[28:32])
                self.send(frame[6:12] + self.mac + _ARP + body)
        elif frame[12:14] == _IPV4:
            if frame[23] == 6 and frame[30:34] == self.address:
                self._take_tcp(frame[34 : 14 + int.from_bytes(frame[16:18])])
            elif self.asks and (options := dhcp_answer(frame, self.mac)) is not None:
                self._take_dhcp(options)

    def _take_tcp(self, segment: bytes) -> None:
        port, (sequence, ack) = int.from_bytes(segment[2:4]), struct.unpack_from("!II", segment, 4)
        if port in self.connections:
            self.connections[port].take(segment)
        elif not segment[13] & RST:
            self.send_tcp(port, RST, (ack, sequence), b"")

    def _take_dhcp(self, options: dict[int, bytes]) -> None:
        kind = options.get(53, b"\0")[0]
        if kind == OFFER:
            self.options = options
            self.send_dhcp(REQUEST)
        elif kind == LEASED:
            self.options = options
            self.address, self.asks = options[0], False
        elif kind == REFUSED:
            self.options = {}
            self.send_dhcp(DISCOVER)

    def tick(self, now: float) -> None:
        """Send again what was not answered for long."""
        if self.asks and now - self._asked_at > 4 * AGAIN:
            self.send_dhcp(DISCOVER)
        for connection in self.connections.values():
            connection.tick(now)


class Crowd:
    """
    Guests on a switch, who live while it is waited for something.

    @ivar numbers: where their own random ones come from.
    """

    def __init__(self, directory: Path, seed: int = 1) -> None:
        self._directory = directory
        self._selector = selectors.DefaultSelector()
        self._at: dict[RawClient, dict[bytes, CrowdGuest]] = {}
        self.numbers = random.Random(seed)
        self._ticked = 0.0

    @property
    def guests(self) -> list[CrowdGuest]:
        """All of them."""
        return [guest for guests in self._at.values() for guest in guests.values()]

    def plug(self) -> RawClient:
        """Plug into the switch."""
        client = RawClient(self._directory).plug()
        client.data.setblocking(False)
        self._at[client] = {}
        self._selector.register(client.data, selectors.EVENT_READ, client)
        return client

    def join(
        self, mac: bytes, address: str | None = None, client: RawClient | None = None
    ) -> CrowdGuest:
        """A new guest, plugged in by itself or with others."""
        client = client or self.plug()
        guest = CrowdGuest(client, mac, address, self.numbers)
        self._at[client][mac] = guest
        return guest

    def leave(self, client: RawClient) -> None:
        """Unplug, with all guests that are there."""
        self._selector.unregister(client.data)
        del self._at[client]
        client.close()

    def live(self, seconds: float) -> None:
        """The guests take what has come, or comes meanwhile."""
        for key, _ in self._selector.select(seconds):
            client: RawClient = key.data
            here = self._at.get(client, {})
            with contextlib.suppress(BlockingIOError):
                for _ in range(1000):
                    frame = client.receive()
                    to = frame[:6]
                    if to == BROADCAST:
                        for guest in list(here.values()):
                            guest.take(frame)
                    elif to in here:
                        here[to].take(frame)
        now = time.monotonic()
        if now - self._ticked > AGAIN / 4:
            self._ticked = now
            for guest in self.guests:
                guest.tick(now)

    def until(self, what: str, found: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """The first true thing that C{found} returns. Raises AssertionError naming C{what}."""
        deadline = time.monotonic() + patience
        while not (result := found()):
            assert time.monotonic() < deadline, f"{what}: not within {patience} s"
            self.live(0.02)
        return result

    def rest(self, seconds: float) -> None:
        """The guests live for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.live(0.02)

    def close(self) -> None:
        """Unplug all."""
        for client in list(self._at):
            self.leave(client)
        self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Echo:
    """
    A guest's stream of messages, which go to the master and come back, checked byte for byte.

    @ivar id: the node that it is, once it has been told.
    @ivar checked: how many messages have come back as they were sent.
    """

    def __init__(self, guest: CrowdGuest, seed: int = 1) -> None:
        self.guest = guest
        self.connection = guest.connect()
        self.id: int | None = None
        self.checked = 0
        self._random = random.Random(seed)
        self._sent: list[bytes] = []

    def turn(self, ahead: int = 8) -> None:
        """
        Check what has come, and keep so many messages under way.

        @raise AssertionError: the stream is over, or it is another than was sent.
        """
        connection = self.connection
        if self.id is None and connection.first:
            assert connection.first.isdigit(), f"a kernel panics on {connection.first!r} for its id"
            self.id = int(connection.first)
            del connection.received[: len(connection.first)]
        while self._sent and len(connection.received) >= len(self._sent[0]):
            expected = self._sent.pop(0)
            got = bytes(connection.received[: len(expected)])
            assert got == expected, f"message {self.checked}: {got!r} and not {expected!r}"
            del connection.received[: len(expected)]
            self.checked += 1
        assert not connection.was_reset, f"the connection of {self.guest.ip} was reset"
        assert not connection.ended, f"the connection of {self.guest.ip} has ended"
        while self.id is not None and len(self._sent) < ahead:
            payload = self._random.randbytes(self._random.randrange(1, 1000))
            self._sent.append(HEADER.pack(self.id, len(payload)) + payload)
            connection.write(encode_message(self.id, payload))

    def has_an_id(self) -> bool:
        """Whether it is a node, for L{Crowd.until}."""
        self.turn(0)
        return self.id is not None


def all_have_ids(crowd: Crowd, echoes: Iterable[Echo]) -> list[int]:
    """Wait until all are nodes; their ids."""
    pending = list(echoes)
    ids: list[int] = []

    def done() -> bool:
        for echo in list(pending):
            if echo.has_an_id():
                pending.remove(echo)
                assert echo.id is not None
                ids.append(echo.id)
        return not pending

    crowd.until("all have their ids", done, 2 * PATIENCE)
    return ids


def goes_on(crowd: Crowd, echo: Echo, messages: int = 20) -> None:
    """So many further messages come back as they were sent."""
    enough = echo.checked + messages

    def done() -> bool:
        echo.turn()
        return echo.checked >= enough

    crowd.until(f"{messages} more messages come back", done)
