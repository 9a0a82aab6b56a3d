"""Mistakes where the master meets the machine: sockets, processes, files, users."""

from __future__ import annotations

from tests.mutations.mutation import Mutation, Runner

_CONTROL = "distnet/control/server.py"
_LISTEN = "distnet/sockets/listen.py"
_MASTER = "distnet/master/service.py"
_PROCESS = "distnet/daemon/process.py"
_STATE = "distnet/master/state.py"
_STREAM = "distnet/master/links.py"
_TLS = "distnet/master/tls.py"
_UNREAD = "distnet/master/unread.py"


def _tests(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/integration/{name}" for name in names)


MUTATIONS = (
    Mutation(
        "our-queue-for-the-peers",
        "on loopback TCP by the peer's receive queue",
        _UNREAD,
        "receive_queue(sock.family, remote, local)",
        "receive_queue(sock.family, local, remote)",
        _tests("test_unread.py::test_bytes_are_unread_until_the_peer_reads_them"),
        Runner.PYTEST,
    ),
    Mutation(
        "acknowledged-is-read",
        "remote and TLS listeners by the first byte only (acked is an opt-in)",
        _UNREAD,
        "return lambda: unsent(sock), acked_is_read",
        "return lambda: unsent(sock), True",
        _tests("test_remote.py::test_only_the_first_byte_settles_a_remote_node"),
        Runner.PYTEST,
    ),
    Mutation(
        "wakes-up-every-second",
        "Idle: no CPU",
        _CONTROL,
        "    def startFactory(self) -> None:\n",
        "    def start_factory(self) -> None:\n",
        _tests("test_settling.py::test_nothing_is_polled_without_mail"),
        Runner.PYTEST,
    ),
    Mutation(
        "listens-everywhere",
        "without interface= a TCP listener binds 127.0.0.1",
        _LISTEN,
        '{"tcp": "127.0.0.1", "tcp6": "::1"}',
        '{"tcp": "0.0.0.0", "tcp6": "::1"}',
        _tests("test_startup.py::test_tcp_is_on_loopback_by_default"),
        Runner.PYTEST,
    ),
    Mutation(
        "sockets-for-everybody",
        "a unix socket gets mode 0600",
        _LISTEN,
        'text += ":mode=600"',
        'text += ":mode=666"',
        _tests(
            "test_startup.py::test_unix_sockets_are_for_their_user_alone",
            "test_control.py::test_the_socket_is_for_its_user_alone",
        ),
        Runner.PYTEST,
    ),
    Mutation(
        "left-sockets-stay",
        "what a killed master left is taken over",
        _LISTEN,
        "                Path(path).unlink()\n",
        "                Path(path).exists()\n",
        _tests("test_startup.py::test_a_socket_left_by_kill_9_is_taken_over"),
        Runner.PYTEST,
    ),
    Mutation(
        "any-certificate",
        "TLS with client certificates",
        _TLS,
        "        trustRoot=trustRootFromCertificates(trusted),\n",
        "",
        _tests("test_startup.py::test_tls_lets_in_whom_the_ca_has_signed"),
        Runner.PYTEST,
    ),
    Mutation(
        "any-host-name",
        "the server's name verified on the client's side",
        "distnet/client/channel.py",
        "    context.minimum_version",
        "    context.check_hostname = False\n    context.minimum_version",
        _tests("test_client_tls.py::test_tls_checks_the_name"),
        Runner.PYTEST,
    ),
    Mutation(
        "id-before-its-record",
        "ids and pins are committed before the id is sent",
        _MASTER,
        "        recorded.addCallbacks(\n",
        "        import signal\n"
        "        self._begin(protocol, session, resume)\n"
        "        signal.raise_signal(9)\n"
        "        recorded.addCallbacks(\n",
        _tests("test_state.py::test_an_id_is_on_record_before_it_is_sent"),
        Runner.PYTEST,
    ),
    Mutation(
        "mail-stays-in-the-file",
        "nothing lost, doubled or reordered",
        _STATE,
        '        database.execute("delete from mail")\n',
        "",
        _tests("test_state.py::test_waiting_messages_are_not_delivered_twice"),
        Runner.PYTEST,
    ),
    Mutation(
        "anybody-is-resumed",
        "only if the QEMU is the same process",
        _MASTER,
        "self._resumable.pop(session.node, None) == session.process",
        "self._resumable.pop(session.node, None)",
        _tests("test_state.py::test_another_process_is_not_resumed"),
        Runner.PYTEST,
    ),
    Mutation(
        "resumed-without-its-id",
        "only if its id was settled",
        _STATE,
        "if settled and process is not None:",
        "if process is not None:",
        _tests("test_state.py::test_a_node_that_had_not_settled_is_not_resumed"),
        Runner.PYTEST,
    ),
    Mutation(
        "killed-by-its-signal",
        "SIGTERM: exit 0",
        _PROCESS,
        "        signal.signal(signal.SIGTERM, self._terminated)\n",
        "",
        _tests("test_stop.py::test_sigterm_ends_with_status_0"),
        Runner.PYTEST,
    ),
    Mutation(
        "no-reset",
        "TCP connections of reconnecting QEMUs are closed by RST",
        _STREAM,
        "        self._close_soon(CLOSE_TRIES)\n",
        "",
        _tests("test_stop.py::test_a_tcp_peer_that_has_quit_is_reset"),
        Runner.PYTEST,
    ),
    Mutation(
        "cut-at-the-stop",
        "no message cut in half",
        _MASTER,
        "    return sock.family != socket.AF_UNIX and bool(unsent(sock))\n",
        "    return False\n",
        _tests("test_stop.py::test_what_the_reader_has_not_taken_over_is_not_cut"),
        Runner.PYTEST,
    ),
    Mutation(
        "traceback-at-the-start",
        "one line, no traceback, exit status 1",
        _PROCESS,
        "            sys.excepthook = _say_no_more\n",
        "",
        _tests("test_startup.py::test_what_is_wrong_is_said_in_a_line"),
        Runner.PYTEST,
    ),
    Mutation(
        "tools-get-kernels-ids",
        "tools do not take kernels' ids",
        _MASTER,
        "pinned=listener.node, kind=listener.kind)",
        "pinned=listener.node)",
        _tests("test_cli.py::test_ping_is_answered"),
        Runner.PYTEST,
    ),
    Mutation(
        "reconnect-for-everybody",
        "no reconnect for a node that is not pinned",
        "distnet/qemu.py",
        "if form is Form.RECONNECT and not pinned:",
        "if False:",
        _tests("test_cli.py::test_reconnect_is_for_pinned_nodes"),
        Runner.PYTEST,
    ),
    Mutation(
        "sends-what-panics-kernels",
        "refuses less than 16 and more than 4096 bytes without --force",
        "distnet/cli/main.py",
        "range(16, 4097)",
        "range(15, 4098)",
        _tests("test_cli.py::test_sizes_on_which_a_kernel_panics"),
        Runner.PYTEST,
    ),
)
