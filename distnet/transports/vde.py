"""VDE's sockets: the control socket that gives out ports, and the data sockets of frames."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from distnet.errors import StartupError
from distnet.ethernet.bridge import Bridge
from distnet.ethernet.port import Endpoint
from distnet.ethernet.refusals import BridgeError
from distnet.ethernet.vdewire import (
    MAX_REQUEST,
    BadRequest,
    Request,
    RequestType,
    encode_reply,
    is_whole,
    parse_request,
)
from distnet.interfaces import IFrameLink
from distnet.transports.listen import BACKLOG
from distnet.transports.peers import peer_credentials
from distnet.transports.vdedir import VdeDirectory

SEND_BUFFER: Final = 512 * 1024
"""
Bytes of SO_SNDBUF of a data socket: what may wait for its client, 456 frames of 1500 bytes.

A client's data socket and ours are connected to each other, so the kernel limits what waits by this
and not by max_dgram_qlen; its default holds 93. What waits for us is limited by the client's own
SO_SNDBUF; SO_RCVBUF means nothing here.
"""
FRAMES_AT_ONCE: Final = 64
"""Frames read from a client before the others have their turn."""
RETRY_SECONDS: Final = 0.002
"""
How often a full client is tried again, whatever poll(2) says of it.

That says it can be written only when three quarters of the buffer have been read, which for a
reader of 10,000 frames in a second takes longer than anybody is paused.
"""
TRIES: Final = 50
"""After so many in vain it is taken to be dead, and poll(2) is waited for."""
REQUEST_SECONDS: Final = 0.25
"""How long a request may take; then it is read as far as it came, as vde_switch would."""
QUIET_SECONDS: Final = 10.0
"""How long nothing more is logged of refused requests after one was."""

_log = Logger(namespace="distnet")

_SO_SNDBUFFORCE: Final = 32
_SO_PEERGROUPS: Final = 59
_GROUP: Final = struct.Struct("I")
_MAX_GROUPS: Final = 256


class ControlSocket(ServerFactory):
    """
    The socket C{ctl} in a switch's directory, and the clients that are connected to it.

    @ivar errors: how many operations on data sockets failed, by the name of the error.
    @ivar refused: how many requests were.
    """

    noisy = False

    def __init__(self, reactor: Any, bridge: Bridge, directory: VdeDirectory) -> None:
        self.errors: dict[str, int] = {}
        self.refused = 0
        self.reactor = reactor
        self.bridge = bridge
        self.directory = directory
        self._port: Any = None
        self._clients: set[ControlProtocol] = set()
        self._quiet_until = float("-inf")
        self._unsaid = 0

    def open(self) -> None:
        """Listen. Raises L{StartupError}."""
        self.directory.claim()
        ctl, mode = self.directory.ctl, self.directory.permissions.mode
        try:
            self._port = self.reactor.listenUNIX(ctl, self, BACKLOG, mode, wantPID=False)
        except CannotListenError as error:
            raise StartupError(
                f"cannot listen at {ctl}: {error.socketError.strerror or error.socketError}"
            ) from None
        self.directory.opened()

    async def close(self) -> None:
        """Unplug everybody, and leave nothing behind."""
        port, self._port = self._port, None
        if port is None:
            return
        for client in list(self._clients):
            client.unplug()
        try:
            await maybeDeferred(port.stopListening)
        except OSError as error:
            _log.warn("{ctl}: {why}", ctl=self.directory.ctl, why=error.strerror)
        while self._clients:
            await deferLater(self.reactor, 0)
        self.directory.leave()

    def buildProtocol(self, addr: object) -> ControlProtocol:
        """A client has come."""
        return ControlProtocol(self)

    # What connections and data sockets tell

    def connected(self, client: ControlProtocol) -> None:
        """A client is connected."""
        self._clients.add(client)

    def disconnected(self, client: ControlProtocol) -> None:
        """A client is not connected any more."""
        self._clients.discard(client)

    def refuse(self, why: str) -> None:
        """Count a request that is refused, and log it unless one was logged just now."""
        self.refused += 1
        now = self.reactor.seconds()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        more = f" ({self._unsaid} more were since the last one that is logged)"
        _log.warn("a client is refused: {why}{more}", why=why, more=more if self._unsaid else "")
        self._quiet_until, self._unsaid = now + QUIET_SECONDS, 0

    def count(self, error: OSError) -> None:
        """Count an operation on a data socket that failed."""
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        self.errors[name] = self.errors.get(name, 0) + 1


class ControlProtocol(Protocol):
    """One connection to the control socket: a request, and then an endpoint as long as it lasts."""

    transport: Any

    def __init__(self, control: ControlSocket) -> None:
        self._control = control
        self._request = b""
        self._timeout: Any = None
        self._data: DataSocket | None = None
        self._endpoint: Endpoint | None = None

    def connectionMade(self) -> None:
        """A client has come."""
        self._control.connected(self)
        self._timeout = self._control.reactor.callLater(REQUEST_SECONDS, self._answer)

    def dataReceived(self, data: bytes) -> None:
        """A request, or a part of it; what follows it means nothing."""
        if self._timeout is not None:
            self._request += data[:MAX_REQUEST]
            if is_whole(self._request):
                self._timeout.cancel()
                self._answer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client has gone."""
        if self._timeout is not None:
            self._timeout.cancel()
            self._timeout = None
        self._detach()
        self._control.disconnected(self)

    def unplug(self) -> None:
        """End the endpoint and the connection."""
        self._detach()
        self.transport.loseConnection()

    def closed(self) -> None:
        """The bridge has ended the endpoint."""
        self._endpoint = None
        self.unplug()

    def _answer(self) -> None:
        self._timeout = None
        try:
            reply = self._plug(parse_request(self._request))
        except (BadRequest, BridgeError) as error:
            self._control.refuse(str(error))
            self.unplug()
        else:
            self.transport.write(reply)

    def _plug(self, request: Request) -> bytes:
        control = self._control
        sock, user = connect_to_client(request.path)
        data = self._data = DataSocket(control, self, sock, request.description)
        managed = request.type is RequestType.MANAGEMENT
        endpoint = self._endpoint = control.bridge.attach(
            data,
            0 if managed else request.port or None,
            user=user,
            groups=_groups(self.transport.socket),
            description=request.description,
            endpoint_number=sock.fileno(),
        )
        path = control.directory.data_path(endpoint.port.number, sock.fileno())
        try:
            control.directory.bind(sock, path, user, private=managed)
        except OSError as error:
            raise BadRequest(f"its data socket {path}: {error.strerror}") from None
        data.start(endpoint, path)
        return encode_reply(os.fsencode(path))

    def _detach(self) -> None:
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self._control.bridge.detach(endpoint)
        if self._data is not None:
            self._data.release()


