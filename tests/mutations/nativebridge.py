"""Mistakes of the native path of the switch."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_C = "distnet/_native/bridge.c"
_POLLER = "distnet/_native/poller.c"
_TABLE = "distnet/_native/table.c"
_ADDRESSES = "distnet/_native/addresses.c"

_TEST = "tests/integration/test_bridge_fuzz.py::test_random_input"
_FUZZ = (f"{_TEST}[full-size]",)
_TINY = (f"{_TEST}[tiny]",)

MUTATIONS = (
    Mutation(
        "nativebridge-back-to-its-port",
        "a frame is never sent back to its port",
        _C,
        "        if (targets[i]->port != source->port)\n            choose",
        "        choose",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-into-another-vlan",
        "VLANs are kept apart",
        _C,
        "        if (!port || port->vlan != home ||\n",
        "        if (!port ||\n",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-slow-gets-it",
        "what is dropped for slow ones is counted",
        _C,
        "    if (to->state == SLOW) {\n",
        "    if (0) {\n",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-writes-to-the-closed",
        "a native path hands the rare cases to Python",
        _C,
        "            if (targets[i]->state == CLOSED)\n                return 0;\n",
        "",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-past-what-is-given",
        "frames of two endpoints stay in order",
        _C,
        "        diverted = diverted || !forward(",
        "        diverted = !forward(",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-past-what-is-kept",
        "frames of two endpoints stay in order",
        _C,
        "        if (!to->full)\n            sent = transmit",
        "        sent = transmit",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-gives-later-ones-first",
        "frames of two endpoints stay in order",
        _C,
        "        put_before(&source->given, &picked);\n        settle",
        "        put_before(&picked, &source->given);\n"
        "        source->given = picked;\n        settle",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-kept-from-the-first",
        "no frame is doubled",
        _C,
        "        for (size_t frame = sent; frame < to->frames; frame++)\n            keep",
        "        for (size_t frame = 0; frame < to->frames; frame++)\n            keep",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-tries-once",
        "a source that is held goes on when its target takes more",
        _C,
        "        if (to->retry_at <= bridge->now)\n            retry(bridge, to);\n",
        "",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-patient-forever",
        "one that is dead costs the others one pause",
        _C,
        "(error != EAGAIN && error != EWOULDBLOCK) || bridge->now >= to->patient_until)",
        "error != EAGAIN && error != EWOULDBLOCK)",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-skips-the-next-that-keeps",
        "a source that is held goes on when its target is closed",
        _C,
        "        if (!picked.first)\n            continue;\n",
        "",
        _TINY,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-left-in-what-is-given",
        "what an endpoint that has left did not get is counted",
        _C,
        "given = pick(&source->given, endpoint);",
        "given = {0};",
        _TINY,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-tries-who-has-left",
        "no memory error under AddressSanitizer",
        _C,
        "                            &bridge->held, &bridge->fulls};\n",
        "                            &bridge->held};\n",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-loses-addresses",
        "addresses are known however many there are",
        _TABLE,
        "            next = entry->next;\n            put(table, entry);\n",
        "            put(table, entry);\n            next = entry->next;\n",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-tells-of-the-forgotten",
        "no memory error under AddressSanitizer",
        _ADDRESSES,
        "    if (address->touched) {\n",
        "    if (0) {\n",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "nativebridge-held-in-a-later-life",
        "who is plugged in where another left is read",
        _POLLER,
        "    poller_change(poller, fd, 0, 0);\n",
        "",
        _FUZZ,
        Runner.PYTEST,
    ),
)
