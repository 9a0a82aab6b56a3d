"""Checks, quickly, that all mutations fit the sources and the tests that there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.mutations import fragments, objects, tested
from tests.mutations.mutation import Mutation
from tests.mutations.objects import ROOT, Unfit
from tests.mutations.table import TABLE


def misfits() -> Iterator[str]:
    """A line for each mutation that cannot be tried, and why."""
    for name, count in Counter(mutation.name for mutation in TABLE).items():
        if count > 1:
            yield f"{name}: {count} mutations have this name"
    for mutation in TABLE:
        try:
            mutated(mutation)
            for test in mutation.tests:
                tested.find(test)
        except (Unfit, SyntaxError) as error:
            yield f"{mutation.name}: {error}"


def mutated(mutation: Mutation) -> tuple[Path, str]:
    """
    A file, from the top of the checkout, and its text with a mutation.

    @raise Unfit: it does not fit.
    @raise SyntaxError: what becomes of it is no Python.
    """
    found = objects.find(mutation.where)
    sources = {each.path: (ROOT / each.path).read_text() for each in found}
    places = [
        (each, span)
        for each in found
        for span in fragments.spans(
            mutation.before, sources[each.path], each.language, each.begin, each.end
        )
    ]
    if len(places) != 1:
        problem = f"its text occurs {len(places)} times in {mutation.where!r}, not once"
        raise Unfit(problem if places else f"{problem}; it is in {_elsewhere(mutation)}")
    [(target, span)] = places
    text = fragments.replace(sources[target.path], span, mutation.before, mutation.after)
    if target.language == "py":
        compile(text, str(target.path), "exec")
    return target.path, text


def _elsewhere(mutation: Mutation) -> str:
    """Where the text of a mutation is, for whoever has moved it."""

    def fits(source: str, language: str) -> bool:
        return any(fragments.spans(mutation.before, source, language, 0, len(source)))

    return ", ".join(objects.holding(fits)) or "no object"
