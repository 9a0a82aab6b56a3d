"""What a master remembers over a restart, in SQLite. It knows ids and bytes, not connections.

The file has one writer, which keeps it locked. While the reactor runs, everything is written by one
thread, in the order it was asked for. WAL with C{synchronous=NORMAL}: what was committed survives
the end of the process by whatever means; a loss of power can take the last commits.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from distnet.errors import LocalError, StartupError
from distnet.master.core.counters import Tally
from distnet.master.core.mailbox import Mail
from distnet.master.core.registry import IdPolicy
from distnet.master.core.session import Kind, Session
from distnet.once import Once
from distnet.wire import check_id, whole_messages

_log = Logger(namespace="distnet")

AGAIN_SECONDS: Final = 60.0
"""How long it is not said again that the file cannot be written, for the same reason."""

_PRIVATE: Final = 0o600
_WRITABLE: Final = ": is it, and its directory, writable?"
_NOT_OURS: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
_VERSION = 1
_SCHEMA = """
create table ids (
    node integer primary key,
    pinned integer not null,
    settled integer not null default 0,
    process text
) strict;
create table mail (
    position integer primary key autoincrement,
    node integer not null,
    messages integer not null,
    data blob not null
) strict;
"""


@dataclass(slots=True)
class Remembered:
    """
    What an earlier run left.

    @ivar used: ids that were handed out and did not come back.
    @ivar pinned: those of them that belonged to one node.
    @ivar resumable: pinned nodes that were settled when that run ended, with the process that was
        connected.
    @ivar mail: what waited, oldest first.
    @ivar damaged: rows that are not as a master has written them, and are left out.
    """

    used: set[int] = field(default_factory=set)
    pinned: set[int] = field(default_factory=set)
    resumable: dict[int, str] = field(default_factory=dict)
    mail: list[Mail] = field(default_factory=list)
    damaged: int = 0

    def add_id(self, node: Any, pinned: Any, settled: Any, process: Any) -> None:
        """An id that was handed out, as a row of the file has it."""
        if not _is_id(node):
            self.damaged += 1
            return
        self.used.add(node)
        if pinned:
            self.pinned.add(node)
            if settled and process is not None:
                self.resumable[node] = process

    def add_mail(self, node: Any, data: Any, messages: Any) -> None:
        """Messages that waited, as a row of the file has them."""
        if _is_id(node) and isinstance(data, bytes) and data and _messages_in(data) == messages:
            self.mail.append((node, data, messages))
        else:
            self.damaged += 1


def _is_id(node: Any) -> bool:
    with contextlib.suppress(LocalError):
        return isinstance(node, int) and check_id(node) == node
    return False


def _messages_in(data: bytes) -> int | None:
    """How many messages stand back to back in bytes; None if they are not that."""
    # What is left of one in the end need not even have a header.
    with contextlib.suppress(struct.error):
        size, count = whole_messages(data, 0, len(data))
        return count if size == len(data) else None
    return None


@dataclass(frozen=True, slots=True)
class Unkept:
    """
    Messages that could not be put on record.

    @ivar lost: how many they are.
    @ivar why: as SQLite says it; empty if there are none.
    """

    lost: Tally = field(default_factory=Tally)
    why: str = ""


class StateFile:
    """
    The state of one master.

    L{open} is called before the reactor runs; what returns a Deferred, while it does.
    """

    def __init__(self, path: str, reactor: Any) -> None:
        self._path = path
        self._reactor = reactor
        self._threads = ThreadPool(minthreads=0, maxthreads=1, name="distnet-state")
        self._database: sqlite3.Connection | None = None

    def open(self) -> Remembered:
        """
        Open or make the file, lock it, and return what it has. Waiting messages are removed from
        it, since they are delivered now and must not be delivered again.

        @raise StartupError: it cannot be used; the message says why.
        """
        try:
            return self._open()
        except OSError as error:
            why = error.strerror or str(error)
            if not Path(self._path).parent.is_dir():
                why = f"there is no directory {Path(self._path).parent}"
            elif Path(self._path).is_dir():
                why = "it is a directory"
            elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                why += _WRITABLE
        except sqlite3.Error as error:
            why = str(error)
            if "locked" in why:
                why = "another master uses it: give each its own --state"
            elif (error.sqlite_errorcode & 0xFF) in _NOT_OURS:
                why += _WRITABLE
        raise StartupError(f"cannot use the state file {self._path}: {why}")

    def _make(self) -> None:
        """
        Make the file if it is not there; nobody else reads what kernels tell each other.

        @raise OSError: it cannot be.
        """
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE))
        for name in (self._path, f"{self._path}-wal"):
            # Those that an earlier distnet has made; of another user's the mode is that user's.
            with contextlib.suppress(FileNotFoundError, PermissionError):
                Path(name).chmod(_PRIVATE)

    def _open(self) -> Remembered:
        self._make()
        database = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, check_same_thread=False
        )
        # What is damaged need not be text.
        database.text_factory = lambda text: text.decode(errors="replace")
        self._database = database
        database.execute("pragma locking_mode=exclusive")
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=normal")
        database.execute("begin exclusive")
        (version,) = database.execute("pragma user_version").fetchone()
        (tables,) = database.execute("select count(*) from sqlite_schema").fetchone()
        if version == 0 and tables:
            raise StartupError(
                f"cannot use the state file {self._path}: it is a database of something else"
            )
        if version == 0:
            for statement in _SCHEMA.split(";")[:-1]:
                database.execute(statement)
            database.execute(f"pragma user_version={_VERSION}")
        elif version != _VERSION:
            raise StartupError(
                f"cannot use the state file {self._path}: it has version {version}, this distnet"
                f" reads {_VERSION}"
            )
        remembered = Remembered()
        for row in database.execute("select node, pinned, settled, process from ids"):
            remembered.add_id(*row)
        for row in database.execute("select node, data, messages from mail order by position"):
            remembered.add_mail(*row)
        database.execute("delete from mail")
        database.execute("commit")
        return remembered

    def start(self) -> None:
        """Start the thread that writes."""
        self._threads.start()

    def given(self, node: int, pinned: bool, process: str | None, settled: bool) -> Deferred[Any]:
        """An id is about to be sent, or its node to be resumed; fires when that is on record."""
        return self._write(
            "insert or replace into ids (node, pinned, settled, process) values (?, ?, ?, ?)",
            (node, pinned, settled, process),
        )

    def settled(self, node: int, process: str | None) -> Deferred[Any]:
        """A node has read its id, and which process had connected; fires when that is on record."""
        return self._write(
            "update ids set settled = 1, process = ? where node = ?", (process, node)
        )

    def unsettled(self, node: int) -> Deferred[Any]:
        """A pinned node's connection is over for good: its next one is a new one."""
        return self._write("update ids set settled = 0, process = null where node = ?", (node,))

    def returned(self, node: int) -> Deferred[Any]:
        """An id came back without having been read."""
        return self._write("delete from ids where node = ?", (node,))

    def keep(self, mail: Iterable[Mail]) -> Deferred[Unkept]:
        """Put what waits for nodes on record; fires when that is done, with what could not be."""
        return self._call(self._keep, list(mail))

    async def close(self) -> None:
        """Write what is to be written, and close the file; what cannot be is only logged."""
        if self._threads.started:
            try:
                await self._call(self._close)
            except sqlite3.Error as error:
                _log.error("the state file cannot be closed: {why}", why=error)
            finally:
                # A thread that goes on would keep the process from ending.
                self._threads.stop()

    def _write(self, statement: str, values: tuple[Any, ...]) -> Deferred[Any]:
        assert self._database is not None
        return self._call(self._database.execute, statement, values)

    def _keep(self, mail: list[Mail]) -> Unkept:
        with contextlib.suppress(sqlite3.Error):
            self._put(mail)
            return Unkept()
        # As much as fits; but nothing that comes after something that is lost.
        ids: set[int] = set()
        lost = Tally()
        why = ""
        for node, data, messages in mail:
            if node not in ids:
                try:
                    self._put([(node, data, messages)])
                    continue
                except sqlite3.Error as error:
                    why = str(error)
            ids.add(node)
            lost.add(messages, len(data))
        return Unkept(lost, why)

    def _put(self, mail: list[Mail]) -> None:
        assert self._database is not None
        with self._database:
            self._database.execute("begin")
            self._database.executemany(
                "insert into mail (node, data, messages) values (?, ?, ?)", mail
            )

    def _close(self) -> None:
        assert self._database is not None
        self._database.close()

    def _call(self, function: Any, *arguments: Any) -> Deferred[Any]:
        return deferToThreadPool(self._reactor, self._threads, function, *arguments)


