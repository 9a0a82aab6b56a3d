"""Mistakes of the native process of a guest."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "nativeguest-merges-out-of-order",
        "segments are merged only if they follow each other",
        "run_goes_on",
        "segment->start == run->following &&",
        "",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-merges-without-checksums",
        "a merged segment has the checksum of its parts",
        "run_end",
        "more * each",
        "each",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-keeps-all-of-a-part",
        "what the master has taken is not sent to it again",
        "relay_read_guest",
        "append(&relay->to_master, data + sent, (size_t)size - sent);",
        "append(&relay->to_master, data, (size_t)size);",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-loses-what-libslirp-has-no-room-for",
        "what libslirp has not taken is kept for it",
        "read_master",
        "append(&relay->to_guest, data + sent, (size_t)(size - sent));",
        ";",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-keeps-old-plugs",
        "a plug that is replaced is closed",
        "guest_change_plug",
        "close(guest->plug.fd);",
        "",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-keeps-the-masters-socket",
        "both connections of a relay are closed",
        "relay.end",
        "close_end(relay, &relay->far);",
        "",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-frees-what-is-still-there",
        "what has ended is freed after all that may know it",
        "relay.end",
        "guest->ended = relay;",
        "guest->ended = NULL; free(relay);",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-believes-a-batch",
        "a batch may say what is not so",
        "take_batch",
        "if (place + length > size)\n    return;",
        "",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-cuts-what-libslirp-says",
        "frames leave under the MAC address of their address",
        "guest_send_packet",
        "plan_give_mac(&guest->plan, frame, size);",
        "",
        ("test_random_guest",),
    ),
    Mutation(
        "nativeguest-forgets-what-it-holds",
        "a guest's bytes before the id go to the master after it",
        "write_master",
        "if (relay->to_master.size)\n    consume(",
        "if (0)\n    consume(",
        ("test_random_guest",),
    ),
)
