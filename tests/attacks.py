"""
What one guest may send that is none of the others' business: each a list of frames, or many.

All of it comes from one machine, which says that it has C{MAC} and C{ADDRESS} unless it lies.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator

from tests.gateways import ACK, FIN, MASTER, PSH, RST, SYN, gateway_mac, packed
from tests.packets import arp_body, bootp_message, checksum, ip_packet, tcp_segment, udp_datagram
from tests.switches import BROADCAST

MAC = b"\x06\xa7\x7a\xcc\xe5\x01"
ADDRESS = "10.0.2.66"
ASKING = "10.0.2.67"
"""An address that it has only when it asks whether all that it sent has been looked at."""
HOST, NAMES = "10.0.2.2", "10.0.2.3"
ELSEWHERE = "198.51.100.7"
"""Nobody's address: RFC 5737."""
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
_MORE = 0x2000


def to_gateway(packet: bytes, *, to: str = HOST, mac: bytes = MAC) -> bytes:
    """A frame with a packet."""
    return gateway_mac(to) + mac + _IPV4 + packet


def _via(target: str) -> str:
    """The address by which a packet to another is sent: itself if the gateway has it."""
    return target if target in (HOST, NAMES, MASTER[0]) else HOST


def fragment(
    target: str, data: bytes, begin: int, number: int, *, more: bool, options: bytes = b""
) -> bytes:
    """A fragment of a datagram of UDP that begins at byte C{begin} of it."""
    place = begin // 8 | (_MORE if more else 0)
    packet = ip_packet(
        packed(ADDRESS), packed(target), 17, data, number=number, place=place, options=options
    )
    return to_gateway(packet, to=_via(target))


def last_without_first(target: str) -> list[bytes]:
    """The last fragments of datagrams of which nothing else comes."""
    return [
        fragment(target, bytes(size), begin, number, more=False)
        for number, (size, begin) in enumerate(
            ((1, 1480), (32, 8976), (1480, 1480), (8, 65504), (28, 65504), (7, 8)), 100
        )
    ]


def long_first_header(target: str) -> list[bytes]:
    """A datagram as long as can be by the header of its last fragment, and longer by its first's.

    The first one has 60 bytes of header and 1440 of data, the others 20 of header.
    """
    options = b"\x01" * 40
    total = 65500
    frames = [fragment(target, bytes(1440), 0, 7, more=True, options=options)]
    for begin in range(1440, total, 1480):
        size = min(1480, total - begin)
        frames.append(fragment(target, bytes(size), begin, 7, more=begin + size < total))
    return frames


def holes(target: str, seed: int, count: int = 50) -> Iterator[bytes]:
    """Fragments of datagrams in all orders, some missing, some twice, some over each other."""
    numbers = random.Random(seed)
    for number in range(count):
        size = numbers.choice((8, 24, 512, 1480))
        pieces = numbers.randrange(1, 12)
        frames = []
        for piece in range(pieces):
            more = piece < pieces - 1
            begin = piece * size + 8 * numbers.choice((0, 0, 0, 0, 1, -1)) * bool(piece)
            length = size if more else numbers.randrange(1, size + 1)
            frames.append(
                fragment(
                    target, numbers.randbytes(length), begin, 1000 + number, more=more,
                    options=numbers.choice((b"", b"", b"\x01" * 4 * numbers.randrange(11))),
                )
            )  # fmt: skip
        numbers.shuffle(frames)
        yield from frames[numbers.choice((0, 0, 1)) :]
        yield from frames[: numbers.choice((0, 0, 1))]


def syns(count: int, macs: int = 1, first_port: int = 1024) -> Iterator[bytes]:
    """So many connections that are begun and not gone on with, of so many machines."""
    master = packed(MASTER[0])
    for number in range(count):
        who = number % macs
        own = packed(ADDRESS) if macs == 1 else packed(f"10.0.2.{100 + who % 150}")
        segment = tcp_segment(
            (own, master), (first_port + number, MASTER[1]), (number * 77_777, 0), SYN
        )
        mac = MAC if macs == 1 else MAC[:3] + (who + 1).to_bytes(3)
        yield to_gateway(ip_packet(own, master, 6, segment), to=MASTER[0], mac=mac)


def udp_flows(count: int, target: str, port: int = 9) -> Iterator[bytes]:
    """So many ports that send a datagram each."""
    for number in range(count):
        data = udp_datagram((1024 + number, port), b"a flow")
        yield to_gateway(ip_packet(packed(ADDRESS), packed(target), 17, data), to=_via(target))


