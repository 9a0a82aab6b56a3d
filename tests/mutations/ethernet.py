"""Mistakes of the switch: where frames go, and what becomes of those for slow readers."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_BRIDGE = "distnet/switch/core/bridge.py"
_DELIVERY = "distnet/switch/core/delivery.py"
_FDB = "distnet/switch/core/fdb.py"
_FRAME = "distnet/switch/core/frame.py"
_PORTS = "distnet/switch/core/ports.py"
_VLAN = "distnet/switch/core/vlans.py"

_MODEL = "tests.unit.switch.core.test_model.ModelTests.test_long"

MUTATIONS = (
    Mutation(
        "frame-reflected",
        "nothing is reflected to the port that a frame came from",
        _DELIVERY,
        "            if port is own:\n                continue\n",
        "",
        (
            "tests.unit.switch.core.test_bridge.ForwardingTests.test_groups",
            "tests.unit.switch.core.test_bridge.ForwardingTests.test_shared_port",
            _MODEL,
        ),
    ),
    Mutation(
        "flood-to-tagged-forgotten",
        "802.1Q VLANs with tagged and untagged ports",
        _BRIDGE,
        "        if vlan.tagged_out:\n",
        "        if vlan.tagged_out and tagged is not None:\n",
        ("tests.unit.switch.core.test_vlans.MemberTests.test_tags_change", _MODEL),
    ),
    Mutation(
        "tag-hidden-behind-a-tag",
        "no frame of a VLAN in another",
        _BRIDGE,
        "        misled = [target for target in targets if shown in target.port.tagged]\n",
        "        misled: list[Endpoint] = []\n",
        (
            "tests.unit.switch.core.test_vlans.PassingTests.test_hidden_tag",
            "tests.unit.switch.core.test_vlans.PassingTests.test_not_into_a_vlan",
            _MODEL,
        ),
    ),
    Mutation(
        "tags-dropped",
        "tags pass by default, the vde_switch behaviour by an option",
        _BRIDGE,
        "        elif self.strict or home is None:\n",
        "        elif number in self.vlans or self.strict or home is None:\n",
        ("tests.unit.switch.core.test_vlans.PassingTests.test_pass", _MODEL),
    ),
    Mutation(
        "strict-passes",
        "a tagged frame is dropped unless the port is in that VLAN, by an option",
        _BRIDGE,
        "        elif self.strict or home is None:\n",
        "        elif home is None:\n",
        ("tests.unit.switch.core.test_vlans.PassingTests.test_strict", _MODEL),
    ),
    Mutation(
        "addresses-of-all-vlans",
        "learning is per VLAN",
        _FDB,
        "        return self._tables.setdefault(vlan, {})\n",
        "        return self._tables.setdefault(0, {})\n",
        (
            "tests.unit.switch.core.test_vlans.MemberTests.test_addresses_by_vlan",
            "tests.unit.switch.core.test_fdb.LearningTests.test_iterated",
        ),
    ),
    Mutation(
        "groups-learned",
        "never learns from group addresses",
        _FDB,
        "        if is_group(mac) or mac == _NO_ADDRESS:\n            return\n",
        "",
        ("tests.unit.switch.core.test_fdb.LearningTests.test_never_learned",),
    ),
    Mutation(
        "moves-at-once",
        "moves only after the minimum persistence of 3 s",
        _FDB,
        "        elif now - known.seen >= self.min_persistence_seconds:\n",
        "        else:\n",
        ("tests.unit.switch.core.test_fdb.LearningTests.test_moves_after_persistence", _MODEL),
    ),
    Mutation(
        "not-seen-again",
        "an address ages from when it was last seen",
        _BRIDGE,
        "            known.seen = self._seconds()\n",
        "            pass\n",
        (
            "tests.unit.switch.core.test_fdb.LearningTests.test_seen_again",
            "tests.unit.switch.core.test_fdb.AgeTests.test_expire",
            _MODEL,
        ),
    ),
    Mutation(
        "addresses-without-end",
        "learning with age and a cap",
        _FDB,
        "        if self._count >= self.max_addresses:\n",
        "        if self._count > self.max_addresses:\n",
        ("tests.unit.switch.core.test_fdb.LearningTests.test_cap", _MODEL),
    ),
    Mutation(
        "idle-switch-sweeps",
        "idle CPU",
        _BRIDGE,
        "if self.fdb.sweep_seconds and len(self.fdb):",
        "if self.fdb.sweep_seconds:",
        ("tests.unit.switch.core.test_fdb.AgeTests.test_idle",),
    ),
    Mutation(
        "addresses-of-the-gone",
        "the end of a connection forgets its addresses",
        _BRIDGE,
        "            port.user = None\n            self.fdb.forget_port(port)\n",
        "            port.user = None\n",
        ("tests.unit.switch.core.test_delivery.PauseTests.test_to_one_who_left",),
    ),
    Mutation(
        "moved-port-keeps-addresses",
        "no frame of a VLAN in another",
        _VLAN,
        "        self._fdb.forget_port(port)\n"
        "        self._leave_home(port)\n"
        "        port.home = home\n",
        "        self._leave_home(port)\n        port.home = home\n",
        ("tests.unit.switch.core.test_vlans.MemberTests.test_moved_port", _MODEL),
    ),
    Mutation(
        "runt-tag",
        "checked frames",
        _FRAME,
        "if size < MIN_FRAME or (size < MIN_TAGGED_FRAME and frame[12:14] == TAG_TYPE):",
        "if size < MIN_FRAME:",
        (
            "tests.unit.switch.core.test_frame.FrameTests.test_limits",
            "tests.unit.switch.core.test_bridge.ForwardingTests.test_refused",
        ),
    ),
    Mutation(
        "first-free-is-0",
        "0 = the first free from 1",
        _PORTS,
        "        for number in range(1, self._numports):\n            port = ports.get(number)\n",
        "        for number in range(0, self._numports):\n            port = ports.get(number)\n",
        ("tests.unit.switch.core.test_ports.PortTests.test_first_free",),
    ),
    Mutation(
        "port-of-another-user",
        "one port can hold several endpoints of the same user",
        _PORTS,
        "        if port.endpoints and port.user != user:\n",
        "        if False:\n",
        ("tests.unit.switch.core.test_ports.PortTests.test_wished",),
    ),
    Mutation(
        "overtakes-the-queue",
        "frames for a port stay in order",
        _DELIVERY,
        "            if not target.blocked and target.link.send(frame):\n"
        "                sent = port",
        "            if target.link.send(frame):\n                sent = port",
        ("tests.unit.switch.core.test_delivery.QueueTests.test_room_before_it_is_said", _MODEL),
    ),
    Mutation(
        "drops-instead-of-pausing",
        "pausing the ingress port for a bounded time lost nothing (DESIGN 6)",
        _DELIVERY,
        "            if not source.impatient and self._pause_seconds:\n",
        "            if False:\n",
        (
            "tests.unit.switch.core.test_delivery.PauseTests.test_paused_until_drained",
            "tests.unit.switch.core.test_delivery.SlowTests.test_drains_steadily",
        ),
    ),
    Mutation(
        "held-not-held",
        "paused frames of an ingress endpoint are kept in order",
        _BRIDGE,
        "                self._delivery.hold(endpoint, frame)\n",
        "                self._forward(endpoint, frame)\n",
        ("tests.unit.switch.core.test_delivery.PauseTests.test_held_in_order", _MODEL),
    ),
    Mutation(
        "waiters-overtaken",
        "nothing is lost to a reader that keeps up: who came later does not go first",
        _DELIVERY,
        "        if target.waiters:\n            # They",
        "        if False:\n            # They",
        ("tests.unit.switch.core.test_delivery.PauseTests.test_others_wait_too",),
    ),
    Mutation(
        "pause-after-pause",
        "at most 20 ms, since a blocked QEMU does not read either",
        _DELIVERY,
        "        source.impatient = True\n",
        "",
        ("tests.unit.switch.core.test_delivery.SlowTests.test_one_pause", _MODEL),
    ),
    Mutation(
        "slow-after-a-pause-for-others",
        "a port that does not drain within the bound is marked slow; others are not",
        _DELIVERY,
        "            if target.deadline is not None and target.deadline <= now:\n",
        "            if True:\n",
        ("tests.unit.switch.core.test_delivery.SlowTests.test_one_pause",),
    ),
    Mutation(
        "slow-by-a-late-timer",
        "nothing is lost to a reader that keeps up",
        _DELIVERY,
        "        self.writable(target)\n        return",
        "        return",
        (
            "tests.unit.switch.core.test_delivery.SlowTests.test_a_late_timer",
            "tests.unit.switch.core.test_delivery.SlowTests.test_late_and_asked_by_another",
        ),
    ),
    Mutation(
        "slow-until-there-is-room",
        "dropped for again until its queue is empty (DESIGN 6)",
        _DELIVERY,
        "                return\n            queue.popleft()\n",
        "                return self._recover(target)\n            queue.popleft()\n",
        ("tests.unit.switch.core.test_delivery.SlowTests.test_slow",),
    ),
    Mutation(
        "slow-port-pauses",
        "one dead port must not slow the others (DESIGN 6)",
        _DELIVERY,
        "        if target.slow is not None:\n"
        "            self._drop(target, Reason.SLOW, frame)\n"
        "            return True\n",
        "",
        ("tests.unit.switch.core.test_delivery.SlowTests.test_dead_port", _MODEL),
    ),
    Mutation(
        "queue-without-bytes",
        "a bounded queue per port, in frames and bytes",
        _DELIVERY,
        "if len(queue) >= self._max_frames or target.queued_bytes + size > self._max_bytes:",
        "if len(queue) >= self._max_frames:",
        ("tests.unit.switch.core.test_delivery.QueueTests.test_bytes", _MODEL),
    ),
    Mutation(
        "not-counted-when-gone",
        "every frame not delivered is counted",
        _DELIVERY,
        "            self._drop(endpoint, Reason.RECEIVER_LEFT, endpoint.queue.popleft())\n",
        "            endpoint.queue.popleft()\n",
        ("tests.unit.switch.core.test_delivery.QueueTests.test_left", _MODEL),
    ),
    Mutation(
        "timer-left-behind",
        "kept waiting for a bounded time, once",
        _DELIVERY,
        "                source.pause_timer.cancel()\n",
        "                pass\n",
        ("tests.unit.switch.core.test_delivery.PauseTests.test_sender_leaves",),
    ),
)
