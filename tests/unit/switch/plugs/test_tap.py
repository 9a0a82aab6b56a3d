"""Taps without one: names, and what the machine says when it is asked for one."""

from __future__ import annotations

import errno
import fcntl
import os

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.errors import StartupError
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.core.link import IFrameLink
from distnet.switch.plugs import tap
from distnet.switch.plugs.descriptor import Errors
from distnet.switch.plugs.tap import TapLink, TapService, check_name, open_tap
from distnet.testing import FakeFrameLink, NotingBridgeObserver
from tests.unit.switch.core.stations import BROADCAST, frame

FRAME = frame(BROADCAST, 1, b"payload")


class NameTests(SynchronousTestCase):
    """Tests for C{check_name}."""

    def test_names(self) -> None:
        """Names are what the kernel takes for an interface's."""
        for name in ("tap0", "x" * 15, "a.b-c_d", "tap%d"):
            self.assertEqual(check_name(name), name)
        for name in ("", "x" * 16, "é" * 8, "a/b", "a b", "a\tb", "a:b", ".", ".."):
            error = self.assertRaises(ValueError, check_name, name)
            self.assertIn(repr(name), str(error))


class TapServiceTests(SynchronousTestCase):
    """Tests for C{TapService} and its link, with a pipe in the place of a tap."""

    def setUp(self) -> None:
        """Make a service that gets a descriptor of ours."""
        self.reactor = MemoryReactorClock()
        self.bridge = Bridge(BridgeLimits(), NotingBridgeObserver(), self.reactor, numports=3)
        self.errors = Errors()
        self.ours = os.pipe2(os.O_NONBLOCK)
        for descriptor in self.ours:
            self.addCleanup(os.close, descriptor)
        self.addCleanup(self.bridge.stop)

    def open(self, name: str) -> tuple[int, str]:
        """In the place of C{open_tap}."""
        return os.dup(self.ours[0]), f"{name}0"

    def plug(self) -> tuple[TapService, TapLink]:
        """A service with its tap plugged in."""
        self.patch(tap, "open_tap", self.open)
        service = TapService(self.reactor, self.bridge, "tap", self.errors)
        service.privilegedStartService()
        link = service._link
        # Afterwards there may not be the privilege for it.
        assert link is not None
        service.startService()
        return service, link

    def test_plugged_in(self) -> None:
        """It gets the first free port, under the name that the kernel gave it."""
        self.bridge.attach(FakeFrameLink(), 1)
        _, link = self.plug()
        verifyObject(IFrameLink, link)
        verifyObject(IReadWriteDescriptor, link)
        (endpoint,) = self.bridge.ports[2].endpoints
        self.assertIs(endpoint.link, link)
        self.assertEqual((endpoint.description, link.module), ("tap0", "tuntap"))
        self.assertIn(link, self.reactor.getReaders())

    def test_frames(self) -> None:
        """What is read is a frame; what is refused is counted by reason."""
        other = FakeFrameLink()
        endpoint = self.bridge.attach(other)
        _, link = self.plug()
        os.write(self.ours[1], FRAME)
        link.doRead()
        self.assertEqual(other.read(), [FRAME])
        # One that is only read cannot be written.
        self.bridge.received(endpoint, FRAME)
        self.assertEqual(self.errors, {"EBADF": 1})

    def test_no_free_port(self) -> None:
        """Without a free port for it the start fails, in one line."""
        self.bridge.attach(FakeFrameLink())
        self.bridge.attach(FakeFrameLink())
        error = self.assertRaises(StartupError, self.plug)
        self.assertIn("cannot plug in tap0: none of 2 ports is free (--numports)", str(error))

    def test_ends(self) -> None:
        """It ends with the service, by the console, or when it is removed: each time all of it."""
        for how in ("stop", "console", "removed"):
            service, link = self.plug()
            (endpoint,) = self.bridge.ports[1].endpoints
            descriptor = link.fileno()
            if how == "console":
                self.bridge.close_endpoint(1, endpoint.number)
            elif how == "removed":
                link.connectionLost(Failure(ConnectionLost()))
            else:
                service.stopService()
            self.assertTrue(endpoint.gone)
            self.assertNotIn(link, self.reactor.getReaders())
            self.assertRaises(OSError, os.fstat, descriptor)
            service.stopService()


class OpenTests(SynchronousTestCase):
    """Tests for C{open_tap}."""

    def test_advice(self) -> None:
        """What the machine refuses is told with what to do, and the device is closed again."""
        opened: list[int] = []

        def opens(path: str, flags: int) -> int:
            opened.append(os.dup(2))
            return opened[-1]

        self.patch(os, "open", opens)
        for number, says in (
            (errno.EPERM, "CAP_NET_ADMIN"),
            (errno.EBUSY, "another process has it"),
            (errno.EINVAL, "of another kind"),
            (errno.EIO, "Input/output error"),
        ):

            def refuses(*arguments: object, number: int = number) -> bytes:
                raise OSError(number, os.strerror(number))

            self.patch(fcntl, "ioctl", refuses)
            error = self.assertRaises(StartupError, open_tap, "tap0")
            self.assertIn(says, str(error))
            self.assertIn("cannot plug in tap0: ", str(error))
            self.assertRaises(OSError, os.fstat, opened[-1])

    def test_no_device(self) -> None:
        """Without the device, or access to it, the line says what would give it."""
        for number, says in (
            (errno.ENOENT, "modprobe tun"),
            (errno.ENODEV, "modprobe tun"),
            (errno.EACCES, "start as root"),
            (errno.EPERM, "let the container use the device"),
        ):

            def refuses(*arguments: object, number: int = number) -> int:
                raise OSError(number, os.strerror(number))

            self.patch(os, "open", refuses)
            self.assertIn(says, str(self.assertRaises(StartupError, open_tap, "tap0")))
