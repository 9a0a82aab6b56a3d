"""The console over a transport, and what it asks the machine."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import StartupError
from distnet.observers import broadcast
from distnet.switch.console.commands import make_console
from distnet.switch.console.machine import ThisMachine
from distnet.switch.console.observer import ConsoleObserver
from distnet.switch.console.records import MAX_SCRIPT, About
from distnet.switch.console.session import MAX_SESSIONS, Console
from distnet.switch.console.sockets import SILENCE_SECONDS, ConsoleProtocol, ManagementService
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import BridgeLimits
from tests.unit.sockets.listening import ListeningReactor

PROMPT = b"\nvde$ "
SUCCESS = b"1000 Success\n"

MACHINE = ThisMachine(Clock())


def make(clock: Clock | ListeningReactor) -> Console:
    """A console of an empty switch."""
    observer = ConsoleObserver()
    bridge = Bridge(BridgeLimits(), broadcast(IBridgeObserver, observer), clock)
    return make_console(bridge, observer, clock=clock.seconds, about=About())


class ProtocolTests(SynchronousTestCase):
    """Tests for L{ConsoleProtocol}."""

    def setUp(self) -> None:
        """A connection that was greeted."""
        self.clock = Clock()
        self.console = make(self.clock)
        self.done: list[ConsoleProtocol] = []
        self.protocol, self.transport = self.connect()
        self.transport.clear()

    def connect(self) -> tuple[ConsoleProtocol, StringTransport]:
        """One more connection."""
        protocol = ConsoleProtocol(self.console, clock=self.clock, done=self.done.append)
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def take(self) -> bytes:
        """What was written since."""
        data = self.transport.value()
        self.transport.clear()
        return data

    def test_a_command(self) -> None:
        """A line is answered, and a prompt comes after it."""
        self.protocol.dataReceived(b"port/create 3\n")
        self.assertEqual(self.take(), SUCCESS + PROMPT)

    def test_logout(self) -> None:
        """logout closes the connection, and lets go of the transport first."""
        self.protocol.dataReceived(b"logout\n")
        self.assertEqual(self.take(), b"9999 END OF SESSION")
        self.assertTrue(self.transport.disconnecting)
        self.assertIsNone(self.transport.producer)

    def test_silence(self) -> None:
        """Half a line is one, when nothing follows it; not if something does."""
        self.protocol.dataReceived(b"port/create")
        self.clock.advance(SILENCE_SECONDS * 0.9)
        self.protocol.dataReceived(b" 3")
        self.clock.advance(SILENCE_SECONDS * 0.9)
        self.assertEqual(self.take(), b"")
        self.clock.advance(SILENCE_SECONDS)
        self.assertEqual(self.take(), SUCCESS + PROMPT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_left(self) -> None:
        """When the connection is lost, nothing waits for silence, and the session is over."""
        self.protocol.dataReceived(b"port/create")
        self.protocol.connectionLost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.done, [self.protocol])
        for _ in range(MAX_SESSIONS):
            self.assertNotIn(b"Too many", self.connect()[1].value())

    def test_end_of_input(self) -> None:
        """At the end of input the rest is answered, then the connection is closed."""
        self.protocol.dataReceived(b"port/create 3")
        self.protocol.readConnectionLost()
        self.assertEqual(self.take(), SUCCESS + PROMPT)
        self.assertTrue(self.transport.disconnecting)

    def test_not_read(self) -> None:
        """While the other side does not read, nothing is read from it, and its commands wait."""
        self.protocol.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.protocol.dataReceived(b"port/create 3\n")
        self.assertEqual(self.take(), b"")
        self.protocol.resumeProducing()
        self.assertEqual(self.take(), SUCCESS + PROMPT)
        self.assertEqual(self.transport.producerState, "producing")

    def test_end_of_input_while_not_read(self) -> None:
        """What was typed before the end is answered when the other side reads again."""
        self.protocol.pauseProducing()
        self.protocol.dataReceived(b"port/create 3\nport/create 3")
        self.protocol.readConnectionLost()
        self.assertFalse(self.transport.disconnecting)
        self.protocol.resumeProducing()
        self.assertEqual(self.take(), SUCCESS + PROMPT + b"1017 File exists\n" + PROMPT)
        self.assertTrue(self.transport.disconnecting)

    def test_too_many(self) -> None:
        """One too many is told so, and closed."""
        for _ in range(MAX_SESSIONS - 1):
            self.assertFalse(self.connect()[1].disconnecting)
        protocol, transport = self.connect()
        self.assertEqual(transport.value(), b"1087 Too many users\n")
        self.assertTrue(transport.disconnecting)
        protocol.dataReceived(b"port/create 3\n")
        protocol.connectionLost()
        self.assertEqual(len(self.console.bridge.ports), 0)

    def test_closed(self) -> None:
        """A console that was closed is written no events any more."""
        self.protocol.dataReceived(b"debug/add port\n")
        self.take()
        self.protocol.close()
        self.protocol.close()
        self.console.bridge.ports.create(3)
        self.assertEqual(self.take(), b"")
        self.assertTrue(self.transport.disconnecting)


class ManagementServiceTests(SynchronousTestCase):
    """Tests for L{ManagementService}."""

    def setUp(self) -> None:
        """A place for the socket; trial's own are too long."""
        self.path = Path(tempfile.mkdtemp()) / "console"
        self.addCleanup(shutil.rmtree, self.path.parent)
        self.reactor = ListeningReactor()

    def service(self, mode: int = 0o600, group: int | None = None) -> ManagementService:
        """A service that has not started."""
        console = make(self.reactor)
        return ManagementService(self.reactor, console, str(self.path), mode, group)

    def test_modes(self) -> None:
        """The socket has the mode that was asked for."""
        for mode in (0o600, 0o660):
            service = self.service(mode)
            service.startService()
            self.assertEqual(self.reactor.listening[-1].mode, mode)
            self.successResultOf(service.stopService())
            self.assertFalse(self.path.exists())

    def test_group(self) -> None:
        """The socket is given to the group, if one was asked for, and keeps its owner."""
        given: list[tuple[object, ...]] = []
        self.patch(os, "chown", lambda *which: given.append(which))
        for group in (None, 54321):
            service = self.service(group=group)
            service.startService()
            self.successResultOf(service.stopService())
        self.assertEqual(given, [(str(self.path), -1, 54321)])

    def test_not_our_group(self) -> None:
        """A group that the socket cannot be given to is an error of the start, in one line."""

        def refuse(*_: object) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

        self.patch(os, "chown", refuse)
        service = self.service(group=54321)
        error = self.assertRaises(StartupError, service.startService)
        self.assertEqual(
            str(error), f"cannot give {self.path} to group 54321: Operation not permitted"
        )
        self.successResultOf(service.stopService())

    def test_end(self) -> None:
        """When the service stops, all sessions end, though somebody has removed the socket."""
        service = self.service()
        service.startService()
        transports = [StringTransport(), StringTransport()]
        for transport in transports:
            service.make_protocol().makeConnection(transport)
            self.assertTrue(transport.value().endswith(PROMPT))
        self.path.unlink()
        self.successResultOf(service.stopService())
        self.assertEqual([transport.disconnecting for transport in transports], [True, True])


