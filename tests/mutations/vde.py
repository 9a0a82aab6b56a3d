"""Mistakes where the switch meets VDE's clients: requests, sockets, their directory."""

from __future__ import annotations

from tests.mutations.mutation import Mutation

_DESCRIPTOR = "distnet/sockets/descriptor.py"
_FRAMES = "distnet/switch/plugs/descriptor.py"
_SOCKETS = "distnet/switch/plugs/vde.py"
_DIRECTORY = "distnet/switch/plugs/vdedir.py"
_WIRE = "distnet/switch/core/vdewire.py"


MUTATIONS = (
    Mutation(
        "version-2-taken",
        "versions 1 and 3; version 2 is refused as by vde_switch",
        _WIRE,
        "    if version not in (*_V1_TYPES, _V3):\n        raise",
        "    if version not in (*_V1_TYPES, 2, _V3):\n        raise",
        ("tests.unit.switch.core.test_vdewire.RequestTests.test_refusals",),
    ),
    Mutation(
        "port-elsewhere",
        "the port is in type >> 8",
        _WIRE,
        "number & 0xFF, number >> 8",
        "number & 0xFF, number >> 16",
        (
            "tests.unit.switch.core.test_vdewire.RequestTests.test_version_3",
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_refused_by_the_switch",
        ),
    ),
    Mutation(
        "version-1-as-3",
        "the address of version 1 is behind six bytes that mean nothing",
        _WIRE,
        "_V1_ADDRESS_AT: Final = 14",
        "_V1_ADDRESS_AT: Final = 12",
        ("tests.unit.switch.core.test_vdewire.RequestTests.test_version_1",),
    ),
    Mutation(
        "description-without-end",
        "128 bytes of a description are kept",
        _WIRE,
        "_ADDRESS.size :][:MAX_DESCRIPTION]",
        "_ADDRESS.size :]",
        ("tests.unit.switch.core.test_vdewire.RequestTests.test_description_is_one_harmless_line",),
    ),
    Mutation(
        "description-forges-lines",
        "a description cannot disturb a log or a console",
        "distnet/text.py",
        'character if character.isprintable() else "?"',
        "character",
        (
            "tests.unit.switch.core.test_vdewire.RequestTests.test_description_is_one_harmless_line",
            "tests.unit.test_text.PrintableTests.test_printable",
        ),
    ),
    Mutation(
        "short-reply",
        "a reply has 110 bytes",
        _WIRE,
        "    return _ADDRESS.pack(_AF_UNIX, path)",
        '    return _ADDRESS.pack(_AF_UNIX, path).rstrip(b"\\0") + b"\\0"',
        (
            "tests.unit.switch.core.test_vdewire.ReplyTests.test_format",
            "tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_one_request",
        ),
    ),
    Mutation(
        "whole-address-wanted",
        "the address may be cut after its path",
        _WIRE,
        "if len(data) < address_at + 3:",
        "if len(data) < address_at + _ADDRESS.size:",
        ("tests.unit.switch.core.test_vdewire.RequestTests.test_an_address_may_be_cut",),
    ),
    Mutation(
        "rubbish-in-the-path",
        "the path ends at its NUL, whatever follows",
        _WIRE,
        'field.partition(b"\\0")[0]',
        'field.rstrip(b"\\0")',
        (
            "tests.unit.switch.core.test_vdewire.RequestTests.test_refusals",
            "tests.unit.switch.core.test_vdewire.RequestTests.test_what_follows_the_path",
        ),
    ),
    Mutation(
        "endless-path",
        "a path without a NUL is refused",
        _WIRE,
        "    if len(path) > MAX_PATH:\n",
        "    if False:\n",
        ("tests.unit.switch.core.test_vdewire.RequestTests.test_refusals",),
    ),
    Mutation(
        "waits-for-the-wrong",
        "what is wrong whatever follows is refused at once",
        _WIRE,
        "        return True\n",
        "        return False\n",
        (
            "tests.unit.switch.core.test_vdewire.RequestTests.test_nothing_to_wait_for",
            "tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_refused",
        ),
    ),
    Mutation(
        "writers-cannot-reach",
        "-m implies the directory's mode, with x where r or w is",
        _DIRECTORY,
        "(mode & 0o444) >> 2 | (mode & 0o222) >> 1",
        "(mode & 0o444) >> 2",
        (
            "tests.unit.switch.plugs.test_vdedir.PermissionsTests.test_what_one_option_says_of_the_other",
        ),
    ),
    Mutation(
        "dirmode-alone",
        "--dirmode implies the sockets' mode",
        _DIRECTORY,
        "mode = directory & 0o666",
        "mode = _PRIVATE",
        (
            "tests.unit.switch.plugs.test_vdedir.PermissionsTests.test_what_one_option_says_of_the_other",
        ),
    ),
    Mutation(
        "live-sockets-swept",
        "only what is dead is removed",
        _DIRECTORY,
        "    return False\n",
        "    return True\n",
        (
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_data_sockets",
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_only_what_is_dead_is_removed",
        ),
    ),
    Mutation(
        "foreign-sockets-swept",
        "only a switch's and its clients' sockets are removed",
        _DIRECTORY,
        "if known and is_dead(str(entry)):",
        "if is_dead(str(entry)):",
        (
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_only_what_is_dead_is_removed",
        ),
    ),
    Mutation(
        "dead-sockets-stay",
        "dead leftovers of switches and clients are removed",
        _DIRECTORY,
        "                        entry.unlink()\n",
        "",
        (
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_only_what_is_dead_is_removed",
        ),
    ),
    Mutation(
        "path-too-long-later",
        "a path that is too long for its data sockets is refused at the start",
        _DIRECTORY,
        '_LONGEST_NAME: Final = "/0000.000000"',
        '_LONGEST_NAME: Final = "/ctl"',
        ("tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_refused",),
    ),
    Mutation(
        "takes-tmp-away",
        "a directory that all users share is refused",
        _DIRECTORY,
        "            if mode & stat.S_ISVTX:\n",
        "            if False:\n",
        ("tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_refused",),
    ),
    Mutation(
        "beside-another-switch",
        "a switch does not start where another one runs, and takes over what a dead one left",
        _DIRECTORY,
        "        claim_path(self.ctl)\n",
        "",
        ("tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_another_switch",),
    ),
    Mutation(
        "mode-before-claim",
        "the directory of another switch is not changed",
        _DIRECTORY,
        "        claim_path(self.ctl)\n",
        "        self._set(self.path, self.permissions.directory)\n        claim_path(self.ctl)\n",
        ("tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_another_switch",),
    ),
    Mutation(
        "owner-forgotten",
        "as root a data socket is for its client's user",
        _DIRECTORY,
        "user if root else -1",
        "-1",
        ("tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_owners",),
    ),
    Mutation(
        "data-sockets-for-everybody",
        "as root a data socket is for its client alone",
        _DIRECTORY,
        "(0o700 if root or private else 0o777)",
        "0o777",
        (
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_data_sockets",
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_owners",
        ),
    ),
    Mutation(
        "failed-socket-stays",
        "nothing is left of a data socket that cannot be given away",
        _DIRECTORY,
        "            Path(path).unlink()\n            raise\n",
        "            raise\n",
        (
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_nothing_is_left_of_what_fails",
        ),
    ),
    Mutation(
        "relative-paths",
        "clients get absolute paths",
        _DIRECTORY,
        "os.path.realpath(path)",
        "path",
        ("tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_whole_paths",),
    ),
    Mutation(
        "directory-stays",
        "after a clean end nothing is left",
        _DIRECTORY,
        "            Path(self.path).rmdir()\n",
        "            Path(self.path)\n",
        (
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_closed",
            "tests.unit.switch.plugs.test_vdedir.VdeDirectoryTests.test_left",
        ),
    ),
    Mutation(
        "goodbye-ignored",
        "an empty datagram ends an endpoint",
        _FRAMES,
        "            if not frame and self.empty_is_the_end:\n",
        "            if False:\n",
        ("tests.unit.switch.plugs.test_vde.DataSocketTests.test_goodbye",),
    ),
    Mutation(
        "endpoint-outlives-its-connection",
        "the end of the control connection ends the endpoint",
        _SOCKETS,
        "            self._data.read_rest()\n        self._detach()\n",
        "            self._data.read_rest()\n",
        ("tests.unit.switch.plugs.test_vde_control.PlugTests.test_end_of_the_control_connection",),
    ),
    Mutation(
        "waits-for-ever",
        "a request that does not become whole is read as far as it came",
        _SOCKETS,
        "callLater(REQUEST_SECONDS, self._answer)",
        "callLater(1000 * REQUEST_SECONDS, self._answer)",
        (
            "tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_waits_for_the_rest_for_a_while",
        ),
    ),
    Mutation(
        "answered-twice",
        "a connection has one request",
        _SOCKETS,
        "        if self._timeout is not None:\n            self._request",
        "        if True:\n            self._request",
        ("tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_one_request",),
    ),
    Mutation(
        "refused-but-open",
        "who is refused is disconnected, and does not wait as with vde_switch",
        _SOCKETS,
        "            self._control.refusals.refuse(str(error))\n            self.unplug()\n",
        "            self._control.refusals.refuse(str(error))\n",
        (
            "tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_refused",
            "tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_waits_for_the_rest_for_a_while",
        ),
    ),
    Mutation(
        "told-before-it-is-bound",
        "bound, with its mode, before the client is told of it",
        _SOCKETS,
        "            control.directory.bind(sock, path, user, private=managed)\n",
        "            control.reactor.callLater(\n"
        "                0, control.directory.bind, sock, path, user, private=managed\n"
        "            )\n",
        (
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_closed",
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_end_of_the_control_connection",
        ),
    ),
    Mutation(
        "not-connected",
        "a data socket is connected to its client's",
        _SOCKETS,
        "            sock.connect(path)\n",
        "",
        (
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_its_socket_is_another_thing",
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_reached_from_its_client_alone",
        ),
    ),
    Mutation(
        "not-a-management-port",
        "a management request gets port 0",
        _SOCKETS,
        "0 if managed else request.port or None",
        "request.port or None",
        ("tests.unit.switch.plugs.test_vde_control.PlugTests.test_wishes",),
    ),
    Mutation(
        "port-0-for-everybody",
        "0 asks for the first free port",
        _SOCKETS,
        "0 if managed else request.port or None",
        "0 if managed else request.port",
        (
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_plugged",
            "tests.unit.switch.plugs.test_vde_control.PlugTests.test_wishes",
        ),
    ),
    Mutation(
        "groups-forgotten",
        "a port may be for a group",
        _SOCKETS,
        "groups=peer_groups(self.transport.socket)",
        "groups=[]",
        ("tests.unit.switch.plugs.test_vde_control.PlugTests.test_whose_port",),
    ),
    Mutation(
        "refusals-fill-the-log",
        "what repeats is rate-limited",
        "distnet/sockets/once.py",
        "        if now < self._quiet_until:\n",
        "        if False:\n",
        (
            "tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_refusals_do_not_fill_the_log",
        ),
    ),
    Mutation(
        "unplugged-but-there",
        "nothing is left of a client that has gone",
        _SOCKETS,
        "                Path(self._path).unlink()\n",
        "                pass\n",
        ("tests.unit.switch.plugs.test_vde_control.PlugTests.test_end_of_the_control_connection",),
    ),
    Mutation(
        "not-tried-again",
        "a full client is tried again before poll says so",
        _DESCRIPTOR,
        "if self._call is None and (self._most is None or self.in_vain < self._most):",
        "if False:",
        (
            "tests.unit.sockets.test_descriptor.RetryTests.test_tried_again",
            "tests.unit.switch.plugs.test_vde.DataSocketTests.test_tried_before_poll_says_so",
            "tests.unit.switch.plugs.test_stream.GoingTests.test_tried_again",
        ),
    ),
    Mutation(
        "tried-for-ever",
        "a dead client costs nothing",
        _DESCRIPTOR,
        "            self.in_vain += 1\n",
        "",
        (
            "tests.unit.sockets.test_descriptor.RetryTests.test_in_vain",
            "tests.unit.switch.plugs.test_stream.GoingTests.test_tried_again",
            "tests.unit.switch.plugs.test_vde.DataSocketTests.test_a_dead_client_is_not_tried_for_ever",
        ),
    ),
    Mutation(
        "reads-on-when-paused",
        "pausing the ingress port: the rest stays in the operating system",
        _FRAMES,
        "            if not received(endpoint, frame) or not self._open:\n"
        "                return False\n",
        "            received(endpoint, frame)\n",
        ("tests.unit.switch.plugs.test_vde.DataSocketTests.test_a_paused_one_is_not_read_on",),
    ),
    Mutation(
        "pause-without-effect",
        "a paused endpoint is not read",
        _FRAMES,
        "        self._paused = True\n        self.want_to_read(False)\n",
        "        self._paused = True\n",
        (
            "tests.unit.switch.plugs.test_vde.DataSocketTests.test_a_paused_one_is_not_read_on",
            "tests.unit.switch.plugs.test_vde.DataSocketTests.test_pause_and_resume",
        ),
    ),
    Mutation(
        "never-resumed",
        "a paused endpoint is read again",
        _FRAMES,
        "        if self._open and self._endpoint is not None:\n",
        "        if not self._open and self._endpoint is not None:\n",
        (
            "tests.unit.switch.plugs.test_vde.DataSocketTests.test_a_paused_one_is_not_read_on",
            "tests.unit.switch.plugs.test_vde.DataSocketTests.test_pause_and_resume",
        ),
    ),
    Mutation(
        "errors-not-counted",
        "errors of sending are counted by reason",
        _FRAMES,
        "        self._errors.count(error)\n        if self._endpoint is not None:\n",
        "        if self._endpoint is not None:\n",
        ("tests.unit.switch.plugs.test_vde.DataSocketTests.test_errors_are_counted",),
    ),
    Mutation(
        "log-with-what-clients-write",
        "bad input gets a clear error; nothing else is disturbed by it",
        _SOCKETS,
        "    name = printable(path)\n",
        "    name = os.fsdecode(path)\n",
        (
            "tests.unit.switch.plugs.test_vde.ControlProtocolTests.test_a_path_cannot_disturb_the_log",
        ),
    ),
    Mutation(
        "one-client-takes-all",
        "a client that has sent much does not keep the others waiting",
        _FRAMES,
        "for _ in range(FRAMES_AT_ONCE):",
        "while True:",
        (
            "tests.unit.switch.plugs.test_vde.DataSocketTests.test_no_more_than_a_fair_share_at_once",
        ),
    ),
)
