"""Installs the Debian packages that the tests need, or says which are missing.

C{python -m tests.packages}. The list is debian-packages.txt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

LIST = Path(__file__).parent.parent / "debian-packages.txt"
PATIENCE_SECONDS = 900
"""How long another apt is waited for."""


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


def apt_get(*words: str) -> str | None:
    """
    Run apt-get, once nobody else does.

    @return: why it failed, in a line, or None if it did not.
    """
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    deadline = time.monotonic() + PATIENCE_SECONDS
    told = False
    while True:
        # It waits for dpkg's lock, but not for those of the lists and the archives.
        ran = subprocess.run(
            ["apt-get", "-qq", f"-oDPkg::Lock::Timeout={PATIENCE_SECONDS}", *words],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, errors="replace", check=False,
        )  # fmt: skip
        if not ran.returncode:
            return None
        is_locked = "Could not get lock" in ran.stderr
        if not is_locked or time.monotonic() > deadline:
            errors = [line for line in ran.stderr.splitlines() if line.startswith("E: ")]
            return errors[0].removeprefix("E: ") if errors else f"exit status {ran.returncode}"
        if not told:
            print("somebody else runs apt: waiting for the end of that", flush=True)
            told = True
        time.sleep(0.5)


def install(packages: list[str]) -> dict[str, str]:
    """Install packages, all that can be; why the others cannot, in a line each."""
    if why := apt_get("update"):
        print(f"the lists of packages are not up to date: {why}", flush=True)
    words = ["install", "--yes", "--no-install-recommends"]
    if apt_get(*words, *packages) is None:
        return {}
    failures = {package: apt_get(*words, package) for package in packages}
    return {package: why for package, why in failures.items() if why is not None}


def main() -> int:
    """Install what is missing, or say so."""
    packages = missing()
    if not packages:
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(packages)}", flush=True)
        for package, why in install(packages).items():
            print(f"not installed, so that some tests will be skipped: {package} ({why})")
        return 0
    print("missing, so that some tests will be skipped:")
    for package in packages:
        print(f"  {package:20}{needed()[package]}")
    print(f"as root on Debian: apt-get install {' '.join(packages)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
