"""What native code asks Python for in a guest's process, and what becomes of exceptions there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from ctypes.util import find_library
from types import SimpleNamespace
from typing import Any, NoReturn

from twisted.trial.unittest import SynchronousTestCase

from distnet import _native
from distnet.gateway.channel import Channel, Message, pair
from distnet.gateway.forward import make_listener
from distnet.gateway.guest_process import GuestProcess
from distnet.gateway.merge import batch_of
from distnet.gateway.native_datapath import NativeDatapath, NativeRest
from distnet.gateway.segments import ACK
from tests.gateways import FrameGuest
from tests.unit.gateway.limits import no_descriptor_left


class NativeTestCase(SynchronousTestCase):
    """A datapath that does not run."""

    def setUp(self) -> None:
        """It is made."""
        if find_library("slirp") is None:
            self.skipTest("no libslirp0 here")
        try:
            native = _native.load_guest()
        except _native.NotNative as error:
            self.skipTest(str(error))
        self.datapath = NativeDatapath(native, nat=True, fixed=frozenset())


class NativeRestTests(NativeTestCase):
    """L{NativeRest}"""

    def setUp(self) -> None:
        """That of a process that does not run, and what that tells the gateway."""
        super().setUp()
        self.process = GuestProcess(self.datapath)
        self.told: list[Message] = []
        self.patch(self.datapath, "tell", self.told.append)
        self.seen: list[bool] = []
        guest = SimpleNamespace(set_asking=self.seen.append)
        self.rest = NativeRest(guest, self.datapath.loop, self.process)

    def test_idle(self) -> None:
        """
        It is not idle while its guest has a connection to others that is in use.

        What the guest sends there is only seen here while it was asked for that.
        """
        outside = self.process._outside
        self.patch(outside, "are_in_use", lambda mac: bool(outside.asked))
        outside.asked.add(b"a connection")
        self.rest.idle()
        self.assertEqual((self.told, self.seen), ([], [True]))
        self.patch(self.process, "received", lambda *_: outside.asked.clear())
        for _ in range(2):
            self.rest.received(b"an answer")
            self.assertEqual(self.seen, [True, False])
        self.rest.idle()
        self.assertEqual((self.told, self.seen), ([{"idle": True}], [True, False, False]))


class Rest:
    """In the place of the process: does what the test says, and has a mistake in the rest."""

    def __init__(self, told: Callable[[], object]) -> None:
        self._told = told

    def told(self, data: bytes, descriptors: list[int]) -> None:
        """A message has come."""
        self._told()

    @staticmethod
    def wait() -> float:
        """There are no timers."""
        return -1

    def __getattr__(self, name: str) -> Callable[..., object]:
        def fail(*_: object) -> NoReturn:
            raise ZeroDivisionError(name)

        return fail


class ExceptionTests(NativeTestCase):
    """An exception of Python's ends it all, wherever it was raised."""

    def setUp(self) -> None:
        """libslirp is to answer a frame, and Python to see the answer."""
        super().setUp()
        self.guest: Any = self.datapath._guest
        self.asking: list[bytes] = []
        FrameGuest(self.asking.append, lambda: b"").arp("10.0.2.2")
        self.frames, its_frames = pair()
        control, its_control = pair()
        listener, name = make_listener()
        self.addCleanup(os.close, name)
        for sock in (self.frames, its_frames, control, its_control, listener):
            self.addCleanup(sock.close)
        self.channel = Channel(control)
        self.descriptors = [each.fileno() for each in (its_frames, its_control, listener)]

    def run_with(self, told: Callable[[], object]) -> None:
        """Let the process do this, and whatever follows."""
        self.channel.send({"a message": True})
        self.guest.run(Rest(told), b"\x02\0\0\0\0\x40", *self.descriptors)

    def answer(self) -> None:
        """libslirp answers."""
        self.guest.set_outward(_native.load_guest().OUTWARD_ALL)
        self.guest.input(self.asking[0])

    def test_in_what_python_calls(self) -> None:
        """It goes through what Python has called, to where it was called from."""

        def told() -> None:
            self.assertRaises(ZeroDivisionError, self.answer)
            raise LookupError("the next one")

        self.assertRaises(LookupError, self.run_with, told)

    def test_what_is_called_afterwards(self) -> None:
        """Nothing goes on, even if somebody catches it."""
        guest, address = self.guest, bytes(4)
        calls: list[tuple[Callable[..., object], Any]] = [
            (guest.input, (self.asking[0],)),
            (guest.put, (self.asking[0],)),
            *((each, ()) for each in (guest.turn, guest.flush, guest.read)),
            *((each, (address,)) for each in (guest.introduce, guest.doubt)),
            (guest.prove, (False, False)),
            (guest.segment, (self.asking[0], address, 1, ACK, 1, 1, 1)),
            (guest.abort_all, ("a test", True)),
            (guest.found, (1, b"path", 0, True)),
            (guest.not_found, (1, b"why")),
            (guest.change_plug, (-1,)),
        ]

        def told() -> None:
            self.assertRaises(ZeroDivisionError, self.answer)
            for call, words in calls:
                self.assertRaisesRegex(RuntimeError, "caught", call, *words)

        self.assertRaisesRegex(RuntimeError, "caught", self.run_with, told)

    def test_no_descriptor(self) -> None:
        """Without a descriptor for its loop it does not begin."""
        with no_descriptor_left():
            error = self.assertRaises(OSError, self.run_with, lambda: None)
        self.assertEqual(error.errno, errno.EMFILE)

    def test_what_cannot_be_waited_for(self) -> None:
        """Nor does it wait for ever for what cannot be waited for."""
        with open(__file__) as file:
            self.descriptors[0] = file.fileno()
            error = self.assertRaises(OSError, self.run_with, lambda: None)
        self.assertEqual(error.errno, errno.EPERM)

    def test_frames(self) -> None:
        """One of what frames are handed to is raised."""
        self.frames.send(batch_of(self.asking))
        self.assertRaisesRegex(ZeroDivisionError, "received", self.run_with, lambda: None)

    def test_the_gateway_has_gone(self) -> None:
        """One of what ends the process is raised."""
        self.assertRaisesRegex(ZeroDivisionError, "gone", self.run_with, self.frames.close)


class ImportTests(SynchronousTestCase):
    """What a native process has in memory."""

    def test_nothing_of_the_pure_one(self) -> None:
        """Nothing that only the pure datapath needs is loaded before it is known to be needed."""
        show = "import sys, distnet.gateway.zygote; print(*sys.modules)"
        loaded = subprocess.check_output([sys.executable, "-c", show], text=True).split()
        for name in ("pure_datapath", "stack", "relay", "dial"):
            self.assertNotIn(f"distnet.gateway.{name}", loaded)
        self.assertIn("distnet.gateway.native_datapath", loaded)
