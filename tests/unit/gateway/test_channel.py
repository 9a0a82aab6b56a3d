"""Messages between the gateway and guests' processes, over real sockets."""

from __future__ import annotations

import fcntl
import os

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.channel import MAX_MESSAGE, Channel, close_all, pair
from tests.unit.gateway.limits import no_descriptor_left, open_descriptors


class ChannelTests(SynchronousTestCase):
    """L{Channel}"""

    def setUp(self) -> None:
        """Two ends."""
        self.one, self.other = map(Channel, pair())
        self.addCleanup(self.one.close)
        self.addCleanup(self.other.close)

    def test_messages(self) -> None:
        """Each message comes as it was sent, in order."""
        for number in range(3):
            self.assertTrue(self.one.send({"number": number, "text": "ä\n"}))
        for number in range(3):
            self.assertEqual(self.other.receive(), ({"number": number, "text": "ä\n"}, []))
        self.assertRaises(BlockingIOError, self.other.receive)

    def test_descriptors(self) -> None:
        """Descriptors come with their message, and no program that is started has them."""
        near, far = os.pipe()
        self.one.send({"a": 1}, near, far)
        self.one.send({"b": 2})
        os.close(near)
        received = self.other.receive()
        assert received is not None
        message, (its_near, its_far) = received
        self.assertEqual(message, {"a": 1})
        self.assertTrue(fcntl.fcntl(its_near, fcntl.F_GETFD) & fcntl.FD_CLOEXEC)
        os.write(its_far, b"through")
        self.assertEqual(os.read(its_near, 10), b"through")
        close_all([its_near, its_far, far])
        self.assertRaises(OSError, os.fstat, its_near)
        # It is harmless for those that are not there.
        close_all([its_near])
        self.assertEqual(self.other.receive(), ({"b": 2}, []))

    def test_no_room_for_descriptors(self) -> None:
        """Of descriptors that there is no room for, the message comes all the same."""
        near, far = os.pipe()
        self.one.send({"a": 1}, near, far)
        with no_descriptor_left(1):
            received = self.other.receive()
        assert received is not None
        message, descriptors = received
        self.assertEqual((message, len(descriptors)), ({"a": 1}, 1))
        close_all([*descriptors, near, far])

    def test_too_long(self) -> None:
        """One that is too long says nothing, takes no descriptor with it, and ends nothing."""
        near, far = os.pipe()
        before = open_descriptors()
        self.one.send({"long": "x" * MAX_MESSAGE}, near)
        self.one.send({"short": 1})
        self.assertEqual(self.other.receive(), ({}, []))
        self.assertEqual(open_descriptors(), before)
        self.assertEqual(self.other.receive(), ({"short": 1}, []))
        close_all([near, far])

    def test_no_room(self) -> None:
        """If the other end does not read, a message is lost, and that is told and counted."""
        sent = 0
        while self.one.send({"number": sent}):
            sent += 1
        self.assertFalse(self.one.send({"number": sent}))
        self.assertEqual(self.one.lost, 2)
        for number in range(sent):
            self.assertEqual(self.other.receive(), ({"number": number}, []))
        self.assertRaises(BlockingIOError, self.other.receive)

    def test_gone(self) -> None:
        """What was sent before the other end went still comes, and then nothing does."""
        self.one.send({"bye": True})
        self.one.close()
        self.assertEqual(self.other.receive(), ({"bye": True}, []))
        self.assertIsNone(self.other.receive())
        self.assertFalse(self.other.send({}))

    def test_gone_without_reading_all(self) -> None:
        """That holds for one that had not read all, too."""
        self.other.send({"found": 1})
        for number in range(2):
            self.one.send({"open": number})
        self.one.close()
        for number in range(2):
            self.assertEqual(self.other.receive(), ({"open": number}, []))
        self.assertIsNone(self.other.receive())

    def test_closed(self) -> None:
        """One that was closed here takes nothing, and nothing comes."""
        self.one.close()
        self.assertFalse(self.one.send({}))
        self.assertIsNone(self.one.receive())
