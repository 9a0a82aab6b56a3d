"""DNS for one guest: what it asks at 10.0.2.3 is asked at the name servers of this machine.

It knows sockets, but neither Twisted nor libslirp: it runs in a process of the guest's own. It does
no resolving, and keeps no answers.
"""

from __future__ import annotations

import secrets
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final, Protocol

from distnet.gateway.dnsmessage import (
    HEADER_SIZE,
    MOST_PAYLOAD,
    PORT,
    failure_of,
    fitting,
    id_of,
    is_failure,
    question_of,
    with_id,
)

RESOLV_CONF: Final = "/etc/resolv.conf"
MOST_SERVERS: Final = 3
"""How many name servers the file may have, as for glibc: resolv.conf(5), MAXNS."""
MOST_QUERIES: Final = 64
"""How many queries of the guest may be under way."""
PATIENCE_SECONDS: Final = 1.0
"""How long a server is alone to have a query; then the next one is asked, too."""
TIMEOUT_SECONDS: Final = 5.0
"""How long a query is under way at most. A guest that has heard nothing asks again then."""
PREFERENCE_SECONDS: Final = 60.0
"""How long a server is asked first that has answered when those before it did not."""
_READ_SIZE: Final = 65535
_IDS: Final = 1 << 16

Server = tuple[str, int]
"""Host (IPv4 or IPv6, in digits) and port of a name server."""
Send = Callable[[bytes, int, bytes], None]
"""Takes an answer for the guest: its address (4 bytes), its port, the payload."""


class Loop(Protocol):
    """What calls back when a descriptor can be read, or some time has passed."""

    def add_reader(self, fd: int, call: Callable[[], None], /) -> object:
        """Call whenever there is something to read."""

    def remove_reader(self, fd: int, /) -> object:
        """Do not call any more."""

    def call_later(self, seconds: float, call: Callable[..., None], /, *arguments: Any) -> Timer:
        """Call once."""

    def seconds(self) -> float:
        """What time it is, on a clock that only goes forward."""


class Timer(Protocol):
    """A call that is to come."""

    def cancel(self) -> object:
        """Have it not come."""


class Dropped(StrEnum):
    """Why a datagram of the guest's, or of a server's, is not taken."""

    NO_QUERY = "no query with one question"
    TOO_LONG = "too long"
    TOO_MANY = "too many under way"
    NO_ANSWER = "no answer to what was asked"


def name_servers(path: str | Path = RESOLV_CONF) -> list[Server]:
    """The name servers in a file as of resolv.conf(5); none if it cannot be read."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: list[Server] = []
    for line in lines:
        words = line.split()
        # A comment can only be a line of its own.
        if words[:1] != ["nameserver"] or len(words) < 2 or line[0].isspace():
            continue
        address = _address(words[1])
        if address is not None and (str(address), PORT) not in found:
            found.append((str(address), PORT))
    return found[:MOST_SERVERS]


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


class ResolvConf:
    """The name servers of this machine, as its file has them now: to be called for them."""

    def __init__(self, path: str | Path = RESOLV_CONF) -> None:
        self._path = Path(path)
        self._seen: tuple[int, ...] | None = None
        self._servers: list[Server] = []

    def __call__(self) -> list[Server]:
        """Look whether the file is another than before; it is read only then."""
        seen = self._look()
        if seen != self._seen:
            self._seen, self._servers = seen, name_servers(self._path)
        return self._servers

    def _look(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


class Dns:
    """
    Passes queries on, and answers back.

    A server that refuses, fails, or says nothing for L{PATIENCE_SECONDS} is followed by the next.
    An answer counts only if it comes from a server that was asked, to the port that it was asked
    from, with the id and the question that it was asked with; ports and ids are random.

    @ivar dropped: how many datagrams were not taken, by reason.
    """

    def __init__(self, loop: Loop, servers: Callable[[], Sequence[Server]], send: Send) -> None:
        """
        @param servers: called for each query, for the servers in order: a L{ResolvConf}.
        @param send: called for each answer.
        """
        self.dropped: Counter[Dropped] = Counter()
        self._loop = loop
        self._servers = servers
        self._send = send
        self._queries: dict[tuple[bytes, int, bytes], _Query] = {}
        self._links: dict[Server, _Link] = {}
        self._first: Server | None = None
        self._first_until = 0.0

    @property
    def under_way(self) -> int:
        """How many queries have no answer yet."""
        return len(self._queries)

    def query(self, source: bytes, port: int, payload: bytes) -> None:
        """
        The guest has sent a datagram to port 53.

        @param source: its address, 4 bytes.
        @param port: that it has sent it from.
        """
        if len(payload) > MOST_PAYLOAD:
            self.dropped[Dropped.TOO_LONG] += 1
            return
        question = question_of(payload, response=False)
        if question is None:
            self.dropped[Dropped.NO_QUERY] += 1
            return
        asked = source, port, payload
        if asked in self._queries:
            # It is asked again at the servers anyway.
            return
        if len(self._queries) >= MOST_QUERIES:
            self.dropped[Dropped.TOO_MANY] += 1
            return
        query = _Query(asked, question, self._in_order(), self._loop.seconds())
        self._queries[asked] = query
        self._ask(query)

    def close(self) -> None:
        """Forget all queries; what is asked afterwards is asked anew."""
        for query in list(self._queries.values()):
            self._forget(query)

    def _in_order(self) -> list[Server]:
        servers = list(self._servers())[:MOST_SERVERS]
        if self._first in servers and self._loop.seconds() < self._first_until:
            servers.remove(self._first)
            servers.insert(0, self._first)
        return servers

    def _ask(self, query: _Query) -> None:
        """Ask the next server that has not failed; fail if there is none."""
        query.stop_timer()
        while (server := query.next_server()) is not None:
            link = self._links.get(server)
            if link is None:
                link = self._links[server] = _Link(self._loop, server, self._answered, self._failed)
            if link.ask(query):
                query.timer = self._loop.call_later(PATIENCE_SECONDS, self._late, query)
                return
            query.failed.add(server)
        self._finish(query, query.poor_answer or failure_of(query.payload))

    def _late(self, query: _Query) -> None:
        query.timer = None
        if self._loop.seconds() - query.since >= TIMEOUT_SECONDS:
            self._finish(query, query.poor_answer or failure_of(query.payload))
        else:
            self._ask(query)

    def _failed(self, server: Server, waiting: Sequence[_Query]) -> None:
        """There is no name server at a server's address: whoever asked only there goes on."""
        for query in waiting:
            query.failed.add(server)
            if query.last == server:
                self._ask(query)

    def _answered(self, server: Server, query: _Query | None, answer: bytes) -> None:
        if query is None or question_of(answer, response=True) != query.question:
            self.dropped[Dropped.NO_ANSWER] += 1
            return
        answer = with_id(answer, id_of(query.payload))
        if is_failure(answer):
            query.failed.add(server)
            query.poor_answer = answer
            if query.last == server:
                self._ask(query)
            return
        if server != query.servers[0]:
            self._first, self._first_until = server, self._loop.seconds() + PREFERENCE_SECONDS
        self._finish(query, answer)

    def _finish(self, query: _Query, answer: bytes) -> None:
        self._forget(query)
        source, port, _ = query.asked
        self._send(source, port, fitting(answer))

    def _forget(self, query: _Query) -> None:
        query.stop_timer()
        del self._queries[query.asked]
        for link in self._links.values():
            link.forget(query)
        if not self._queries:
            # The next ones go from other ports.
            for link in self._links.values():
                link.close()
            self._links.clear()


