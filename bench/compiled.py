"""Programs of the benchmarks that are compiled when they are needed, and kept in the cache."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tests.guest.image import cache_dir

CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")


class CompileError(RuntimeError):
    """A program cannot be compiled; the message is one line."""


def compiled(source: Path, *flags: str) -> Path:
    """The program of a C file, from the cache if it is up to date. Raises L{CompileError}."""
    arguments = [*CFLAGS, *flags]
    digest = hashlib.sha256(repr(arguments).encode() + source.read_bytes()).hexdigest()[:16]
    cache = cache_dir() / "bench"
    target = cache / f"{source.stem}-{digest}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as scratch:
            made = Path(scratch) / source.stem
            command = ["gcc", *arguments, "-o", str(made), str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompileError(f"compiling {source.name}: {first_line(done.stderr)}")
            made.rename(target)
    return target


def first_line(text: str) -> str:
    """The first line that is not empty, or nothing."""
    return next((line for line in text.splitlines() if line.strip()), "")