def dhcp(
    count: int, kind: int | None, options: bytes = b"", *, wanted: bool = False
) -> Iterator[bytes]:
    """
    So many machines that ask for an address, by DHCP or, without a kind, by BOOTP.

    @param wanted: each names another address that it wants, as if it had had that before.
    """
    for number in range(count):
        mac = MAC[:3] + (number + 1).to_bytes(3)
        its = b"\x32\x04\x0a\x00" + (0x200 + number % 512).to_bytes(2) if wanted else b""
        data = udp_datagram((68, 67), bootp_message(mac, kind, its + options))
        yield BROADCAST + mac + _IPV4 + ip_packet(bytes(4), b"\xff" * 4, 17, data)


def arp_claims(address: str) -> list[bytes]:
    """Another machine's address claimed as its own: asked, answered, and told to all."""
    its, host, master = packed(address), packed(HOST), packed(MASTER[0])
    return [
        BROADCAST + MAC + _ARP + arp_body(1, MAC, its, bytes(6), host),
        BROADCAST + MAC + _ARP + arp_body(1, MAC, its, bytes(6), master),
        gateway_mac(HOST) + MAC + _ARP + arp_body(2, MAC, its, gateway_mac(HOST), host),
        gateway_mac(MASTER[0]) + MAC + _ARP + arp_body(2, MAC, its, gateway_mac(MASTER[0]), master),
    ]


def question() -> bytes:
    """What is answered once all before it has been looked at."""
    return BROADCAST + MAC + _ARP + arp_body(1, MAC, packed(ASKING), bytes(6), packed(HOST))


def is_answered(frame: bytes) -> bool:
    """Whether a frame is the answer to that."""
    return frame[:6] == MAC and frame[12:14] == _ARP and frame[38:42] == packed(ASKING)


def pings(target: str, count: int, size: int = 56) -> Iterator[bytes]:
    """So many pings."""
    for number in range(count):
        yield to_gateway(
            ip_packet(packed(ADDRESS), packed(target), 1, _echo(number, bytes(size))),
            to=_via(target),
        )


def _echo(number: int, data: bytes) -> bytes:
    message = b"\x08\0\0\0" + (77).to_bytes(2) + (number % 65536).to_bytes(2) + data
    return message[:2] + checksum(message) + message[4:]


def lies(neighbour: str, ports: Iterable[int]) -> Iterator[bytes]:
    """Segments as if from a neighbour's address: resets, ends and beginnings of its connections."""
    own, master = packed(neighbour), packed(MASTER[0])
    for port, flags in itertools.product(ports, (RST, RST | ACK, FIN | ACK, SYN)):
        segment = tcp_segment((own, master), (port, MASTER[1]), (port * 999, port * 77), flags)
        yield to_gateway(ip_packet(own, master, 6, segment), to=MASTER[0])


