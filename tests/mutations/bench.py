"""Mistakes in the benchmarks by which a switch, or anything, would look better or worse than it is.

Only those that the figures do not show: see L{tests.mutations.mutation}.
"""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "doubles-make-up-for-losses",
        "each frame numbered",
        "frames.receive",
        "seen[number / 8] |= (unsigned char)(1 << number % 8);",
        "",
        ("test_bench.test_faults_are_counted[doubled]",),
    ),
    Mutation(
        "any-order-will-do",
        "its order checked",
        "frames.receive",
        "if (number < next)",
        "if (0)",
        ("test_bench.test_faults_are_counted[reordered]",),
    ),
    Mutation(
        "damage-is-delivery",
        "every frame accounted for",
        "frames.receive",
        "number >= count || !whole",
        "number >= count",
        ("test_bench.test_faults_are_counted[changed]",),
    ),
    Mutation(
        "any-source-of-a-frame-will-do",
        "source and order verified",
        "receive_number",
        "length == size && !memcmp(frame, expected, NUMBER_AT) &&",
        "length == size &&",
        ("test_bench.test_faults_are_counted[another source]",),
    ),
    Mutation(
        "lost-by-one-receiver-only",
        "delivered + lost = sent",
        "Traffic.lost",
        "return self.sent * len(self.receivers) - self.delivered",
        "return self.sent - self.delivered",
        ("test_receivers_alone_keep_up",),
    ),
    Mutation(
        "busy-receivers-are-not-noticed",
        "a generator-bound figure is marked",
        "Traffic.busiest",
        "busy += [each.cpu / each.seconds for each in self.receivers if each.seconds]",
        "",
        ("test_bench.test_a_busy_load_generator_is_noticed",),
    ),
    Mutation(
        "theirs-by-ours",
        "a ratio ours/theirs",
        "ratio",
        "first[0] / other[0]",
        "other[0] / first[0]",
        ("TableTests.test_medians",),
    ),
    Mutation(
        "means",
        "medians",
        "median",
        "statistics.median(",
        "statistics.mean(",
        ("TableTests.test_medians",),
    ),
    Mutation(
        "case-after-case",
        "all cases interleaved",
        "bench.plan.plan",
        "for number in range(1, rounds + 1)\nfor case in cases",
        "for case in cases\nfor number in range(1, rounds + 1)",
        ("PlanTests.test_in_turn",),
    ),
    Mutation(
        "every-goal-is-met",
        "where ours stands against the goals",
        "Goal.is_met",
        "return ours >= bound if self.least else ours <= bound",
        "return ours >= bound",
        (
            "TableTests.test_goals",
            "TableTests.test_goals_at_zero",
        ),
    ),
    Mutation(
        "pure-is-native",
        "pure Python is a further contestant",
        "WITHOUT_NATIVE",
        'WITHOUT_NATIVE = ("env", "DISTNET_NATIVE=0")',
        'WITHOUT_NATIVE = ("env",)',
        (
            "test_bench.test_without_native_code",
            "test_bench_routers.test_without_native_code",
        ),
    ),
    Mutation(
        "before-is-now",
        "what is compared with this checkout is the other one",
        "Checkout.environment",
        '"PYTHONPATH": str(self.root)',
        '"PYTHONPATH": str(Path(__file__).parent.parent)',
        ("test_its_own_master_runs", "test_its_own_switch_runs"),
    ),
    Mutation(
        "before-by-now",
        "a ratio now/before",
        "comparison",
        "ratio(records, case, pair, figure)",
        "ratio(records, case, pair[::-1], figure)",
        ("ComparisonTests.test_ratios",),
    ),
    Mutation(
        "frames-on-any-processor",
        "ping-pong pinned to one core",
        "switchcontestants.started",
        'within = [] if core is None else ["taskset", "--cpu-list", str(core)]',
        "within: list[str] = []",
        ("test_bench.test_on_one_processor",),
    ),
    Mutation(
        "idle-ports-are-unknown",
        "1,000 idle ports, whose addresses the switch knows",
        "stay_idle",
        "make_frame(frame, i, i ? 0 : -1);",
        "make_frame(frame, 0, i ? 0 : -1);",
        ("test_idle_ports_are_plugged_in",),
    ),
    Mutation(
        "lost-round-trips-have-times",
        "every frame accounted for",
        "frames.ping",
        "if (got == number && whole)\n    times[answered++]",
        "    times[answered++]",
        ("test_a_lost_round_trip_has_no_time",),
    ),
)
