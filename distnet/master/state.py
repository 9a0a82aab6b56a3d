"""What a master remembers over a restart, in SQLite. It knows ids and bytes, not connections.

The file has one writer, which keeps it locked. While the reactor runs, everything is written by one
thread, in the order it was asked for. WAL with C{synchronous=NORMAL}: what was committed survives
the end of the process by whatever means; a loss of power can take the last commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from distnet.errors import StartupError
from distnet.master.core.mailbox import Mail
from distnet.master.core.registry import IdPolicy
from distnet.master.core.session import Kind, Session

_log = Logger(namespace="distnet")

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
    """

    used: set[int] = field(default_factory=set)
    pinned: set[int] = field(default_factory=set)
    resumable: dict[int, str] = field(default_factory=dict)
    mail: list[Mail] = field(default_factory=list)


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
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                why = "another master uses it: give each its own --state"
            elif not Path(self._path).parent.is_dir():
                why = f"there is no directory {Path(self._path).parent}"
            elif Path(self._path).is_dir():
                why = "it is a directory"
            else:
                why = f"{error}: is it, and its directory, writable?"
            raise StartupError(f"cannot use the state file {self._path}: {why}") from None
        except sqlite3.DatabaseError as error:
            raise StartupError(f"cannot use the state file {self._path}: {error}") from None

    def _open(self) -> Remembered:
        database = sqlite3.connect(
            self._path, timeout=0, isolation_level=None, check_same_thread=False
        )
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
        for node, pinned, settled, process in database.execute(
            "select node, pinned, settled, process from ids"
        ):
            remembered.used.add(node)
            if pinned:
                remembered.pinned.add(node)
                if settled and process is not None:
                    remembered.resumable[node] = process
        remembered.mail = database.execute(
            "select node, data, messages from mail order by position"
        ).fetchall()
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

    def keep(self, mail: Iterable[Mail]) -> Deferred[Any]:
        """Put what waits for nodes on record; fires when it is."""
        return self._call(self._keep, list(mail))

    async def close(self) -> None:
        """Write what is to be written, and close the file."""
        if self._threads.started:
            await self._call(self._close)
            self._threads.stop()

    def _write(self, statement: str, values: tuple[Any, ...]) -> Deferred[Any]:
        assert self._database is not None
        return self._call(self._database.execute, statement, values)

    def _keep(self, mail: list[Mail]) -> None:
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

    def __init__(self, state: StateFile, policy: IdPolicy) -> None:
        self.stopping = False
        self._state = state
        self._policy = policy

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
        elif not session.settled or self._policy is IdPolicy.LOWEST:
            self._try(self._state.returned(session.node))

    def _try(self, written: Deferred[Any]) -> None:
        written.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        _log.error("the state file cannot be written: {why}", why=failure.getErrorMessage())