@implementer(IFrameLink, IReadWriteDescriptor)
class DataSocket:
    """
    The unix datagram socket of one endpoint, connected to its client's. A datagram is a frame.

    @ivar description: what the client says of itself.
    """

    def __init__(
        self, control: ControlSocket, owner: ControlProtocol, sock: socket.socket, description: str
    ) -> None:
        self.description = description
        self._control = control
        self._owner = owner
        self._reactor = control.reactor
        self._bridge = control.bridge
        self._socket = sock
        self._path: str | None = None
        self._endpoint: Endpoint | None = None
        self._open = True
        self._paused = False
        self._tries = 0
        self._retry: Any = None

    def start(self, endpoint: Endpoint, path: str) -> None:
        """It is bound: read from now on."""
        self._endpoint, self._path = endpoint, path
        if not self._paused:
            self._reactor.addReader(self)

    def release(self) -> None:
        """Close the socket, and remove it from its directory."""
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._stop_waiting()
            self._socket.close()
            if self._path is not None:
                with contextlib.suppress(OSError):
                    Path(self._path).unlink()

    # What the bridge calls

    def send(self, frame: bytes) -> bool:
        """See L{IFrameLink}."""
        try:
            self._socket.send(frame)
        except (BlockingIOError, InterruptedError):
            self._wait_for_room()
            return False
        except OSError as error:
            self._control.count(error)
            if self._endpoint is not None:
                self._bridge.send_failed(self._endpoint, frame)
        self._tries = 0
        return True

    def pause(self) -> None:
        """See L{IFrameLink}."""
        self._paused = True
        self._reactor.removeReader(self)

    def resume(self) -> None:
        """See L{IFrameLink}."""
        self._paused = False
        if self._open and self._path is not None:
            self._reactor.addReader(self)

    def close(self) -> None:
        """See L{IFrameLink}."""
        self._owner.closed()

    # What the reactor calls

    def fileno(self) -> int:
        """See IFileDescriptor."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """See ILoggingContext."""
        return "vde"

    def doRead(self) -> None:
        """Frames have come: take some, then it is the turn of others."""
        receive, received, endpoint = self._socket.recv, self._bridge.received, self._endpoint
        assert endpoint is not None
        # One more, so that a longer one does not look like a frame that fits.
        most = self._bridge.limits.max_frame + 1
        for _ in range(FRAMES_AT_ONCE):
            try:
                frame = receive(most)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._control.count(error)
                return
            if not frame:
                # The goodbye of libvdeplug 2.
                self._owner.unplug()
                return
            if not received(endpoint, frame) or not self._open:
                return

    def doWrite(self) -> None:
        """The client has read most of what waited for it."""
        self._stop_waiting()
        assert self._endpoint is not None
        self._bridge.writable(self._endpoint)

    def connectionLost(self, reason: Failure) -> None:
        """The operating system has given the socket up."""
        self._owner.unplug()

    def _wait_for_room(self) -> None:
        self._reactor.addWriter(self)
        if self._tries < TRIES and self._retry is None:
            self._tries += 1
            self._retry = self._reactor.callLater(RETRY_SECONDS, self.doWrite)

    def _stop_waiting(self) -> None:
        self._reactor.removeWriter(self)
        retry, self._retry = self._retry, None
        if retry is not None and retry.active():
            retry.cancel()


def connect_to_client(path: bytes) -> tuple[socket.socket, int]:
    """
    A datagram socket connected to a client's, and the number of the user who owns that.

    @raise BadRequest: it cannot be.
    """
    name = os.fsdecode(path)
    # connect(2) asks only for write access; vde_switch for both.
    if not os.access(path, os.R_OK | os.W_OK):
        raise BadRequest(f"its socket {name} is not there, or is not for us to read and write")
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            sock.setblocking(False)
            user = Path(name).stat().st_uid
            sock.connect(path)
            _grow_send_buffer(sock)
        except OSError as error:
            raise BadRequest(f"its socket {name}: {error.strerror}") from None
        undo.pop_all()
    return sock, user


def _groups(sock: socket.socket) -> list[int]:
    """The numbers of the groups of the process that has connected."""
    groups = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MAX_GROUPS * _GROUP.size)
    return [peer_credentials(sock).gid, *(each for (each,) in _GROUP.iter_unpack(groups))]


def _grow_send_buffer(sock: socket.socket) -> None:
    try:
        # Beyond net.core.wmem_max, with the privilege.
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, SEND_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
