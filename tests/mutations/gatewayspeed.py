"""Mistakes of how the gateway handles many frames at once."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "gateway-merges-over-holes",
        "segments become one only if the next begins where the last one ends",
        "merged",
        "and start == following",
        "",
        ("MergeTests.test_what_does_not_fit",),
    ),
    Mutation(
        "gateway-merges-behind-an-odd-byte",
        "a checksum is of pairs of bytes",
        "merged",
        "and not size & 1",
        "",
        ("MergeTests.test_an_odd_number_of_bytes",),
    ),
    Mutation(
        "gateway-hides-damaged-headers",
        "what was damaged on the way is refused as it would be by itself",
        "merged",
        "and not int.from_bytes(frame[14:34]) % _ONES",
        "",
        ("MergeTests.test_damaged_headers",),
    ),
    Mutation(
        "gateway-drops-doubled-acknowledgements",
        "acknowledgements of the same tell of a loss by their number",
        "_outdoes",
        "and 0 < (segment.ack - earlier.ack)",
        "and 0 <= (segment.ack - earlier.ack)",
        ("MergeTests.test_acknowledgements",),
    ),
)
