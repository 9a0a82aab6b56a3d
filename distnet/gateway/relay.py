"""One connection of a guest's to the master: libslirp's end of it here, the master's there."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final

from distnet.address import TcpAddress, UnixAddress
from distnet.gateway.backoff import Backoff
from distnet.gateway.dial import Dial
from distnet.gateway.guests import Guest
from distnet.gateway.loop import Loop, Timer
from distnet.gateway.segments import Progress
from distnet.once import Once
from distnet.wire import HEADER, HEADER_SIZE, MAX_ID_DIGITS, whole_messages

READ_SIZE: Final = 64 * 1024
"""Bytes of one read."""
MOST_HELD: Final = 64 * 1024
"""Bytes of a guest's that wait for the master; then the guest is not read."""
SEGMENT: Final = 1460
"""Bytes of a segment to a guest, as L{Limits.segment}."""
FIRST_SECONDS: Final = 0.05
MOST_SECONDS: Final = 1.0
"""How long until a master that is not there is tried again."""
LINGER_SECONDS: Final = 2.0
"""How long a guest has to close its side after the master has closed the connection."""


def next_batch(data: bytes | bytearray) -> int:
    """
    Bytes of whole messages at the begin of C{data} that fit into a segment, or of one that is
    larger, whether all of it has come or not; 0 if neither has come.
    """
    batch, _ = whole_messages(data, 0, SEGMENT)
    if batch or len(data) < HEADER_SIZE:
        return batch
    first = HEADER_SIZE + HEADER.unpack_from(data)[1]
    return first if first > SEGMENT else 0


class _End:
    """One side of a relay: a connected socket."""

    __slots__ = ("_loop", "_readable", "_writable", "socket")

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        readable: Callable[[], None],
        writable: Callable[[], None],
    ) -> None:
        self.socket = sock
        self._loop = loop
        self._readable = readable
        self._writable = writable

    def want_to_read(self, wanted: bool) -> None:
        """Have it read whenever there is something, or not any more."""
        if wanted:
            self._loop.add_reader(self.socket.fileno(), self._readable)
        else:
            self._loop.remove_reader(self.socket.fileno())

    def want_to_write(self, wanted: bool) -> None:
        """Have it written whenever there is room, or not any more."""
        if wanted:
            self._loop.add_writer(self.socket.fileno(), self._writable)
        else:
            self._loop.remove_writer(self.socket.fileno())

    def shut(self) -> None:
        """Tell the other end that nothing more will be sent."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket, and wait for it no more."""
        self.want_to_read(False)
        self.want_to_write(False)
        self.socket.close()


