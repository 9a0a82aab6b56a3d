"""DNS for a guest, with real sockets as name servers, and a loop that has a clock of its own."""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.dns import (
    MOST_QUERIES,
    MOST_SERVERS,
    PATIENCE_SECONDS,
    PREFERENCE_SECONDS,
    TIMEOUT_SECONDS,
    Dns,
    Dropped,
    ResolvConf,
    Server,
    name_servers,
)
from distnet.gateway.dnsmessage import MOST_PAYLOAD, frame_to, id_of, with_id
from distnet.guestnet import PLAN

GUEST = bytes((10, 0, 2, 31))
PATIENCE = 10.0
"""Seconds until a datagram on the loopback counts as lost."""
SERVFAIL, REFUSED = 2, 5


def question(name: str = "Example.org") -> bytes:
    """The question section for an address."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    return labels + b"\0" + struct.pack("!2H", 1, 1)


def query(number: int = 7, name: str = "Example.org") -> bytes:
    """A query, recursion desired."""
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + question(name)


def answer_to(asked: bytes, code: int = 0, more: bytes = b"an answer") -> bytes:
    """An answer to a query: the bytes that a guest must get, but for the id."""
    head = struct.pack("!6H", id_of(asked), 0x8180 | code, 1, 1, 0, 0)
    return head + asked[12:] + more


class SmallLoop:
    """A loop that waits for descriptors only when it is told to turn; its time is told, too."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.readers: dict[int, Callable[[], None]] = {}

    def add_reader(self, fd: int, call: Callable[[], None]) -> None:
        """Call in a turn."""
        self.readers[fd] = call

    def remove_reader(self, fd: int) -> None:
        """Do not call any more."""
        del self.readers[fd]

    def call_later(self, seconds: float, call: Callable[..., None], *arguments: Any) -> Any:
        """Call by the clock."""
        return self.clock.callLater(seconds, call, *arguments)

    def seconds(self) -> float:
        """The clock's."""
        return self.clock.seconds()

    def turn(self) -> None:
        """Wait until something can be read, and have it read."""
        ready, _, _ = select.select(list(self.readers), [], [], PATIENCE)
        assert ready, "nothing came"
        for fd in ready:
            if fd in self.readers:
                self.readers[fd]()


