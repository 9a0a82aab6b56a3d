"""Runs a load generator: a program that says when it is ready, and what it has counted."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compiled import compiled, first_line
from bench.processes import cpu_seconds

BUSY = 0.9
"""Of a processor: a process that has more to do than this holds others up."""


class LoadError(RuntimeError):
    """The program has failed; the message is one line."""


@dataclass(frozen=True, slots=True)
class Generator:
    """A program that is ready."""

    process: subprocess.Popen[str]

    def run(self, pid: int | None = None) -> tuple[dict[str, Any], float]:
        """
        Let it begin, and wait until it is done. Raises L{LoadError}.

        @return: what it has counted, and the processor time in seconds that a process has used
            meanwhile.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        before = _used(pid)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        used = _used(pid) - before
        if not said:
            raise self.failure()
        result: dict[str, Any] = json.loads(said)
        return result, used

    def failure(self) -> LoadError:
        """Why it has ended."""
        assert self.process.stderr is not None
        said = first_line(self.process.stderr.read())
        return LoadError(said or f"{self.process.args!r} has ended")


@contextlib.contextmanager
def ready(
    sources: Sequence[Path], options: Sequence[str], flags: tuple[str, ...] = ()
) -> Iterator[Generator]:
    """
    Start a program, and wait until it is ready. Raises L{LoadError}, L{CompileError}.

    @param sources: what it is made of.
    @param flags: for the compiler.
    """
    with subprocess.Popen(
        [compiled(*sources, flags=flags), *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            generator = Generator(process)
            assert process.stdout is not None
            if not process.stdout.readline():
                raise generator.failure()
            yield generator
        finally:
            process.kill()


def _used(pid: int | None) -> float:
    return 0.0 if pid is None else cpu_seconds(pid)
