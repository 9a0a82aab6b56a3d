"""VDE's sockets: the control socket that gives out ports, and the data sockets of frames."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from distnet.errors import StartupError
from distnet.sockets.descriptor import grow_send_buffer
from distnet.sockets.listen import BACKLOG, stop_listening
from distnet.sockets.peers import peer_credentials, peer_groups
from distnet.sockets.quiet import QuietFactory
from distnet.sockets.refusals import Refusals
from distnet.sockets.unaccepted import tell_of_unaccepted
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.errors import BridgeError
from distnet.switch.core.records import Endpoint
from distnet.switch.plugs.descriptor import Errors, FrameSocket
from distnet.switch.plugs.vdedir import VdeDirectory
from distnet.text import unix_path
from distnet.vdewire import (
    MAX_REQUEST,
    BadRequest,
    Request,
    RequestType,
    encode_reply,
    is_whole,
    parse_request,
)

REQUEST_SECONDS: Final = 0.25
"""How long a request may take; then it is read as far as it came, as vde_switch would."""

_log = Logger(namespace="distnet")


class VdeService(Service):
    """
    Listens at the socket C{ctl} in a switch's directory, and plugs in whoever connects and asks.

    @ivar errors: operations on data sockets that failed; others may count there too.
    @ivar refusals: of requests.
    """

    def __init__(
        self, reactor: Any, bridge: Bridge, directory: VdeDirectory, errors: Errors | None = None
    ) -> None:
        self.errors = Errors() if errors is None else errors
        self.refusals = Refusals(reactor)
        self.reactor = reactor
        self.bridge = bridge
        self.directory = directory
        self._claimed = False
        self._port: Any = None
        self._clients: set[ControlProtocol] = set()

    def claim(self) -> None:
        """
        Have the directory, before anything else of the switch is made in it, like the socket of
        its console. Raises L{StartupError}.
        """
        if not self._claimed:
            self.directory.claim()
            self._claimed = True

    def startService(self) -> None:
        """
        Listen. Raises L{StartupError}.

        Not before twistd has given up its privileges: clients come and go as long as it runs, and
        sockets must then be made where it has put its first one.
        """
        self.claim()
        ctl, mode = self.directory.ctl, self.directory.permissions.mode
        factory = QuietFactory(self.make_protocol, "listener for VDE")
        try:
            self._port = self.reactor.listenUNIX(ctl, factory, BACKLOG, mode, wantPID=False)
        except CannotListenError as error:
            raise StartupError(
                f"cannot listen at {ctl}: {error.socketError.strerror or error.socketError}"
            ) from None
        tell_of_unaccepted(self.reactor, self._port)
        self.directory.opened()
        super().startService()
        _log.info("listening in {directory} for VDE", directory=self.directory.path)

    def stopService(self) -> Deferred[None]:
        """Unplug everybody, and leave nothing behind."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        port, self._port = self._port, None
        for client in list(self._clients):
            client.unplug()
        if port is not None:
            await stop_listening(port, self.directory.ctl)
        while self._clients:
            await deferLater(self.reactor, 0)
        self.directory.leave()
        self._claimed = False

    def make_protocol(self) -> ControlProtocol:
        """A client has come."""
        return ControlProtocol(self)

    # What connections and data sockets tell

    def connected(self, client: ControlProtocol) -> None:
        """A client is connected."""
        self._clients.add(client)

    def disconnected(self, client: ControlProtocol) -> None:
        """A client is not connected any more."""
        self._clients.discard(client)


class ControlProtocol(Protocol):
    """One connection to the control socket: a request, and then an endpoint as long as it lasts."""

    transport: Any

    def __init__(self, service: VdeService) -> None:
        self._service = service
        self._request = b""
        self._timeout: Any = None
        self._data: DataSocket | None = None
        self._endpoint: Endpoint | None = None

    def connectionMade(self) -> None:
        """A client has come."""
        self._service.connected(self)
        self._timeout = self._service.reactor.callLater(REQUEST_SECONDS, self._answer)

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
        if self._data is not None:
            self._data.read_rest()
        self._detach()
        self._service.disconnected(self)

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
            self._service.refusals.refuse(str(error))
            self.unplug()
        else:
            self.transport.write(reply)

    def _plug(self, request: Request) -> bytes:
        service = self._service
        sock, user = connect_to_client(request.path, self.transport)
        data = self._data = DataSocket(service, self, sock, request.description)
        managed = request.type is RequestType.MANAGEMENT
        endpoint = self._endpoint = service.bridge.attach(
            data,
            0 if managed else request.port or None,
            user=user,
            groups=peer_groups(self.transport.socket),
            description=request.description,
            endpoint_number=sock.fileno(),
        )
        path = service.directory.data_path(endpoint.port.number, sock.fileno())
        try:
            service.directory.bind(sock, path, user, private=managed)
        except OSError as error:
            raise BadRequest(f"its data socket {path}: {error.strerror}") from None
        data.bound(endpoint, path)
        return encode_reply(os.fsencode(path))

    def _detach(self) -> None:
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            self._service.bridge.detach(endpoint)
        if self._data is not None:
            self._data.release()


class DataSocket(FrameSocket):
    """
    The unix datagram socket of one endpoint, connected to its client's.

    @ivar description: what the client says of itself.
    """

    module = "unix prog"
    is_only_read = True

    def __init__(
        self, service: VdeService, owner: ControlProtocol, sock: socket.socket, description: str
    ) -> None:
        super().__init__(service, sock, description)
        self._owner = owner
        self._path: str | None = None

    def bound(self, endpoint: Endpoint, path: str) -> None:
        """It has a path, and its client is told: read from now on."""
        self._path = path
        self.start(endpoint)

    def release(self) -> bool:
        """Close the socket, and remove it from its directory."""
        if not super().release():
            return False
        if self._path is not None:
            with contextlib.suppress(OSError):
                Path(self._path).unlink()
        return True

    def close(self) -> None:
        """End the connection that it was plugged in with."""
        self._owner.closed()

    def ended(self) -> None:
        """An empty frame is the goodbye of libvdeplug 2."""
        self._owner.unplug()


def connect_to_client(path: bytes, asking: Any) -> tuple[socket.socket, int]:
    """
    A datagram socket connected to a client's, and the number of the user who owns that.

    @param asking: the transport of the connection that it is asked for on. Whose that is owns one
        in the abstract namespace too, of which the operating system says no owner.
    @raise BadRequest: it cannot be.
    """
    name = unix_path(path)
    is_abstract = path.startswith(b"\0")
    # connect(2) asks only for write access; vde_switch for both.
    if not (is_abstract or os.access(path, os.R_OK | os.W_OK)):
        raise BadRequest(f"its socket {name} is not there, or is not for us to read and write")
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            sock.setblocking(False)
            if is_abstract:
                user = peer_credentials(asking.socket).uid
            else:
                user = Path(os.fsdecode(path)).stat().st_uid
            sock.connect(path)
            grow_send_buffer(sock)
        except OSError as error:
            raise BadRequest(f"its socket {name}: {error.strerror}") from None
        undo.pop_all()
    return sock, user
