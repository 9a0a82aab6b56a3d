"""What a guest's process does in real time, by real sockets, whether it is native or pure."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import termios
from typing import Any, ClassVar

from distnet._native import SWITCH
from distnet.gateway.channel import Message
from distnet.gateway.segments import ACK, RST
from tests.daemons import PATIENCE
from tests.gateways import FrameGuest
from tests.unit.gateway.test_zygote import ZygoteTestCase


class BothTestCase(ZygoteTestCase):
    """A guest's process, and its guest, which is connected but for the master."""

    def setUp(self) -> None:
        """It asks where the master is."""
        super().setUp()
        self.process = self.started()
        self.guest = FrameGuest(self.process.give, self.process.receive)
        self.guest.connect()
        self.process.hear("open")

    def listening(self, where: Any, family: int) -> socket.socket:
        """A master."""
        master = socket.socket(family)
        self.addCleanup(master.close)
        master.settimeout(PATIENCE)
        master.bind(where)
        master.listen()
        return master

    def answer(self, place: Message) -> None:
        """Say where the master is."""
        self.process.channel.send({"found": self.process.hear("find")["find"], **place})

    def accepted(self, master: socket.socket) -> socket.socket:
        """The master's end of the guest's connection, when the guest has an id."""
        end = master.accept()[0]
        self.addCleanup(end.close)
        end.settimeout(PATIENCE)
        end.send(b"7")
        self.guest.until(lambda: self.guest.received == [b"7"])
        return end

    def said(self, what: str) -> str:
        """The next line for the log with certain words."""
        while what not in (line := self.process.hear("log")["log"]):
            pass
        return str(line)

    def is_there(self) -> None:
        """It goes on."""
        self.process.channel.send({"there": True})
        self.process.hear("here")


class ConnectionsTests(BothTestCase):
    """Connections to the master."""

    def test_reset_while_the_master_sends(self) -> None:
        """What the master sends when its guest has reset the connection ends that, and no more."""
        path = os.path.relpath(self.mktemp())
        master = self.listening(path, socket.AF_UNIX)
        self.answer({"path": path})
        end = self.accepted(master)
        # Something of the guest's is to wait for room meanwhile.
        before, waiting = -1, 0
        while waiting > before:
            self.send_window()
            before, waiting = waiting, self.unread(end)
        self.guest.tcp(RST | ACK)
        self.is_there()
        end.send(b"too late")
        self.said("has reset the connection")
        self.is_there()

    def send_window(self) -> None:
        """Send as much as libslirp takes at once, until it has acknowledged it."""
        for _ in range(40):
            self.guest.tcp(ACK, bytes(1400))
        acknowledged = b""
        while acknowledged != self.guest.sequence.to_bytes(4):
            frame = self.process.receive()
            if frame[12:14] == b"\x08\x00":
                acknowledged = frame[42:46]
            self.guest.take(frame)

    @staticmethod
    def unread(sock: socket.socket) -> int:
        """How many bytes there are to read."""
        return int.from_bytes(fcntl.ioctl(sock, termios.FIONREAD, bytes(4)), sys.byteorder)

    def test_a_name_in_the_abstract_namespace(self) -> None:
        """The master may have a name that is no path, of any bytes."""
        name = b"\0distnet-test-%d-\xff\0" % os.getpid()
        master = self.listening(name, socket.AF_UNIX)
        self.answer({"path": os.fsdecode(name)})
        self.accepted(master)
        shown = f"unix:@distnet-test-{os.getpid()}-\udcff@"
        self.assertTrue(self.said("connected to the master at").endswith(shown))

    def test_a_path_of_any_bytes(self) -> None:
        """The master may have a path that is not UTF-8."""
        path = os.fsencode(os.path.relpath(self.mktemp())) + b"\xc3\xa4\xff\xe2\x82"
        self.answer({"path": os.fsdecode(path)})
        line = self.said("waits for the master")
        shown = f"(unix:{os.fsdecode(path)}: No such file or directory)"
        self.assertTrue(line.endswith(shown), line)
        master = self.listening(path, socket.AF_UNIX)
        self.answer({"path": os.fsdecode(path)})
        self.accepted(master)

    def test_why_it_waits(self) -> None:
        """So may the reason be why there is none; each is said once."""
        for why in ("\udcff \N{EURO SIGN} \N{GRINNING FACE}", "nobody"):
            for _ in range(2):
                self.answer({"why": why})
        self.process.hear("find")
        lines = [each["log"] for each in self.process.said if "log" in each]
        waits = "10.0.2.40 (02:00:00:00:00:40): waits for the master"
        self.assertEqual(
            lines, [f"{waits} (\udcff \N{EURO SIGN} \N{GRINNING FACE})", f"{waits} (nobody)"]
        )

    def test_their_order(self) -> None:
        """Of several, the one that began first is ended first."""
        for _ in range(2):
            self.guest.port += 1
            self.guest.acknowledged = 0
            self.guest.connect()
            self.process.hear("open")
        self.process.channel.send({"end": "enough", "reset": True})
        self.process.hear("bye")
        ports = [each["over"][1] for each in self.process.said if "over" in each]
        self.assertEqual(ports, [4000, 4001, 4002])

    def test_an_address_with_a_scope(self) -> None:
        """An address of IPv6 may name the interface, RFC 4007."""
        try:
            master = self.listening(("::1", 0), socket.AF_INET6)
        except OSError:
            self.skipTest("there is no IPv6 here")
        port = master.getsockname()[1]
        self.answer({"host": "::1%no-such-one", "port": port})
        line = self.said("waits for the master")
        self.assertIn(f"(tcp:[::1%no-such-one]:{port}: Name or service not known)", line)
        # Of the loopback; names of interfaces are for addresses of a link, of which it has none.
        self.answer({"host": "::1%1", "port": port})
        self.accepted(master)


class PureConnectionsTests(ConnectionsTests):
    """The same without native code."""

    environment: ClassVar = {SWITCH: "0"}


class FixedTests(BothTestCase):
    """A guest that is a fixed node."""

    words: ClassVar = ["0a000228"]

    def test_others_connect_again_and_again(self) -> None:
        """However often others connect from its address, it has just so long to answer."""
        until = select.poll()
        until.register(self.process.channel.socket, select.POLLIN)
        for _ in range(10 * int(PATIENCE)):
            self.process.channel.send({"again": self.guest.address.hex()})
            while until.poll(100):
                received = self.process.channel.receive()
                assert received is not None
                if received[0].get("log", "").endswith("connects again"):
                    self.is_there()
                    return
        self.fail("it is waited for for ever")


class PureFixedTests(FixedTests):
    """The same without native code."""

    environment: ClassVar = {SWITCH: "0"}
