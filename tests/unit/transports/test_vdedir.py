"""The directory of a VDE switch."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import StartupError
from distnet.transports.vdedir import Permissions, VdeDirectory, is_dead


class PermissionsTests(SynchronousTestCase):
    """Tests for C{Permissions}."""

    def test_what_one_option_says_of_the_other(self) -> None:
        """Each of the modes implies the other, as vde_switch was seen to do it."""
        for mode, directory, expected in (
            (None, None, (0o600, 0o2700)),
            (0o666, None, (0o666, 0o2777)),
            (0o644, None, (0o644, 0o2755)),
            (0o660, None, (0o660, 0o2770)),
            (None, 0o777, (0o666, 0o777)),
            (None, 0o700, (0o600, 0o700)),
            (0o622, 0o2755, (0o622, 0o2755)),
        ):
            found = Permissions.from_options(mode, directory)
            self.assertEqual((found.mode, found.directory), expected)


class VdeDirectoryTests(SynchronousTestCase):
    """Tests for C{VdeDirectory}."""

    def setUp(self) -> None:
        """A place for it; trial's own are too long for sockets."""
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.path = self.home / "s"
        self.directory = VdeDirectory(str(self.path), Permissions(0o660, 0o2770))

    def socket(self, name: str) -> socket.socket:
        """A datagram socket in the directory."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sock.close)
        sock.bind(str(self.path / name))
        return sock

    def refuses(self, says: str, directory: VdeDirectory) -> None:
        """A directory is refused in one line that has a text."""
        why = str(self.assertRaises(StartupError, directory.claim))
        self.assertIn(says, why)
        self.assertNotIn("\n", why)

    def test_made(self) -> None:
        """It is made, with its mode, or an old one is given that."""
        for _ in range(2):
            self.directory.claim()
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o2770)
            self.path.chmod(0o755)

    def test_refused(self) -> None:
        """What cannot be a switch's directory is refused, and not changed."""
        self.refuses("No such file", VdeDirectory(f"{self.home}/no/s", Permissions()))
        (self.home / "file").touch()
        self.refuses("is something else", VdeDirectory(f"{self.home}/file", Permissions()))
        shared = self.home / "shared"
        shared.mkdir()
        shared.chmod(0o1777)
        self.refuses("all users share", VdeDirectory(str(shared), Permissions()))
        self.assertEqual(stat.S_IMODE(shared.stat().st_mode), 0o1777)
        long = self.home / ("x" * (96 - len(str(self.home))))
        self.refuses("it can have 95", VdeDirectory(str(long), Permissions()))

    def test_the_longest_path(self) -> None:
        """The sockets of the longest path that is taken can be bound."""
        path = self.home / ("x" * (94 - len(str(self.home))))
        directory = VdeDirectory(str(path), Permissions())
        directory.claim()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            directory.bind(sock, directory.data_path(9999, 999999), os.geteuid())

    def test_only_what_is_dead_is_removed(self) -> None:
        """Sockets of switches and clients that nobody has open any more are removed, no others."""
        self.directory.claim()
        for name in ("001.5", "1000.17", ".00001-00001", ".4194304-00001", "other"):
            self.socket(name).close()
        alive = [self.socket(name) for name in ("002.6", ".00002-00001")]
        (self.path / "003.7").write_text("a file")
        self.assertEqual(self.directory.sweep(), 4)
        left = sorted(path.name for path in self.path.iterdir())
        self.assertEqual(left, [".00002-00001", "002.6", "003.7", "other"])
        self.assertEqual(len(alive), 2)

    def test_left(self) -> None:
        """It is removed in the end, unless something is in it."""
        self.directory.claim()
        (self.path / "notes").touch()
        self.directory.leave()
        self.assertTrue(self.path.exists())
        (self.path / "notes").unlink()
        self.directory.leave()
        self.assertFalse(self.path.exists())
        self.directory.leave()

    def test_data_sockets(self) -> None:
        """A data socket takes the place of a dead one, and is for its client."""
        self.directory.claim()
        path = self.directory.data_path(7, 12)
        self.assertEqual(path, f"{self.path}/007.12")
        for private in (False, True):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.directory.bind(sock, path, os.geteuid(), private=private)
            expected = 0o600 if private or os.geteuid() == 0 else 0o660
            self.assertEqual(stat.S_IMODE(Path(path).stat().st_mode), expected)
            self.assertFalse(is_dead(path))
            sock.close()
            self.assertTrue(is_dead(path))