class MachineTests(SynchronousTestCase):
    """Files and names."""

    def setUp(self) -> None:
        """A directory."""
        self.directory = Path(self.mktemp())
        self.directory.mkdir()

    def refused(self, number: int, path: Path) -> None:
        """A script at this path cannot be read."""
        error = self.assertRaises(OSError, MACHINE.read_script, str(path))
        self.assertEqual(error.errno, number)

    def test_script(self) -> None:
        """A file is read up to the limit, and no further."""
        path = self.directory / "rc"
        path.write_bytes(b"#" * MAX_SCRIPT)
        self.assertEqual(len(MACHINE.read_script(str(path))), MAX_SCRIPT)
        path.write_bytes(b"#" * (MAX_SCRIPT + 1))
        self.refused(errno.EFBIG, path)

    def test_no_script(self) -> None:
        """A directory, a fifo that nobody writes to, and nothing are refused at once."""
        os.mkfifo(self.directory / "fifo")
        self.refused(errno.EISDIR, self.directory)
        self.refused(errno.EINVAL, self.directory / "fifo")
        self.refused(errno.ENOENT, self.directory / "nosuch")

    def test_dump(self) -> None:
        """A dump is for its user alone; a fifo without a reader is refused at once."""
        path = self.directory / "dump"
        file = MACHINE.open_dump(str(path))
        file.write(b"x")
        file.close()
        self.assertEqual((path.stat().st_mode & 0o777, path.read_bytes()), (0o600, b"x"))
        os.mkfifo(self.directory / "fifo")
        error = self.assertRaises(OSError, MACHINE.open_dump, str(self.directory / "fifo"))
        self.assertEqual(error.errno, errno.ENXIO)

    def test_users(self) -> None:
        """Users and groups are known by name and by number, and shown by name if they have one."""
        for number_of, name_of in (
            (MACHINE.user_id, MACHINE.user_name),
            (MACHINE.group_id, MACHINE.group_name),
        ):
            self.assertEqual((number_of("root"), number_of("0"), name_of(0)), (0, 0, "root"))
            self.assertEqual(number_of(name_of(54321)), 54321)
            self.assertEqual(name_of(54321), "54321")
            for wrong in ("nosuchname", "-1", "4294967295", "9" * 999, "²", ""):
                self.assertRaises(KeyError, number_of, wrong)