class NameServer:
    """A real socket at which queries come."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(PATIENCE)
        self.server: Server = self.socket.getsockname()[:2]

    def receive(self) -> tuple[bytes, Any]:
        """The next query, and from where it came."""
        return self.socket.recvfrom(4096)

    def is_silent(self) -> bool:
        """Whether nothing has come."""
        return not select.select([self.socket], [], [], 0)[0]

    def answer(self, code: int = 0) -> bytes:
        """Answer the next query; the answer."""
        asked, where = self.receive()
        answer = answer_to(asked, code)
        self.socket.sendto(answer, where)
        return answer


class DnsTests(SynchronousTestCase):
    """Tests for C{Dns}, with two name servers."""

    def setUp(self) -> None:
        """Have them run."""
        self.loop = SmallLoop()
        self.one, self.two = NameServer("127.0.0.2"), NameServer("127.0.0.3")
        self.servers = [self.one.server, self.two.server]
        self.sent: list[tuple[bytes, int, bytes]] = []
        self.dns = Dns(self.loop, lambda: self.servers, lambda *sent: self.sent.append(sent))
        for server in (self.one, self.two):
            self.addCleanup(server.socket.close)
        self.addCleanup(self.dns.close)

    def ask(self, number: int = 7, name: str = "Example.org", port: int = 4000) -> None:
        """The guest asks."""
        self.dns.query(GUEST, port, query(number, name))

    def assert_nothing_is_left(self) -> None:
        """Nobody waits, and no descriptor and no call is left."""
        self.assertEqual(self.dns.under_way, 0)
        self.assertEqual(self.loop.readers, {})
        self.assertEqual(self.loop.clock.getDelayedCalls(), [])

    def test_an_answer(self) -> None:
        """An answer comes back as it is, with the guest's id, to the port that it asked from."""
        self.ask()
        answer = self.one.answer()
        self.loop.turn()
        self.assertEqual(self.sent, [(GUEST, 4000, with_id(answer, 7))])
        self.assertTrue(self.two.is_silent())
        self.assert_nothing_is_left()

    def test_by_ipv6(self) -> None:
        """A name server is asked by IPv6 if it has such an address."""
        six = NameServer("::1")
        self.addCleanup(six.socket.close)
        self.servers = [six.server]
        self.ask()
        answer = six.answer()
        self.loop.turn()
        self.assertEqual(self.sent, [(GUEST, 4000, with_id(answer, 7))])

    def test_ids_and_ports(self) -> None:
        """Ids are not the guest's, and no two are the same; later queries come from other ports."""
        for number in range(MOST_QUERIES):
            self.ask(number)
        asked = [self.one.receive() for _ in range(MOST_QUERIES)]
        ids = [id_of(payload) for payload, _ in asked]
        self.assertEqual(len(set(ids)), MOST_QUERIES)
        self.assertNotEqual(ids, list(range(MOST_QUERIES)))
        ports = {where[1] for _, where in asked}
        self.assertEqual(len(ports), 1)
        self.dns.close()
        for _ in range(5):
            self.ask()
            ports.add(self.one.receive()[1][1])
            self.dns.close()
        self.assertGreater(len(ports), 2)

    def test_bounds(self) -> None:
        """A query too many, and what is none, is dropped and counted; there is room again later."""
        for number in range(MOST_QUERIES + 3):
            self.ask(number)
        self.assertEqual(self.dns.under_way, MOST_QUERIES)
        self.assertEqual(len(self.loop.readers), 1)
        self.one.answer()
        self.loop.turn()
        self.ask(MOST_QUERIES)
        self.ask(MOST_QUERIES + 1)
        for none in (b"", query()[:11], query()[:-1], answer_to(query()), b"\xff" * 40):
            self.dns.query(GUEST, 1, none)
        self.dns.query(GUEST, 1, query() + bytes(MOST_PAYLOAD))
        self.assertEqual(
            self.dns.dropped, {Dropped.TOO_MANY: 4, Dropped.NO_QUERY: 5, Dropped.TOO_LONG: 1}
        )

    def test_asked_twice(self) -> None:
        """A guest that repeats itself is one query, with one answer."""
        self.ask()
        self.ask()
        self.assertEqual(self.dns.under_way, 1)
        self.one.answer()
        self.loop.turn()
        self.assertEqual(len(self.sent), 1)
        self.assertTrue(self.one.is_silent())

    def test_silent(self) -> None:
        """A silent server is followed by the next, which is first then for a while."""
        self.ask()
        self.loop.clock.advance(PATIENCE_SECONDS / 2)
        self.assertTrue(self.two.is_silent())
        self.loop.clock.advance(PATIENCE_SECONDS / 2)
        self.two.answer()
        self.loop.turn()
        self.assertEqual(len(self.sent), 1)
        self.one.receive()
        self.ask(8)
        self.two.answer()
        self.loop.turn()
        self.assertTrue(self.one.is_silent())
        self.loop.clock.advance(PREFERENCE_SECONDS)
        self.ask(9)
        self.one.answer()
        self.loop.turn()
        self.assertEqual([id_of(payload) for _, _, payload in self.sent], [7, 8, 9])

    def test_slow(self) -> None:
        """The answer of a server that is slow counts also when the next one was asked already."""
        self.ask()
        self.loop.clock.advance(PATIENCE_SECONDS)
        self.two.receive()
        self.one.answer()
        self.loop.turn()
        self.assertEqual(len(self.sent), 1)
        self.assert_nothing_is_left()

    def test_nobody_there(self) -> None:
        """Where no name server listens, the next is asked as soon as that is told."""
        self.one.socket.close()
        self.ask()
        self.loop.turn()
        self.two.answer()
        self.loop.turn()
        self.assertEqual(len(self.sent), 1)
        self.assertEqual(self.loop.seconds(), 0)

    def test_all_that_ask_where_nobody_is(self) -> None:
        """What one query is told of a server, all that wait there know."""
        self.one.socket.close()
        for number in range(10):
            self.ask(number)
        self.loop.turn()
        for _ in range(10):
            self.two.answer()
        while len(self.sent) < 10:
            self.loop.turn()
        self.assertEqual(self.loop.seconds(), 0)

    def test_failures(self) -> None:
        """A server that cannot tell is followed by the next; if none can, that is the answer."""
        for code in (SERVFAIL, REFUSED):
            self.ask()
            self.one.answer(code)
            self.loop.turn()
            self.assertEqual(self.sent, [])
            failure = self.two.answer(code)
            self.loop.turn()
            self.assertEqual(self.sent.pop()[2], with_id(failure, 7))
            self.assert_nothing_is_left()

    def test_no_such_name(self) -> None:
        """That there is no such name is an answer: nobody else is asked."""
        self.ask()
        self.one.answer(3)
        self.loop.turn()
        self.assertEqual(self.sent[0][2][3] & 15, 3)
        self.assertTrue(self.two.is_silent())

    def test_nobody_answers(self) -> None:
        """Servers are asked in turn, until the guest is told that there is no answer."""
        self.ask()
        for _ in range(int(TIMEOUT_SECONDS / PATIENCE_SECONDS)):
            self.assertEqual(self.sent, [])
            self.loop.clock.advance(PATIENCE_SECONDS)
        ids = [id_of(self.one.receive()[0]) for _ in range(3)]
        self.assertEqual(len(set(ids)), 1)
        self.two.receive()
        self.two.receive()
        self.assertTrue(self.one.is_silent() and self.two.is_silent())
        failed = struct.pack("!6H", 7, 0x8180 | SERVFAIL, 1, 0, 0, 0) + question()
        self.assertEqual(self.sent, [(GUEST, 4000, failed)])
        self.assert_nothing_is_left()

    def test_no_servers(self) -> None:
        """Without name servers the guest is told so at once; also if there is no way to them."""
        for servers in ([], [("203.0.113.1%lo", 53)], [("::ffff:0:0%nowhere", 53)]):
            self.servers = servers
            self.ask()
            self.assertEqual(self.sent.pop()[2][3] & 15, SERVFAIL)
            self.assert_nothing_is_left()

    def test_what_is_no_answer(self) -> None:
        """
        What has another id, another question, or none, is no answer, nor is it one from elsewhere.
        """
        self.ask()
        asked, where = self.one.receive()
        answer = answer_to(asked)
        other = answer_to(asked[:12] + question("example.net"))
        wrong = [
            with_id(answer, id_of(answer) ^ 1), other, asked, answer[:12], b"", answer[:20],
            answer[:4] + b"\0\0" + answer[6:],
        ]  # fmt: skip
        for each in wrong:
            self.one.socket.sendto(each, where)
            self.loop.turn()
        self.two.socket.sendto(answer, where)
        self.assertEqual(self.dns.dropped, {Dropped.NO_ANSWER: len(wrong)})
        self.assertEqual(self.sent, [])
        # As a server writes the name that does not keep its letters.
        self.one.socket.sendto(answer.replace(b"Example", b"example"), where)
        self.loop.turn()
        self.assertEqual(len(self.sent), 1)
        self.assertEqual(self.dns.dropped, {Dropped.NO_ANSWER: len(wrong)})

    def test_too_long_an_answer(self) -> None:
        """An answer that no datagram to a guest can hold is told to be cut, and has no records."""
        self.ask()
        asked, where = self.one.receive()
        self.one.socket.sendto(answer_to(asked, more=bytes(MOST_PAYLOAD)), where)
        self.loop.turn()
        cut = struct.pack("!6H", 7, 0x8380, 1, 0, 0, 0) + question()
        self.assertEqual(self.sent, [(GUEST, 4000, cut)])

    def test_closed(self) -> None:
        """After a close nothing is sent, and the next query is a new one."""
        self.ask()
        self.dns.close()
        self.assert_nothing_is_left()
        self.ask()
        self.one.receive()
        self.one.answer()
        self.loop.turn()
        self.assertEqual(len(self.sent), 1)

    @given(st.binary(max_size=60), st.booleans())
    def test_any_bytes(self, data: bytes, query_like: bool) -> None:
        """Whatever a guest sends, it is a query, or it is dropped and counted."""
        dns = Dns(SmallLoop(), list, lambda *sent: answered.append(sent))
        answered: list[Any] = []
        dns.query(GUEST, 1, query()[:12] + data if query_like else data)
        self.assertEqual(len(answered) + sum(dns.dropped.values()), 1)


