"""What a native process of a guest's asks Python for."""

from __future__ import annotations

from ctypes.util import find_library
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from distnet import _native
from distnet.gateway.channel import Message
from distnet.gateway.native_guest import NativeGuestProcess


class NativeGuestProcessTests(SynchronousTestCase):
    """L{NativeGuestProcess}"""

    def setUp(self) -> None:
        """One that does not run, and what it tells the gateway."""
        if find_library("slirp") is None:
            self.skipTest("no libslirp0 here")
        try:
            native = _native.load_guest()
        except _native.NotNative as error:
            self.skipTest(str(error))
        self.process = NativeGuestProcess(native, nat=True, fixed=frozenset())
        self.told: list[Message] = []
        self.patch(self.process, "_tell", self.told.append)

    def test_idle(self) -> None:
        """
        It is not idle while its guest has a connection to others that is in use.

        What the guest sends there is only seen here while it was asked for that.
        """
        seen: list[bool] = []
        guest = SimpleNamespace(set_asking=seen.append)
        self.patch(self.process, "_guest", guest)
        outside = self.process._outside
        self.patch(outside, "are_in_use", lambda mac: bool(outside.asked))
        outside.asked.add(b"a connection")
        self.process.idle()
        self.assertEqual((self.told, seen), ([], [True]))
        self.patch(self.process, "_received", lambda *_: outside.asked.clear())
        for _ in range(2):
            self.process.received(b"an answer")
            self.assertEqual(seen, [True, False])
        self.process.idle()
        self.assertEqual((self.told, seen), ([{"idle": True}], [True, False, False]))
