"""Datagrams of this machine's to a guest, and its answers."""

from __future__ import annotations

import socket
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import datagrams
from distnet.gateway.datagrams import Datagrams
from distnet.gateway.fragments import Fragments
from distnet.gateway.hostforward import parse_forwards
from distnet.gateway.loop import Loop
from distnet.gateway.packets import checksum
from distnet.gateway.udp import MOST_WHOLE, frames_to
from distnet.guestnet import PLAN
from tests.gateways import FrameGuest, gateway_mac, packed
from tests.unit.gateway.loops import ClockLoop

MAC = b"\x02\x00\x00\x00\x00\x01"
GUEST = "10.0.2.17"


class FramesTests(SynchronousTestCase):
    """A datagram as frames."""

    def test_fragments(self) -> None:
        """One that is too long for a frame comes in fragments that make it again."""
        for size in (0, 1, MOST_WHOLE, MOST_WHOLE + 1, 2 * MOST_WHOLE + 8, 65507):
            payload = bytes(number % 251 for number in range(size))
            frames = frames_to(MAC, (packed("10.0.2.2"), 1), (packed(GUEST), 2), payload, 77)
            self.assertEqual(len(frames) == 1, size <= MOST_WHOLE)
            whole: bytes | None = frames[0]
            if len(frames) > 1:
                fragments = Fragments()
                whole = [fragments.add(frame, 0.0) for frame in frames][-1]
            assert whole is not None
            self.assertEqual(whole[:14], MAC + gateway_mac("10.0.2.2") + b"\x08\x00")
            self.assertEqual(whole[42:], payload)
            pseudo = whole[26:34] + b"\0\x11" + whole[38:40]
            self.assertEqual(checksum(pseudo + whole[34:] + bytes(size % 2)), bytes(2))
            for frame in frames:
                self.assertLessEqual(len(frame), 1514)
                self.assertEqual(checksum(frame[14:34]), bytes(2))


class DatagramsTests(SynchronousTestCase):
    """Two ports of this machine, to the same port of a guest."""

    def setUp(self) -> None:
        self.frames: list[bytes] = []
        self.loop = ClockLoop()
        self.datagrams = Datagrams(cast(Loop, self.loop), PLAN, self.frames.append)
        self.datagrams.mac = MAC
        self.ports = []
        self.forwards = []
        for _ in range(2):
            with self.near() as near:
                near.bind(("127.0.0.1", 0))
                port = near.getsockname()[1]
            (forward,) = parse_forwards([f"{port}={GUEST}:53/udp"], PLAN)
            self.datagrams.add(forward)
            self.addCleanup(self.close, forward)
            self.ports.append(port)
            self.forwards.append(forward)
        self.answered = True
        self.guest = FrameGuest(self.answer, lambda: b"", GUEST, MAC)

    def near(self) -> socket.socket:
        """A socket of this machine's."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.settimeout(5)
        return sock

    def close(self, forward: object) -> None:
        """No more datagrams, if there still are any."""
        for each in list(self.loop.readers):
            if each in [sock.fileno() for sock in self.datagrams._sockets.values()]:
                for other in list(self.datagrams._sockets):
                    self.datagrams.remove(other)

    def answer(self, frame: bytes) -> None:
        """The guest sends a frame."""
        self.answered = self.datagrams.answer(frame)

    def asked(self, near: socket.socket, port: int, payload: bytes = b"?") -> int:
        """A datagram of this machine's comes: the port at 10.0.2.2 that it comes from."""
        near.sendto(payload, ("127.0.0.1", port))
        for readable in list(self.loop.readers.values()):
            readable()
        frame = self.frames.pop()
        self.assertEqual(self.frames, [])
        self.assertEqual(frame[26:34], packed("10.0.2.2") + packed(GUEST))
        self.assertEqual(frame[36:38], (53).to_bytes(2))
        self.assertEqual(frame[42:], payload)
        return int.from_bytes(frame[34:36])

    def says(self, alias: int, payload: bytes) -> None:
        """The guest answers there."""
        self.guest.udp("10.0.2.2", (53, alias), payload, gateway_mac("10.0.2.2"))

    def test_answers(self) -> None:
        """Each sender has a port of its own, as long as that is free its own port."""
        one, other = self.near(), self.near()
        aliases = [self.asked(near, port) for near in (one, other) for port in self.ports]
        self.assertEqual(len(set(aliases)), 4)
        self.assertEqual(aliases[0], one.getsockname()[1])
        self.assertEqual(aliases[0], self.asked(one, self.ports[0]))
        for number, alias in enumerate(aliases):
            self.says(alias, b"%d" % number)
            self.assertTrue(self.answered)
            near = (one, other)[number // 2]
            self.assertEqual(
                near.recvfrom(10), (b"%d" % number, ("127.0.0.1", self.ports[number % 2]))
            )

    def test_nobody_asked(self) -> None:
        """What answers nobody is not taken, wherever it comes from or goes to."""
        alias = self.asked(self.near(), self.ports[0])
        self.says(alias - 1, b"x")
        self.assertFalse(self.answered)
        self.guest.udp("10.0.2.2", (54, alias), b"x", gateway_mac("10.0.2.2"))
        self.assertFalse(self.answered)
        self.guest.udp("10.0.2.3", (53, alias), b"x", gateway_mac("10.0.2.3"))
        self.assertFalse(self.answered)

    def test_cut(self) -> None:
        """A datagram that says to be longer than its packet is nobody's."""
        near = self.near()
        alias = self.asked(near, self.ports[0])
        head = b"\0\x35" + alias.to_bytes(2)
        for length in (b"\0\x07", b"\0\x0a"):
            self.guest.ip("10.0.2.2", 17, head + length + bytes(2) + b"x", gateway_mac("10.0.2.2"))
        self.guest.ip("10.0.2.2", 17, head, gateway_mac("10.0.2.2"))
        near.setblocking(False)
        self.assertRaises(BlockingIOError, near.recv, 1)

    def test_most(self) -> None:
        """Who was silent for longest is forgotten when there are too many."""
        self.patch(datagrams, "MOST_SENDERS", 2)
        first, second, third = self.near(), self.near(), self.near()
        aliases = [self.asked(near, self.ports[0]) for near in (first, second)]
        self.says(aliases[0], b"you are there")
        self.asked(third, self.ports[0])
        self.says(aliases[1], b"x")
        self.assertFalse(self.answered)
        self.says(aliases[0], b"x")
        self.assertTrue(self.answered)

    def test_removed(self) -> None:
        """Of a port that does not lead there any more nothing is left."""
        near = self.near()
        aliases = [self.asked(near, port) for port in self.ports]
        self.datagrams.remove(self.forwards[0])
        self.assertEqual(len(self.loop.readers), 1)
        self.says(aliases[0], b"x")
        self.assertFalse(self.answered)
        self.says(aliases[1], b"x")
        self.assertTrue(self.answered)
