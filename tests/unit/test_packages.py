"""How the packages that the tests need are installed."""

from __future__ import annotations

import os
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import packages

APT_GET = """#!/bin/sh
cd "${0%/*}"
echo "$@" >> asked
case "$*" in
*none*) echo "W: something" >&2; echo "E: Unable to locate package none" >&2; exit 100;;
*update) [ ! -f held ] || { rm held; echo "E: Could not get lock lists/lock." >&2; exit 100; };;
esac
"""


class InstallTests(SynchronousTestCase):
    """Tests for C{install}, with an apt-get that only takes notes."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.place.mkdir()
        script = self.place / "apt-get"
        script.write_text(APT_GET)
        script.chmod(0o755)
        path = f"{self.place}:{os.environ['PATH']}"
        self.patch(os, "environ", {**os.environ, "PATH": path})

    def install(self, *names: str) -> tuple[dict[str, str], str, list[str]]:
        """Which cannot be installed and why; what is printed; what apt-get was asked for."""
        shown = StringIO()
        with redirect_stdout(shown):
            failures = packages.install(list(names))
        asked = [" ".join(line.split()[2:]) for line in self.asked().splitlines()]
        return failures, shown.getvalue(), asked

    def asked(self) -> str:
        """What apt-get has noted."""
        return (self.place / "asked").read_text()

    def test_together(self) -> None:
        """All are installed by one command, which waits for dpkg's lock."""
        words = "install --yes --no-install-recommends one other"
        self.assertEqual(self.install("one", "other"), ({}, "", ["update", words]))
        self.assertIn("-oDPkg::Lock::Timeout=", self.asked())

    def test_one_that_does_not_exist(self) -> None:
        """The others are installed all the same, and it is said in a line what is wrong with it."""
        failures, shown, asked = self.install("one", "none", "other")
        self.assertEqual(failures, {"none": "Unable to locate package none"})
        self.assertEqual(shown, "")
        self.assertEqual([line.split()[-1] for line in asked[2:]], ["one", "none", "other"])

    def test_lists_that_somebody_else_has_locked(self) -> None:
        """The lock is waited for, and that is said once."""
        (self.place / "held").touch()
        failures, shown, asked = self.install("one")
        self.assertEqual(failures, {})
        self.assertEqual(shown, "somebody else runs apt: waiting for the end of that\n")
        self.assertEqual([line.split()[0] for line in asked], ["update", "update", "install"])
