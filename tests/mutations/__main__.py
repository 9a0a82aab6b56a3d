"""
Applies each mutation alone, and fails if one survives.

C{python -m tests.mutations} tries those whose source, or one of whose tests, is in a file that has
changed since the branch left C{origin/main} (or C{main}), by commits or without; C{--since REV}
since it left another; C{--all} all; or those that are named. The checkout is not touched: mutations
are made in copies of it, of which there is one for each worker. A mutation whose tests are skipped
here, like those of native code where that does not run, is skipped too, and named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from xml.etree import ElementTree

from tests.mutations import objects, tested
from tests.mutations.check import misfits
from tests.mutations.mutation import Mutation
from tests.mutations.objects import ROOT
from tests.mutations.table import TABLE
from tests.mutations.tested import Test
from tests.mutations.tree import Tree

WORKERS = 2
PATIENCE_SECONDS = 5
"""How long tests wait for what a mutation may have made impossible."""
TIMEOUT_SECONDS = 120
"""A mutation that makes its tests hang is noticed too, but after so long."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a mutation.

    @ivar problem: why it was not caught, or None if it was.
    @ivar is_skipped: whether its tests are, so that nothing is known of it.
    """

    mutation: Mutation
    problem: str | None
    is_skipped: bool
    seconds: float


def tests_of(mutation: Mutation) -> list[Test]:
    """The tests that must notice a mutation."""
    return [tested.find(test) for test in mutation.tests]


def kind(mutation: Mutation) -> str:
    """Which suite the slowest of its tests is in."""
    return max((test.path.parts[1] for test in tests_of(mutation)), key=_SLOWEST_FIRST.index)


TWINS = frozenset(
    Path("distnet/gateway", f"{name}.py")
    for name in (
        "dial", "flows", "forward", "frames", "libslirp", "loop", "merge", "pure_datapath", "relay",
        "segments", "stack",
    )
)  # fmt: skip
"""
Of a guest's process, what native code does in their place, where there is any: it would hide a
mistake in them. C{tests/unit/test_mutations.py} names the others.
"""

_SLOWEST_FIRST = ("unit", "integration", "guest")


def attempt(mutation: Mutation, trees: SimpleQueue[Tree]) -> Outcome:
    """Apply one mutation in a free copy and run its tests."""
    tree = trees.get()
    began = time.monotonic()
    tests = tests_of(mutation)
    try:
        with tree.mutated(mutation) as file:
            is_pure = file in TWINS
            result = tree.run(tests, TIMEOUT_SECONDS, PATIENCE_SECONDS, is_pure=is_pure)
    finally:
        trees.put(tree)
    problem = result.problem
    unaware = {test.id for test in tests} - set(result.failed)
    if not problem and unaware:
        problem = "it survived" if not result.failed else f"not noticed by {', '.join(unaware)}"
    is_skipped = bool(unaware) and unaware <= set(result.skipped)
    return Outcome(mutation, problem, is_skipped, time.monotonic() - began)


def report(outcome: Outcome) -> None:
    """One line for one mutation."""
    name, verdict = outcome.mutation.name, outcome.problem or "caught"
    print(f"{name:44} {outcome.seconds:5.1f} s  "
          f"{'skipped' if outcome.is_skipped else verdict}", flush=True)  # fmt: skip
    if outcome.problem and not outcome.is_skipped:
        print(f"    in {outcome.mutation.where}; breaks: {outcome.mutation.breaks}", flush=True)


def changed(since: str | None) -> set[Path]:
    """The files that are not what they were where the branch left another. Raises SystemExit."""

    def git(*words: str) -> str:
        ran = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return ran.stdout.strip() if ran.returncode == 0 else ""

    others = [since] if since else ["origin/main", "main"]
    bases = [base for other in others if (base := git("merge-base", other, "HEAD"))]
    if not bases:
        raise SystemExit(f"there is no {' and no '.join(others)} to compare with: name another, "
                         "or mutations, or --all")  # fmt: skip
    names = git("diff", "--name-only", bases[0]) + "\n"
    names += git("ls-files", "--others", "--exclude-standard")
    return set(map(Path, names.split()))


def is_about(mutation: Mutation, files: set[Path]) -> bool:
    """Whether what is mutated, or one of its tests, is in these files."""
    paths = {each.path for each in objects.find(mutation.where)}
    return bool(files & (paths | {test.path for test in tests_of(mutation)}))


def choose(words: argparse.Namespace) -> list[Mutation]:
    """The mutations that are meant."""
    known = {mutation.name: mutation for mutation in TABLE}
    if unknown := set(words.names) - known.keys():
        raise SystemExit(f"no such mutation: {', '.join(sorted(unknown))}")
    if words.names:
        return [known[name] for name in words.names]
    if words.all:
        return list(TABLE)
    files = changed(words.since)
    chosen = [mutation for mutation in TABLE if is_about(mutation, files)]
    print(f"{len(chosen)} of {len(TABLE)} mutations are about the {len(files)} changed files")
    return chosen


def check_unmutated(chosen: Iterable[Mutation], trees: Sequence[Tree]) -> str | None:
    """What the tests say of the code as it is, if they fail already."""
    by_file: dict[Path, set[Test]] = defaultdict(set)
    for mutation in chosen:
        for test in tests_of(mutation):
            by_file[test.path].add(test)
    files = sorted(by_file, key=lambda path: (path.parts[1] != "unit", path))
    shares = [files[number :: len(trees)] for number in range(len(trees))]
    with ThreadPoolExecutor(len(trees)) as pool:
        results = pool.map(
            lambda share, tree: tree.run((test for path in share for test in by_file[path]), 3600),
            shares,
            trees,
        )
        wrong = [result.output for result in results if result.failed or result.problem]
    return "\n".join(wrong) or None


def parse(words: list[str]) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="tests.mutations", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutations")
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--since", metavar="REV", help="those of what changed since REV")
    parser.add_argument(
        "--tested", action="store_true", help="the tests are known to pass without any mutation"
    )
    parser.add_argument("--junitxml", metavar="FILE", help="write a report there, as pytest does")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Try the mutations that are asked for."""
    if unfit := list(misfits()):
        print("\n".join(unfit))
        return 1
    options = parse(words)
    chosen = sorted(choose(options), key=lambda each: -_SLOWEST_FIRST.index(kind(each)))
    if not chosen:
        return 0
    outcomes = []
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="distnet-mutations-") as directory,
        ExitStack() as stack,
    ):
        copies = [
            stack.enter_context(Tree(Path(directory) / str(number))) for number in range(WORKERS)
        ]
        if not options.tested and (already := check_unmutated(chosen, copies)):
            print(already)
            print("the tests fail without any mutation")
            return 1
        trees: SimpleQueue[Tree] = SimpleQueue()
        for copy in copies:
            trees.put(copy)
        if not options.tested:
            print(f"without any mutation: {time.monotonic() - began:5.1f} s", flush=True)
        with ThreadPoolExecutor(WORKERS) as pool:
            for outcome in pool.map(lambda mutation: attempt(mutation, trees), chosen):
                report(outcome)
                outcomes.append(outcome)
    if options.junitxml:
        write_report(outcomes, options.junitxml)
    return summarize(outcomes)


