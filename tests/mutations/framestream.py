"""Mistakes with streams of frames, and with the options of a QEMU on the switch."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_WIRE = "distnet/switch/core/streamwire.py"
_STREAM = "distnet/switch/plugs/stream.py"
_QEMU = "distnet/qemu.py"

_CODEC = "tests.unit.switch.core.test_streamwire.StreamFramesTests"
_UNIT = "tests.unit.switch.plugs.test_stream"
_SWITCH = "tests.unit.test_qemu.SwitchTests"
_SOCKETS = "tests/integration/test_frame_stream.py"
_CLI = "tests/integration/test_cli.py"

MUTATIONS = (
    Mutation(
        "little-endian-length",
        "a big-endian length of 32 bits, then the frame",
        _WIRE,
        'Struct(">I")',
        'Struct("<I")',
        (f"{_CODEC}.test_format",),
    ),
    Mutation(
        "any-length-is-plausible",
        "an absurd length ends the connection: the peer is no netdev",
        _WIRE,
        "if length > self._plausible:",
        "if False:",
        (
            f"{_CODEC}.test_another_protocol",
            f"{_CODEC}.test_the_line_about_it",
            f"{_UNIT}.ComingTests.test_another_protocol",
        ),
    ),
    Mutation(
        "oversize-loses-the-stream",
        "a frame that is too long is skipped without losing the stream",
        _WIRE,
        "self._at = at + PREFIX_SIZE + length",
        "self._at = at + needed",
        (f"{_CODEC}.test_too_long", f"{_UNIT}.ComingTests.test_lengths_of_frames"),
    ),
    Mutation(
        "oversize-kept",
        "the memory for what a peer announces is bounded",
        _WIRE,
        "needed += length if length <= self._max_frame else self._max_frame + 1",
        "needed += length",
        (f"{_CODEC}.test_too_long", f"{_CODEC}.test_memory_is_bounded"),
    ),
    Mutation(
        "frame-within-a-frame",
        "what the socket took in part goes on before anything else",
        _STREAM,
        "        if not self._rest:\n            data",
        "        if True:\n            data",
        (f"{_UNIT}.GoingTests.test_nothing_gets_between",),
    ),
    Mutation(
        "rest-forgotten",
        "a frame is sent wholly or not at all",
        _STREAM,
        "self._rest = data[written:]",
        'self._rest = b""',
        (f"{_UNIT}.GoingTests.test_in_part", f"{_UNIT}.GoingTests.test_alone_in_part"),
    ),
    Mutation(
        "handed-over-in-a-pause",
        "who sends to a full queue is paused, and what it has sent already is not dropped",
        _STREAM,
        "            if not received(endpoint, frame):\n",
        "            if not received(endpoint, frame) and endpoint.gone:\n",
        (f"{_UNIT}.ComingTests.test_pause",),
    ),
    Mutation(
        "stream-never-read-again",
        "a connection is read again after a pause",
        _STREAM,
        "        if not self._paused and self._turn is None and self._endpoint is not None:\n",
        "        if False:\n",
        (
            f"{_UNIT}.ComingTests.test_pause",
            f"{_UNIT}.ComingTests.test_others_have_their_turn",
        ),
    ),
    Mutation(
        "no-turn-for-others",
        "one that sends much does not keep the others waiting",
        _STREAM,
        "for _ in range(FRAMES_AT_ONCE):",
        "while True:",
        (f"{_UNIT}.ComingTests.test_others_have_their_turn",),
    ),
    Mutation(
        "end-loses-frames",
        "what had come before the end of a connection is delivered",
        _STREAM,
        "            while (frame := self._frames.take()) is not None:\n",
        "            while (frame := self._frames.take()) is not None and not self._paused:\n",
        (f"{_UNIT}.ComingTests.test_the_end",),
    ),
    Mutation(
        "first-free-port-for-all",
        "N=ENDPOINT is for port N",
        _STREAM,
        "return FrameConnection(self._service, self._port)",
        "return FrameConnection(self._service, None)",
        (f"{_UNIT}.ComingTests.test_ports",),
    ),
    Mutation(
        "small-send-buffer",
        "SO_SNDBUF is set on purpose",
        _STREAM,
        "            grow_send_buffer(sock)\n",
        "",
        (f"{_UNIT}.ComingTests.test_interfaces",),
    ),
    Mutation(
        "written-no-more",
        "what cannot be written is counted, and what had been sent is still read",
        _STREAM,
        "                    self._bridge.send_failed(self._endpoint, frame)\n",
        "                    self.unplug()\n",
        (f"{_UNIT}.GoingTests.test_broken",),
    ),
    Mutation(
        "stream-of-nobody",
        "the user of a unix socket is known",
        _STREAM,
        "user, groups = peer_credentials(sock).uid, peer_groups(sock)",
        "groups = peer_groups(sock)[:0]",
        (f"{_SOCKETS}::test_users",),
        Runner.PYTEST,
    ),
    Mutation(
        "one-mac-for-all",
        "every guest on the switch has its own MAC",
        _QEMU,
        'f"e1000e,netdev=net1,mac={mac}"',
        '"e1000e,netdev=net1"',
        (f"{_SWITCH}.test_every_guest_has_its_own_address",),
    ),
    Mutation(
        "one-socket-for-all-guests",
        "a guest's own address for datagrams is no other guest's",
        _QEMU,
        "own = f\"{address.path}.{mac.replace(':', '')}\"",
        'own = f"{address.path}.guest"',
        (f"{_SWITCH}.test_dgram",),
    ),
    Mutation(
        "reconnect-too-early",
        "options right for the QEMU that is found: 7.2 does not connect a stream again",
        _QEMU,
        "_STREAM_RECONNECT: Final = (8, 0)",
        "_STREAM_RECONNECT: Final = (7, 2)",
        (f"{_SWITCH}.test_stream_again",),
    ),
    Mutation(
        "netdevs-not-asked-for",
        "a QEMU without VDE is a clear error",
        "distnet/cli/qemu_args.py",
        "has_netdev(arguments.arch, form)",
        "True",
        (f"{_CLI}::test_qemu_args_that_do_not_do",),
        Runner.PYTEST,
    ),
)
