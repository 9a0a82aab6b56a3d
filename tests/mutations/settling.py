"""Mistakes between the id and the first message, and with the pace of what follows."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_LIFECYCLE = "distnet/master/core/lifecycle.py"
_ROUTER = "distnet/master/core/router.py"
_OUTBOX = "distnet/master/core/outbox.py"
_MAILBOX = "distnet/master/core/mailbox.py"
_WATCH = "distnet/master/watch.py"
_HELD = "tests.unit.master.core.test_lifecycle.HeldTests"
_POLL = "tests.unit.master.core.test_lifecycle.PollTests"
_SEGMENT = "tests.unit.master.core.test_outbox.SegmentTests"
_STREAM = "tests.unit.master.core.test_outbox.StreamTests"
_WATCHES = "tests.unit.master.test_watch.WatchTests"

MUTATIONS = (
    Mutation(
        "id-with-the-first-message",
        "the id must arrive alone (point 1)",
        _ROUTER,
        "        session.lifecycle.id_sent(self.mailboxes.get(session.node) is not None)\n",
        "        session.lifecycle.id_sent(False)\n        session.outbox.pump()\n",
        (f"{_HELD}.test_id_alone", f"{_HELD}.test_first_byte"),
    ),
    Mutation(
        "asked-for-is-settled",
        "when the id has been read is not when the connection is accepted (point 2)",
        _ROUTER,
        "session.link.observable and session.link.unread() == 0:",
        "session.link.observable:",
        ("tests.unit.master.core.test_lifecycle.LookTests.test_has_not_read",),
    ),
    Mutation(
        "unsettled-is-sent-to",
        "messages are held until it is settled",
        _ROUTER,
        "        elif dest.settled:\n",
        "        else:\n",
        (f"{_HELD}.test_queue_and_settle_time",),
    ),
    Mutation(
        "no-settle-time",
        "each plus a settle time (250 ms, an option)",
        _LIFECYCLE,
        "self._clock.callLater(self._settle_seconds, expired)",
        "self._clock.callLater(0, expired)",
        (f"{_HELD}.test_queue_and_settle_time",),
    ),
    Mutation(
        "settled-when-connected",
        "when the id has been read is not when the connection is accepted (point 2)",
        _LIFECYCLE,
        "        if self._link.observable:\n            self._link.watch_unread(eager=False)\n",
        "        self._clock.callLater(0, self.settled, 'hope')\n",
        (f"{_HELD}.test_late_reader", f"{_HELD}.test_id_alone"),
    ),
    Mutation(
        "first-byte-proves-nothing",
        "the node's first byte proves that the id was read (point 2)",
        _ROUTER,
        "        if not session.settled:\n            session.lifecycle.first_byte()\n",
        "",
        (f"{_HELD}.test_first_byte", f"{_HELD}.test_not_observable"),
    ),
    Mutation(
        "settle-time-goes-on",
        "a settle time, cut short by the node's first byte (point 2)",
        _LIFECYCLE,
        '        core.stop_timer()\n        core.settled("its first byte")\n',
        '        core.settled("its first byte")\n',
        (f"{_HELD}.test_first_byte_cuts_the_settle_time_short",),
    ),
    Mutation(
        "observed-where-nobody-can",
        "remote and TLS listeners by the first byte only",
        _LIFECYCLE,
        "        if self._link.observable:\n",
        "        if self._link is not None:\n",
        (f"{_HELD}.test_not_observable",),
    ),
    Mutation(
        "polls-without-mail",
        "poll only while an unsettled node has mail",
        _LIFECYCLE,
        "        if mail:\n            core.watch()\n",
        "        core.watch()\n",
        (f"{_POLL}.test_no_mail_no_polling",),
    ),
    Mutation(
        "never-polls",
        "a node that only receives still receives",
        _LIFECYCLE,
        "    def look(lifecycle: Lifecycle, core: Settling) -> None:\n        core.watch()\n",
        "    def look(lifecycle: Lifecycle, core: Settling) -> None:\n        pass\n",
        (f"{_POLL}.test_mail_comes",),
    ),
    Mutation(
        "mail-that-was-there-is-not-looked-after",
        "a node that only receives still receives what waited before it came",
        _ROUTER,
        "session.lifecycle.id_sent(self.mailboxes.get(session.node) is not None)",
        "session.lifecycle.id_sent(False)",
        (f"{_POLL}.test_mail_was_there",),
    ),
    Mutation(
        "settling-outlives-the-connection",
        "an id whose connection ends before it was settled goes back",
        _LIFECYCLE,
        "    def stop(lifecycle: Lifecycle, core: Settling) -> None:\n        core.stop_timer()\n",
        "    def stop(lifecycle: Lifecycle, core: Settling) -> None:\n        pass\n",
        (f"{_HELD}.test_ends_in_the_settle_time",),
    ),
    Mutation(
        "writable-is-proof",
        "messages are held until it is settled",
        _ROUTER,
        "        if session.settled and not session.gone:\n",
        "        if not session.gone:\n",
        (f"{_HELD}.test_writable_is_no_proof",),
    ),
    Mutation(
        "split-at-the-segment",
        "whole messages that total at most 1460 bytes",
        _OUTBOX,
        "                size, messages = whole_messages(data, 0, self._segment)\n"
        "                if not messages:\n"
        "                    size, messages = first_size(data), 1\n",
        "                messages = whole_messages(data, 0, self._segment)[1]\n"
        "                size = self._segment\n",
        (f"{_SEGMENT}.test_batches", f"{_SEGMENT}.test_larger_alone"),
    ),
    Mutation(
        "batch-over-the-segment",
        "whole messages that total at most 1460 bytes",
        _MAILBOX,
        "size = whole_messages(chunk, self._head, limit)[0] or first_size(chunk, self._head)",
        "size = len(chunk) - self._head",
        (
            f"{_SEGMENT}.test_batches_from_the_mailbox",
            f"{_SEGMENT}.test_first_mail",
            "tests.unit.master.core.test_mailbox.BatchTests.test_exactly",
        ),
    ),
    Mutation(
        "batch-below-the-segment",
        "whole messages that total at most 1460 bytes: 1460 themselves are one batch",
        _MAILBOX,
        "size = whole_messages(chunk, self._head, limit)[0] or",
        "size = whole_messages(chunk, self._head, limit - 1)[0] or",
        (f"{_SEGMENT}.test_batches", "tests.unit.master.core.test_mailbox.BatchTests.test_exactly"),
    ),
    Mutation(
        "next-batch-at-once",
        "the next batch when the peer's queue is empty",
        _OUTBOX,
        "        if self._outstanding and self._link.unread():\n"
        "            self._hold()\n            return False\n",
        "",
        (
            f"{_SEGMENT}.test_next_only_after_it_was_read",
            f"{_SEGMENT}.test_batches_from_the_mailbox",
        ),
    ),
    Mutation(
        "lone-message-waits",
        "a lone message without delay",
        _OUTBOX,
        "        elif size < len(data):\n            self._hold()\n",
        "        else:\n            self._hold()\n",
        (f"{_SEGMENT}.test_lone_message",),
    ),
    Mutation(
        "begun-message-waits",
        "an EAGAIN in the middle of a payload loses the stream (point 4)",
        _OUTBOX,
        "self._segment is None or box.begun or self._peer_has_read()",
        "self._segment is None or self._peer_has_read()",
        (f"{_SEGMENT}.test_begun_is_finished",),
    ),
    Mutation(
        "stream-is-paced",
        "--pace stream: no such care, for readers that loop",
        _OUTBOX,
        "        if self._segment is not None:\n            if not self._peer_has_read():\n",
        "        if True:\n            if not self._peer_has_read():\n",
        (f"{_STREAM}.test_one_write",),
    ),
    Mutation(
        "looks-without-hurry",
        "the next batch when the peer's queue is empty, not a round later",
        _OUTBOX,
        "self._link.watch_unread(eager=True)",
        "self._link.watch_unread(eager=False)",
        (f"{_SEGMENT}.test_next_only_after_it_was_read",),
    ),
    Mutation(
        "looks-on-after-it-was-read",
        "idle: no CPU",
        _WATCH,
        "        if any(link not in self._eager for link in self._watched):\n",
        "        if True:\n",
        (f"{_WATCHES}.test_once", f"{_WATCHES}.test_twice_is_once"),
    ),
    Mutation(
        "looks-at-forgotten-links",
        "idle: no CPU",
        _WATCH,
        "        if not self._watched and self._round is not None:\n"
        "            self._round.cancel()\n            self._round = None\n",
        "",
        (f"{_WATCHES}.test_forget",),
    ),
    Mutation(
        "long-rounds-without-rest",
        "thousands of connections, and kernels that stand in debuggers, cost little",
        _WATCH,
        "max(ROUND_SECONDS, took * ROUND_SHARE)",
        "ROUND_SECONDS",
        (f"{_WATCHES}.test_long_rounds_are_rare",),
    ),
    Mutation(
        "two-looks-at-one-link",
        "nothing that one of them does disturbs the others",
        _WATCH,
        "        was_read = self._watched.pop(link)\n        self._stop_looking_eagerly(link)\n",
        "        was_read = self._watched.pop(link)\n        self._eager.pop(link, None)\n",
        (f"{_WATCHES}.test_hurry_from_the_callback_of_another",),
    ),
)
