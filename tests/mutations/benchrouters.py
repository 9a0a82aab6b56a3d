"""Mistakes in the benchmark of the routers by which one would look better or worse than it is.

Only those that the figures do not show: see L{tests.mutations.mutation}.
"""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "late-messages-are-delivered",
        "every message counted, and its order verified",
        "take",
        "shared->late++;",
        "delivered++;",
        ("test_bench_routers.test_faults_are_counted[doubled]",),
    ),
    Mutation(
        "any-source-will-do",
        "its source verified",
        "units.check",
        "if (source != senders[*sender].id)",
        "if (0)",
        ("test_bench_routers.test_faults_are_counted[another source]",),
    ),
    Mutation(
        "any-receiver-will-do",
        "its receiver verified",
        "units.check",
        "if (dest != (uint32_t)receiver)",
        "if (0)",
        ("test_bench_routers.test_faults_are_counted[another receiver]",),
    ),
    Mutation(
        "damaged-messages-are-delivered",
        "every message counted",
        "units.check",
        "complement != ~*number ||",
        "",
        ("test_bench_routers.test_faults_are_counted[another number]",),
    ),
    Mutation(
        "what-chunks-begin-with-is-whole",
        "a message that is not whole in one segment is split",
        "streams.cut",
        "found += at < begin ||",
        "found += at >= begin &&",
        ("test_bench_routers.test_split_messages_are_counted",),
    ),
    Mutation(
        "no-segments-in-a-chunk",
        "a message that is not whole in one segment is split",
        "streams.cut",
        "/ SEGMENT != (",
        "/ CHUNK != (",
        ("test_bench_routers.test_split_messages_are_counted",),
    ),
    Mutation(
        "a-header-alone-is-whole",
        "a payload that is not there with its header is split",
        "streams.read_strictly",
        "split = 1;",
        "split = part == 0;",
        ("test_bench_routers.test_split_messages_are_counted",),
    ),
    Mutation(
        "empty-messages-of-anybody",
        "empty messages are counted by their source",
        "units.check_empty",
        "source -= senders[0].id;",
        "source = 0;",
        ("test_bench_routers.test_empty_messages_are_counted",),
    ),
    Mutation(
        "nobody-stalls",
        "one receiver that stops reading while others go on",
        "streams.receive",
        "if (i >= stalled)",
        "",
        ("test_nothing_is_lost_without_a_router",),
    ),
    Mutation(
        "always-the-same-receiver",
        "interleaved: another receiver than the last",
        "streams.fill",
        "out->receiver = (out->receiver + 1) % pairs;",
        "out->receiver = (out->receiver + 1) % 2;",
        ("test_interleaved_messages_alternate",),
    ),
    Mutation(
        "busy-senders-are-not-noticed",
        "a case where the generator used a whole processor is a lower bound",
        "Streamed.busiest",
        "return max(self.sender_cpu / self.sender_seconds, self.receiver_cpu / self.seconds)",
        "return self.receiver_cpu / self.seconds",
        ("test_bench_routers.test_a_busy_load_generator_is_noticed",),
    ),
    Mutation(
        "messages-on-any-processor",
        "ping-pong pinned to one core",
        "pin",
        "CPU_SET(core, &set);",
        "for (int each = 0; each < CPU_SETSIZE; each++)\n    CPU_SET(each, &set);",
        (
            "test_bench_routers.test_on_one_processor",
            "test_bench.test_on_one_processor",
        ),
    ),
    Mutation(
        "times-in-any-order",
        "p50 and p99 of round trips",
        "list_quantiles",
        "qsort(times, number, sizeof *times, by_size);",
        "(void)by_size;",
        ("test_bench_routers.test_round_trips_are_ordered_by_their_length",),
    ),
)
