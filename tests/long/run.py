"""A long run: steps, one after the other, with progress, and what to type to repeat a failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from random import Random
from typing import Protocol

PROGRESS_SECONDS = 5.0


class Steps(Protocol):
    """What is run: it draws what it does from its own Random, and asserts."""

    def step(self) -> None:
        """Do one thing, and check it."""

    def end(self) -> None:
        """Come to rest, and check what must hold then."""

    def summary(self) -> str:
        """What was done, in one line."""


def run(
    name: str,
    make: Callable[[Random], AbstractContextManager[Steps]],
    count: int,
    seed: int,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """
    Do so many steps.

    @param say: is told of the progress, in lines.
    @return: what was done, in one line.
    @raise AssertionError: something does not hold: which step it was, and how to repeat it.
    """
    began = said = time.monotonic()
    number = 0
    try:
        with make(Random(seed)) as steps:
            for number in range(1, count + 1):
                steps.step()
                if number % 100 == 0 and time.monotonic() - said > PROGRESS_SECONDS:
                    said = time.monotonic()
                    rate = number / (said - began)
                    say(f"{name}: {number} of {count} steps, {rate:.0f} in a second")
            steps.end()
            seconds = time.monotonic() - began
            return (
                f"{count} steps in {seconds:.1f} s, {count / seconds:.0f} in a second:"
                f" {steps.summary()}"
            )
    except Exception as error:
        raise AssertionError(
            f"{name}: step {number} with seed {seed}: {type(error).__name__}: {error}\n"
            f"again: python -m tests.long --seed {seed} --count {number} {name}"
        ) from error
