"""Mistakes with messages on their way: lost, doubled, out of order, counted wrongly."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_ROUTER = "distnet/master/core/router.py"
_OUTBOX = "distnet/master/core/outbox.py"
_MAILBOX = "distnet/master/core/mailbox.py"
_DELIVERY = "tests.unit.master.core.test_router.DeliveryTests"
_BAD_PEERS = "tests.unit.master.core.test_router.BadPeerTests"
_PINNED = "tests.unit.master.core.test_router.PinnedTests"
_STREAM = "tests.unit.master.core.test_outbox.StreamTests"
_RESUME = "tests.unit.master.core.test_router_ends.ResumeTests"
_STOP = "tests.unit.master.core.test_router_ends.StopTests"
_AWAITED = "tests.unit.master.core.test_router_ends.AwaitedTests"
_MODEL = "tests.unit.master.core.test_router_model.ModelTests.test_any_order"
_BOXES = "tests.unit.master.core.test_mailbox.ModelTests.test_against_lists"

MUTATIONS = (
    Mutation(
        "past-the-mailbox",
        "in order for each pair of nodes",
        _OUTBOX,
        "if self.blocked or self.held or self._mailboxes.get(self._node) is not None:",
        "if self.held:",
        (f"{_STREAM}.test_no_overtaking",),
    ),
    Mutation(
        "newest-first",
        "in order for each pair of nodes",
        _MAILBOX,
        "            self._chunks[-1] += data\n            self._counts[-1] += count\n",
        "            self._chunks[-1][:0] = data\n            self._counts[-1] += count\n",
        (f"{_DELIVERY}.test_broadcast_before_the_others", _BOXES),
    ),
    Mutation(
        "rest-of-a-message-lost",
        "nothing lost, doubled or reordered while no limit is hit",
        _ROUTER,
        "            self.mailboxes.append(run.dest, run.data[boundary:end], 1)\n"
        "            self.mailboxes.take(run.dest, written - boundary)\n",
        "",
        (f"{_STREAM}.test_full", f"{_STREAM}.test_every_byte", _MODEL),
    ),
    Mutation(
        "begun-message-sent-again",
        "nothing doubled",
        _ROUTER,
        "            self.mailboxes.take(run.dest, written - boundary)\n",
        "",
        (f"{_STREAM}.test_full", f"{_STREAM}.test_every_byte", _MODEL),
    ),
    Mutation(
        "delivered-counted-twice",
        "received = delivered + waiting + not delivered, exactly",
        _ROUTER,
        "            (session.delivered, self.counters.delivered),\n",
        "            (session.delivered, self.counters.delivered, self.counters.delivered),\n",
        (f"{_DELIVERY}.test_counted_once",),
    ),
    Mutation(
        "received-counted-by-the-run",
        "received = delivered + waiting + not delivered, exactly",
        _ROUTER,
        "            self.counters.received.add(run.count, len(run.data))\n",
        "            self.counters.received.add(1, len(run.data))\n",
        (f"{_DELIVERY}.test_counted_once",),
    ),
    Mutation(
        "first-message-said-again",
        "one line each for connected, settled, first message, left",
        _ROUTER,
        "            session.received.add(run.count, len(run.data))\n            self.counters",
        "            self.counters",
        (f"{_DELIVERY}.test_first_message_is_said_once", f"{_RESUME}.test_plausible"),
    ),
    Mutation(
        "nothing-for-oneself",
        "a message to oneself arrives",
        _ROUTER,
        "        dest = self.sessions.get(run.dest)\n        if dest is None:\n",
        "        dest = self.sessions.get(run.dest)\n        if dest is source:\n"
        "            return None\n        if dest is None:\n",
        (f"{_DELIVERY}.test_oneself",),
    ),
    Mutation(
        "cut-message-sent-again",
        "what was partly written to a connection that died is counted, never sent again",
        _ROUTER,
        "        cut = self.mailboxes.drop_cut(node)\n",
        "        cut = Tally()\n",
        (f"{_BAD_PEERS}.test_cut", f"{_PINNED}.test_kept"),
    ),
    Mutation(
        "mail-of-who-left-is-kept",
        "what waited when a node left is discarded",
        _ROUTER,
        "        discarded = self.mailboxes.clear(node)\n",
        "        discarded = Tally()\n",
        (f"{_BAD_PEERS}.test_left_behind", f"{_PINNED}.test_discarded"),
    ),
    Mutation(
        "mail-of-who-left-is-not-counted",
        "reasons for not delivering are a fixed list, each counted",
        _ROUTER,
        "        self.counters.undelivered[Reason.LEFT].add(discarded.messages, discarded.bytes)\n",
        "",
        (f"{_BAD_PEERS}.test_left_behind",),
    ),
    Mutation(
        "mail-of-a-pinned-node-is-lost",
        "or kept for a pinned node, by an option",
        _ROUTER,
        "stays = session.pinned and (self.limits.keep_pinned or self._stopping)",
        "stays = session.pinned and self._stopping",
        (f"{_PINNED}.test_kept",),
    ),
    Mutation(
        "mail-of-an-unsettled-id-is-lost",
        "messages to an id not seen yet wait for it",
        _ROUTER,
        "if stays or not (session.settled or session.kind is Kind.TOOL):",
        "if stays:",
        ("tests.unit.master.core.test_lifecycle.IdsGoBackTests.test_mail_stays",),
    ),
    Mutation(
        "mail-to-a-connection-that-is-over",
        "nothing lost while the master lives",
        _ROUTER,
        "        if session.settled and not session.gone:\n",
        "        if session.settled:\n",
        ("tests.unit.master.core.test_outbox.WhoseMailTests.test_gone_link_is_writable",),
    ),
    Mutation(
        "left-twice",
        "for each node one line for left",
        _ROUTER,
        "        if session.gone:\n            return\n        session.gone = True\n",
        "        if session.gone and self.sessions.get(session.node) is session:\n"
        "            return\n        session.gone = True\n",
        (f"{_BAD_PEERS}.test_said_once",),
    ),
    Mutation(
        "reads-after-the-end",
        "bad peers: that connection is over",
        _ROUTER,
        'have come from a node."""\n        if session.gone:\n            return\n',
        'have come from a node."""\n',
        (f"{_BAD_PEERS}.test_said_once",),
    ),
    Mutation(
        "resumed-gets-a-new-id",
        "a pinned unix node is resumed, without a new id",
        _ROUTER,
        "        session.resumed = True\n",
        "        session.resumed = True\n        session.link.send(encode_id(session.node))\n",
        (f"{_RESUME}.test_no_id",),
    ),
    Mutation(
        "implausible-is-believed",
        "if the first header is implausible the connection is closed",
        _ROUTER,
        "        if impossible or (splitter.error is not None and not runs):\n",
        "        if splitter.error is not None and not runs:\n",
        (f"{_RESUME}.test_impossible_dest", f"{_RESUME}.test_impossible_header"),
    ),
    Mutation(
        "judged-for-ever",
        "if the first header is implausible, the first alone",
        _ROUTER,
        "        if session.resumed and not session.received.messages:\n",
        "        if session.resumed:\n",
        (f"{_RESUME}.test_only_the_first",),
    ),
    Mutation(
        "plausible-message-thrown-away",
        "nothing lost",
        _ROUTER,
        "        if impossible or (splitter.error is not None and not runs):\n",
        "        if impossible or splitter.error is not None:\n",
        (f"{_RESUME}.test_error_after_the_first",),
    ),
    Mutation(
        "reads-while-stopping",
        "stop: no more is read",
        _ROUTER,
        "        for session in list(self.sessions.values()):\n            session.link.pause()\n",
        "",
        (f"{_STOP}.test_nothing_more_is_read",),
    ),
    Mutation(
        "resumes-while-stopping",
        "stop: no more is read",
        _ROUTER,
        "if session.paused_for is None and not session.gone and not self._stopping:",
        "if session.paused_for is None and not session.gone:",
        (f"{_STOP}.test_paused_sender",),
    ),
    Mutation(
        "stopped-with-half-a-message",
        "stop: no message cut in half",
        _MAILBOX,
        "        start = self._head + first_size(first, self._head) if begun else self._head\n",
        "        start = self._offset\n",
        (f"{_STOP}.test_mail", _BOXES),
    ),
    Mutation(
        "pinned-mail-is-lost-at-the-stop",
        "waiting messages survive an orderly stop",
        _ROUTER,
        "stays = session.pinned and (self.limits.keep_pinned or self._stopping)",
        "stays = session.pinned and self.limits.keep_pinned",
        (f"{_STOP}.test_pinned_mail_stays",),
    ),
    Mutation(
        "mail-for-tools-is-kept",
        "tools have ids of their own, which do not survive",
        _ROUTER,
        "if self.registry.standing(node) is Standing.IMPOSSIBLE:",
        "if False:",
        (f"{_AWAITED}.test_tools",),
    ),
)
