"""Where control sockets are."""

from __future__ import annotations

import os
from pathlib import Path

from distnet.control.paths import default_directory
from tests.unit.control.runtime import RuntimeTestCase


class DefaultDirectoryTests(RuntimeTestCase):
    """L{default_directory}"""

    def test_it_is_used(self) -> None:
        """C{XDG_RUNTIME_DIR} is where it is."""
        self.assertEqual(default_directory(), self.directory)

    def test_it_is_not_used(self) -> None:
        """One that is relative, not there, a file or empty is as if there were none."""
        file = self.directory.parent / "file"
        file.touch()
        relative = os.path.relpath(self.directory.parent)
        del os.environ["XDG_RUNTIME_DIR"]
        without = default_directory()
        for path in (relative, str(self.directory.parent / "none"), str(file), "", "."):
            self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": path})
            self.assertEqual(default_directory(), without, path)
        self.assertEqual(without.parent, Path("/run" if os.geteuid() == 0 else "/tmp"))

    def test_that_of_somebody_else(self) -> None:
        """That of another user is not used, as after su(1) or with C{--uid}."""
        user = self.directory.parent.stat().st_uid + 1
        self.patch(os, "geteuid", lambda: user)
        self.assertEqual(default_directory(), Path(f"/tmp/distnet-{user}"))
