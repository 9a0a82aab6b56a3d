"""One connection of a guest's to the master: libslirp's end of it here, the master's there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.address import TcpAddress, UnixAddress
from distnet.errors import DistnetError
from distnet.gateway.backoff import Backoff
from distnet.gateway.dial import dial
from distnet.gateway.frames import Progress
from distnet.gateway.guests import Guest
from distnet.once import Once
from distnet.sockets.descriptor import Descriptor
from distnet.wire import MAX_ID_DIGITS

READ_SIZE: Final = 64 * 1024
"""Bytes of one read."""
MOST_HELD: Final = 64 * 1024
"""Bytes of a guest's that wait for the master; then the guest is not read."""
FIRST_SECONDS: Final = 0.05
MOST_SECONDS: Final = 1.0
"""How long until a master that is not there is tried again."""
LINGER_SECONDS: Final = 2.0
"""How long a guest has to close its side after the master has closed the connection."""

_log = Logger(namespace="distnet")


class _End(Descriptor):
    """One side of a relay: a connected socket."""

    prefix = "relay"

    def __init__(
        self,
        reactor: Any,
        sock: socket.socket,
        readable: Callable[[], None],
        writable: Callable[[], None],
    ) -> None:
        super().__init__(reactor)
        self.socket = sock
        self._readable = readable
        self._writable = writable

    def shut(self) -> None:
        """Tell the other end that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket, and wait for it no more."""
        self.want_to_read(False)
        self.want_to_write(False)
        self.socket.close()

    def fileno(self) -> int:
        return self.socket.fileno()

    def doRead(self) -> None:
        self._readable()

    def doWrite(self) -> None:
        self._writable()

    def connectionLost(self, reason: Failure) -> None:
        """The other side is gone: reading says how, when it is its turn."""
        self.want_to_write(False)
        self._reactor.callLater(0, self._look)

    def _look(self) -> None:
        if self.socket.fileno() >= 0:
            self.doRead()


