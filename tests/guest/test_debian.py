"""Packages of another architecture: with Debian's keys, and apart from this machine's own."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest

from tests.guest.debian import ImageError, foreign, foreign_options

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs Debian's apt")


PLACES = (
    "Dir::Etc::sourcelist/f",
    "Dir::State::lists/d",
    "Dir::Cache/d",
    "Dir::Cache::archives/d",
)


def test_what_apt_knows_of_this_machine_stays(tmp_path: pathlib.Path) -> None:
    """All that apt writes, and the sources that it reads, are in the directory it is given."""
    options = foreign_options("riscv64", "trixie", "file:/nowhere", tmp_path)
    for what in PLACES:
        asked = ["apt-config", *options, "shell", "PLACE", what]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert said.startswith(f"PLACE='{tmp_path}/"), what


def test_unsigned_packages_are_refused(tmp_path: pathlib.Path) -> None:
    """A mirror that is not signed with Debian's keys is not believed; in one line."""
    suite = tmp_path / "mirror" / "dists" / "trixie"
    suite.mkdir(parents=True)
    (suite / "Release").write_text(
        "Origin: Debian\nCodename: trixie\nArchitectures: riscv64\nComponents: main\n"
    )
    with pytest.raises(ImageError, match=r"^looking up trixie for riscv64: E: .* not signed.$"):
        foreign("riscv64", "trixie", f"file:{tmp_path}/mirror", tmp_path)
