"""Installs the Debian packages that the tests need, or says which are missing.

C{python -m tests.packages}. The list is debian-packages.txt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

LIST = Path(__file__).parent.parent / "debian-packages.txt"


def needed() -> dict[str, str]:
    """Package names, and what needs them."""
    packages = {}
    for line in LIST.read_text().splitlines():
        name, _, why = line.partition("#")[0].strip().partition(" ")
        if name:
            packages[name] = why.strip()
    return packages


def is_installed(package: str) -> bool:
    """Whether dpkg has a package."""
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout == "installed"


def missing() -> list[str]:
    """The packages that are not installed."""
    if shutil.which("dpkg-query") is None:
        return list(needed())
    return [package for package in needed() if not is_installed(package)]


def install(packages: list[str]) -> None:
    """Install packages; raises CalledProcessError."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "-qq", "update"],
        ["apt-get", "-qq", "install", "--yes", "--no-install-recommends", *packages],
    ):
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Install what is missing, or say so."""
    packages = missing()
    if not packages:
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(packages)}", flush=True)
        install(packages)
        return 0
    print("missing, so that some tests will be skipped:")
    for package in packages:
        print(f"  {package:20}{needed()[package]}")
    print(f"as root on Debian: apt-get install {' '.join(packages)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