class Relay:
    """
    A guest's connection, and the one to the master that it has for itself.

    What came in one read leaves as segments of its own, since libslirp would cut what it has
    together anywhere: so what the master sends is read only when libslirp has sent all before it
    to the guest. From a master that knows that it is cut here comes a stream, of which libslirp
    gets whole messages that fit into a segment, or a larger one, once it has sent those before.

    Until the master has sent something (an id), another connection to it can take the place of
    one that ended. The guest does not notice: it is not sent an end, which it would take for an id.

    @ivar guest: who it is.
    @ivar progress: how far its TCP connection has come.
    @ivar waits: L{went_on} is to be called.
    """

    def __init__(
        self,
        loop: Loop,
        guest: Guest,
        progress: Progress,
        sock: socket.socket,
        *,
        find: Callable[[Relay], None],
        say: Callable[[str, bool], None],
        hand_over: Callable[[], None],
        reset: Callable[[Relay, bool], None],
        over: Callable[[Relay], None],
    ) -> None:
        """
        @param sock: libslirp's connection.
        @param find: asks where the master is; L{found} or L{not_found} follows.
        @param say: called with a line for the log, and whether somebody should do something.
        @param hand_over: has libslirp take what was written to C{sock}.
        @param reset: has libslirp, and perhaps the guest, take the connection for ended.
        @param over: called once, when both connections are closed.
        """
        self.guest = guest
        self.progress = progress
        self._loop = loop
        self._find = find
        self._say = say
        self._hand_over = hand_over
        self._reset = reset
        self._over = over
        self._near = _End(loop, sock, self.read_guest, self._write_guest)
        self._far: _End | None = None
        self._to_master = bytearray()
        self._to_guest = bytearray()
        self._cuts = False
        self._batch = 0
        self._greeted = False
        self._guest_done = False
        self._master_done = False
        self._deaf = False
        self._ended = False
        self.waits = False
        self._said = Once()
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._linger: Timer | None = None
        self._reaching: Timer | Dial | None = None
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
            self._log(why)
            self._reset(self, to_guest)
            self._end()

    def went_on(self) -> None:
        """libslirp has sent something to the guest: perhaps all that it had."""
        if self.waits and self._far is not None and self.progress.all_sent:
            self._write_guest()

    # Finding the master

    def found(self, address: TcpAddress | UnixAddress, *, cuts: bool) -> None:
        """This is where the master is. It C{cuts}: the master may send a stream."""
        if not self._ended:
            self._reaching = Dial(
                self._loop,
                address,
                lambda sock, knows: self._connected(address, sock, knows),
                self.not_found,
                cuts=cuts,
            )

    def not_found(self, why: str) -> None:
        """There is no master for now."""
        if not self._ended:
            self._hold(why)
            self._reach(self._backoff.next())

    def _reach(self, delay: float) -> None:
        self._reaching = self._loop.call_later(delay, self._find, self)

    def _connected(
        self, address: TcpAddress | UnixAddress, sock: socket.socket, cuts: bool
    ) -> None:
        self._reaching = None
        self._cuts = cuts
        self._far = _End(self._loop, sock, self._read_master, self._write_master)
        self._far.want_to_read(True)
        own = f" from port {sock.getsockname()[1]}" if isinstance(address, TcpAddress) else ""
        self._log(f"connected to the master at {address}{own}")

    def _hold(self, why: str) -> None:
        if self._said.say(why) is not None:
            self._say(f"{self.guest}: waits for the master ({why})", True)

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
            if self._deaf:
                return
            if self._greeted and self._far is not None and not self._to_master:
                # Almost always there is room for all of it.
                self._to_master += data[self._send_master(data) :]
                if self._to_master:
                    self._write_master()
                return
            self._to_master += data
        else:
            self._guest_done = True
            self._near.want_to_read(False)
            if not self._greeted or self._master_done:
                self._log("has ended the connection")
                self._end()
                return
        self._write_master()

    def _write_master(self) -> None:
        if self._far is None or not self._greeted:
            # A guest that sends before it has its id may still get it from another connection.
            self._near.want_to_read(not self._guest_done and len(self._to_master) < MOST_HELD)
            return
        if self._to_master:
            del self._to_master[: self._send_master(self._to_master)]
        self._far.want_to_write(bool(self._to_master))
        if not self._guest_done:
            self._near.want_to_read(len(self._to_master) < MOST_HELD)
        elif not self._to_master:
            self._far.shut()

    def _send_master(self, data: bytes | bytearray) -> int:
        """How many bytes need not be kept any more."""
        assert self._far is not None
        try:
            return self._far.socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            # What it has sent before it ended is still to be read.
            self._deaf = True
            return len(data)

    # From the master to the guest

    def _may_read_master(self) -> bool:
        if self._cuts and self._greeted:
            return len(self._to_guest) < MOST_HELD
        return not self._to_guest and self.progress.all_sent

    def _read_master(self) -> None:
        if self._ended or self._far is None or self._master_done:
            return
        if not self._may_read_master():
            self.waits = True
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
            self._batch = len(data)
        self._to_guest += data
        self._write_guest()
        # The guest may have reset the connection.
        if not self._ended and (self._to_master or self._guest_done):
            self._write_master()

    def _greet(self, data: bytes) -> None:
        self._greeted = True
        if data.isdigit() and len(data) <= MAX_ID_DIGITS:
            self._log(f"is node {int(data)}")

    def _allowed(self) -> int:
        """What libslirp may have now: all, or a batch, once it has sent the one before."""
        if not self._cuts:
            return len(self._to_guest)
        if not self._batch and self._to_guest and self.progress.all_sent:
            self._batch = next_batch(self._to_guest)
            # The master may have left in the middle of a message.
            if not self._batch and self._master_done:
                self._batch = len(self._to_guest)
        return min(self._batch, len(self._to_guest))

    def _write_guest(self) -> None:
        # Often libslirp has sent a batch at once, and may have the next one.
        while not self._ended and (size := self._allowed()):
            try:
                with memoryview(self._to_guest) as view:
                    sent = self._near.socket.send(view[:size])
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                # libslirp has closed its end: the guest has reset the connection.
                self._log("has reset the connection")
                self._end()
                return
            del self._to_guest[:sent]
            self._batch = max(self._batch - sent, 0)
            self.progress.give(sent)
            self._near.want_to_write(sent < size)
            self._hand_over()
            if sent < size:
                break
        if not self._ended:
            self._go_on()

    def _go_on(self) -> None:
        assert self._far is not None
        if self._master_done:
            self.waits = bool(self._to_guest)
            if not self._to_guest:
                self._finish()
            return
        may_read = self._may_read_master()
        self.waits = not may_read or bool(self._to_guest)
        self._far.want_to_read(may_read)

    def _finish(self) -> None:
        """The master has ended the connection, and libslirp has all that it had sent."""
        if self._guest_done:
            self._log("has ended the connection")
            self._end()
        elif self._linger is None:
            self._near.shut()
            self._linger = self._loop.call_later(LINGER_SECONDS, self._close_late)
            self._hand_over()

    def _lost(self, why: str, *, by_reset: bool) -> None:
        assert self._far is not None
        if not self._greeted:
            self._far.close()
            self._far = None
            self._hold(f"{why} before it gave an id")
            self._reach(self._backoff.next())
        elif by_reset:
            self.abort(why, to_guest=True)
        else:
            if not self._guest_done:
                self._log(why)
            self._master_done = True
            self._far.want_to_read(False)
            self._write_guest()

    # The end

    def _close_late(self) -> None:
        self.abort("does not close its side: reset", to_guest=True)

    def _log(self, what: str) -> None:
        self._say(f"{self.guest}: {what}", False)

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._linger is not None:
            self._linger.cancel()
        if self._reaching is not None:
            self._reaching.cancel()
        self._near.close()
        if self._far is not None:
            self._far.close()
        self._over(self)
