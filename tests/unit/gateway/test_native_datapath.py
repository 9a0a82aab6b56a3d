"""What native code asks Python for in a guest's process."""

from __future__ import annotations

import subprocess
import sys
from ctypes.util import find_library
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from distnet import _native
from distnet.gateway.channel import Message
from distnet.gateway.guest_process import GuestProcess
from distnet.gateway.native_datapath import NativeDatapath, NativeRest


class NativeRestTests(SynchronousTestCase):
    """L{NativeRest}"""

    def setUp(self) -> None:
        """One of a process that does not run, and what that tells the gateway."""
        if find_library("slirp") is None:
            self.skipTest("no libslirp0 here")
        try:
            native = _native.load_guest()
        except _native.NotNative as error:
            self.skipTest(str(error))
        datapath = NativeDatapath(native, nat=True, fixed=frozenset())
        self.process = GuestProcess(datapath)
        self.told: list[Message] = []
        self.patch(datapath, "tell", self.told.append)
        self.seen: list[bool] = []
        guest = SimpleNamespace(set_asking=self.seen.append)
        self.rest = NativeRest(guest, datapath.loop, self.process)

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


class ImportTests(SynchronousTestCase):
    """What a native process has in memory."""

    def test_nothing_of_the_pure_one(self) -> None:
        """Nothing that only the pure datapath needs is loaded before it is known to be needed."""
        show = "import sys, distnet.gateway.zygote; print(*sys.modules)"
        loaded = subprocess.check_output([sys.executable, "-c", show], text=True).split()
        for name in ("pure_datapath", "stack", "relay", "dial"):
            self.assertNotIn(f"distnet.gateway.{name}", loaded)
        self.assertIn("distnet.gateway.native_datapath", loaded)
