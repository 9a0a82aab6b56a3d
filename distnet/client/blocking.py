"""The kernel's six calls for blocking Python programs: plain sockets, no Twisted.

L{Client} holds the protocol and does no I/O itself: that is L{distnet.client.channel}'s. Programs
that use Twisted have L{distnet.client.twisted}.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from ssl import SSLContext
from types import TracebackType
from typing import Final, Self

from distnet.address import Address, TlsAddress, parse
from distnet.client.channel import Channel, dial
from distnet.errors import LocalError, PeerError
from distnet.wire import (
    MAX_ID_DIGITS,
    QUIT,
    Messages,
    check_id,
    decode_id,
    encode_message,
)

Bytes = bytes | bytearray | memoryview

DEFAULT_ADDRESS: Final = "127.0.0.1:1234"
DEFAULT_MAX_PAYLOAD: Final = 65536
"""Bytes; the master's C{--max-payload}."""
READ_SIZE: Final = 65536
"""Bytes per read. At least a TLS record (16 KiB): what is left of one is invisible to select."""
QUIT_TIMEOUT: Final = 5.0
"""Seconds that C{disconnect} waits to write; a master pauses its senders for about one."""
LINGER: Final = 1.0
"""Seconds that C{disconnect} waits, after C{quit}, for the master to close."""


def outgoing(dest: int, data: Bytes, max_payload: int) -> bytes:
    """
    The bytes of one message. Raises L{LocalError} if C{dest} cannot be an id, TypeError if C{data}
    is not bytes, OSError(ENOBUFS) if it is longer than C{max_payload} bytes.
    """
    payload = data if isinstance(data, bytes) else memoryview(data).tobytes()
    check_id(dest)
    if len(payload) > max_payload:
        raise OSError(errno.ENOBUFS, f"{len(payload)} bytes of payload, {max_payload} are allowed")
    return encode_message(dest, payload)


def greeted(greeting: bytes) -> int:
    """
    The id in what the first read gave. Raises ConnectionAbortedError if that is nothing,
    OSError(EPROTO) if it is not an id.
    """
    if not greeting:
        raise OSError(errno.ECONNABORTED, "the master closed the connection without giving an id")
    try:
        return decode_id(greeting)
    except PeerError as error:
        raise OSError(errno.EPROTO, str(error)) from None