class Relay:
    """
    A guest's connection, and the one to the master that it has for itself.

    What the master sends is read only when libslirp has sent all before it to the guest, so that
    the master sees by its queue what the guest has room for; and what came in one read leaves as
    segments of its own, since libslirp would cut what it has together anywhere.

    Until the master has sent something (an id), another connection to it can take the place of
    one that ended. The guest does not notice: it is not sent an end, which it would take for an id.

    @ivar guest: who it is.
    @ivar progress: how far its TCP connection has come.
    """

    def __init__(
        self,
        reactor: Any,
        guest: Guest,
        progress: Progress,
        sock: socket.socket,
        *,
        find: Callable[[Guest], Awaitable[TcpAddress | UnixAddress]],
        hand_over: Callable[[], None],
        reset: Callable[[Relay, bool], None],
        over: Callable[[Relay], None],
    ) -> None:
        """
        @param sock: libslirp's connection.
        @param find: says where the master is; raises L{DistnetError}.
        @param hand_over: has libslirp take what was written to C{sock}.
        @param reset: has libslirp, and perhaps the guest, take the connection for ended.
        @param over: called once, when both connections are closed.
        """
        self.guest = guest
        self.progress = progress
        self._reactor = reactor
        self._find = find
        self._hand_over = hand_over
        self._reset = reset
        self._over = over
        self._near = _End(reactor, sock, self.read_guest, self._write_guest)
        self._far: _End | None = None
        self._to_master = bytearray()
        self._to_guest = bytearray()
        self._greeted = False
        self._guest_done = False
        self._master_done = False
        self._deaf = False
        self._ended = False
        self._waits = False
        self._said = Once()
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._linger: Any = None
        self._reaching: Deferred[None] | None = None
        sock.setblocking(False)
        self._near.want_to_read(True)
        self._reach(0)

    def abort(self, why: str, *, to_guest: bool) -> None:
        """
        End it at once.

        @param why: for the log, after who the guest is.
        @param to_guest: the guest is to know.
        """
        if not self._ended:
            _log.info("{guest}: {why}", guest=self.guest, why=why)
            self._reset(self, to_guest)
            self._end()

    def went_on(self) -> None:
        """libslirp has sent something to the guest: perhaps all that it had."""
        if self._waits and self._far is not None and self._may_hand_over():
            self._waits = False
            self._far.want_to_read(True)

    # Finding the master

    def _reach(self, delay: float) -> None:
        self._reaching = Deferred.fromCoroutine(self._try(delay))
        self._reaching.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            _log.failure("{guest}: cannot connect", failure, guest=self.guest)
            self.abort("ended", to_guest=True)

    async def _try(self, delay: float) -> None:
        while True:
            await deferLater(self._reactor, delay)
            delay = self._backoff.next()
            address = None
            try:
                address = await self._find(self.guest)
                sock = await dial(self._reactor, address)
            except (OSError, DistnetError, DeferredTimeout) as error:
                self._hold(_why(address, error))
            else:
                break
        self._far = _End(self._reactor, sock, self._read_master, self._write_master)
        self._far.want_to_read(True)
        _log.info(
            "{guest}: connected to the master at {address}{own}",
            guest=self.guest,
            address=address,
            own=f" from port {sock.getsockname()[1]}" if isinstance(address, TcpAddress) else "",
        )

    def _hold(self, why: str) -> None:
        if self._said.say(why) is not None:
            _log.warn("{guest}: waits for the master ({why})", guest=self.guest, why=why)

    # From the guest to the master

    def read_guest(self) -> None:
        """Something may have come from the guest."""
        if self._ended or self._guest_done or len(self._to_master) >= MOST_HELD:
            return
        try:
            data = self._near.socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            if not self._deaf:
                self._to_master += data
        else:
            self._guest_done = True
            self._near.want_to_read(False)
            if not self._greeted or self._master_done:
                self._log_end("has ended the connection")
                self._end()
                return
        self._write_master()

    def _write_master(self) -> None:
        if self._far is None or not self._greeted:
            # A guest that sends before it has its id may still get it from another connection.
            self._near.want_to_read(not self._guest_done and len(self._to_master) < MOST_HELD)
            return
        if self._to_master:
            try:
                del self._to_master[: self._far.socket.send(self._to_master)]
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                # What it has sent before it ended is still to be read.
                self._deaf = True
                self._to_master.clear()
        self._far.want_to_write(bool(self._to_master))
        if not self._guest_done:
            self._near.want_to_read(len(self._to_master) < MOST_HELD)
        elif not self._to_master:
            self._far.shut()

    # From the master to the guest

    def _may_hand_over(self) -> bool:
        return not self._to_guest and self.progress.all_sent

    def _read_master(self) -> None:
        if self._ended or self._far is None or self._master_done:
            return
        if not self._may_hand_over():
            self._waits = True
            self._far.want_to_read(False)
            return
        try:
            data = self._far.socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lost(f"the master has ended the connection ({error.strerror})", by_reset=True)
            return
        if not data:
            self._lost("the master has closed the connection", by_reset=False)
            return
        if not self._greeted:
            self._greet(data)
        self.progress.give(len(data))
        self._to_guest += data
        self._write_guest()
        if self._to_master or self._guest_done:
            self._write_master()

    def _greet(self, data: bytes) -> None:
        self._greeted = True
        if data.isdigit() and len(data) <= MAX_ID_DIGITS:
            _log.info("{guest}: is node {node}", guest=self.guest, node=int(data))

    def _write_guest(self) -> None:
        if self._ended:
            return
        try:
            del self._to_guest[: self._near.socket.send(self._to_guest)]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            # libslirp has closed its end: the guest has reset the connection.
            self._log_end("has reset the connection")
            self._end()
            return
        self._near.want_to_write(bool(self._to_guest))
        self._hand_over()
        self.went_on()

    def _lost(self, why: str, *, by_reset: bool) -> None:
        assert self._far is not None
        if not self._greeted:
            self._far.close()
            self._far = None
            self._hold(f"{why} before it gave an id")
            self._reach(self._backoff.next())
        elif by_reset:
            self.abort(why, to_guest=True)
        elif self._guest_done:
            self._log_end("has ended the connection")
            self._end()
        else:
            _log.info("{guest}: {why}", guest=self.guest, why=why)
            self._master_done = True
            self._far.want_to_read(False)
            self._near.shut()
            self._linger = self._reactor.callLater(
                LINGER_SECONDS, self.abort, "does not close its side: reset", to_guest=True
            )
            self._hand_over()

    # The end

    def _log_end(self, what: str) -> None:
        _log.info("{guest}: {what}", guest=self.guest, what=what)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        if self._reaching is not None:
            self._reaching.cancel()
        self._near.close()
        if self._far is not None:
            self._far.close()
        self._over(self)


def _why(address: TcpAddress | UnixAddress | None, error: Exception) -> str:
    if isinstance(error, DeferredTimeout):
        return f"{address} does not answer"
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return f"{address}: {reason}" if isinstance(error, OSError) else reason
