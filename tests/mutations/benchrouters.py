"""Mistakes in the benchmark of the routers, by which one would look better or worse than it is."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_STREAMS = "bench/load/streams.c"
_UNITS = "bench/load/units.c"
_TESTS = "tests/integration/test_bench_routers.py"


MUTATIONS = (
    Mutation(
        "late-messages-are-delivered",
        "every message counted, and its order verified",
        _UNITS,
        "            shared->late++;\n",
        "            delivered++;\n",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "any-source-will-do",
        "its source verified",
        _UNITS,
        "if (source != senders[*sender].id)",
        "if (0)",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "any-receiver-will-do",
        "its receiver verified",
        _UNITS,
        "if (dest != (uint32_t)receiver)",
        "if (0)",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "damaged-messages-are-delivered",
        "every message counted",
        _UNITS,
        "complement != ~*number || ",
        "",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "nobody-stalls",
        "one receiver that stops reading while others go on",
        _STREAMS,
        "        if (i >= stalled)\n",
        "",
        (f"{_TESTS}::test_nothing_is_lost_without_a_router",),
        Runner.PYTEST,
    ),
    Mutation(
        "always-the-same-receiver",
        "interleaved: another receiver than the last",
        _STREAMS,
        "            out->receiver = (out->receiver + 1) % pairs;\n",
        "            out->receiver = (out->receiver + 1) % 2;\n",
        (f"{_TESTS}::test_interleaved_messages_alternate",),
        Runner.PYTEST,
    ),
    Mutation(
        "busy-senders-are-not-noticed",
        "a case where the generator used a whole processor is a lower bound",
        "bench/messages.py",
        "return max(self.sender_cpu / self.sender_seconds, self.receiver_cpu / self.seconds)",
        "return self.receiver_cpu / self.seconds",
        (f"{_TESTS}::test_a_busy_load_generator_is_noticed",),
        Runner.PYTEST,
    ),
    Mutation(
        "messages-on-any-processor",
        "ping-pong pinned to one core",
        "bench/load/program.c",
        "    CPU_SET(core, &set);\n",
        "    for (int each = 0; each < CPU_SETSIZE; each++)\n        CPU_SET(each, &set);\n",
        (
            f"{_TESTS}::test_on_one_processor",
            "tests/integration/test_bench.py::test_on_one_processor",
        ),
        Runner.PYTEST,
    ),
    Mutation(
        "times-in-any-order",
        "p50 and p99 of round trips",
        "bench/load/program.c",
        "    qsort(times, number, sizeof *times, by_size);\n",
        "    (void)by_size;\n",
        (f"{_TESTS}::test_round_trips_are_ordered_by_their_length",),
        Runner.PYTEST,
    ),
)
