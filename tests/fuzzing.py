"""
Compiles the programs that feed native code with random input, and runs them.

Compiled files are kept, by what they were compiled from: a mutation of one compiles that one again.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.guest.image import cache_dir

ROOT: Final = Path(__file__).parent.parent
NATIVE: Final = Path("distnet", "_native")
SANITIZED: Final = (
    "-std=gnu11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover",
)  # fmt: skip
SIZES: Final[dict[str, list[str]]] = {"full-size": [], "tiny": ["-DTINY"]}
"""What is compiled: the code as it is, or with limits so small that all are reached."""
PARTS: Final[dict[str, list[str]]] = {
    "router": ["unread"],
    "bridge": ["addresses"],
    "guest": ["relay", "segment"],
}
"""What a router, a bridge and a guest consist of, besides their own sources and L{SHARED}."""
SHARED: Final = ("list", "poller", "table")
ROUNDS: Final = 300
MOST_KEPT: Final = 100
"""Compiled files: all that several copies of the checkout need, and some hundred KiB each."""


def fuzz(program: str, native: str, size: str) -> str:
    """
    What a program of the tests says of native code under AddressSanitizer.

    @param program: the name of its source, without C{.c}.
    @param native: what it feeds, as in L{PARTS}.
    @param size: as in L{SIZES}.
    """
    with built(program, native, size) as target:
        ended = subprocess.run(
            [target, "1", str(ROUNDS)], capture_output=True, text=True, check=False
        )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def built(program: str, native: str, size: str = "full-size") -> Iterator[Path]:
    """A program of the tests with native code, for a while: see L{fuzz}."""
    target = cache_dir() / f"{program}-{size}-{os.getpid()}"
    parts = [NATIVE / f"{part}.c" for part in (native, *PARTS[native], *SHARED)]
    options = [*SANITIZED, *SIZES[size], f"-I{NATIVE}"]
    objects = Objects(cache_dir() / "objects", ROOT)
    compiled = [objects.compiled(each, options) for each in (Path("tests", f"{program}.c"), *parts)]
    subprocess.run(["gcc", *options, "-o", target, *compiled], check=True)
    objects.prune(MOST_KEPT)
    try:
        yield target
    finally:
        target.unlink()


class Objects:
    """
    Compiled files that are kept.

    Each is named by a hash of the compiler, its options, and all that the preprocessor makes of the
    source, headers included. As paths are relative, copies of a checkout have the same ones.
    """

    def __init__(self, directory: Path, root: Path) -> None:
        """
        @param directory: where they are kept.
        @param root: the directory that sources and options are relative to.
        """
        self._directory = directory
        self._root = root
        directory.mkdir(parents=True, exist_ok=True)

    def compiled(self, source: Path, options: Sequence[str]) -> Path:
        """The object file of a source. Raises CalledProcessError."""
        version = self._gcc("--version")
        # Without the working directory, which would be in it for the debugger.
        text = self._gcc(*options, "-E", "-fno-working-directory", str(source))
        words = "\0".join(options).encode()
        name = hashlib.sha256(b"\0\0".join((version, words, text))).hexdigest()
        kept = self._directory / f"{name}.o"
        try:
            os.utime(kept)
        except FileNotFoundError:
            # Others may be at it: each has a file of its own, until it is whole.
            own = kept.with_suffix(f".{os.getpid()}")
            self._gcc(*options, "-c", "-o", str(own), str(source))
            own.replace(kept)
        return kept

    def prune(self, most: int) -> None:
        """Remove all but those that were used last."""
        for _, path in sorted(self._used(), reverse=True)[most:]:
            path.unlink(missing_ok=True)

    def _used(self) -> Iterator[tuple[int, Path]]:
        for path in self._directory.iterdir():
            try:
                yield path.stat().st_mtime_ns, path
            except FileNotFoundError:
                continue

    def _gcc(self, *words: str) -> bytes:
        ran = subprocess.run(["gcc", *words], cwd=self._root, stdout=subprocess.PIPE, check=True)
        return ran.stdout
