"""What a mutation is. Its tables are beside this file, one for each part of the master."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Runner(StrEnum):
    """What runs the tests."""

    TRIAL = "trial"
    PYTEST = "pytest"


@dataclass(frozen=True, slots=True)
class Mutation:
    """
    A mistake that the tests must notice.

    @ivar name: what the mistake does.
    @ivar breaks: the sentence of the issue, or the point of DESIGN or kernel-client.md, that does
        not hold any more.
    @ivar file: where, from the top of the checkout.
    @ivar before: the text that is replaced; it occurs exactly once.
    @ivar after: what it is replaced by.
    @ivar tests: the tests that must fail, every one of them: for trial dotted names of methods,
        for pytest node ids.
    @ivar runner: what runs them.
    """

    name: str
    breaks: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    runner: Runner = Runner.TRIAL
