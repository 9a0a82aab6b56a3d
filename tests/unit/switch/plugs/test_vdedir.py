"""The directory of a VDE switch."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import StartupError
from distnet.switch.plugs.vdedir import Permissions, VdeDirectory, is_dead


class PermissionsTests(SynchronousTestCase):
    """Tests for C{Permissions}."""

    def test_what_one_option_says_of_the_other(self) -> None:
        """Each of the modes implies the other, as vde_switch was seen to do it."""
        for mode, directory, expected in (
            (None, None, (0o600, 0o2700)),
            (0o666, None, (0o666, 0o2777)),
            (0o644, None, (0o644, 0o2755)),
            (0o660, None, (0o660, 0o2770)),
            (0o640, None, (0o640, 0o2750)),
            (0o622, None, (0o622, 0o2733)),
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

    def test_with_other_things_in_it(self) -> None:
        """A directory that others use keeps its mode and group; what a switch has there is its."""
        self.path.mkdir(0o755)
        for name in ("ctl", "001.5", "console"):
            self.socket(name).close()
        (self.path / "switch.pid").touch()
        self.directory.claim()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o2770)
        self.path.chmod(0o755)
        (self.path / "\x1b.profile").touch()
        with capturedLogs() as events:
            VdeDirectory(str(self.path), Permissions(0o660, 0o2770, os.getegid())).claim()
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o755)
        [said] = map(formatEvent, events)
        assert said is not None
        self.assertIn("has other things in it, like ?.profile: its mode and group are left", said)

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

    def test_another_switch(self) -> None:
        """Where another switch listens nothing is changed; what a dead one has left is removed."""
        self.path.mkdir(0o700)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.directory.ctl)
            other.listen()
            self.refuses("another process listens there", self.directory)
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o700)
        self.directory.claim()
        self.assertFalse(Path(self.directory.ctl).exists())

    def test_whole_paths(self) -> None:
        """Clients are told of paths that mean the same wherever they stand."""
        link = self.home / "link"
        link.symlink_to(self.path)
        directory = VdeDirectory(os.path.relpath(link), Permissions())
        real = os.path.realpath(self.path)
        self.assertEqual((directory.path, directory.ctl), (real, f"{real}/ctl"))
        self.assertEqual(directory.data_path(1, 5), f"{real}/001.5")

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

    def bound(self, user: int) -> str:
        """The path of a data socket for a user's client."""
        path = self.directory.data_path(1, 5)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            self.directory.bind(sock, path, user)
        return path

    def test_owners(self) -> None:
        """As root a data socket is given to its client's user; otherwise only its group is set."""
        given: list[tuple[str, int, int]] = []
        self.directory.claim()
        self.patch(os, "chown", lambda path, user, group: given.append((path, user, group)))
        for root, group in ((True, None), (True, 7), (False, None), (False, 7)):
            self.patch(os, "geteuid", lambda root=root: 0 if root else 1000)
            self.directory.permissions = Permissions(0o660, 0o2770, group)
            path = self.bound(54321)
            owner = 54321 if root else -1
            self.assertEqual(given.pop(), (path, owner, -1 if group is None else group))
            mode = 0o600 if root else 0o660
            self.assertEqual(stat.S_IMODE(Path(path).stat().st_mode), mode)

    def test_the_group_of_all(self) -> None:
        """The directory and the control socket get the group, before their modes."""
        calls: list[str] = []
        self.patch(os, "chown", lambda *which: calls.append(f"{which}"))
        self.patch(Path, "chmod", lambda path, mode: calls.append(f"{path} {mode:o}"))
        self.directory.permissions = Permissions(0o660, 0o2770, 7)
        self.directory.claim()
        self.directory.opened()
        self.assertEqual(
            calls,
            [
                f"('{self.path}', -1, 7)",
                f"{self.path} 2770",
                f"('{self.path}/ctl', -1, 7)",
                f"{self.path}/ctl 660",
            ],
        )

    def test_nothing_is_left_of_what_fails(self) -> None:
        """A data socket that cannot be given to its client is removed again."""

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.directory.claim()
        self.patch(os, "chown", refuse)
        self.assertRaises(PermissionError, self.bound, 54321)
        self.assertEqual(list(self.path.iterdir()), [])
