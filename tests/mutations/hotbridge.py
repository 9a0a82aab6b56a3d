"""Mistakes where the native switch and the bridge meet."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_HOT = "distnet/switch/native.py"
_BRIDGE = "distnet/switch/core/bridge.py"
_DELIVERY = "distnet/switch/core/delivery.py"
_RECORDS = "distnet/switch/core/records.py"

_NATIVE = "tests/integration/test_native_bridge.py"
_SAME = tuple(f"{_NATIVE}::test_the_same_comes_out[{seed}]" for seed in (0, 1, 2))
_FULL = tuple(f"{_NATIVE}::test_whoever_is_full_loses_nothing[{seed}-0.0]" for seed in (0, 1))
_DEAD = (f"{_NATIVE}::test_a_dead_reader[0.003-native]",)

MUTATIONS = (
    Mutation(
        "hot-bridge-never",
        "the native path runs where it can",
        "distnet/switch/plugs/vde.py",
        "    is_only_read = True\n",
        "",
        (f"{_NATIVE}::test_it_serves_clients_of_vde",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-blocked-is-not-said",
        "in order for each pair of endpoints",
        _DELIVERY,
        "                target.hot.closed()\n",
        "                pass\n",
        (f"{_NATIVE}::test_what_python_has_queued_comes_first",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-does-not-let-go",
        "every frame that is not delivered is counted",
        _BRIDGE,
        "        if endpoint.hot is not None:\n            endpoint.hot.let_go()\n",
        "",
        (f"{_NATIVE}::test_what_waits_for_one_that_leaves",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-left-is-not-counted",
        "every frame that is not delivered is counted",
        _HOT,
        "            self.endpoint.port.counters.lose(Reason.RECEIVER_LEFT, size, frames)\n",
        "            pass\n",
        (f"{_NATIVE}::test_what_waits_for_one_that_leaves",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-not-seen",
        "an address that is heard of does not expire",
        _HOT,
        "                    known.seen = now - ago\n",
        "                    pass\n",
        (f"{_NATIVE}::test_it_is_seen",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-slow-is-closed",
        "a dead port costs the others one pause",
        _HOT,
        "            state = native.SLOW\n",
        "            state = native.CLOSED\n",
        _DEAD,
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-slow-not-counted",
        "every frame that is not delivered is counted",
        _HOT,
        "            counters.lose(Reason.SLOW, counts[5], counts[4])\n",
        "",
        _DEAD,
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-floods-past-tagged-ports",
        "a native path hands the rare cases to Python",
        _HOT,
        "members, bool(vlan.tagged_out))",
        "members, False)",
        (f"{_NATIVE}::test_where_it_floods",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-forgets-no-address",
        "the same decisions",
        _HOT,
        "        self._native.forget(entry.vlan, entry.mac)\n",
        "",
        _SAME,
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-not-tapped",
        "a dump has every frame",
        _HOT,
        "        if self.bridge.is_tapped:\n",
        "        if False:\n",
        _SAME,
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-no-hub",
        "the same decisions",
        _HOT,
        "native.HUB if self.bridge.hub else native.SWITCH",
        "native.SWITCH",
        (f"{_NATIVE}::test_where_it_floods",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-vlans-unheard-of",
        "VLANs are kept apart",
        _RECORDS,
        "        self._plain_out = self._tagged_out = None\n        self._changed(self)\n",
        "        self._plain_out = self._tagged_out = None\n",
        _SAME,
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-given-twice-decided",
        "nothing doubled",
        _HOT,
        "                bridge.received_for(endpoint, target.endpoint, frame)\n",
        "                bridge.received(endpoint, frame)\n",
        (*_FULL, *_DEAD),
        Runner.PYTEST,
    ),
    Mutation(
        "vde-last-frames-unread",
        "what a client has sent before it leaves is delivered",
        "distnet/switch/plugs/vde.py",
        "            self._data.read_rest()\n",
        "            pass\n",
        ("tests/integration/test_vde_clients.py::test_what_was_sent_before_leaving",),
        Runner.PYTEST,
    ),
    Mutation(
        "hot-bridge-rest-in-both",
        "in order for each pair of endpoints",
        "distnet/switch/plugs/descriptor.py",
        "        if self._endpoint.hot is not None:\n            self._endpoint.hot.let_go()\n",
        "",
        (f"{_NATIVE}::test_what_came_from_one_that_leaves",),
        Runner.PYTEST,
    ),
)
