"""VDE's control socket: requests that are granted, with real sockets and no reactor."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import struct
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import maybeDeferred
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import StartupError
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.records import Port
from distnet.switch.plugs.vde import ControlProtocol, VdeService
from distnet.switch.plugs.vdedir import Permissions, VdeDirectory
from distnet.testing import NotingBridgeObserver
from distnet.vdewire import Request, RequestType, encode_request, parse_reply
from tests.unit.sockets.listening import ListeningReactor
from tests.unit.switch.core.stations import BROADCAST, frame

NOBODY = 65534


class ClientTransport(StringTransport):
    """
    The connection of a client that is this process.

    @ivar modes: of all data sockets that there were at each write.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.socket, self._other = socket.socketpair()
        self.modes: list[dict[str, int]] = []
        self._directory = directory

    def write(self, data: bytes) -> None:
        """Note what is there already when the client is told of it."""
        super().write(data)
        self.modes.append(
            {
                str(path): stat.S_IMODE(path.stat().st_mode)
                for path in self._directory.glob("[0-9]*")
            }
        )

    def release(self) -> None:
        """Close both ends."""
        self.socket.close()
        self._other.close()


def descriptors() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class PlugTests(SynchronousTestCase):
    """Tests for C{VdeService} and C{ControlProtocol}."""

    def setUp(self) -> None:
        """An open switch; trial's own directories are too long for sockets."""
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.reactor = ListeningReactor()
        self.bridge = Bridge(BridgeLimits(), NotingBridgeObserver(), self.reactor)
        self.addCleanup(self.bridge.stop)
        self.directory = VdeDirectory(str(self.home / "s"), Permissions(0o640, 0o750))
        self.vde = VdeService(self.reactor, self.bridge, self.directory)
        self.vde.startService()
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close the control socket, for which clients have a turn of the reactor to leave."""
        closing = maybeDeferred(self.vde.stopService)
        for protocol in list(self.vde._clients):
            protocol.connectionLost()
        self.reactor.advance(0)
        self.successResultOf(closing)

    def socket(self) -> socket.socket:
        """A client's own data socket."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(tempfile.mktemp(dir=self.home))
        return sock

    def ask(
        self, own: str, port: int = 0, *, managed: bool = False
    ) -> tuple[ControlProtocol, ClientTransport]:
        """A request of a client whose own socket is there, on a new connection."""
        protocol = self.vde.make_protocol()
        transport = ClientTransport(Path(self.directory.path))
        self.addCleanup(transport.release)
        protocol.makeConnection(cast(Any, transport))
        kind = RequestType.MANAGEMENT if managed else RequestType.NEW_PORT
        protocol.dataReceived(encode_request(Request(3, kind, port, os.fsencode(own), "it")))
        return protocol, transport

    def refused(self, own: str, port: int = 0) -> None:
        """A request ends its connection, and leaves nothing."""
        before = self.data_sockets(), descriptors()
        _, transport = self.ask(own, port)
        self.assertEqual((transport.value(), transport.disconnecting), (b"", True))
        transport.release()
        self.assertEqual((self.data_sockets(), descriptors()), before)

    def data_sockets(self) -> list[str]:
        """The names of the data sockets that there are."""
        return sorted(path.name for path in Path(self.directory.path).glob("[0-9]*"))

    def active(self) -> list[Port]:
        """The ports that are in use."""
        return [port for port in self.bridge.ports if port.active]

    def test_plugged(self) -> None:
        """A client is told of a data socket that is bound, has its mode, and is read."""
        own = self.socket()
        _, transport = self.ask(own.getsockname())
        self.assertEqual(len(transport.value()), 110)
        path = os.fsdecode(parse_reply(transport.value()))
        mode = 0o600 if os.geteuid() == 0 else 0o640
        self.assertEqual(transport.modes, [{path: mode}])
        [port] = self.active()
        [endpoint] = port.endpoints
        self.assertEqual((port.number, port.user), (1, os.geteuid()))
        self.assertEqual(endpoint.description, "it")
        self.assertEqual(path, f"{self.directory.path}/001.{endpoint.number}")
        [data] = self.reactor.getReaders()
        self.assertEqual(data.fileno(), endpoint.number)
        own.connect(path)
        own.send(frame(BROADCAST, 1))
        data.doRead()
        self.assertEqual(port.counters.received.frames, 1)
        self.assertFalse(transport.disconnecting)

    def test_a_client_in_the_abstract_namespace(self) -> None:
        """User-mode Linux binds its socket to a whole address that begins with a NUL."""
        name = struct.pack("=4xIQ", os.getpid(), time.monotonic_ns()).ljust(108, b"\0")
        own = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(own.close)
        own.bind(name)
        _, transport = self.ask(os.fsdecode(name))
        [port] = self.active()
        self.assertEqual((port.number, port.user), (1, os.geteuid()))
        [data] = self.reactor.getReaders()
        own.sendto(frame(BROADCAST, 1), parse_reply(transport.value()))
        data.doRead()
        self.assertEqual(port.counters.received.frames, 1)
        [endpoint] = port.endpoints
        endpoint.link.send(frame(1, 2))
        self.assertEqual(own.recv(2000), frame(1, 2))

    def test_an_abstract_name_that_nobody_has(self) -> None:
        """It is refused by a name that can be read."""
        with capturedLogs() as events:
            self.refused("\0nobody" + 101 * "\0")
        [said] = map(formatEvent, events)
        self.assertEqual(said, "a client is refused: its socket @nobody: Connection refused")

    def test_reached_from_its_client_alone(self) -> None:
        """A data socket takes frames from the client that it is connected to, from nobody else."""
        own, other = self.socket(), self.socket()
        _, transport = self.ask(own.getsockname())
        self.assertRaises(OSError, other.connect, parse_reply(transport.value()))

    def test_end_of_the_control_connection(self) -> None:
        """When the control connection ends, the port is free and the data socket gone."""
        protocol, _ = self.ask(self.socket().getsockname())
        protocol.connectionLost()
        self.assertEqual((self.active(), self.data_sockets()), ([], []))
        self.assertEqual(self.reactor.getReaders(), [])

    def test_wishes(self) -> None:
        """A client gets the port it wishes for; who asks for management gets port 0."""
        for port, managed, expected in ((7, False, 7), (0, True, 0), (4, True, 0), (0, False, 1)):
            _, transport = self.ask(self.socket().getsockname(), port, managed=managed)
            name = os.fsdecode(parse_reply(transport.value())).rpartition("/")[2]
            self.assertEqual(int(name.partition(".")[0]), expected)
        self.assertEqual([port.number for port in self.active()], [0, 1, 7])

    def test_refused_by_the_switch(self) -> None:
        """A client that asks for a port that there is not gets none, and leaves nothing."""
        self.refused(self.socket().getsockname(), 32)
        self.assertEqual(self.vde.refusals.count, 1)

    def test_whose_port(self) -> None:
        """A port is for the user who owns the client's socket, or the group of its process."""
        own = self.socket().getsockname()
        if os.geteuid() == 0:
            # Root may use every port.
            os.chown(own, NOBODY, NOBODY)
        user = Path(own).stat().st_uid
        port = self.bridge.ports.create(3)
        port.allowed_user, port.allowed_group = user + 1, os.getegid() + 54321
        self.refused(own, 3)
        for who in ({"allowed_user": user}, {"allowed_group": os.getegid()}):
            port.allowed_user = port.allowed_group = 54321
            for name, number in who.items():
                setattr(port, name, number)
            protocol, _ = self.ask(own, 3)
            self.assertEqual((port.active, port.user), (True, user))
            protocol.connectionLost()

    def test_no_place_for_its_data_socket(self) -> None:
        """Where no data socket can be bound, the port is free again."""
        own = self.socket().getsockname()
        shutil.rmtree(self.directory.path)
        self.refused(own)
        self.assertEqual(self.active(), [])

    def test_its_socket_is_another_thing(self) -> None:
        """A client whose path is no socket, or one that nobody has open, is refused."""
        own = self.socket()
        path = own.getsockname()
        own.close()
        self.refused(path)
        Path(path).unlink()
        Path(path).touch()
        self.refused(path)

    def test_opened(self) -> None:
        """The directory and the control socket have their modes; where it cannot be is said."""
        for path, mode in ((self.directory.path, 0o750), (self.directory.ctl, 0o640)):
            self.assertEqual(stat.S_IMODE(Path(path).stat().st_mode), mode)
        elsewhere = VdeDirectory(f"{self.home}/no/s", Permissions())
        another = VdeService(self.reactor, self.bridge, elsewhere)
        self.assertRaises(StartupError, another.startService)

    def test_closed(self) -> None:
        """In the end everybody is unplugged, and the directory gone."""
        transports = [self.ask(self.socket().getsockname())[1] for _ in range(3)]
        self.close()
        self.assertTrue(all(transport.disconnecting for transport in transports))
        self.assertEqual(self.active(), [])
        self.assertFalse(Path(self.directory.path).exists())
