"""What tries the mutations, on some that are made up."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue

import pytest

from tests.mutations import __main__ as mutations
from tests.mutations.mutation import Mutation
from tests.mutations.tree import Tree

COUNT = "FragmentTests.test_what_differs"


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleQueue[Tree]]:
    """A copy of the checkout."""
    with Tree(tmp_path_factory.mktemp("mutations") / "tree") as tree:
        queue: SimpleQueue[Tree] = SimpleQueue()
        queue.put(tree)
        yield queue


def attempt(trees: SimpleQueue[Tree], after: str, *tests: str) -> mutations.Outcome:
    """What becomes of a mutation of what finds fragments."""
    before = "wanted = tokens(fragment, language)"
    outcome = mutations.attempt(Mutation("m", "b", "fragments.spans", before, after, tests), trees)
    # Nothing is left of it.
    [tree] = [trees.get()]
    assert before in (tree.root / "tests" / "mutations" / "fragments.py").read_text()
    trees.put(tree)
    return outcome


def test_unit_tests(trees: SimpleQueue[Tree]) -> None:
    """All of the tests must notice; each is told of that does not."""
    first = "wanted = tokens(fragment, language)[:1]"
    assert attempt(trees, first, COUNT).problem is None
    assert attempt(trees, "wanted = [*tokens(fragment, language)]", COUNT).problem == "it survived"
    problem = attempt(trees, first, COUNT, "ObjectTests.test_c").problem
    assert problem == "not noticed by tests.unit.test_mutations.ObjectTests.test_c"


def test_what_hangs(trees: SimpleQueue[Tree], monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutation that makes its tests hang, or kills them, is noticed."""
    monkeypatch.setattr(mutations, "TIMEOUT_SECONDS", 2)
    assert attempt(trees, "while True: pass", COUNT).problem is None
    assert attempt(trees, "import os; os.abort()", COUNT).problem is None


def test_tests_of_pytest(trees: SimpleQueue[Tree]) -> None:
    """Tests that pytest runs are run by it; one that cannot be is a problem."""
    test = "test_version_and_log_say_whether_native_code_runs[0]"
    caught = Mutation("m", "b", "_native.describe", 'f"pure Python: {why}"', '""', (test,))
    assert mutations.attempt(caught, trees).problem is None
    unrun = Mutation("m", "b", "load_router", "return", "return  ", (test.replace("0", "nothing"),))
    problem = mutations.attempt(unrun, trees).problem
    assert problem is not None
    assert "cannot be imported" in problem or "was not run" in problem