class ServersTests(SynchronousTestCase):
    """Which name servers this machine has."""

    def setUp(self) -> None:
        """Have a file for them."""
        self.path = Path(self.mktemp())

    def test_a_file(self) -> None:
        """Those of IPv4 and of IPv6 count, once each, in order; nothing else does."""
        self.path.write_text(
            "# nameserver 192.0.2.9\n; nameserver 192.0.2.9\nsearch nameserver 192.0.2.9\n"
            "nameserver\t192.0.2.1  # the first\nnameserver 192.0.2.1\nnameserver nowhere\n"
            "nameserver\n nameserver 192.0.2.9\nnameservers 192.0.2.9\n\n"
            "nameserver fe80::1%eth0\nnameserver 2001:DB8::0:1\nnameserver 192.0.2.4\n"
        )
        expected = [("192.0.2.1", 53), ("fe80::1%eth0", 53), ("2001:db8::1", 53)]
        self.assertEqual(len(expected), MOST_SERVERS)
        self.assertEqual(name_servers(self.path), expected)

    def test_none(self) -> None:
        """A file that is not there, or has none, has none."""
        self.assertEqual(name_servers(self.path), [])
        self.path.write_bytes(b"options\xff edns0\n")
        self.assertEqual(name_servers(self.path), [])

    def test_another_file(self) -> None:
        """The file is read again when it is another one, or has come, or is gone."""
        servers = ResolvConf(self.path)
        self.assertEqual(servers(), [])
        self.path.write_text("nameserver 192.0.2.1\n")
        self.assertEqual(servers(), [("192.0.2.1", 53)])
        self.assertIs(servers(), servers())
        new = self.path.with_suffix(".new")
        new.write_text("nameserver 192.0.2.2\n")
        new.replace(self.path)
        self.assertEqual(servers(), [("192.0.2.2", 53)])
        self.path.write_text("nameserver 192.0.2.3\n")
        # What is written twice within a tick of the file system's clock may be seen as it was.
        os.utime(self.path, ns=(1, 1))
        self.assertEqual(servers(), [("192.0.2.3", 53)])
        self.path.unlink()
        self.assertEqual(servers(), [])


