"""Times of round trips: what is shown of them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.generator import LoadError

P50, P99 = "p50, µs", "p99, µs"
ONE_PROCESSOR, FREE = "round trip, one processor", "round trip, free"
"""Cases: with all that takes part on the same processor, and wherever Linux has it run."""
CORE = 0
"""The one processor."""


def figures_of(quantiles: Sequence[int]) -> dict[str, float]:
    """
    The median, and what 99 % did not exceed. Raises L{LoadError} if there are none.

    @param quantiles: what 0 to 1000 of 1000 did not exceed, nanoseconds.
    """
    if not quantiles:
        raise LoadError("nothing has come back")
    return {P50: quantiles[500] / 1000, P99: quantiles[990] / 1000}
