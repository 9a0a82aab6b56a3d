"""Compiles the programs that feed native code with random input, and runs them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from tests.guest.image import cache_dir

TESTS: Final = Path(__file__).parent
NATIVE: Final = TESTS.parent / "distnet" / "_native"
SANITIZED: Final = (
    "-std=gnu11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover",
)  # fmt: skip
SIZES: Final[dict[str, list[str]]] = {"full-size": [], "tiny": ["-DTINY"]}
"""What is compiled: the code as it is, or with limits so small that all are reached."""
PARTS: Final[dict[str, list[str]]] = {"router": [], "bridge": ["addresses"]}
"""What a router and a bridge consist of, besides their own sources and L{SHARED}."""
SHARED: Final = ("list", "poller", "table")
ROUNDS: Final = 300


def fuzz(program: str, native: str, size: str) -> str:
    """
    What a program of the tests says of native code under AddressSanitizer.

    @param program: the name of its source, without C{.c}.
    @param native: what it feeds, as in L{PARTS}.
    @param size: as in L{SIZES}.
    """
    target = cache_dir() / f"{program}-{size}-{os.getpid()}"
    parts = [NATIVE / f"{part}.c" for part in (native, *PARTS[native], *SHARED)]
    sources = [TESTS / f"{program}.c", *parts]
    options = [*SANITIZED, *SIZES[size], f"-I{NATIVE}"]
    subprocess.run(["gcc", *options, "-o", target, *sources], check=True)
    try:
        ended = subprocess.run(
            [target, "1", str(ROUNDS)], capture_output=True, text=True, check=False
        )
    finally:
        target.unlink()
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