class Recorder:
    """
    Keeps the state file up with what happens to nodes after they got their ids: an observer.

    That an id is on record before its node is told of it is not its task, but the service's.

    @ivar stopping: the master is stopping: nodes that leave now may be back.
    """

    def __init__(self, state: StateFile, policy: IdPolicy, clock: Any) -> None:
        self.stopping = False
        self._state = state
        self._policy = policy
        self._once = Once(seconds=clock.seconds, again=AGAIN_SECONDS)

    def settled(self, session: Session, by: str) -> None:
        """A node has read its id: from now on that is not given to another."""
        if session.kind is not Kind.TOOL:
            self._try(self._state.settled(session.node, session.process))

    def left(self, session: Session, why: str, discarded: object) -> None:
        """A node has left: its id has come back, or the next connection is new, or neither."""
        stays = self.stopping and session.pinned and session.settled
        if stays or session.kind is Kind.TOOL:
            return
        if session.pinned:
            self._try(self._state.unsettled(session.node))
        elif not session.has_read or self._policy is IdPolicy.LOWEST:
            self._try(self._state.returned(session.node))

    def _try(self, written: Deferred[Any]) -> None:
        written.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        why = failure.getErrorMessage()
        if self._once.say(why) is not None:
            _log.error("the state file cannot be written: {why}", why=why)
