"""Mistakes of what the gateway does by itself: answers, addresses for guests, its memory."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "answers-for-a-name-server-always",
        "without NAT there is no name server",
        "Answers.__init__",
        "if nat or address != plan.name_server",
        "if True",
        (
            "ArpTests.test_a_name_server_with_nat_only",
            "EchoTests.test_a_name_server_with_nat_only",
        ),
    ),
    Mutation(
        "answers-a-machine-with-our-address",
        "what is announced is no question",
        "Answers.arp",
        "or frame[28:32] in self._replies",
        "",
        ("ArpTests.test_what_is_not_answered",),
    ),
    Mutation(
        "answers-pings-of-others",
        "only what was sent to a MAC of ours is for us",
        "Answers.echo",
        "or frame[:6] not in self._macs",
        "",
        ("EchoTests.test_what_is_not_answered",),
    ),
    Mutation(
        "answers-under-the-mac-that-was-pinged",
        "an address of ours has one MAC, or switches forget where it is",
        "Answers.echo",
        "ethernet = frame[6:12] + mac_of(own) + _IPV4",
        "ethernet = frame[6:12] + frame[:6] + _IPV4",
        ("EchoTests.test_through_another_mac",),
    ),
    Mutation(
        "pings-sum-without-a-carry",
        "the checksum of an answer is right whatever that of the ping was",
        "_without_request",
        "total = (total & 0xFFFF) + (total >> 16)",
        "total = total & 0xFFFF",
        ("EchoTests.test_checksums",),
    ),
    Mutation(
        "pings-of-death",
        "no packet is longer than 65,535 bytes",
        "_turned_round",
        "and _IP_SIZE + offset + len(icmp) <= _LONGEST",
        "",
        ("EchoTests.test_broken_fragments",),
    ),
    Mutation(
        "dhcp-gives-away-the-masters-address",
        "the gateway's own addresses and zCore's are nobody else's",
        "Plan.pool",
        "(NETWORK[4], NETWORK[14])",
        "(NETWORK[4], NETWORK[30])",
        ("PlanTests.test_addresses_for_dhcp",),
    ),
)