class Client:
    """
    A node, as a kernel is one, without Twisted. One thread at a time may use it.

    Sending. A message that C{send} has begun to write is always finished. In blocking mode C{send}
    waits until it is written. In nonblocking mode the rest of it (of one message, never more) stays
    here and every later call writes on before it does anything else: waiting instead would freeze a
    program in the one mode that promises not to, for as long as the master pauses its senders, and
    for ever if what the master waits for is that the same program reads. So a nonblocking program
    that has finished sending looks at C{unsent} and calls C{flush}, C{recv} or C{disconnect}.

    Selecting. C{fileno()} is readable when there is something to read from the socket; C{pending}
    messages have been read already. Take those before going into select; select for writing while
    C{unsent}.

    Errors are OSErrors with the kernel's numbers. When the master is gone, everything that came
    whole is received first, then C{recv} and C{send} raise ConnectionResetError until
    C{disconnect()} or a new C{connect()}.
    """

    def __init__(
        self,
        address: str | Address = DEFAULT_ADDRESS,
        *,
        tls: SSLContext | None = None,
        server_hostname: str | None = None,
        max_payload: int = DEFAULT_MAX_PAYLOAD,
        open_channel: Callable[[float | None], Channel] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        @param address: where the master is, see L{distnet.address.parse}.
        @param tls: for a C{tls:} address, and only then: see L{tls_context}.
        @param server_hostname: the name that the certificate must be for, if not the address's.
        @param max_payload: bytes in a message, either way.
        @param open_channel: opens the connection within so many seconds, instead of L{dial}.
        @param clock: seconds that only grow.
        Raises L{BadAddress<distnet.address.BadAddress>} or L{LocalError}.
        """
        where = parse(address) if isinstance(address, str) else address
        if isinstance(where, TlsAddress) != (tls is not None):
            raise LocalError(f"{where}: a tls: address and a TLS context go together")
        self.address: Final = where
        self.max_payload: Final = max_payload
        self._open = open_channel or (lambda timeout: dial(where, tls, server_hostname, timeout))
        self._clock = clock
        self._blocking = True
        self._channel: Channel | None = None
        self._id = -1
        self._reset()

    def _reset(self) -> None:
        self._incoming = Messages(self.max_payload)
        self._inbox: deque[tuple[int, bytes]] = deque()
        self._unsent = memoryview(b"")
        self._read_end: tuple[int, str] | None = None
        self._write_end: tuple[int, str] | None = None

    def connect(self, timeout: float | None = None) -> int:
        """
        Connect and return the id, waiting in either mode. After C{disconnect()}, or when the master
        is gone, it may be called again: that is a new node with a new id.

        @param timeout: seconds; None waits as long as it takes.
        Raises OSError: EISCONN if connected, TimeoutError, ConnectionAbortedError if the master
        closes without giving an id, EPROTO if what it gives is not one, whatever connecting raises.
        """
        if self._channel is not None and self._read_end is None and self._write_end is None:
            raise OSError(errno.EISCONN, "already connected, disconnect first")
        self.close()
        deadline = self._deadline(timeout)
        channel = self._open(timeout)
        try:
            while (greeting := self._read_greeting(channel)) is None:
                self._wait(channel, deadline, read=True, write=False)
            self._id = greeted(greeting)
        except BaseException:
            channel.close()
            raise
        self._channel = channel
        # What TLS has decrypted together with the id would be invisible to select.
        self._fill(channel)
        return self._id

    @staticmethod
    def _read_greeting(channel: Channel) -> bytes | None:
        """The kernel's one read; a reset counts as the end."""
        try:
            return channel.read(MAX_ID_DIGITS)
        except ConnectionError:
            return b""

    def getid(self) -> int:
        """The id. Raises OSError(ENOTCONN)."""
        self._connected()
        return self._id

    @property
    def id(self) -> int:
        """The id that the master gave, as L{getid} says it and raises."""
        return self.getid()

    def disconnect(self, timeout: float | None = QUIT_TIMEOUT) -> int:
        """
        Write C{quit} and close; what has been received and not taken is thrown away.

        In blocking mode this writes what is unsent first and then waits up to L{LINGER} seconds for
        the master to close: closing a socket with unread bytes in it would reset the connection,
        and the last messages with it.

        @param timeout: seconds for writing, in blocking mode; None waits as long as it takes.
        @return: 4, the bytes written.
        Raises OSError: ENOTCONN, EAGAIN in nonblocking mode if it cannot be written now (then the
        connection stays), TimeoutError or ConnectionResetError (then it is closed all the same).
        """
        channel = self._connected()
        if not self._blocking and self._end() is None and not self._ready_to_send(channel):
            raise OSError(errno.EAGAIN, "quit cannot be written now")
        return self._quit(channel, timeout, linger=self._blocking)

    def _quit(self, channel: Channel, timeout: float | None, *, linger: bool) -> int:
        try:
            self._check_sendable()
            deadline = self._deadline(timeout)
            self._finish(channel, deadline)
            self._unsent = memoryview(QUIT)
            self._finish(channel, deadline)
            deadline = self._clock() + LINGER
            with suppress(TimeoutError):
                while self._read_end is None and self._clock() < deadline:
                    if not self._fill(channel):
                        self._wait(channel, deadline if linger else 0, read=True, write=False)
                    self._inbox.clear()
            return len(QUIT)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the connection without C{quit}, if there is one. Does not wait or raise."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._reset()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._channel is not None:
            # As in blocking mode: nobody comes back to finish what a nonblocking send has begun.
            with suppress(OSError):
                self._quit(self._channel, QUIT_TIMEOUT, linger=True)

    def set_block(self) -> None:
        """From now on C{send} and C{recv} wait."""
        self._blocking = True

    def set_nonblock(self) -> None:
        """From now on C{send} and C{recv} raise BlockingIOError instead of waiting."""
        self._blocking = False

    def fileno(self) -> int:
        """The socket's descriptor, for select. Raises OSError(ENOTCONN)."""
        return self._connected().fileno()

    @property
    def pending(self) -> int:
        """How many messages C{recv} returns without looking at the socket."""
        return len(self._inbox)

    @property
    def unsent(self) -> int:
        """Bytes of a message begun by C{send} in nonblocking mode that are not written yet."""
        return len(self._unsent)

    def send(self, dest: int, data: Bytes) -> int:
        """
        Send C{data} to the node C{dest}.

        @return: C{len(data) + 8}, the size of the message.
        Raises OSError and sends nothing: ENOTCONN, ENOBUFS if longer than C{max_payload},
        BlockingIOError in nonblocking mode if nothing can be written now. ConnectionResetError if
        the master is gone. L{LocalError} if C{dest} cannot be an id.
        """
        channel = self._connected()
        message = outgoing(dest, data, self.max_payload)
        self._check_sendable()
        if self._blocking:
            self._finish(channel, None)
        elif not self._ready_to_send(channel):
            raise OSError(errno.EAGAIN, "the master takes nothing now")
        self._unsent = memoryview(message)
        if self._blocking:
            self._finish(channel, None)
        else:
            self._write_on(channel)
        return len(message)

    def flush(self) -> bool:
        """
        Write what a nonblocking C{send} has begun: all of it in blocking mode, else what goes now.

        @return: whether nothing is left. Raises OSError: ENOTCONN, ConnectionResetError.
        """
        channel = self._connected()
        self._check_sendable()
        if self._blocking:
            self._finish(channel, None)
        return self._write_on(channel)

    def recv(self, timeout: float | None = None) -> tuple[int, bytes]:
        """
        The next message as (source, data).

        @param timeout: seconds, in blocking mode; None waits as long as it takes.
        Raises OSError: ENOTCONN, BlockingIOError in nonblocking mode if no whole message is there
        (a part of one stays until the rest comes), TimeoutError, ConnectionResetError if the master
        is gone, EPROTO if it sent a message longer than C{max_payload}.
        """
        channel = self._connected()
        deadline = self._deadline(timeout)
        while True:
            with suppress(ConnectionResetError):
                self._write_on(channel)
            if self._inbox:
                return self._inbox.popleft()
            if self._read_end is None and self._fill(channel):
                continue
            # What had come before a write failed was worth reading; there is no more of it now.
            if (end := self._end()) is not None:
                raise OSError(*end)
            if not self._blocking:
                raise OSError(errno.EAGAIN, "no whole message is there")
            self._wait(channel, deadline, read=True, write=bool(self._unsent))

    def recv_into(
        self, buffer: bytearray | memoryview, timeout: float | None = None
    ) -> tuple[int, int]:
        """
        The next message into the start of C{buffer}, as (source, length in bytes).

        Raises what L{recv} raises, and OSError(ENOBUFS) if C{buffer} is too small: the message is
        thrown away then, as the kernel does.
        """
        with memoryview(buffer) as view, view.cast("B") as room:
            if room.readonly:
                raise TypeError("recv_into needs a buffer that can be written")
            source, data = self.recv(timeout)
            size = len(data)
            if size > len(room):
                raise OSError(
                    errno.ENOBUFS, f"{size} bytes from {source} thrown away: room for {len(room)}"
                )
            room[:size] = data
            return source, size

    def _connected(self) -> Channel:
        if self._channel is None:
            raise OSError(errno.ENOTCONN, "not connected to a master")
        return self._channel

    def _deadline(self, timeout: float | None) -> float | None:
        return None if timeout is None else self._clock() + timeout

    def _wait(self, channel: Channel, deadline: float | None, *, read: bool, write: bool) -> None:
        timeout = None if deadline is None else max(0.0, deadline - self._clock())
        if not channel.wait(read, write, timeout):
            raise TimeoutError(errno.ETIMEDOUT, "the master took too long")

    def _fill(self, channel: Channel) -> bool:
        """Read once, and keep what came or why no more will; False if nothing was there."""
        try:
            data = channel.read(READ_SIZE)
        except OSError as error:
            self._read_end = (errno.ECONNRESET, f"the master is gone: {error}")
            return True
        if data is None:
            return False
        if not data:
            lost = self._incoming.incomplete
            cut = f" after {lost} bytes of a message" if lost else ""
            self._read_end = (errno.ECONNRESET, f"the master closed the connection{cut}")
        self._inbox += self._incoming.feed(data)
        if self._incoming.error is not None:
            self._read_end = (errno.EPROTO, str(self._incoming.error))
        return True

    def _end(self) -> tuple[int, str] | None:
        """Why nothing can be sent any more, as errno and message."""
        return self._read_end or self._write_end

    def _check_sendable(self) -> None:
        if (end := self._end()) is not None:
            raise OSError(*end)

    def _ready_to_send(self, channel: Channel) -> bool:
        """
        Whether a new message can begin. Asked before writing, as afterwards it is too late: TLS
        that takes nothing may have sent a part of it.
        """
        return self._write_on(channel) and channel.writable()

    def _write_on(self, channel: Channel) -> bool:
        """Write what is unsent as far as it goes now; whether nothing is left."""
        while self._unsent:
            try:
                taken = channel.write(self._unsent)
            except OSError as error:
                self._unsent = memoryview(b"")
                self._write_end = (errno.ECONNRESET, f"the master is gone: {error}")
                raise OSError(*self._write_end) from error
            if not taken:
                return False
            self._unsent = self._unsent[taken:]
        return True

    def _finish(self, channel: Channel, deadline: float | None) -> None:
        """Write all that is unsent."""
        while not self._write_on(channel):
            self._wait(channel, deadline, read=False, write=True)
