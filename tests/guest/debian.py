"""Packages from Debian for the guests, unpacked and never installed.

Those of this machine's own architecture come from what apt knows already. Those of another one
come from lists of our own, with a Debian suite of their own, from the mirror that this machine is
set up for and with Debian's keys: what apt knows of this machine stays as it is.
"""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Sequence

KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
"""Of the package debian-archive-keyring, which Debian's apt depends on."""


class ImageError(RuntimeError):
    """Something the guest is made of is missing; the message is one line and names it."""


def run(argv: Sequence[str], what: str, cwd: pathlib.Path | None = None) -> str:
    """What a command prints. Raises ImageError, which begins with C{what}."""
    try:
        done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ImageError(f"{what}: no program {argv[0]!r}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("E: ")] or lines[-1:]
        raise ImageError(f"{what}: {errors[0] if errors else f'exit status {done.returncode}'}")
    return done.stdout


def one(directory: pathlib.Path, pattern: str) -> pathlib.Path:
    """The first file of that name in a directory. Raises ImageError."""
    for path in sorted(directory.glob(pattern)):
        return path
    raise ImageError(f"no {pattern} in {directory.name}")


class Packages:
    """Packages as apt finds them with some options."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        self._options = list(options)

    def kernel(self, package: str) -> str:
        """The kernel that a package of Debian's depends on, which is always the newest."""
        argv = ["apt-cache", *self._options, "depends", package]
        for line in run(argv, f"looking up {package}").splitlines():
            kind, _, name = line.strip().partition(": ")
            if kind == "Depends" and name.startswith("linux-image-"):
                return name
        raise ImageError(f"apt knows no kernel for {package}: run apt-get update")

    def unpack(self, package: str, work: pathlib.Path) -> pathlib.Path:
        """Download a package and return the directory that it was unpacked into."""
        place = work / f"deb-{package}"
        place.mkdir()
        argv = ["apt-get", *self._options, "-q", "download", package]
        run(argv, f"fetching {package}", place)
        tree = place / "tree"
        run(["dpkg", "-x", str(one(place, "*.deb")), str(tree)], f"unpacking {package}")
        return tree


def mirror() -> str:
    """Where this machine has its Debian from, whatever its sources are written like."""
    form = "$(REPO_URI) $(ORIGIN)"
    asked = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Label: Debian"]
    for line in run(asked, "looking up the mirror").splitlines():
        uri, _, origin = line.partition(" ")
        if origin == "Debian":
            return uri
    raise ImageError("apt knows no mirror of Debian: run apt-get update")


def foreign_options(architecture: str, suite: str, source: str, place: pathlib.Path) -> list[str]:
    """What apt must be told, so that it knows packages of a suite of a mirror, and no others."""
    if not KEYRING.exists():
        raise ImageError(f"no {KEYRING}: install debian-archive-keyring")
    sources = place / "sources.list"
    (place / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    sources.write_text(f"deb [arch={architecture} signed-by={KEYRING}] {source} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "Dir::State::lists": place / "lists",
        # Nothing is installed in that world; the packages of this machine are not in it.
        "Dir::State::status": "/dev/null",
        "Dir::Cache": place,
        "APT::Architecture": architecture,
        "APT::Architectures": architecture,
        "Acquire::Languages": "none",
        "Acquire::AllowInsecureRepositories": "false",
        "APT::Get::AllowUnauthenticated": "false",
        # The user _apt, to whom root's apt gives up its rights, cannot look into root's home.
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def foreign(architecture: str, suite: str, source: str, place: pathlib.Path) -> Packages:
    """
    Packages of another architecture, of a suite of the mirror C{source}. Raises ImageError.

    @param place: the directory for what apt then knows of them; it is about 20 MB.
    """
    options = foreign_options(architecture, suite, source, place)
    # A mirror that does not answer is a mere warning otherwise.
    argv = ["apt-get", *options, "-q", "--error-on=any", "update"]
    run(argv, f"looking up {suite} for {architecture}")
    return Packages(options)
