"""Where libslirp connects for a guest."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.forward import Forward, make_listener, path_of
from tests.unit.gateway.limits import no_descriptor_left, open_descriptors


def left() -> set[Path]:
    """What is there of any gateway."""
    return set(Path("/tmp").glob("distnet-gateway-*"))


class ForwardTests(SynchronousTestCase):
    """L{make_listener} and L{Forward}"""

    def setUp(self) -> None:
        """What is there before."""
        self.before = left()

    def test_connect(self) -> None:
        """It is connected to by the descriptor of its name, which no file system has."""
        listener, name = make_listener()
        self.addCleanup(listener.close)
        self.assertEqual(left(), self.before)
        forward = Forward(listener)
        self.assertIsNone(forward.accept())
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path_of(name))
            accepted = forward.accept()
            assert accepted is not None
            with accepted:
                sock.send(b"data")
                self.assertEqual(accepted.recv(10), b"data")
        self.assertIsNone(forward.accept())
        os.close(name)

    def test_no_descriptor_to_accept(self) -> None:
        """Without a descriptor a connection waits."""
        listener, name = make_listener()
        self.addCleanup(listener.close)
        self.addCleanup(os.close, name)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path_of(name))
            with no_descriptor_left():
                self.assertRaises(OSError, Forward(listener).accept)
            accepted = Forward(listener).accept()
            assert accepted is not None
            accepted.close()

    def test_no_descriptor(self) -> None:
        """Without a descriptor, be it for the name alone, nothing stays, open or in /tmp."""
        held = open_descriptors()
        for but in range(2):
            with no_descriptor_left(but):
                self.assertRaises(OSError, make_listener)
        self.assertEqual(left(), self.before)
        self.assertEqual(open_descriptors(), held)

    def test_no_room(self) -> None:
        """Nor does anything stay if there is no room for a directory."""

        def fail(*_: object, **__: object) -> int:
            raise OSError(28, "No space left on device")

        held = open_descriptors()
        self.patch(os, "mkdir", fail)
        self.assertRaises(OSError, make_listener)
        self.assertEqual(open_descriptors(), held)