class Fuzz:
    """
    Frames of all kinds, right ones and with some bytes changed, from a seed.

    @ivar spared: MAC addresses that no frame has as its source: the switch would believe it.
    """

    def __init__(self, numbers: random.Random, neighbours: Iterable[str], spared: set[bytes]):
        self._numbers = numbers
        self.spared = spared
        self._neighbours = list(neighbours)
        self._kinds = (
            self._arp, self._ping, self._udp, self._tcp, self._tcp, self._dhcp, self._fragments,
            self._fragments, self._raw, self._syns, self._claim,
        )  # fmt: skip

    def frames(self) -> list[bytes]:
        """Some frames, mostly one."""
        numbers = self._numbers
        frames = numbers.choice(self._kinds)()
        if numbers.random() < 0.6:
            frames = [self._changed(frame) for frame in frames]
        return [
            frame
            for frame in frames
            if frame[6:12] not in self.spared and frame[6:8] != b"\x52\x55"
        ]

    def _changed(self, frame: bytes) -> bytes:
        numbers = self._numbers
        made = bytearray(frame)
        for _ in range(numbers.choice((1, 1, 1, 2, 4))):
            place = numbers.randrange(12, min(len(made), 80)) if len(made) > 12 else 0
            made[place] = numbers.choice((numbers.randrange(256), 0, 255, made[place] ^ 1))
        if numbers.random() < 0.2:
            del made[numbers.randrange(12, len(made)) :]
        elif numbers.random() < 0.1:
            made += numbers.randbytes(numbers.randrange(1500))
        if len(made) > 34 and numbers.random() < 0.7:
            # So that it is not refused for that alone.
            size = min((made[14] & 15) * 4, len(made) - 14)
            if size >= 20:
                made[24:26] = bytes(2)
                made[24:26] = checksum(bytes(made[14 : 14 + size]))
        return bytes(made)

    def _target(self) -> str:
        return self._numbers.choice(
            (HOST, HOST, NAMES, MASTER[0], MASTER[0], ELSEWHERE, "127.0.0.1", "10.0.2.255",
             "255.255.255.255", "0.0.0.0", "224.0.0.1", *self._neighbours)
        )  # fmt: skip

    def _source(self) -> str:
        if self._numbers.random() < 0.1:
            return self._numbers.choice((*self._neighbours, HOST, MASTER[0], "0.0.0.0", ELSEWHERE))
        return ADDRESS

    def _frame(self, protocol: int, data: bytes, target: str | None = None) -> bytes:
        target = target or self._target()
        options = bytes(4 * self._numbers.choice((0, 0, 0, 0, 1, 10)))
        packet = ip_packet(
            packed(self._source()), packed(target), protocol, data, options=options,
            number=self._numbers.randrange(65536),
            place=self._numbers.choice((0, 0, 0, 0, 0x4000, 0x8000)),
        )  # fmt: skip
        mac = MAC[:5] + bytes([self._numbers.randrange(4)])
        return to_gateway(packet, to=_via(target), mac=mac)

    def _arp(self) -> list[bytes]:
        kind = self._numbers.choice((1, 1, 2, 3))
        source, target = packed(self._source()), packed(self._target())
        to = self._numbers.choice((BROADCAST, gateway_mac(HOST), gateway_mac(MASTER[0])))
        return [to + MAC + _ARP + arp_body(kind, MAC, source, bytes(6), target)]

    def _ping(self) -> list[bytes]:
        size = self._numbers.choice((0, 56, 1400, 1472))
        return [self._frame(1, _echo(self._numbers.randrange(65536), bytes(size)))]

    def _udp(self) -> list[bytes]:
        port = self._numbers.choice((53, 67, 69, 1234, self._numbers.randrange(65536)))
        data = self._numbers.randbytes(self._numbers.randrange(1400))
        return [self._frame(17, udp_datagram((self._numbers.randrange(1024, 1100), port), data))]

    def _tcp(self) -> list[bytes]:
        numbers = self._numbers
        target = numbers.choice((MASTER[0], MASTER[0], MASTER[0], self._target()))
        port = numbers.choice((1234, 1234, 1234, 22, 80))
        flags = numbers.choice((SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, 0, 63))
        segment = tcp_segment(
            (packed(ADDRESS), packed(target)), (numbers.randrange(5000, 5020), port),
            (numbers.getrandbits(32), numbers.getrandbits(32)), flags,
            numbers.randbytes(numbers.choice((0, 0, 4, 100, 1460))),
            window=numbers.choice((0, 1, 65535)),
        )  # fmt: skip
        return [self._frame(6, segment, target)]

    def _dhcp(self) -> list[bytes]:
        numbers = self._numbers
        kind = numbers.choice((1, 1, 3, 3, 4, 7, 8, 99, None))
        address = packed(f"10.0.2.{numbers.randrange(256)}")
        options = numbers.choice((b"", b"\x32\x04" + address, b"\x32\x02\0\0", b"\x37\xff\1\3"))
        (frame,) = dhcp(1, kind, options)
        return [frame]

    def _fragments(self) -> list[bytes]:
        target = self._target()
        return list(holes(target, self._numbers.getrandbits(32), 2)) or last_without_first(target)

    def _raw(self) -> list[bytes]:
        kind = self._numbers.choice((_ARP, _IPV4, _IPV4, b"\x86\xdd", b"\x81\x00", b"\0\x20"))
        data = self._numbers.randbytes(self._numbers.choice((0, 1, 19, 20, 46, 500, 1500, 3000)))
        if kind == _IPV4 and data:
            data = b"\x45" + data[1:]
        return [gateway_mac(self._numbers.choice((HOST, MASTER[0]))) + MAC + kind + data]

    def _syns(self) -> list[bytes]:
        macs = self._numbers.choice((1, 1, 3))
        return list(syns(30, macs, self._numbers.randrange(1024, 60_000)))

    def _claim(self) -> list[bytes]:
        return arp_claims(self._numbers.choice((*self._neighbours, HOST, MASTER[0])))
