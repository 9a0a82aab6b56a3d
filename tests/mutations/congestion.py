"""Mistakes at the limits: pauses, drops, and what is said of them."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

MUTATIONS = (
    Mutation(
        "one-byte-less",
        "bytes waiting for one id: the limit itself is allowed",
        "Mailboxes.room",
        "own = self._limits.max_waiting_per_id - waiting",
        "own = self._limits.max_waiting_per_id - waiting - 1",
        ("PauseTests.test_exactly_the_limit",),
    ),
    Mutation(
        "no-limit",
        "options for bytes waiting for one id",
        "Mailboxes.room",
        "own = self._limits.max_waiting_per_id - waiting",
        "own = self._limits.max_waiting_per_id",
        (
            "PauseTests.test_one_more",
            "RoomTests.test_own",
        ),
    ),
    Mutation(
        "no-reserve",
        "bytes waiting in all (with a reserve for every settled id)",
        "Mailboxes.room",
        "shared = max(shared, self._limits.reserve - waiting)",
        "pass",
        (
            "DropTests.test_memory",
            "RoomTests.test_reserve",
        ),
    ),
    Mutation(
        "reserve-for-everybody",
        "a reserve for every settled id, and for no other",
        "Mailboxes.room",
        "if settled:\n    shared = max(",
        "if True:\n    shared = max(",
        (
            "DropTests.test_memory",
            "RoomTests.test_reserve",
            "RoomTests.test_shared",
        ),
    ),
    Mutation(
        "pause-for-the-absent",
        "never for an absent or unsettled id",
        "master.core.delivery.Delivery._keep",
        "if settled and may_pause and not self.stopping:",
        "if may_pause and not self.stopping:",
        (
            "PauseTests.test_never_for_an_absent_id",
            "PauseTests.test_never_for_an_unsettled_id",
        ),
    ),
    Mutation(
        "pause-for-the-unsettled",
        "never for an absent or unsettled id",
        "master.core.delivery.Delivery._keep",
        "settled = dest is not None and dest.settled",
        "settled = dest is not None",
        (
            "PauseTests.test_never_for_an_unsettled_id",
            "test_router_model.ModelTests.test_any_order",
        ),
    ),
    Mutation(
        "pause-at-0-seconds",
        "--pause-seconds: 0 = never",
        "Congestion.pause",
        "if episode.dropping or not seconds:",
        "if episode.dropping:",
        ("PauseTests.test_never",),
    ),
    Mutation(
        "for-ever-has-an-end",
        "--pause-seconds: inf = for ever",
        "Congestion.pause",
        'if seconds != float("inf"):',
        "source.pause_ends = min(source.pause_ends, now + 60)\nif True:",
        ("PauseTests.test_for_ever",),
    ),
    Mutation(
        "pause-without-end",
        "at a limit the sender is paused, for --pause-seconds at most",
        "Congestion.pause",
        "source.pause_timer = self._clock.callLater(left, self._paused_enough, episode)",
        "pass",
        (
            "PauseTests.test_not_longer",
            "PauseTests.test_each_other",
            "PauseTests.test_oneself",
        ),
    ),
    Mutation(
        "pause-begins-anew",
        "a paused guest is a frozen virtual machine: at most about a second",
        "Congestion.pause",
        "if source.pause_ends is None:",
        "if True:",
        ("PauseTests.test_not_longer_though_little_by_little",),
    ),
    Mutation(
        "no-second-pause",
        "at a limit the sender is paused, each time",
        "Router._go_on",
        "session.pause_ends = None",
        "pass",
        ("PauseTests.test_a_pause_of_its_own_each_time",),
    ),
    Mutation(
        "paused-is-still-read",
        "at a limit the sender is paused",
        "Congestion.pause",
        "source.link.pause()",
        "pass",
        ("PauseTests.test_one_more",),
    ),
    Mutation(
        "paused-sender-overtakes-itself",
        "in order for each pair of nodes",
        "Router.received",
        "if session.paused_for is None:\n    self._route(session)",
        "self._route(session)",
        (
            "PauseTests.test_goes_on_in_order",
            "test_router_model.ModelTests.test_any_order",
        ),
    ),
    Mutation(
        "paused-sender-is-not-resumed",
        "nothing that one of them does disturbs the others",
        "Router",
        "        session.link.resume()\n\ndef disconnect",
        "        pass\n\ndef disconnect",
        (
            "PauseTests.test_goes_on_in_order",
            "PauseTests.test_not_longer",
        ),
    ),
    Mutation(
        "rest-of-a-run-at-the-end",
        "in order for each pair of nodes",
        "Router._route",
        "runs.appendleft(rest)",
        "runs.append(rest)",
        ("PauseTests.test_in_order_past_others",),
    ),
    Mutation(
        "all-at-once-for-room-for-one",
        "a paused guest is a frozen virtual machine: in turn, and not for long",
        "Congestion._release_fitting",
        "if first_size(session.runs[0].data) <= room:",
        "if first_size(session.runs[0].data) <= room + 1000:",
        ("FairnessTests.test_turns",),
    ),
    Mutation(
        "waits-for-its-own-receiver-only",
        "bytes waiting in all: there is room when anybody has read",
        "Congestion._release_fitting",
        "for episode in list(self._pausing.values()):\n    for session in list(episode.paused):",
        "for episode in list(self._pausing.values())[:0]:\n"
        "    for session in list(episode.paused):",
        (
            "FairnessTests.test_memory_of_others",
            "FairnessTests.test_memory_of_who_left",
        ),
    ),
    Mutation(
        "drops-only-what-does-not-fit",
        "the newest messages are dropped until its mailbox has drained",
        "master.core.delivery.Delivery._keep",
        "if self.congestion.is_dropping(run.dest) and self.mailboxes.get(run.dest) is not None:",
        "if False:",
        (
            "DropTests.test_until_drained",
            "DropTests.test_absent",
        ),
    ),
    Mutation(
        "drops-for-ever",
        "until its mailbox has drained",
        "Congestion.drained",
        "if episode is not None and not episode.paused and self._mailboxes.get(dest) is None:\n"
        "    self.relieve(dest)",
        "",
        (
            "PauseTests.test_goes_on_in_order",
            "DropTests.test_said_once",
            "test_router_model.ModelTests.test_any_order",
        ),
    ),
    Mutation(
        "never-relieved-without-mail",
        "until its mailbox has drained: an empty one has",
        "master.core.delivery.Delivery._keep",
        "if self.congestion.is_dropping(run.dest):\n    self.congestion.relieve(run.dest)",
        "",
        ("DropTests.test_memory_again",),
    ),
    Mutation(
        "dropped-not-counted",
        "reasons for not delivering are a fixed list, each counted",
        "master.core.delivery.Delivery._drop",
        "self.congestion.dropped(run.dest, run.count, len(run.data))\n"
        "self.undelivered(source, reason, run.count, len(run.data))",
        "self.congestion.dropped(run.dest, run.count, len(run.data))",
        (
            "PauseTests.test_never",
            "DropTests.test_until_drained",
        ),
    ),
    Mutation(
        "congested-said-each-time",
        "the log says once per episode who, whom, how much, since when",
        "Congestion.begin",
        "if dest not in self._episodes:",
        "if True:",
        (
            "FairnessTests.test_one_patience_ends_all_pauses",
            "LeavingTests.test_sender_does_not_end_the_patience_of_others",
        ),
    ),
    Mutation(
        "dropping-said-each-time",
        "the log says once per episode",
        "Congestion._begin_dropping",
        "if not episode.dropping:",
        "if True:",
        ("DropTests.test_said_once",),
    ),
    Mutation(
        "one-leaver-ends-all-patience",
        "at a limit the sender is paused: what another one does does not change that",
        "Congestion.dropped",
        "if not episode.paused:\n    self._begin_dropping(episode)",
        "self._begin_dropping(episode)",
        ("LeavingTests.test_sender_does_not_end_the_patience_of_others",),
    ),
    Mutation(
        "leaver-still-paused",
        "what the limits hold on to is let go when a node has left",
        "Router.lost",
        "self.congestion.forget_sender(session)",
        "",
        (
            "LeavingTests.test_sender",
            "LeavingTests.test_both",
        ),
    ),
    Mutation(
        "leaver-leaves-nothing",
        "nothing lost that had come whole",
        "Router.lost",
        "self.delivery.deliver(session, session.runs.popleft(), False)",
        "session.runs.popleft()",
        ("LeavingTests.test_sender",),
    ),
    Mutation(
        "paused-for-who-has-left",
        "nobody waits for an id that is absent",
        "Router.lost",
        "self.congestion.dest_left(node)",
        "",
        (
            "LeavingTests.test_receiver",
            "LeavingTests.test_both",
        ),
    ),
    Mutation(
        "disconnect-drops",
        "--overflow disconnect (the slow receiver)",
        "Congestion._paused_enough",
        "if self._limits.overflow is Overflow.DISCONNECT:\n"
        "    self._disconnect(episode.dest)\n"
        "    return",
        "",
        ("DisconnectTests.test_slow_receiver",),
    ),
    Mutation(
        "disconnect-needs-a-pause",
        "--pause-seconds 0 with --overflow disconnect",
        "master.core.delivery.Delivery._keep",
        "if self._limits.overflow is Overflow.DISCONNECT:\n"
        "    self._disconnect(run.dest)\n"
        "    return self._deliver(source, rest)",
        "",
        (
            "DisconnectTests.test_without_a_pause",
            "DisconnectTests.test_oneself_without_a_pause",
        ),
    ),
    Mutation(
        "stopped-while-paused",
        "SIGTERM: what waits goes out within a bounded grace, and nobody is paused",
        "Router.stop",
        "self.congestion.stop()",
        "",
        ("StopTests.test_paused_sender",),
    ),
    Mutation(
        "paused-while-stopping",
        "SIGTERM: what waits goes out within a bounded grace, and nobody is paused",
        "master.core.delivery.Delivery._keep",
        "if settled and may_pause and not self.stopping:",
        "if settled and may_pause:",
        ("StopTests.test_nobody_is_paused_any_more",),
    ),
)