def write_report(outcomes: list[Outcome], path: str) -> None:
    """Write what became of mutations in JUnit's XML, each as a test."""
    skipped = sum(outcome.is_skipped for outcome in outcomes)
    failures = sum(outcome.problem is not None for outcome in outcomes) - skipped
    suite = ElementTree.Element("testsuite", name="mutations", tests=str(len(outcomes)),
                                skipped=str(skipped), failures=str(failures))  # fmt: skip
    for outcome in outcomes:
        case = ElementTree.SubElement(
            suite, "testcase", name=outcome.mutation.name, time=f"{outcome.seconds:.2f}"
        )
        if outcome.problem:
            what = "skipped" if outcome.is_skipped else "failure"
            ElementTree.SubElement(case, what, message=outcome.problem)
    ElementTree.ElementTree(suite).write(path)


def summarize(outcomes: list[Outcome]) -> int:
    """Say how it went; the exit status."""
    for name in _SLOWEST_FIRST:
        those = [outcome for outcome in outcomes if kind(outcome.mutation) == name]
        if those:
            seconds = sum(outcome.seconds for outcome in those)
            print(f"{name:12} {len(those):4} mutations in {seconds:6.1f} s of {WORKERS} workers")
    skipped = [outcome.mutation.name for outcome in outcomes if outcome.is_skipped]
    if skipped:
        print(f"{len(skipped)} skipped, as their tests are: {', '.join(skipped)}")
    survived = [each.mutation.name for each in outcomes if each.problem and not each.is_skipped]
    caught = len(outcomes) - len(survived) - len(skipped)
    print(f"{len(outcomes)} mutations, {caught} caught")
    if survived:
        print(f"not caught: {', '.join(survived)}")
    return 1 if survived or (skipped and os.environ.get("DISTNET_NO_SKIPS")) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
