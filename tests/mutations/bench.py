"""Mistakes in the benchmarks, by which a switch would look better or worse than it is."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_FRAMES = "bench/frames.c"
_RECORDS = "bench/records.py"
_TESTS = "tests/integration/test_bench.py"


MUTATIONS = (
    Mutation(
        "doubles-make-up-for-losses",
        "each frame numbered",
        _FRAMES,
        "            seen[number / 8] |= (unsigned char)(1 << number % 8);\n",
        "",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "any-order-will-do",
        "its order checked",
        _FRAMES,
        "            if (number < next)\n",
        "            if (0)\n",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "damage-is-delivery",
        "every frame accounted for",
        _FRAMES,
        "number >= count || !whole",
        "number >= count",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "lost-by-one-receiver-only",
        "delivered + lost = sent",
        "bench/frames.py",
        "return self.sent * len(self.receivers) - self.delivered",
        "return self.sent - self.delivered",
        (f"{_TESTS}::test_receivers_alone_keep_up",),
        Runner.PYTEST,
    ),
    Mutation(
        "busy-receivers-are-not-noticed",
        "a generator-bound figure is marked",
        "bench/frames.py",
        "        busy += [each.cpu / each.seconds for each in self.receivers if each.seconds]\n",
        "",
        (f"{_TESTS}::test_a_busy_load_generator_is_noticed",),
        Runner.PYTEST,
    ),
    Mutation(
        "theirs-by-ours",
        "a ratio ours/theirs",
        _RECORDS,
        "first[0] / other[0]",
        "other[0] / first[0]",
        (f"{_TESTS}::test_the_table_has_medians_and_their_ratio",),
        Runner.PYTEST,
    ),
    Mutation(
        "means",
        "medians",
        _RECORDS,
        "statistics.median(",
        "statistics.mean(",
        (f"{_TESTS}::test_the_table_has_medians_and_their_ratio",),
        Runner.PYTEST,
    ),
)
