"""What a gateway remembers over a restart, in SQLite: guests' addresses, and their connections.

All of it is in memory too, and the file only follows, so that nothing here ever fails: a gateway
without a file works until it ends. A file has one writer, which keeps it locked. WAL with
C{synchronous=OFF}: what was written survives the end of the process by whatever means; a loss of
power can take all of it, and takes the guests along.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import sqlite3
import stat
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final, Self

from distnet.control.paths import default_directory, make_default_directory
from distnet.errors import StartupError
from distnet.gateway.leftover import sweep
from distnet.once import Once

MOST_FLOWS: Final = 65536
"""How many connections are remembered; those beyond are not."""
RETRY_SECONDS: Final = 10.0
"""How long a file that cannot be written is left alone, before all is written to it again."""
MOST_DAMAGED: Final = 9
"""How many damaged files are put aside under the same name, with numbers."""
_TRIES: Final = 3

_APPLICATION: Final = 0x64_6E_67_77
"""What files of ours have as C{application_id}: dngw."""
_VERSION: Final = 1
_MAGIC: Final = b"SQLite format 3\0"
_HEAD_SIZE: Final = 100
"""Bytes of the header of a file of SQLite's, https://www.sqlite.org/fileformat2.html."""
_SCHEMA: Final = """
create table leases (
    mac blob primary key check (length(mac) = 6),
    address blob not null unique check (length(address) = 4),
    seen real not null
) strict;
create table flows (
    mac blob not null check (length(mac) = 6),
    address blob not null check (length(address) = 4),
    port integer not null check (port between 0 and 65535),
    own blob not null check (length(own) = 4),
    own_port integer not null check (own_port between 0 and 65535),
    primary key (mac, address, port, own, own_port)
) strict, without rowid;
"""
_PUT_LEASE: Final = "insert or replace into leases (mac, address, seen) values (?, ?, ?)"
_ADD_FLOW: Final = (
    "insert or ignore into flows (mac, address, port, own, own_port) values (?, ?, ?, ?, ?)"
)
_DROP_FLOW: Final = (
    "delete from flows"
    " where mac = ? and address = ? and port = ? and own = ? and own_port = ?"
)  # fmt: skip
_DAMAGED: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""What SQLite says of a file that is not, or not any more, what we have made. Tables may lack."""
_FAILURES: Final = (sqlite3.Error, UnicodeError)
"""What SQLite raises; a message that quotes what is damaged need not be text."""
_NAMES: Final = "gateway-*.state"
"""What files are called in the usual place."""
_READABLE: Final = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Flow:
    """
    A TCP connection that a guest has with an address of the gateway's.

    @ivar mac: the guest's, 6 bytes.
    @ivar address: the guest's, 4 bytes.
    @ivar port: the guest's.
    @ivar own: the gateway's address, 4 bytes.
    @ivar own_port: the gateway's port.
    """

    mac: bytes
    address: bytes
    port: int
    own: bytes
    own_port: int


class _Unusable(Exception):
    """A file cannot be used; why is its text."""


class _Damaged(Exception):
    """A file is damaged; how is its text."""


def default_state(switch: str) -> str:
    """
    Where the gateway on a switch remembers, unless it is told otherwise.

    @param switch: the directory of the switch, however it is written: what is the same directory
        has the same file, and no other has.
    """
    directory = os.path.realpath(switch)
    readable = _READABLE.sub("-", Path(directory).name).strip("-.")[-64:]
    number = hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]
    return str(default_directory() / _NAMES.replace("*", f"{readable}-{number}".strip("-")))


class State:
    """
    What one gateway remembers. Not thread-safe.

    @ivar path: of the file, or None if there never was one.
    @ivar refused_flows: how many connections were not remembered, being too many.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        seconds: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """
        One without a file.

        @param say: is told in a line what goes wrong with the file: each reason once, until it can
            be written again.
        @param seconds: a clock that only goes forward.
        @param wall: the time since 1970, in seconds.
        """
        self.path: str | None = None
        self.refused_flows = 0
        self._say = say
        self._seconds = seconds
        self._wall = wall
        # In the order in which they were put; and back, from address to MAC address.
        self._leases: dict[bytes, bytes] = {}
        self._macs: dict[bytes, bytes] = {}
        self._flows: dict[Flow, None] = {}
        self._lock = -1
        self._database: sqlite3.Connection | None = None
        self._behind = False
        self._said = Once()
        self._retry_at = 0.0

    @classmethod
    def open(
        cls,
        path: str,
        say: Callable[[str], None],
        *,
        seconds: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> Self:
        """
        Open or make a file, lock it, and read it. If that cannot be, that is said, and there is
        none; a damaged one is put aside as C{PATH.damaged}, and what it had is forgotten.
        """
        state = cls(say, seconds=seconds, wall=wall)
        state.path = path
        try:
            if Path(path).parent == default_directory():
                sweep(make_default_directory(), _NAMES)
            if any(state._try() for _ in range(_TRIES)):
                return state
            why = "it is not what it was when it was made"
        except (_Unusable, StartupError) as error:
            why = str(error)
        except OSError as error:
            why = error.strerror or str(error)
        state.close()
        say(
            f"cannot use the state file {path}: {why}; what guests have is only remembered"
            f" until the gateway ends"
        )
        return state

    @property
    def kept(self) -> bool:
        """Whether there is a file for it, and all of it is written there."""
        return self._database is not None and not self._behind

    def leases(self) -> list[tuple[bytes, bytes]]:
        """MAC addresses with the address that each has; who was seen last stands last."""
        return list(self._leases.items())

    def put_lease(self, mac: bytes, address: bytes) -> None:
        """A MAC address has this address now, and nobody else has; or was seen with it."""
        self._forget(mac)
        if address in self._macs:
            self._forget(self._macs[address])
        self._leases[mac], self._macs[address] = address, mac
        self._write(_PUT_LEASE, (mac, address, self._wall()))

    def drop_lease(self, mac: bytes) -> None:
        """A MAC address has no address any more."""
        if mac in self._leases:
            self._forget(mac)
            self._write("delete from leases where mac = ?", (mac,))

    def flows(self) -> list[Flow]:
        """The connections that there are, or were when an earlier gateway ended."""
        return list(self._flows)

    def add_flow(self, flow: Flow) -> None:
        """A guest has a connection."""
        if flow in self._flows:
            return
        if len(self._flows) >= MOST_FLOWS:
            self.refused_flows += 1
            return
        self._flows[flow] = None
        self._write(_ADD_FLOW, astuple(flow))

    def drop_flow(self, flow: Flow) -> None:
        """A connection is over."""
        if flow in self._flows:
            del self._flows[flow]
            self._write(_DROP_FLOW, astuple(flow))

    def close(self) -> None:
        """Let go of the file; what comes after is only remembered here. May be called again."""
        if self._behind:
            self._write_all()
        database, self._database = self._database, None
        if database is not None:
            with contextlib.suppress(*_FAILURES):
                database.close()
        # After that: with its last descriptor a process loses all locks that SQLite has on a file.
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # Opening

    def _try(self) -> bool:
        """Open the file; False if it was put aside, or replaced by somebody: try again."""
        assert self.path is not None
        self._lock = os.open(
            self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600
        )
        status = os.fstat(self._lock)
        if not stat.S_ISREG(status.st_mode):
            raise _Unusable("it is no file")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _Unusable("another gateway uses it") from None
        there = Path(self.path).stat() if Path(self.path).exists() else None
        if there is None or not os.path.samestat(status, there):
            self.close()
            return False
        try:
            self._read()
        except (*_FAILURES, _Damaged) as error:
            if isinstance(error, sqlite3.Error) and _code(error) not in _DAMAGED:
                raise _Unusable(str(error)) from None
            self._put_aside(str(error))
            return False
        return True

    def _read(self) -> None:
        """
        Read the file, or make what is in it.

        Raises L{_Unusable}, L{_Damaged}, C{sqlite3.DatabaseError}, UnicodeError, OSError.
        """
        assert self.path is not None
        self._look()
        with contextlib.suppress(PermissionError):
            os.fchmod(self._lock, 0o600)
        self._database = database = sqlite3.connect(self.path, timeout=0, isolation_level=None)
        # No file for shared memory; nobody else is there.
        database.execute("pragma locking_mode=exclusive")
        database.execute("pragma synchronous=off")
        (version,) = database.execute("pragma user_version").fetchone()
        if not version:
            # Not in WAL yet, so that what it is stands in the file itself from the beginning.
            database.execute("begin")
            for statement in _SCHEMA.split(";")[:-1]:
                database.execute(statement)
            database.execute(f"pragma application_id={_APPLICATION}")
            database.execute(f"pragma user_version={_VERSION}")
            database.execute("commit")
        database.execute("pragma journal_mode=wal")
        (found,) = database.execute("pragma integrity_check(1)").fetchone()
        if found != "ok":
            # It may say where, in a line of its own.
            raise _Damaged(" ".join(found.split()))
        leases = database.execute("select mac, address from leases order by rowid").fetchall()
        flows = database.execute(
            "select mac, address, port, own, own_port from flows limit ?", (MOST_FLOWS,)
        ).fetchall()
        self._leases = dict(leases)
        self._macs = {address: mac for mac, address in leases}
        self._flows = {Flow(*values): None for values in flows}

    def _look(self) -> None:
        """
        See that the file is ours, or empty, before SQLite does anything with it.

        Raises L{_Unusable}, L{_Damaged}, OSError.
        """
        head = os.pread(self._lock, _HEAD_SIZE, 0)
        if not head:
            return
        if not head.startswith(_MAGIC) or len(head) < _HEAD_SIZE:
            raise _Damaged("it is no database")
        version, application = (int.from_bytes(head[at : at + 4]) for at in (60, 68))
        if application != _APPLICATION:
            raise _Unusable("it is a database of something else")
        if version != _VERSION:
            raise _Unusable(f"it has version {version}, this distnet reads {_VERSION}")

    def _put_aside(self, how: str) -> None:
        """
        Rename the file, with what SQLite has beside it: a new one must not find that.

        Raises L{_Unusable}, OSError.
        """
        assert self.path is not None
        if self._database is not None:
            self._database.close()
            self._database = None
        names = [f"{self.path}.damaged"]
        names += [f"{names[0]}-{number}" for number in range(2, MOST_DAMAGED + 1)]
        free = next((name for name in names if not os.path.lexists(name)), None)
        if free is None:
            raise _Unusable(f"it is damaged ({how}), as are {names[0]} and others: remove them")
        for suffix in ("-wal", "-shm", "-journal", ""):
            with contextlib.suppress(FileNotFoundError):
                Path(self.path + suffix).rename(free + suffix)
        self.close()
        self._say(
            f"the state file {self.path} was damaged ({how}): it is {free} now, and what guests"
            f" had before is forgotten"
        )

    # Writing

    def _forget(self, mac: bytes) -> None:
        address = self._leases.pop(mac, None)
        if address is not None:
            del self._macs[address]

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        """Bring a change that is made here already into the file."""
        if self._database is None:
            return
        if self._behind:
            if self._seconds() >= self._retry_at:
                self._write_all()
            return
        try:
            self._database.execute(statement, values)
        except _FAILURES as error:
            self._failed(error)

    def _write_all(self) -> None:
        """Write what has failed to be written, or try to: everything."""
        database, now = self._database, self._wall()
        if database is None:
            return
        try:
            database.execute("begin")
            database.execute("delete from leases")
            database.execute("delete from flows")
            database.executemany(_PUT_LEASE, [(*lease, now) for lease in self._leases.items()])
            database.executemany(_ADD_FLOW, map(astuple, self._flows))
            database.execute("commit")
            self._behind = False
            self._said.forget()
        except _FAILURES as error:
            with contextlib.suppress(*_FAILURES):
                database.execute("rollback")
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._behind = True
        self._retry_at = self._seconds() + RETRY_SECONDS
        if self._said.say(str(error)) is not None:
            self._say(
                f"the state file {self.path} cannot be written: {error}; what guests have is"
                f" remembered until the gateway ends, and written as soon as it can be"
            )


def _code(error: sqlite3.Error) -> int:
    """What SQLite says it is, without the details."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_INTERNAL) & 0xFF
