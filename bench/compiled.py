"""Programs of the benchmarks that are compiled when they are needed, and kept in the cache."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from tests.guest.image import cache_dir

CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra")
LOAD = Path(__file__).with_name("load")
"""The load generators, each of which is made of some files, optimized as if they were one."""


class CompileError(RuntimeError):
    """A program cannot be compiled; the message is one line."""


def compiled(*sources: Path, flags: tuple[str, ...] = ()) -> Path:
    """
    The program of some C files, named after the first one, from the cache if it is up to date.
    Raises L{CompileError}.
    """
    first = sources[0]
    arguments = [*CFLAGS, *flags, *(["-flto"] if len(sources) > 1 else [])]
    inputs = [*sources, *sorted(first.parent.glob("*.h"))]
    text = repr(arguments).encode() + b"".join(each.read_bytes() for each in inputs)
    digest = hashlib.sha256(text).hexdigest()[:16]
    cache = cache_dir() / "bench"
    target = cache / f"{first.stem}-{digest}"
    if not target.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="new-") as scratch:
            made = Path(scratch) / first.stem
            command = ["gcc", *arguments, "-o", str(made), *map(str, sources)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompileError(f"compiling {first.name}: {first_line(done.stderr)}")
            made.rename(target)
    return target


def first_line(text: str) -> str:
    """The first line that is not empty, or nothing."""
    return next((line for line in text.splitlines() if line.strip()), "")
