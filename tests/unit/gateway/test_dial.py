"""Connections to the master that are being made, over real sockets."""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from distnet.address import TcpAddress, UnixAddress
from distnet.gateway import dial
from distnet.gateway.dial import Dial
from distnet.gateway.loop import Loop
from distnet.sockets.cutting import is_cutting
from tests.unit.gateway.limits import no_descriptor_left, open_descriptors


class DialTests(SynchronousTestCase):
    """L{Dial}"""

    def setUp(self) -> None:
        """A loop that ends, should nothing happen."""
        self.loop = Loop()
        self.loop.begin()
        self.addCleanup(self.loop.close)
        self.loop.call_later(20, self.fail, "nothing has happened")
        self.connected: list[socket.socket] = []
        self.failed: list[str] = []

    def dial(self, address: TcpAddress | UnixAddress, *, cuts: bool = False) -> Dial:
        """Connect."""

        def connected(sock: socket.socket, cuts: bool) -> None:
            self.cuts = cuts
            self.addCleanup(sock.close)
            self.connected.append(sock)
            self.loop.stop()

        def failed(why: str) -> None:
            self.failed.append(why)
            self.loop.stop()

        return Dial(self.loop, address, connected, failed, cuts=cuts)

    def listener(self, family: int, where: object) -> socket.socket:
        """A master."""
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.bind(where)  # type: ignore[arg-type]
        sock.listen(1)
        return sock

    def test_tcp(self) -> None:
        """By TCP, without delay; nothing is called before it returns."""
        master = self.listener(socket.AF_INET, ("127.0.0.1", 0))
        self.dial(TcpAddress("127.0.0.1", master.getsockname()[1]))
        self.assertEqual(self.connected, [])
        self.loop.run()
        (sock,) = self.connected
        self.assertFalse(sock.getblocking())
        self.assertTrue(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        peer = master.accept()[0]
        peer.send(b"0")
        peer.close()
        self.assertEqual(sock.recv(10), b"0")
        # Its timer does not come later.
        self.assertEqual(sum(timer.active() for _, _, timer in self.loop._timers), 1)

    def test_ipv6(self) -> None:
        """By IPv6."""
        try:
            master = self.listener(socket.AF_INET6, ("::1", 0))
        except OSError:
            self.skipTest("there is no IPv6 here")
        self.dial(TcpAddress("::1", master.getsockname()[1]))
        self.loop.run()
        self.assertEqual(len(self.connected), 1)

    def test_unix(self) -> None:
        """By a unix socket."""
        path = os.path.relpath(self.mktemp())
        self.listener(socket.AF_UNIX, path)
        self.dial(UnixAddress(path))
        self.loop.run()
        self.assertEqual(len(self.connected), 1)

    def test_a_name(self) -> None:
        """A unix socket has a name, if asked, by which the master knows that it cuts."""
        path = os.path.relpath(self.mktemp())
        master = self.listener(socket.AF_UNIX, path)
        master.listen(2)
        for cuts in (True, False):
            self.dial(UnixAddress(path), cuts=cuts)
            self.loop.run()
            with master.accept()[0] as peer:
                self.assertEqual((self.cuts, is_cutting(peer)), (cuts, cuts))
        tcp = self.listener(socket.AF_INET, ("127.0.0.1", 0))
        self.dial(TcpAddress("127.0.0.1", tcp.getsockname()[1]), cuts=True)
        self.loop.run()
        with tcp.accept()[0] as peer:
            self.assertEqual((self.cuts, is_cutting(peer)), (False, False))

    def test_refused(self) -> None:
        """If nobody listens, that is told, and nothing stays open."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = TcpAddress("127.0.0.1", nobody.getsockname()[1])
        before = open_descriptors()
        for where in (address, UnixAddress("/nowhere/at/all")):
            self.dial(where)
            self.loop.run()
        self.assertEqual(
            self.failed,
            [
                f"{address}: {os.strerror(errno.ECONNREFUSED)}",
                f"unix:/nowhere/at/all: {os.strerror(errno.ENOENT)}",
            ],
        )
        self.assertEqual(open_descriptors(), before)

    def test_impossible(self) -> None:
        """An address that cannot be is told likewise."""
        self.dial(UnixAddress("/" + "x" * 200))
        self.loop.run()
        self.assertEqual(len(self.failed), 1)
        self.assertEqual(self.connected, [])

    def test_no_descriptor(self) -> None:
        """So is it if there is no descriptor for it."""
        self.dial(TcpAddress("127.0.0.1", 1234))
        with no_descriptor_left():
            self.loop.run()
        self.assertIn(os.strerror(errno.EMFILE), self.failed[0])

    def test_no_answer(self) -> None:
        """One that does not answer is given up after some time."""
        self.patch(dial, "CONNECT_SECONDS", 0.05)
        address = self.deaf()
        before = open_descriptors()
        self.dial(address)
        self.loop.run()
        self.assertEqual(self.failed, [f"{address} does not answer"])
        self.assertEqual(open_descriptors(), before)

    def deaf(self) -> TcpAddress:
        """Where connections are neither made nor refused: a queue that is full."""
        master = self.listener(socket.AF_INET, ("127.0.0.1", 0))
        for _ in range(10):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(master.getsockname())
        return TcpAddress("127.0.0.1", master.getsockname()[1])

    def test_cancelled(self) -> None:
        """Nobody is called if it is not wanted any more, whether it has begun or not."""
        address = self.deaf()
        before = open_descriptors()
        self.dial(address).cancel()
        begun = self.dial(address)
        self.loop.call_later(0.02, begun.cancel)
        self.loop.call_later(0.04, self.loop.stop)
        self.loop.run()
        self.assertEqual((self.connected, self.failed), ([], []))
        self.assertEqual(open_descriptors(), before)
        begun.cancel()
