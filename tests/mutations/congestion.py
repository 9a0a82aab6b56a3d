"""Mistakes at the limits: pauses, drops, and what is said of them."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_FILE = "distnet/master/core/congestion.py"
_ROUTER = "distnet/master/core/router.py"
_MAILBOX = "distnet/master/core/mailbox.py"
_MODEL = "tests.unit.master.core.test_router_model.ModelTests.test_any_order"
_PAUSE = "tests.unit.master.core.test_congestion.PauseTests"
_FAIR = "tests.unit.master.core.test_congestion.FairnessTests"
_DROP = "tests.unit.master.core.test_overflow.DropTests"
_DISCONNECT = "tests.unit.master.core.test_overflow.DisconnectTests"
_LEAVING = "tests.unit.master.core.test_overflow.LeavingTests"
_STOP = "tests.unit.master.core.test_router_ends.StopTests"
_ROOM = "tests.unit.master.core.test_mailbox.RoomTests"

MUTATIONS = (
    Mutation(
        "one-byte-less",
        "bytes waiting for one id: the limit itself is allowed",
        _MAILBOX,
        "own = self._limits.max_waiting_per_id - waiting",
        "own = self._limits.max_waiting_per_id - waiting - 1",
        (f"{_PAUSE}.test_exactly_the_limit",),
    ),
    Mutation(
        "no-limit",
        "options for bytes waiting for one id",
        _MAILBOX,
        "own = self._limits.max_waiting_per_id - waiting",
        "own = self._limits.max_waiting_per_id",
        (f"{_PAUSE}.test_one_more", f"{_ROOM}.test_own"),
    ),
    Mutation(
        "no-reserve",
        "bytes waiting in all (with a reserve for every settled id)",
        _MAILBOX,
        "            shared = max(shared, self._limits.reserve - waiting)\n",
        "            pass\n",
        (f"{_DROP}.test_memory", f"{_ROOM}.test_reserve"),
    ),
    Mutation(
        "reserve-for-everybody",
        "a reserve for every settled id, and for no other",
        _MAILBOX,
        "        if settled:\n            shared = max(",
        "        if True:\n            shared = max(",
        (f"{_DROP}.test_memory", f"{_ROOM}.test_reserve", f"{_ROOM}.test_shared"),
    ),
    Mutation(
        "pause-for-the-absent",
        "never for an absent or unsettled id",
        _ROUTER,
        "        if settled and may_pause and not self._stopping:\n",
        "        if may_pause and not self._stopping:\n",
        (f"{_PAUSE}.test_never_for_an_absent_id", f"{_PAUSE}.test_never_for_an_unsettled_id"),
    ),
    Mutation(
        "pause-for-the-unsettled",
        "never for an absent or unsettled id",
        _ROUTER,
        "        settled = dest is not None and dest.settled\n",
        "        settled = dest is not None\n",
        (f"{_PAUSE}.test_never_for_an_unsettled_id", _MODEL),
    ),
    Mutation(
        "pause-at-0-seconds",
        "--pause-seconds: 0 = never",
        _FILE,
        "if episode.dropping or not seconds:",
        "if episode.dropping:",
        (f"{_PAUSE}.test_never",),
    ),
    Mutation(
        "for-ever-has-an-end",
        "--pause-seconds: inf = for ever",
        _FILE,
        '        if seconds != float("inf"):\n',
        "        source.pause_ends = min(source.pause_ends, now + 60)\n        if True:\n",
        (f"{_PAUSE}.test_for_ever",),
    ),
    Mutation(
        "pause-without-end",
        "at a limit the sender is paused, --pause-seconds (1)",
        _FILE,
        "source.pause_timer = self._clock.callLater(left, self._paused_enough, episode)",
        "pass",
        (f"{_PAUSE}.test_not_longer", f"{_PAUSE}.test_each_other", f"{_PAUSE}.test_oneself"),
    ),
    Mutation(
        "pause-begins-anew",
        "a paused guest is a frozen virtual machine: at most about a second (DESIGN 3)",
        _FILE,
        "        if source.pause_ends is None:\n",
        "        if True:\n",
        (f"{_PAUSE}.test_not_longer_though_little_by_little",),
    ),
    Mutation(
        "no-second-pause",
        "at a limit the sender is paused, each time",
        _ROUTER,
        "            session.pause_ends = None\n",
        "            pass\n",
        (f"{_PAUSE}.test_a_pause_of_its_own_each_time",),
    ),
    Mutation(
        "paused-is-still-read",
        "at a limit the sender is paused",
        _FILE,
        "            source.link.pause()\n",
        "            pass\n",
        (f"{_PAUSE}.test_one_more",),
    ),
    Mutation(
        "paused-sender-overtakes-itself",
        "in order for each pair of nodes",
        _ROUTER,
        "        if session.paused_for is None:\n            self._route(session)\n",
        "        self._route(session)\n",
        (f"{_PAUSE}.test_goes_on_in_order", _MODEL),
    ),
    Mutation(
        "paused-sender-is-not-resumed",
        "nothing that one of them does disturbs the others",
        _ROUTER,
        "            session.link.resume()\n\n    def _disconnect",
        "            pass\n\n    def _disconnect",
        (f"{_PAUSE}.test_goes_on_in_order", f"{_PAUSE}.test_not_longer", _MODEL),
    ),
    Mutation(
        "rest-of-a-run-at-the-end",
        "in order for each pair of nodes",
        _ROUTER,
        "                runs.appendleft(rest)\n",
        "                runs.append(rest)\n",
        (f"{_PAUSE}.test_in_order_past_others",),
    ),
    Mutation(
        "all-at-once-for-room-for-one",
        "a paused guest is a frozen virtual machine: in turn, and not for long (DESIGN 3)",
        _FILE,
        "                if first_size(session.runs[0].data) <= room:\n",
        "                if first_size(session.runs[0].data) <= room + 1000:\n",
        (f"{_FAIR}.test_turns",),
    ),
    Mutation(
        "waits-for-its-own-receiver-only",
        "bytes waiting in all: there is room when anybody has read",
        _FILE,
        "        for episode in list(self._pausing.values()):\n"
        "            for session in list(episode.paused):\n",
        "        for episode in list(self._pausing.values())[:0]:\n"
        "            for session in list(episode.paused):\n",
        (f"{_FAIR}.test_memory_of_others", f"{_FAIR}.test_memory_of_who_left"),
    ),
    Mutation(
        "drops-only-what-does-not-fit",
        "the newest messages are dropped until its mailbox has drained (DESIGN 3)",
        _ROUTER,
        "        if self.congestion.is_dropping(run.dest) and "
        "self.mailboxes.get(run.dest) is not None:\n",
        "        if False:\n",
        (f"{_DROP}.test_until_drained", f"{_DROP}.test_absent"),
    ),
    Mutation(
        "drops-for-ever",
        "until its mailbox has drained",
        _FILE,
        "        if episode is not None and not episode.paused and "
        "self._mailboxes.get(dest) is None:\n            self.relieve(dest)\n",
        "",
        (f"{_PAUSE}.test_goes_on_in_order", f"{_DROP}.test_said_once", _MODEL),
    ),
    Mutation(
        "never-relieved-without-mail",
        "until its mailbox has drained: an empty one has",
        _ROUTER,
        "                if self.congestion.is_dropping(run.dest):\n"
        "                    self.congestion.relieve(run.dest)\n",
        "",
        (f"{_DROP}.test_memory_again",),
    ),
    Mutation(
        "dropped-not-counted",
        "reasons for not delivering are a fixed list, each counted",
        _ROUTER,
        "        self.congestion.dropped(run.dest, run.count, len(run.data))\n"
        "        self._undelivered(source, reason, run.count, len(run.data))\n",
        "        self.congestion.dropped(run.dest, run.count, len(run.data))\n",
        (f"{_PAUSE}.test_never", f"{_DROP}.test_until_drained"),
    ),
    Mutation(
        "congested-said-each-time",
        "the log says once per episode who, whom, how much, since when",
        _FILE,
        "        if dest not in self._episodes:\n",
        "        if True:\n",
        (
            f"{_FAIR}.test_one_patience_ends_all_pauses",
            f"{_LEAVING}.test_sender_does_not_end_the_patience_of_others",
        ),
    ),
    Mutation(
        "dropping-said-each-time",
        "the log says once per episode",
        _FILE,
        "        if not episode.dropping:\n",
        "        if True:\n",
        (f"{_DROP}.test_said_once",),
    ),
    Mutation(
        "one-leaver-ends-all-patience",
        "at a limit the sender is paused: what another one does does not change that",
        _FILE,
        "        if not episode.paused:\n            self._begin_dropping(episode)\n",
        "        self._begin_dropping(episode)\n",
        (f"{_LEAVING}.test_sender_does_not_end_the_patience_of_others",),
    ),
    Mutation(
        "leaver-still-paused",
        "what the limits hold on to is let go when a node has left",
        _ROUTER,
        "        self.congestion.forget_sender(session)\n",
        "",
        (f"{_LEAVING}.test_sender", f"{_LEAVING}.test_both"),
    ),
    Mutation(
        "leaver-leaves-nothing",
        "nothing lost that had come whole",
        _ROUTER,
        "            self._deliver(session, session.runs.popleft(), may_pause=False)\n",
        "            session.runs.popleft()\n",
        (f"{_LEAVING}.test_sender",),
    ),
    Mutation(
        "paused-for-who-has-left",
        "nobody waits for an id that is absent",
        _ROUTER,
        "        self.congestion.dest_left(node)\n",
        "",
        (f"{_LEAVING}.test_receiver", f"{_LEAVING}.test_both"),
    ),
    Mutation(
        "disconnect-drops",
        "--overflow disconnect (the slow receiver)",
        _FILE,
        "        if self._limits.overflow is Overflow.DISCONNECT:\n"
        "            self._disconnect(episode.dest)\n            return\n",
        "",
        (f"{_DISCONNECT}.test_slow_receiver",),
    ),
    Mutation(
        "disconnect-needs-a-pause",
        "--pause-seconds 0 with --overflow disconnect",
        _ROUTER,
        "            if self.limits.overflow is Overflow.DISCONNECT:\n"
        "                self._disconnect(run.dest)\n"
        "                return self._deliver(source, rest)\n",
        "",
        (f"{_DISCONNECT}.test_without_a_pause", f"{_DISCONNECT}.test_oneself_without_a_pause"),
    ),
    Mutation(
        "stopped-while-paused",
        "SIGTERM: what waits goes out within a bounded grace, and nobody is paused",
        _ROUTER,
        "        self.congestion.stop()\n",
        "",
        (f"{_STOP}.test_paused_sender",),
    ),
    Mutation(
        "paused-while-stopping",
        "SIGTERM: what waits goes out within a bounded grace, and nobody is paused",
        _ROUTER,
        "        if settled and may_pause and not self._stopping:\n",
        "        if settled and may_pause:\n",
        (f"{_STOP}.test_nobody_is_paused_any_more",),
    ),
)