class FrameTests(SynchronousTestCase):
    """Tests for C{frame_to}."""

    def test_a_frame(self) -> None:
        """It has all headers, from the name server to the guest, and sums that are right."""
        mac = bytes.fromhex("525400000001")
        for payload in (b"even", b"odd", b"", bytes(MOST_PAYLOAD)):
            frame = frame_to(mac, GUEST, 4000, payload)
            self.assertEqual(frame[:14], mac + b"\x52\x55\x0a\x00\x02\x03\x08\x00")
            head, udp = frame[14:34], frame[34:]
            self.assertEqual((head[0], head[9]), (0x45, 17))
            self.assertEqual(int.from_bytes(head[2:4]), len(head) + len(udp))
            self.assertEqual(head[12:20], PLAN.name_server.packed + GUEST)
            self.assertEqual(struct.unpack_from("!3H", udp), (53, 4000, len(udp)))
            self.assertEqual(udp[8:], payload)
            self.assertEqual(summed(head), 0xFFFF)
            pseudo = head[12:20] + struct.pack("!2H", 17, len(udp))
            self.assertEqual(summed(pseudo + udp + bytes(len(udp) % 2)), 0xFFFF)

    def test_a_sum_of_zero(self) -> None:
        """A sum that would be zero, which means none, is written as its other form."""
        payload = b"\0\0"
        frame = frame_to(bytes(6), GUEST, 4000, payload)
        rest = int.from_bytes(frame[40:42])
        frame = frame_to(bytes(6), GUEST, 4000, rest.to_bytes(2))
        self.assertEqual(frame[40:42], b"\xff\xff")


def summed(data: bytes) -> int:
    """The ones' complement sum, which is all ones where a checksum is right."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2])
        total = (total & 0xFFFF) + (total >> 16)
    return total
