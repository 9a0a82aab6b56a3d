"""Mistakes of the gateway's processes: how they are started, watched and ended."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "gateway-that-cannot-be-started",
        "what the machine refuses now it may allow later",
        "GatewayProcess._start",
        "except OSError as error:",
        "except InterruptedError as error:",
        ("StartingTests.test_what_may_pass", "StartingTests.test_no_descriptor"),
    ),
    Mutation(
        "gateway-with-few-descriptors",
        "a gateway has as many descriptors as it may",
        "run_gateway",
        "allow_all_descriptors()",
        "pass",
        ("test_as_many_descriptors_as_it_may_have",),
    ),
)
