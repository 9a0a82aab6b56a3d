"""Another checkout of distnet, say the last release, which is measured beside this one."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.compiled import first_line

_NATIVE = "import distnet._native.bridge, distnet._native.router"


class CheckoutError(Exception):
    """Nothing can be measured of a checkout; the message is one line."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """
    What can be measured: it has native code, and a virtual environment of its own.

    @ivar root: where it is, an absolute path.
    @ivar commit: see L{commit_of}.
    """

    root: Path
    commit: str

    @property
    def twistd(self) -> str:
        """What starts its master and its switch."""
        return str(self.root / ".venv/bin/twistd")

    def environment(self) -> dict[str, str]:
        """In which its own code is found, whatever its virtual environment has installed."""
        return {**os.environ, "PYTHONPATH": str(self.root)}


def commit_command(directory: Path) -> list[str]:
    """What prints the commit of a checkout, with C{-dirty} after it if something has changed."""
    return ["git", "-C", str(directory), "describe", "--always", "--dirty", "--exclude=*"]


def commit_of(directory: Path) -> str:
    """What L{commit_command} prints. Raises L{CheckoutError}: it is no checkout."""
    try:
        ran = subprocess.run(commit_command(directory), capture_output=True, text=True, check=False)
    except OSError as error:
        raise CheckoutError(f"no git: {error.strerror}") from None
    if ran.returncode:
        raise CheckoutError(f"{directory} is no checkout: {first_line(ran.stderr)}")
    return ran.stdout.strip()


def opened(directory: Path) -> Checkout:
    """The checkout in a directory. Raises L{CheckoutError} with what it lacks."""
    root = directory.absolute()
    found = Checkout(root, commit_of(root))
    if not (root / "distnet/__init__.py").exists():
        raise CheckoutError(f"{root} is no checkout of distnet: there is no package distnet")
    python = root / ".venv/bin/python"
    if not (python.exists() and Path(found.twistd).exists()):
        raise CheckoutError(f"{root} has no .venv with twistd: run make there")
    ran = subprocess.run(
        [str(python), "-c", _NATIVE],
        env=found.environment(), cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if ran.returncode:
        why = (ran.stderr.strip().splitlines() or ["it ended"])[-1]
        raise CheckoutError(f"{root} has no native code ({why}): run make native there")
    return found
