"""Mistakes in the benchmarks, by which a switch would look better or worse than it is."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_FRAMES = "bench/load/frames.c"
_RECORDS = "bench/records.py"
_TESTS = "tests/integration/test_bench.py"
_UNIT = "tests.unit.test_bench"


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
        "any-source-of-a-frame-will-do",
        "source and order verified",
        _FRAMES,
        "length == size && !memcmp(frame, expected, NUMBER_AT) &&",
        "length == size &&",
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
        (f"{_UNIT}.TableTests.test_medians",),
    ),
    Mutation(
        "means",
        "medians",
        _RECORDS,
        "statistics.median(",
        "statistics.mean(",
        (f"{_UNIT}.TableTests.test_medians",),
    ),
    Mutation(
        "one-failure-ends-all",
        "a failing case does not end the run",
        "bench/plan.py",
        "        except Exception as error:\n",
        "        except FileNotFoundError as error:\n",
        (f"{_UNIT}.PlanTests.test_failure", f"{_UNIT}.PlanTests.test_unexpected_failure"),
    ),
    Mutation(
        "an-interrupted-run-is-lost",
        "what was measured is written",
        "bench/__main__.py",
        "        if records or failures:\n",
        "        if len(records) == len(runs):\n",
        (f"{_UNIT}.PlanTests.test_interrupted",),
    ),
    Mutation(
        "case-after-case",
        "all cases interleaved",
        "bench/plan.py",
        """        for number in range(1, rounds + 1)
        for case in cases
""",
        """        for case in cases
        for number in range(1, rounds + 1)
""",
        (f"{_UNIT}.PlanTests.test_in_turn",),
    ),
    Mutation(
        "every-goal-is-met",
        "where ours stands against the goals",
        "bench/goals.py",
        "return ours >= bound if self.least else ours <= bound",
        "return ours >= bound",
        (f"{_UNIT}.TableTests.test_goals", f"{_UNIT}.TableTests.test_goals_at_zero"),
    ),
    Mutation(
        "pure-is-native",
        "pure Python is a further contestant",
        "bench/routercontestants.py",
        'WITHOUT_NATIVE = ("env", "DISTNET_NATIVE=0")',
        'WITHOUT_NATIVE = ("env",)',
        (
            f"{_TESTS}::test_without_native_code",
            "tests/integration/test_bench_routers.py::test_without_native_code",
        ),
        Runner.PYTEST,
    ),
    Mutation(
        "frames-on-any-processor",
        "ping-pong pinned to one core",
        "bench/switchcontestants.py",
        '    within = [] if core is None else ["taskset", "--cpu-list", str(core)]\n',
        "    within: list[str] = []\n",
        (f"{_TESTS}::test_on_one_processor",),
        Runner.PYTEST,
    ),
    Mutation(
        "idle-ports-are-unknown",
        "1,000 idle ports, whose addresses the switch knows",
        _FRAMES,
        "        make_frame(frame, i, i ? 0 : -1);\n",
        "        make_frame(frame, 0, i ? 0 : -1);\n",
        (f"{_TESTS}::test_idle_ports_are_plugged_in",),
        Runner.PYTEST,
    ),
    Mutation(
        "lost-round-trips-have-times",
        "every frame accounted for",
        _FRAMES,
        "        if (got == number && whole)\n            times[answered++]",
        "            times[answered++]",
        (f"{_TESTS}::test_a_lost_round_trip_has_no_time",),
        Runner.PYTEST,
    ),
)
