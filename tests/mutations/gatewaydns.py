"""Mistakes of who passes a guest's DNS on."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "dns-stays-with-the-dead",
        "a dead first name server is never followed by the second",
        "Dns._ask",
        "query.timer = self._loop.call_later(PATIENCE_SECONDS, self._late, query)",
        "query.timer = self._loop.call_later(TIMEOUT_SECONDS, self._late, query)",
        ("DnsTests.test_silent", "DnsTests.test_nobody_answers"),
    ),
    Mutation(
        "dns-prefers-nobody",
        "the next one stays first for a while",
        "Dns._in_order",
        "servers.insert(0, self._first)",
        "servers.append(self._first)",
        ("DnsTests.test_silent",),
    ),
    Mutation(
        "dns-believes-any-question",
        "an answer counts only with the question that was asked",
        "Dns._answered",
        "if query is None or question_of(answer, response=True) != query.question:",
        "if query is None or question_of(answer, response=True) is None:",
        ("DnsTests.test_what_is_no_answer",),
    ),
    Mutation(
        "dns-ids-of-the-guest",
        "ids are random",
        "_Link._new_id",
        "number := secrets.randbelow(_IDS)",
        "number := len(self._waiting)",
        ("DnsTests.test_ids_and_ports",),
    ),
    Mutation(
        "dns-from-one-port",
        "a fresh random port for each server's socket",
        "Dns._forget",
        "link.close()",
        "pass",
        ("DnsTests.test_an_answer",),
    ),
    Mutation(
        "dns-without-bound",
        "at most 64 queries under way for a guest",
        "Dns.query",
        "if len(self._queries) >= MOST_QUERIES:",
        "if False:",
        ("DnsTests.test_bounds",),
    ),
    Mutation(
        "dns-waits-where-nobody-is",
        "ICMP refused is followed by the next",
        "Dns._failed",
        "if query.last == server:",
        "if False:",
        ("DnsTests.test_nobody_there",),
    ),
    Mutation(
        "dns-reads-once",
        "the file is read again when it changes",
        "ResolvConf.__call__",
        "if seen != self._seen:",
        "if self._seen is None:",
        ("ServersTests.test_another_file",),
    ),
    Mutation(
        "dns-says-there-is-no-sum",
        "in UDP a sum of zero means that there is none",
        "frames_to",
        'b"\\xff\\xff" if total == bytes(2) else total',
        "total",
        ("FrameTests.test_a_sum_of_zero",),
    ),
)
