"""What becomes of exceptions in what libslirp calls: nobody knows what it was told."""

from __future__ import annotations

import os
from ctypes.util import find_library
from typing import NoReturn

from twisted.trial.unittest import SynchronousTestCase

from distnet import _native
from distnet.gateway.channel import Message
from distnet.gateway.datapath import Datapath
from distnet.gateway.guest_process import GuestProcess
from distnet.gateway.native_datapath import NativeDatapath
from distnet.gateway.pure_datapath import PureDatapath
from tests.gateways import FrameGuest


class FailureTests(SynchronousTestCase):
    """The process says where that was, and ends."""

    def setUp(self) -> None:
        """A process that does not end."""
        if find_library("slirp") is None:
            self.skipTest("no libslirp0 here")
        self.told: list[Message] = []
        self.ended: list[int] = []
        self.patch(os, "_exit", self.ended.append)

    def process(self, datapath: Datapath) -> GuestProcess:
        """The process with a datapath."""
        self.patch(datapath, "tell", self.told.append)
        return GuestProcess(datapath)

    def test_a_frame(self) -> None:
        """Without native code it is what sends frames that may fail."""
        datapath = PureDatapath(nat=False, fixed=frozenset())
        self.process(datapath)
        self.patch(datapath, "_lens", None)
        asking: list[bytes] = []
        FrameGuest(asking.append, lambda: b"").arp("10.0.2.2")
        datapath.network.input(asking[0])
        self.check("_send", "AttributeError")

    def test_a_complaint(self) -> None:
        """Natively only what libslirp complains to may."""
        try:
            native = _native.load_guest()
        except _native.NotNative as error:
            self.skipTest(str(error))
        datapath = NativeDatapath(native, nat=False, fixed=frozenset())
        process = self.process(datapath)

        def complain(line: str) -> NoReturn:
            raise ZeroDivisionError(line)

        self.patch(process, "complain", complain)
        network = datapath.network
        network._callbacks.guest_error(network._ffi.new("char[]", b"a guest"), network._ffi.NULL)
        self.check("complain", "ZeroDivisionError")

    def check(self, where: str, error: str) -> None:
        """It has said so much, and has ended."""
        self.assertEqual(self.ended, [1])
        (message,) = self.told
        self.assertTrue(message["warn"])
        for text in ("00:00:00:00:00:00: a callback of libslirp failed: ", where, error):
            self.assertIn(text, message["log"])
