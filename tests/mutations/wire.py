"""Mistakes on the wire, and with what bad peers send."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_FILE = "distnet/wire.py"
_ROUTER = "distnet/master/core/router.py"
_WIRE = "tests.unit.test_wire"
_BAD_PEERS = "tests.unit.master.core.test_router.BadPeerTests"

MUTATIONS = (
    Mutation(
        "quit-needs-a-length",
        "quit is known by its 4 bytes alone: no length follows (kernel-client, the wire)",
        _FILE,
        "        elif len(buffer) < len(QUIT):\n            return len(QUIT)\n",
        "",
        (
            f"{_WIRE}.SplitterTests.test_quit_needs_no_length",
            f"{_WIRE}.SplitterTests.test_pieces_do_not_matter",
        ),
    ),
    Mutation(
        "quit-in-a-payload",
        "the 4 bytes quit instead of a frame end the session (kernel-client, the wire)",
        _FILE,
        "if buffer.startswith(QUIT):",
        "if QUIT in buffer:",
        (f"{_WIRE}.SplitterTests.test_quit_inside_a_payload",),
    ),
    Mutation(
        "source-not-written",
        "master to kernel: [source][length][payload] (kernel-client, the wire)",
        _FILE,
        "runs.append(Run(dest, self._source.join(rest), count))",
        "runs.append(Run(dest, _ADDRESS.pack(9).join(rest), count))",
        ("tests.unit.master.core.test_router.DeliveryTests.test_readdressed",),
    ),
    Mutation(
        "id-with-a-newline",
        "the id as ASCII decimal, no terminator (kernel-client, the wire)",
        _FILE,
        'return b"%d" % check_id(node)',
        'return b"%d\\n" % check_id(node)',
        (
            f"{_WIRE}.IdTests.test_digits_and_nothing_else",
            "tests.unit.master.core.test_lifecycle.HeldTests.test_id_alone",
        ),
    ),
    Mutation(
        "largest-payload-refused",
        "options for payload bytes: the limit itself is allowed",
        _FILE,
        "if dest == QUIT_ID or length > self._max_payload:",
        "if dest == QUIT_ID or length >= self._max_payload:",
        (f"{_WIRE}.SplitterTests.test_largest", f"{_BAD_PEERS}.test_largest"),
    ),
    Mutation(
        "oversized-payload-waited-for",
        "bad peers: a length over the limit ends that connection",
        _FILE,
        "                self.error = OversizedPayload(length, self._max_payload)\n        elif",
        "                return HEADER_SIZE + length\n        elif",
        (f"{_WIRE}.SplitterTests.test_largest", f"{_BAD_PEERS}.test_oversize"),
    ),
    Mutation(
        "alike-but-for-the-length",
        "in order for each pair of nodes; nothing lost, doubled or reordered",
        _FILE,
        "        for place in range(4):\n            column = ",
        "        for place in range(1):\n            column = ",
        (f"{_WIRE}.SplitterTests.test_none_is_taken_for_alike",),
    ),
    Mutation(
        "quit-for-a-dest",
        "the 4 bytes quit instead of a frame end the session (kernel-client, the wire)",
        _FILE,
        "        if quits >= 0:\n            count = quits\n",
        "",
        (f"{_WIRE}.SplitterTests.test_quit_in_a_row",),
    ),
    Mutation(
        "many-count-as-one",
        "received = delivered + waiting + not delivered, exactly",
        _FILE,
        "            more[dest] = more.get(dest, 0) + count - 1\n",
        "",
        (f"{_WIRE}.SplitterTests.test_many_alike",),
    ),
    Mutation(
        "more-than-the-limit",
        "limits: what waits is bounded for each id",
        _FILE,
        "            more = alike(data, position, end, size)\n",
        "            more = alike(data, position, len(data), size)\n",
        (f"{_WIRE}.SizeTests.test_whole_messages",),
    ),
    Mutation(
        "alike-and-not-readdressed",
        "master to kernel: [source][length][payload] (kernel-client, the wire)",
        _FILE,
        "            for place in range(4):\n                rows[",
        "            for place in range(1, 4):\n                rows[",
        (f"{_WIRE}.SplitterTests.test_many_alike",),
    ),
    Mutation(
        "gathered-backwards",
        "in order for each pair of nodes",
        _FILE,
        "                rests[dest].append(data[position + 4 : following])\n",
        "                rests[dest].insert(1, data[position + 4 : following])\n",
        (
            f"{_WIRE}.SplitterTests.test_pieces_do_not_matter",
            "tests.unit.master.core.test_router.DeliveryTests.test_mixed_dests_in_one_read",
        ),
    ),
    Mutation(
        "rows-backwards",
        "in order for each pair of nodes",
        _FILE,
        "                rests[dest].append(rest)\n",
        "                rests[dest].insert(1, rest)\n",
        (f"{_WIRE}.SplitterTests.test_rows",),
    ),
    Mutation(
        "runs-of-two-dests",
        "in order for each pair of nodes; nothing goes to another node",
        _FILE,
        "columns = [data[place::size] for place in range(4)]",
        "columns = [data[place::size] for place in range(1, 4)]",
        (
            f"{_WIRE}.SplitterTests.test_rows",
            f"{_WIRE}.SplitterTests.test_none_is_taken_for_alike",
        ),
    ),
    Mutation(
        "bad-peer-is-kept",
        "bad peers: that node's connection at most, and that one",
        _ROUTER,
        '            session.link.abort()\n            self.lost(session, f"error: {',
        '            self.lost(session, f"error: {',
        (f"{_BAD_PEERS}.test_oversize",),
    ),
    Mutation(
        "quit-is-an-abort",
        "the 4 bytes quit end a session in good order (kernel-client, the wire)",
        _ROUTER,
        '            session.link.close()\n            self.lost(session, "quit")',
        '            session.link.abort()\n            self.lost(session, "quit")',
        (f"{_BAD_PEERS}.test_quit",),
    ),
    Mutation(
        "truncated-not-counted",
        "a truncated frame can arrive before a close: discard it, count it, say so (point 5)",
        _ROUTER,
        "        self._truncated(session)\n",
        "",
        (f"{_BAD_PEERS}.test_half_a_header", f"{_BAD_PEERS}.test_half_a_payload"),
    ),
)
