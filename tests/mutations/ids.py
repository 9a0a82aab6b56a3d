"""Mistakes with ids, and with destinations that nobody has."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_REGISTRY = "distnet/master/core/registry.py"
_ROUTER = "distnet/master/core/router.py"
_TESTS = "tests.unit.master.core.test_registry"
_BACK = "tests.unit.master.core.test_lifecycle.IdsGoBackTests"
_REFUSALS = "tests.unit.master.core.test_router.RefusalTests"
_PINNED = "tests.unit.master.core.test_router.PinnedTests"

MUTATIONS = (
    Mutation(
        "unsettled-ids-are-burnt",
        "an id whose connection ends before it was settled goes back (a port probe burns none)",
        _REGISTRY,
        "(not settled or self.policy is IdPolicy.LOWEST)",
        "self.policy is IdPolicy.LOWEST",
        (f"{_TESTS}.SequentialTests.test_unsettled_goes_back", f"{_BACK}.test_probe"),
    ),
    Mutation(
        "settled-ids-are-reused",
        "ids 0, 1, 2, … in order of connection, not reused",
        _REGISTRY,
        "(not settled or self.policy is IdPolicy.LOWEST)",
        "True",
        (
            f"{_TESTS}.SequentialTests.test_settled_is_for_good",
            f"{_TESTS}.RandomTests.test_never_twice",
            f"{_BACK}.test_settled_is_gone",
        ),
    ),
    Mutation(
        "lowest-is-sequential",
        "--ids lowest reuses the lowest free one",
        _REGISTRY,
        "(not settled or self.policy is IdPolicy.LOWEST)",
        "not settled",
        (f"{_TESTS}.LowestTests.test_reuse", f"{_BACK}.test_lowest"),
    ),
    Mutation(
        "not-the-lowest",
        "--ids lowest reuses the lowest free one",
        _REGISTRY,
        "heapq.heappop(self._returned)",
        "self._returned.pop()",
        (f"{_TESTS}.LowestTests.test_reuse",),
    ),
    Mutation(
        "pinned-given-to-others",
        "pinned ids are given to no other",
        _REGISTRY,
        "while self._next in self.pinned or self._next == QUIT_ID:",
        "while self._next == QUIT_ID:",
        (
            f"{_TESTS}.PinnedTests.test_given_to_no_other",
            f"{_TESTS}.PinnedTests.test_lowest",
            f"{_PINNED}.test_same_id_again",
        ),
    ),
    Mutation(
        "pinned-go-back",
        "pinned ids are given to no other, not even when their node has left",
        _REGISTRY,
        "if node not in self.pinned and (not settled",
        "if (not settled",
        (f"{_TESTS}.PinnedTests.test_lowest",),
    ),
    Mutation(
        "quit-is-assigned",
        "0x74697571 is never assigned",
        _REGISTRY,
        "while self._next in self.pinned or self._next == QUIT_ID:",
        "while self._next in self.pinned:",
        (f"{_TESTS}.QuitTests.test_never",),
    ),
    Mutation(
        "highest-id-not-assigned",
        "a highest id is an option",
        _REGISTRY,
        "            if node > self._highest:",
        "            if node >= self._highest:",
        (f"{_TESTS}.SequentialTests.test_highest",),
    ),
    Mutation(
        "restored-above-the-highest",
        "a highest id is an option, and with --state it can be lowered",
        _REGISTRY,
        "if node in self.pinned or not self._next <= node <= self._highest:",
        "if node in self.pinned or node < self._next:",
        (f"{_TESTS}.RestoreTests.test_above_the_highest",),
    ),
    Mutation(
        "above-the-highest-waits",
        "destinations above the highest id are refused and counted at once",
        _REGISTRY,
        "if not self._first <= node <= self._highest or",
        "if not self._first <= node or",
        (f"{_TESTS}.SequentialTests.test_standing", f"{_REFUSALS}.test_highest"),
    ),
    Mutation(
        "absent-is-refused",
        "messages to an id not seen yet wait for it",
        _REGISTRY,
        "            or node >= self._next\n",
        "",
        (
            f"{_TESTS}.SequentialTests.test_standing",
            "tests.unit.master.core.test_router.DeliveryTests.test_broadcast_before_the_others",
        ),
    ),
    Mutation(
        "gone-waits",
        "under sequential, what is sent to an id that has left is refused and counted",
        _ROUTER,
        "        if standing is Standing.GONE:\n            return Reason.GONE\n",
        "",
        (f"{_REFUSALS}.test_gone",),
    ),
    Mutation(
        "refused-said-each-time",
        "destinations that cannot be reached are counted, and said once",
        _ROUTER,
        "            source.refusals.add(said)\n",
        "",
        (f"{_REFUSALS}.test_gone", f"{_REFUSALS}.test_highest"),
    ),
    Mutation(
        "refused-said-without-limit",
        "every table has a named limit (STYLE 8)",
        _ROUTER,
        "if said not in source.refusals and len(source.refusals) < _MAX_REFUSALS_SAID:",
        "if said not in source.refusals:",
        (f"{_REFUSALS}.test_said_of_so_many",),
    ),
    Mutation(
        "tools-take-kernels-ids",
        "tools do not take kernels' ids: ids from 2^31",
        _ROUTER,
        "node = self._registry(kind).allocate()",
        "node = self.registry.allocate()",
        (f"{_REFUSALS}.test_tools",),
    ),
    Mutation(
        "mail-of-a-tool-for-the-next",
        "tools have ids of their own",
        _ROUTER,
        "if stays or not (session.settled or session.kind is Kind.TOOL):",
        "if stays or not session.settled:",
        (f"{_REFUSALS}.test_mail_of_a_tool",),
    ),
    Mutation(
        "second-connection-replaces",
        "a second connection while the first lives is refused (the default)",
        _ROUTER,
        "            if not self.limits.replace_pinned:\n",
        "            if self.limits.replace_pinned is None:\n",
        (f"{_PINNED}.test_second_is_refused",),
    ),
    Mutation(
        "replaced-connection-lives",
        "or it replaces the first, by an option",
        _ROUTER,
        '            first.link.abort()\n            self.lost(first, f"replaced',
        '            self.lost(first, f"replaced',
        (f"{_PINNED}.test_second_replaces",),
    ),
)