class _Query:
    """
    What the guest wants to know.

    @ivar asked: its address and port, and what it has sent.
    @ivar question: in that.
    @ivar servers: that can be asked, in order.
    @ivar since: when it was asked.
    @ivar failed: servers that need not be asked again.
    @ivar last: the server that was asked last.
    @ivar ids: the id that each server was asked with.
    @ivar poor_answer: what a server has said that cannot tell, or None.
    """

    def __init__(
        self, asked: tuple[bytes, int, bytes], question: bytes, servers: list[Server], since: float
    ) -> None:
        self.asked = asked
        self.question = question
        self.servers = servers
        self.since = since
        self.failed: set[Server] = set()
        self.last: Server | None = None
        self.ids: dict[Server, int] = {}
        self.poor_answer: bytes | None = None
        self.timer: Timer | None = None

    @property
    def payload(self) -> bytes:
        """What the guest has sent."""
        return self.asked[2]

    def stop_timer(self) -> None:
        """Have the next server not be asked by the clock."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def next_server(self) -> Server | None:
        """Whom to ask now: in order, and round again, without those that have failed."""
        size = len(self.servers)
        begin = 0 if self.last is None else self.servers.index(self.last) + 1
        for step in range(size):
            server = self.servers[(begin + step) % size]
            if server not in self.failed:
                self.last = server
                return server
        return None


class _Link:
    """The socket to one server, and who has asked there with which id."""

    def __init__(
        self,
        loop: Loop,
        server: Server,
        answered: Callable[[Server, _Query | None, bytes], None],
        failed: Callable[[Server, Sequence[_Query]], None],
    ) -> None:
        self._loop = loop
        self._server = server
        self._answered = answered
        self._failed = failed
        self._socket: socket.socket | None = None
        self._waiting: dict[int, _Query] = {}

    def ask(self, query: _Query) -> bool:
        """Ask, also if it was asked before; whether that was possible."""
        number = query.ids.get(self._server)
        if number is None:
            number = query.ids[self._server] = self._new_id()
            self._waiting[number] = query
        payload = with_id(query.payload, number)
        try:
            opened = self._open()
            try:
                opened.send(payload)
            except ConnectionRefusedError:
                # That is about what was sent before. All who wait are to know it, by what comes of
                # this one.
                opened.send(payload)
        except (BlockingIOError, ConnectionRefusedError):
            pass  # Lost, as datagrams may be.
        except OSError:
            return False
        return True

    def forget(self, query: _Query) -> None:
        """What comes for a query is no answer any more."""
        number = query.ids.get(self._server)
        if number is not None:
            self._waiting.pop(number, None)

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        """The socket, from a port that the system has chosen at random."""
        if self._socket is None:
            family, kind, protocol, _, where = socket.getaddrinfo(
                *self._server, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
            )[0]
            made = socket.socket(family, kind, protocol)
            try:
                made.setblocking(False)
                # Only what comes from there is read, and whether nobody is there is told.
                made.connect(where)
            except BaseException:
                made.close()
                raise
            self._socket = made
            self._loop.add_reader(made.fileno(), self._read)
        return self._socket

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            answer = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            self._failed(self._server, list(self._waiting.values()))
            return
        query = self._waiting.get(id_of(answer)) if len(answer) >= HEADER_SIZE else None
        self._answered(self._server, query, answer)

    def _new_id(self) -> int:
        while (number := secrets.randbelow(_IDS)) in self._waiting:
            pass
        return number
