"""Mistakes of the native path, and where it and the router meet."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_C = "distnet/_native/router.c"
_HOT = "distnet/master/native.py"
_ROUTER = "distnet/master/core/router.py"
_OUTBOX = "distnet/master/core/outbox.py"
_WIRE = "distnet/wire.py"

_PAST = "tests.unit.master.core.test_past_the_router.PastTheRouterTests"
_NATIVE = "tests/integration/test_native.py"
_FUZZ = (f"{_NATIVE}::test_random_input[full-size]",)
_TINY = (f"{_NATIVE}::test_random_input[tiny]",)
_SAME = (f"{_NATIVE}::test_the_same_comes_out[0]",)
_SAID = (f"{_NATIVE}::test_both_say_which_they_are",)

MUTATIONS = (
    Mutation(
        "native-turned-back-with-its-source",
        "nothing lost where a node takes no more",
        _C,
        "    put32(message, to->id);\n    put_off",
        "    put_off",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "native-turned-back-counts-twice",
        "the same counters",
        _C,
        "    from->received--;\n",
        "",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "native-past-what-is-kept",
        "in order for each pair of nodes",
        _C,
        "        if (node->kept.size) {\n            if (!node->held) {",
        "        if (node->kept.size) {\n            if (0) {",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "native-writes-to-the-closed",
        "a native path hands the rare cases to Python",
        _C,
        "    to->open = 0;\n    to->patient_until = is_full",
        "    to->patient_until = is_full",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "native-forgets-the-rest",
        "pieces do not matter",
        _C,
        "        append(&node->rest, data + whole, size - whole);\n    else",
        "        append(&node->rest, data + whole, size - whole - 1);\n    else",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "native-stage-overflows",
        "no memory error under AddressSanitizer",
        _C,
        "slot->segments == SEGMENTS || STAGE_SIZE - slot->staged < COPY_BELOW",
        "slot->segments == SEGMENTS",
        _TINY,
        Runner.PYTEST,
    ),
    Mutation(
        "native-held-for-good",
        "whoever is held goes on once there is room",
        _C,
        "    if (!to || to->open || !is_patient(router, to))\n        return 0;",
        "    if (!to || !is_patient(router, to))\n        return 0;",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "native-reads-elsewhere-what-is-bad",
        "a native path hands the rare cases to Python",
        _C,
        "        if (length > router->max_payload) {\n            from->bad = 1;\n",
        "        if (length > router->max_payload) {\n",
        _FUZZ,
        Runner.PYTEST,
    ),
    Mutation(
        "hot-sends-again-what-was-begun",
        "nothing lost, doubled or reordered while no limit is hit",
        _OUTBOX,
        "            self._mailboxes.take(self._node, written)\n",
        "",
        (f"{_PAST}.test_the_rest_of_a_begun_message",),
    ),
    Mutation(
        "hot-full-is-not-said",
        "in order for each pair of nodes",
        _OUTBOX,
        "        self.blocked = True\n        if begun:\n",
        "        if begun:\n",
        (f"{_PAST}.test_full_between_two_messages",),
    ),
    Mutation(
        "hot-takes-nothing-back",
        "every message that is not delivered is counted",
        _ROUTER,
        "        if data and not session.gone:\n            self._cut(session, data)\n",
        "",
        (
            f"{_PAST}.test_what_was_taken_back_comes_first",
            f"{_PAST}.test_what_was_taken_back_is_delivered_at_the_end",
        ),
    ),
    Mutation(
        "hot-rest-in-both",
        "nothing doubled",
        _WIRE,
        "        data = bytes(self._buffer)\n        self._buffer.clear()\n",
        "        data = bytes(self._buffer)\n",
        (f"{_PAST}.test_the_rest_is_released",),
    ),
    Mutation(
        "hot-counts-not-read",
        "the same counters",
        _HOT,
        "        for node in self._nodes.values():\n            node.count()\n",
        "",
        _SAME,
        Runner.PYTEST,
    ),
    Mutation(
        "hot-never",
        "the native path runs where it can",
        _HOT,
        "                hot.read()\n",
        "                pass\n",
        _SAME,
        Runner.PYTEST,
    ),
    Mutation(
        "native-switch-ignored",
        "DISTNET_NATIVE=0 turns them off",
        "distnet/_native/__init__.py",
        'if os.environ.get(SWITCH) == "0":',
        "if False:",
        (*_SAME, *_SAID),
        Runner.PYTEST,
    ),
)
