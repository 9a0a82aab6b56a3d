"""The console of a node in a terminal: what its kernel writes, and a keyboard for it."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from distnet.cluster.directory import RunDirectory
from distnet.cluster.node import POLL, type_at

LEAVE: Final = b"\x1d"
"""Control-]: the key that leaves the console, as with telnet."""


def follow(log: Path, run: RunDirectory) -> None:
    """Write a log to standard output, and what comes into it until the cluster has ended."""
    for data in _pieces(log, run):
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


def attach(run: RunDirectory, node: int, log: Path) -> None:
    """Do as L{follow}, and give the node what is typed, until Control-] is pressed."""
    keyboard = sys.stdin.fileno()
    with _raw(keyboard):
        for data in _pieces(log, run, keyboard):
            os.write(sys.stdout.fileno(), data.replace(b"\n", b"\r\n").replace(b"\r\r\n", b"\r\n"))
            if not select.select([keyboard], [], [], 0)[0]:
                continue
            typed = os.read(keyboard, 4096)
            if LEAVE in typed or not typed:
                return
            # Between two starts of the node nobody reads it.
            with contextlib.suppress(OSError):
                type_at(run.node(node, "console"), typed)


def _pieces(log: Path, run: RunDirectory, keyboard: int | None = None) -> Iterator[bytes]:
    """What is in a log and what comes into it; an empty piece now and then, and on each key."""
    offset = 0
    waits = [] if keyboard is None else [keyboard]
    while True:
        runs = run.is_locked()
        data = b""
        with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
            file.seek(offset)
            data = file.read()
        offset += len(data)
        yield data
        if not runs:
            return
        if not data:
            select.select(waits, [], [], POLL)


@contextlib.contextmanager
def _raw(keyboard: int) -> Iterator[None]:
    """Let keys come as they are typed, if that is a terminal."""
    if not os.isatty(keyboard):
        yield
        return
    before = termios.tcgetattr(keyboard)
    try:
        tty.setraw(keyboard)
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
