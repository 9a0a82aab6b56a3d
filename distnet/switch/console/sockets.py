"""The management console's ends: the unix socket of C{-M}, and standard input under twistd -n."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import quoteStringArgument
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IListeningPort,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from distnet.errors import StartupError
from distnet.sockets.listen import Listener, complete_description, listen, stop_listening
from distnet.sockets.quiet import QuietFactory
from distnet.switch.console.session import Console, ConsoleSession

_TOO_MANY: Final = f"1{errno.EUSERS:03d} {os.strerror(errno.EUSERS)}\n".encode()
SILENCE_SECONDS: Final = 0.1
"""After which a line is whole: pieces of one follow one another at once."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class ConsoleProtocol(Protocol):
    """
    One console, over anything that is a stream.

    It reads only while the other side reads what it is answered.

    @ivar read_all: the other side types nothing more.
    """

    def __init__(
        self,
        console: Console,
        *,
        prompts: bool = True,
        greets: bool = True,
        clock: Any = None,
        done: Callable[[ConsoleProtocol], None] = lambda _: None,
    ) -> None:
        """
        @param prompts: show a prompt before each command.
        @param greets: say who we are first.
        @param clock: with it, a line needs no end that nothing follows for L{SILENCE_SECONDS};
            vdeterm sends none.
        @param done: called once, when the connection is over.
        """
        self._console = console
        self._prompts = prompts
        self._greets = greets
        self._clock = clock
        self._silence: Any = None
        self._done = done
        self._session: ConsoleSession | None = None
        self._closing = False
        self.read_all = False

    def connectionMade(self) -> None:
        """Begin a session, if there are not too many."""
        transport = cast(Any, self.transport)
        self._session = self._console.new_session(self._write, prompts=self._prompts)
        if self._session is None:
            transport.write(_TOO_MANY)
            transport.loseConnection()
            return
        transport.registerProducer(self, True)
        if self._greets:
            self._session.greet()

    def dataReceived(self, data: bytes) -> None:
        """Something was typed."""
        if self._session is not None:
            self._session.feed(data)
            self._look_for_end()
            self._await_silence()

    def readConnectionLost(self) -> None:
        """Nothing more will be typed: answer what is there, then close."""
        self.read_all = True
        self._look_for_end()

    def writeConnectionLost(self) -> None:
        """Nobody reads the answers any more: close."""
        self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over, and its session with it."""
        if self._session is not None:
            self._session.close()
        self._await_silence()
        self._done(self)

    def pauseProducing(self) -> None:
        """The other side does not read."""
        if self._session is not None:
            self._session.pause()
        if not self.read_all:
            cast(Any, self.transport).pauseProducing()

    def resumeProducing(self) -> None:
        """The other side reads again."""
        if not (self.read_all or self._closing):
            cast(Any, self.transport).resumeProducing()
        if self._session is not None:
            self._session.resume()
            self._look_for_end()
            self._await_silence()

    def stopProducing(self) -> None:
        """The connection is over; L{connectionLost} comes too."""

    def close(self) -> None:
        """Close, when what was written is out."""
        if not self._closing:
            self._closing = True
            transport = cast(Any, self.transport)
            if self._session is not None:
                self._session.close()
                # Without this the transport waits for us to write more.
                transport.unregisterProducer()
            transport.loseConnection()

    def _look_for_end(self) -> None:
        session = self._session
        if session is None:
            return
        if self.read_all and not (session.paused or session.ended):
            session.finish()
        if session.ended or (self.read_all and not session.paused):
            self.close()

    def _await_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        session = self._session
        if self._clock is not None and session is not None and session.incomplete:
            self._silence = self._clock.callLater(SILENCE_SECONDS, self._silent)

    def _silent(self) -> None:
        self._silence = None
        if self._session is not None:
            self._session.finish()
            self._look_for_end()

    def _write(self, data: bytes) -> None:
        if not self._closing:
            cast(ITransport, self.transport).write(data)


class ManagementService(Service):
    """
    Listens for consoles at a unix socket.

    @ivar path: where.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        console: Console,
        path: str,
        mode: int = 0o600,
        group: int | None = None,
    ) -> None:
        """
        @param mode: who may connect, as permissions of the socket.
        @param group: the gid that the socket is given, or None.
        """
        self.path = path
        self._reactor = reactor
        self._console = console
        self._mode = mode
        self._group = group
        self._port: IListeningPort | None = None
        self._open: set[ConsoleProtocol] = set()

    def startService(self) -> None:
        """Listen. Raises StartupError, in one line."""
        description = complete_description(
            f"unix:address={quoteStringArgument(self.path)}:mode={self._mode:o}"
        )
        factory = QuietFactory(self.make_protocol, "listener for consoles")
        self._port = listen(self._reactor, Listener(description), factory)
        if self._group is not None:
            try:
                os.chown(self.path, -1, self._group)
            except OSError as error:
                raise StartupError(
                    f"cannot give {self.path} to group {self._group}: {error.strerror}"
                ) from error
        super().startService()
        self.log.info("the console is at {path}", path=self.path)

    async def _stop(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            await stop_listening(port, self.path)
        for protocol in list(self._open):
            protocol.close()

    def stopService(self) -> Any:
        """Listen no more, and close all consoles. Returns a Deferred."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    def make_protocol(self) -> ConsoleProtocol:
        """For one more connection."""
        protocol = ConsoleProtocol(self._console, clock=self._reactor, done=self._open.discard)
        self._open.add(protocol)
        return protocol


class StandardInputService(Service):
    """
    A console on standard input and output. At a terminal it prompts.

    The end of input stops the switch, as it stops vde_switch: who has started it has closed the
    pipe. That of a file does not, nor that of /dev/null, which services are started with.
    """

    log = Logger(namespace="distnet")

    def __init__(self, reactor: Any, console: Console) -> None:
        self._reactor = reactor
        self._console = console
        self._protocol: ConsoleProtocol | None = None
        self._descriptors: list[int] = []

    def startService(self) -> None:
        """Begin to read; do nothing if there is no standard input."""
        super().startService()
        if sys.__stdin__ is None or sys.__stdout__ is None:
            # It was closed when this process began, and what has its number now is something else.
            return
        try:
            self._descriptors = [_reopen(0, os.O_RDONLY), _reopen(1, os.O_WRONLY)]
        except OSError:
            return
        terminal = os.isatty(0)
        done = self._forget
        if terminal:
            done = self._at_end
        elif _somebody_writes(0):
            done = self._at_end_of_pipe
        self._protocol = ConsoleProtocol(
            self._console, prompts=terminal, greets=terminal, done=done
        )
        stdin, stdout = self._descriptors
        # Its stubs know fewer arguments.
        cast(Any, StandardIO)(self._protocol, stdin=stdin, stdout=stdout, reactor=self._reactor)

    def stopService(self) -> None:
        """End the session."""
        super().stopService()
        if self._protocol is not None:
            self._protocol.close()

    def _at_end(self, protocol: ConsoleProtocol) -> None:
        self._forget(protocol)
        if self.running:
            self.log.info("standard input has ended: stopping (--nostdin goes on without it)")
            self._console.shut_down()

    def _at_end_of_pipe(self, protocol: ConsoleProtocol) -> None:
        # Else the session was ended, or nobody reads the answers.
        if protocol.read_all:
            self._at_end(protocol)
        self._forget(protocol)

    def _forget(self, protocol: ConsoleProtocol) -> None:
        self._protocol = None


def _somebody_writes(descriptor: int) -> bool:
    """Whether it is a pipe or a socket, which somebody has at the other end."""
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _reopen(descriptor: int, flags: int) -> int:
    """
    The same file, opened anew where that is possible.

    What Twisted reads is set not to block, and that would hold for the log on the same terminal.
    Two openings of a regular file would write over each other, and it never blocks.
    """
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.dup(descriptor)
    try:
        return os.open(f"/proc/self/fd/{descriptor}", flags | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return os.dup(descriptor)
