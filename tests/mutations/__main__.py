"""C{python -m tests.mutations [NAME...]}: applies each mutation alone, and fails if one survives.

The checkout is not touched: mutations are made in copies of it, of which there is one for each
worker. A mutation whose tests are skipped here, like those of native code where that does not run,
is skipped too, and named.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from queue import SimpleQueue

from tests.mutations import tested
from tests.mutations.check import mutated
from tests.mutations.mutation import Mutation
from tests.mutations.table import TABLE

ROOT = Path(__file__).parent.parent.parent
COPIED = ("bench", "distnet", "twisted", "tests", "setup.py", "pyproject.toml", "README.md")
NOT_COPIED = shutil.ignore_patterns("__pycache__", "_trial_temp*", ".hypothesis", "dropin.cache")
WORKERS = 2
PATIENCE_SECONDS = "5"
"""How long tests wait for what a mutation may have made impossible."""
TIMEOUT_SECONDS = 120
"""A mutation that makes its tests hang is noticed too, but after so long."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a mutation.

    @ivar problem: why it was not caught, or None if it was.
    """

    mutation: Mutation
    problem: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """
    A run of tests.

    @ivar passed: whether all of them did.
    @ivar failed: those that did not; all of them if they hung.
    @ivar output: what was printed.
    """

    passed: bool
    failed: frozenset[str]
    output: str


class Runner(StrEnum):
    """What runs the tests."""

    TRIAL = "trial"
    PYTEST = "pytest"


def ids(mutation: Mutation) -> list[str]:
    """What the runner calls the tests of a mutation."""
    return [tested.find(test).id for test in mutation.tests]


def runner(mutation: Mutation) -> Runner:
    """What runs them."""
    is_unit = all(tested.find(test).is_unit for test in mutation.tests)
    return Runner.TRIAL if is_unit else Runner.PYTEST


class Tree:
    """A copy of the checkout, to be mutated."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, root / name, ignore=NOT_COPIED)
            elif (ROOT / name).exists():
                shutil.copy2(ROOT / name, root / name)

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Apply a mutation for a while. Raises ValueError if it does not fit the code any more."""
        file, mutant = mutated(mutation)
        path = self.root / file
        original = path.read_text()
        path.write_text(mutant)
        try:
            yield
        finally:
            path.write_text(original)

    def run(self, runner: Runner, tests: Collection[str], mutated: bool) -> Run:
        """Run tests in this copy. They must all pass if it is not C{mutated}, and have the time."""
        timeout = TIMEOUT_SECONDS if mutated else None
        arguments = {
            Runner.TRIAL: [
                "tests.mutations.quick_trial",
                "--temp-directory=_trial_temp",
                "--reporter=text",
            ],
            Runner.PYTEST: ["pytest", "-v", "--no-header", "-rfE"],
        }[runner]
        try:
            done = subprocess.run(
                [sys.executable, "-m", *arguments, *tests],
                cwd=self.root,
                # No bytecode: a mutant can have the size and the second of what it replaces.
                env={
                    **os.environ,
                    "PYTHONPATH": str(self.root),
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **({"DISTNET_PATIENCE": PATIENCE_SECONDS} if mutated else {}),
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Run(False, frozenset(tests), f"not done after {TIMEOUT_SECONDS} s")
        return Run(done.returncode == 0, _failed(runner, tests, done.stdout), done.stdout)


def _failed(runner: Runner, tests: Iterable[str], output: str) -> frozenset[str]:
    """Those of the tests that failed: both runners name them, at the start of a line."""
    mark = "" if runner is Runner.TRIAL else "(?:FAILED|ERROR) "
    return frozenset(
        test
        for test in tests
        if re.search(f"^{mark}{re.escape(test)}(?![\\w.])", output, re.MULTILINE)
    )


def skipped(tests: Iterable[str], output: str) -> frozenset[str]:
    """Those of the tests that pytest only skipped, whatever their parameters."""
    return frozenset(
        test
        for test in tests
        if (ends := re.findall(rf"^{re.escape(test)}(?:\[.*\])? ([A-Z]+)", output, re.MULTILINE))
        and set(ends) == {"SKIPPED"}
    )


def attempt(mutation: Mutation, trees: SimpleQueue[Tree]) -> Outcome:
    """Apply one mutation in a free copy and run its tests."""
    tree = trees.get()
    began = time.monotonic()
    problem = None
    try:
        with tree.mutated(mutation):
            run = tree.run(runner(mutation), ids(mutation), mutated=True)
        if run.passed:
            problem = "it survived"
        elif unaware := set(ids(mutation)) - run.failed:
            problem = f"not noticed by {', '.join(sorted(unaware))}"
    except (ValueError, SyntaxError) as error:
        problem = str(error)
    finally:
        trees.put(tree)
    return Outcome(mutation, problem, time.monotonic() - began)


def check_unmutated(chosen: Iterable[Mutation], tree: Tree) -> tuple[str | None, frozenset[str]]:
    """What the tests say of the code as it is, if they fail already; which of them are skipped."""
    without: frozenset[str] = frozenset()
    for each_runner in Runner:
        tests = {test for each in chosen if runner(each) is each_runner for test in ids(each)}
        if tests:
            run = tree.run(each_runner, sorted(tests), mutated=False)
            if not run.passed:
                return run.output, without
            without |= skipped(tests, run.output)
    return None, without


def report(outcome: Outcome) -> None:
    """One line for one mutation."""
    name, verdict = outcome.mutation.name, outcome.problem or "caught"
    print(f"{name:44} {outcome.seconds:5.1f} s  {verdict}", flush=True)
    if outcome.problem:
        print(f"    in {outcome.mutation.where}; breaks: {outcome.mutation.breaks}", flush=True)


def main(names: list[str]) -> int:
    """Try the named mutations, or all."""
    known = {mutation.name: mutation for mutation in TABLE}
    if len(known) != len(TABLE):
        print("two mutations have the same name")
        return 1
    unknown = set(names) - known.keys()
    if unknown:
        print(f"no such mutation: {', '.join(sorted(unknown))}")
        return 1
    chosen = [known[name] for name in names] or list(TABLE)
    with tempfile.TemporaryDirectory(prefix="distnet-mutations-") as directory:
        trees: SimpleQueue[Tree] = SimpleQueue()
        copies = [Tree(_new(Path(directory) / str(number))) for number in range(WORKERS)]
        already, without = check_unmutated(chosen, copies[0])
        if already is not None:
            print(already)
            print("the tests fail without any mutation")
            return 1
        for copy in copies:
            trees.put(copy)
        outcomes = []
        left_out = [mutation for mutation in chosen if without.intersection(ids(mutation))]
        tried = [mutation for mutation in chosen if mutation not in left_out]
        with ThreadPoolExecutor(WORKERS) as pool:
            for outcome in pool.map(lambda mutation: attempt(mutation, trees), tried):
                report(outcome)
                outcomes.append(outcome)
    if left_out:
        which = ", ".join(mutation.name for mutation in left_out)
        print(f"{len(left_out)} skipped, as their tests are: {which}")
    survived = [outcome.mutation.name for outcome in outcomes if outcome.problem]
    print(f"{len(outcomes)} mutations, {len(outcomes) - len(survived)} caught")
    if survived:
        print(f"not caught: {', '.join(survived)}")
    return 1 if survived else 0


def _new(path: Path) -> Path:
    path.mkdir()
    return path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
