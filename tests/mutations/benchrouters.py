"""Mistakes in the benchmark of the routers, by which one would look better or worse than it is."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_MESSAGES = "bench/messages.c"
_TESTS = "tests/integration/test_bench_routers.py"


MUTATIONS = (
    Mutation(
        "late-messages-are-delivered",
        "every message counted, and its order verified",
        _MESSAGES,
        "            shared->late++;\n",
        "            delivered++;\n",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "any-source-will-do",
        "its source verified",
        _MESSAGES,
        "if (source != senders[*sender].id)",
        "if (0)",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "any-receiver-will-do",
        "its receiver verified",
        _MESSAGES,
        "if (dest != (uint32_t)receiver)",
        "if (0)",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "damaged-messages-are-delivered",
        "every message counted",
        _MESSAGES,
        "complement != ~*number || ",
        "",
        (f"{_TESTS}::test_faults_are_counted",),
        Runner.PYTEST,
    ),
    Mutation(
        "nobody-stalls",
        "one receiver that stops reading while others go on",
        _MESSAGES,
        "        if (i >= stalled)\n",
        "",
        (f"{_TESTS}::test_nothing_is_lost_without_a_router",),
        Runner.PYTEST,
    ),
    Mutation(
        "always-the-same-receiver",
        "interleaved: another receiver than the last",
        _MESSAGES,
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
        "every-goal-is-met",
        "where ours stands against the goals",
        "bench/routercases.py",
        "reached >= goal.ratio if goal.least else reached <= goal.ratio",
        "reached >= goal.ratio",
        (f"{_TESTS}::test_goals_are_judged",),
        Runner.PYTEST,
    ),
)
