"""A copy of the checkout, to be mutated, and the process that runs tests in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Self

from tests.mutations.check import mutated
from tests.mutations.mutation import Mutation
from tests.mutations.objects import ROOT
from tests.mutations.tested import Test
from tests.mutations.worker import Job, Result

_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "venv", "build", "*.egg-info", "__pycache__", "_trial_temp*", ".hypothesis",
    ".mypy_cache", ".ruff_cache", "dropin.cache",
)  # fmt: skip


class Tree:
    """A copy of the checkout."""

    def __init__(self, root: Path) -> None:
        shutil.copytree(ROOT, root, ignore=_NOT_COPIED, symlinks=True)
        self.root = root
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.mutations.worker"],
            cwd=root,
            env={
                **os.environ,
                "PYTHONPATH": str(root),
                "PYTHONDONTWRITEBYTECODE": "1",
                "DISTNET_NO_SKIPS": "",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[Path]:
        """Apply a mutation to a file, which it gives, for a while. Raises Unfit and SyntaxError."""
        file, mutant = mutated(mutation)
        path = self.root / file
        original = path.read_text()
        path.write_text(mutant)
        try:
            yield file
        finally:
            path.write_text(original)

    def run(
        self,
        tests: Iterable[Test],
        seconds: float,
        patience: float | None = None,
        *,
        is_pure: bool = False,
    ) -> Result:
        """Run tests, those of all kinds: see L{Job}."""
        result = Result([], [])
        chosen = sorted(set(tests), key=lambda test: test.id)
        for are_unit in (True, False):
            ids = [test.id for test in chosen if test.is_unit is are_unit]
            if ids:
                more = self._ask(Job(ids, are_unit, seconds, patience, is_pure))
                result.failed += more.failed
                result.skipped += more.skipped
                result.problem = result.problem or more.problem
                result.output += more.output
        return result

    def _ask(self, job: Job) -> Result:
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        print(json.dumps(asdict(job)), file=self._worker.stdin, flush=True)
        return Result(**json.loads(self._worker.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._worker.stdin is not None
        assert self._worker.stdout is not None
        self._worker.stdin.close()
        self._worker.stdout.close()
        self._worker.wait()
