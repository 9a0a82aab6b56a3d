"""The gateway's plug in a VDE switch: a client of its control socket, again and again."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.errors import PeerError
from distnet.gateway.backoff import Backoff
from distnet.gateway.frames import LONGEST
from distnet.guestnet import GATEWAY
from distnet.once import Once
from distnet.sockets.descriptor import RetriedDescriptor, error_name, grow_send_buffer
from distnet.sockets.quiet import QuietClientFactory, why_not_connected
from distnet.vdewire import Request, RequestType, encode_request, parse_reply

FRAMES_AT_ONCE: Final = 64
"""Frames read from the switch before others have their turn."""
MOST_WAITING: Final = 512
"""Frames that wait while the switch does not read; libslirp sends what is lost again."""
FIRST_SECONDS: Final = 0.05
MOST_SECONDS: Final = 1.0
"""How long until a switch that is not there is looked for again."""
REPLY_SECONDS: Final = 3.0
"""How long a switch has to answer: vde_switch 2.3.2 does not, if it has no port left."""

_REPLY_SIZE: Final = 110
_log = Logger(namespace="distnet")
_numbers = itertools.count(1)


class Plug(RetriedDescriptor):
    """
    A port of a switch, whenever there is one.

    @ivar port: its number, or None if we are not plugged in.
    @ivar dropped: frames for the switch that it did not take, by the reason.
    """

    prefix = "plug"

    def __init__(
        self,
        reactor: Any,
        directory: str,
        port: int,
        *,
        received: Callable[[list[bytes]], None],
        plugged: Callable[[], None],
        unplugged: Callable[[], None],
    ) -> None:
        """
        @param directory: of the switch.
        @param port: the port to ask for, or 0 for any.
        @param received: called with frames from the switch; those that are longer than
            L{LONGEST} are cut to one byte more.
        """
        # However long the switch reads nothing: its end is told by the control connection.
        super().__init__(reactor, most=None)
        self.port: int | None = None
        self.dropped: Counter[str] = Counter()
        self._directory = directory
        self._wanted = port
        self._received = received
        self._plugged = plugged
        self._unplugged = unplugged
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._control: _Control | None = None
        self._data: socket.socket | None = None
        self._waiting: deque[bytes] = deque()
        self._later: Any = None
        self._said = Once()
        self._stopped = False

    def start(self) -> None:
        """Plug in, as soon as there is a switch."""
        self._later = None
        control = self._control = _Control(self)
        factory = QuietClientFactory(lambda: control, control.failed)
        self._reactor.connectUNIX(str(Path(self._directory, "ctl")), factory)

    def stop(self) -> None:
        """Leave the switch, for good."""
        self._stopped = True
        if self._later is not None:
            self._later.cancel()
        if self._control is not None and self._control.transport is not None:
            cast(Any, self._control.transport).loseConnection()
        self._release()

    @property
    def socket(self) -> socket.socket:
        """What frames are sent to, while we are plugged in."""
        assert self._data is not None
        return self._data

    def send(self, frame: bytes) -> None:
        """Send a frame; it is dropped if there is no switch, or no room."""
        if self._data is None:
            self.dropped["no switch"] += 1
        elif not self._waiting and self._send_now(frame):
            pass
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(frame)
            self.wait_for_room()
        else:
            self.dropped["full"] += 1

    # What the control connection tells

    def request(self) -> bytes:
        """A socket is bound: what to ask the switch for."""
        self._release()
        data = self._data = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        # Removed as soon as the switch has it: nothing can be left behind then.
        self._path = Path(self._directory, f".{os.getpid():05d}-{next(_numbers):05d}")
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        data.bind(str(self._path))
        grow_send_buffer(data)
        return encode_request(
            Request(3, RequestType.NEW_PORT, self._wanted, os.fsencode(self._path), GATEWAY)
        )

    def answered(self, path: bytes) -> None:
        """The switch has given us a port."""
        assert self._data is not None
        self._data.connect(path)
        self._path.unlink()
        self._backoff.reset()
        self._said.forget()
        self.port = int(Path(os.fsdecode(path)).name.partition(".")[0])
        self.want_to_read(True)
        _log.info(
            "plugged into {directory}, port {port}", directory=self._directory, port=self.port
        )
        self._plugged()

    def lost(self, why: str) -> None:
        """There is no switch, or not any more."""
        self._control = None
        was_in, self.port = self.port is not None, None
        self._release()
        if self._stopped:
            return
        news = self._said.say(why) is not None
        if was_in or news:
            _log.warn(
                "{what} the switch in {directory} ({why}): plugs in when it is there",
                what="lost" if was_in else "cannot plug into",
                directory=self._directory,
                why=why,
            )
        self._later = self._reactor.callLater(self._backoff.next(), self.start)
        if was_in:
            self._unplugged()

    # What the reactor calls

    def fileno(self) -> int:
        """The descriptor of the data socket, or -1 while there is none."""
        return -1 if self._data is None else self._data.fileno()

    def doRead(self) -> None:
        """Frames have come."""
        frames = []
        assert self._data is not None
        receive = self._data.recv
        for _ in range(FRAMES_AT_ONCE):
            try:
                frames.append(receive(LONGEST + 1))
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self.dropped[error_name(error)] += 1
                break
        self._received(frames)

    def doWrite(self) -> None:
        """The switch has room again."""
        self.stop_waiting()
        while self._waiting:
            if not self._send_now(self._waiting[0]):
                self.wait_for_room()
                return
            self._waiting.popleft()

    def connectionLost(self, reason: Failure) -> None:
        """The socket is given up; whatever the reason, another one is wanted."""
        if self._control is not None and self._data is not None:
            self._control.give_up(reason.getErrorMessage())

    def _send_now(self, frame: bytes) -> bool:
        assert self._data is not None
        try:
            self._data.send(frame)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self.dropped[error_name(error)] += 1
        return True

    def _release(self) -> None:
        data = self._data
        if data is not None:
            self.want_to_read(False)
            self.stop_waiting()
            self._data = None
            data.close()
            self._waiting.clear()
            with contextlib.suppress(OSError):
                self._path.unlink()


class _Control(Protocol):
    """The control connection: a request, a reply, and the port as long as it lasts."""

    def __init__(self, plug: Plug) -> None:
        self._plug = plug
        self._reply = b""
        self._answered = False
        self._why = "it has closed the connection"
        self._timeout: Any = None

    def connectionMade(self) -> None:
        """There is a switch."""
        self._timeout = self._plug._reactor.callLater(
            REPLY_SECONDS, self.give_up, "it does not answer, perhaps it has no free port"
        )
        try:
            cast(Any, self.transport).write(self._plug.request())
        except (OSError, ValueError) as error:
            self.give_up(f"cannot make a socket there: {error}")

    def dataReceived(self, data: bytes) -> None:
        """The reply has come, or a part of it."""
        self._reply += data[:_REPLY_SIZE]
        if self._answered or len(self._reply) < _REPLY_SIZE:
            return
        self._answered = True
        self._stop_timeout()
        try:
            self._plug.answered(parse_reply(self._reply))
        except (OSError, PeerError, ValueError) as error:
            self.give_up(str(error))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The switch has gone, or has refused us."""
        self._stop_timeout()
        self._plug.lost(self._why)

    def failed(self, error: Exception) -> None:
        """The switch cannot be connected to."""
        self._plug.lost(why_not_connected(error))

    def give_up(self, why: str) -> None:
        """Leave the switch, and be told that it is lost."""
        self._why = why
        cast(Any, self.transport).abortConnection()

    def _stop_timeout(self) -> None:
        if self._timeout is not None and self._timeout.active():
            self._timeout.cancel()
