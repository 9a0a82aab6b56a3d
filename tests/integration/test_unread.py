"""What peers have not read, as the operating system tells it of real sockets."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from distnet.master.unread import SockDiag, how_to_tell, unsent
from tests.fuzzing import built
from tests.suites import why_not_native

KINDS = ["127.0.0.1", "127.9.9.9", "::1", "mapped", "unix"]


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connected pair: ours, as a master accepts it, and the peer's."""
    if request.param == "unix":
        ours, peers = socket.socketpair()
    else:
        ours, peers = _tcp_pair(request.param)
    with ours, peers:
        yield ours, peers


def _tcp_pair(host: str) -> tuple[socket.socket, socket.socket]:
    if host == "mapped":
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        host = "127.0.0.1"
    else:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, 0), family=family)
    with listener:
        peers = socket.create_connection((host, listener.getsockname()[1]))
        return listener.accept()[0], peers


def test_bytes_are_unread_until_the_peer_reads_them(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """The count goes up with what is sent, and is 0 exactly when all was read."""
    ours, peers = pair
    unread, observable = how_to_tell(ours, SockDiag(), False)
    assert observable
    assert unread() == 0
    for _ in range(3):
        ours.sendall(b"12")
        assert unread()
        assert peers.recv(1) == b"1"
        assert unread()
        assert peers.recv(1) == b"2"
        assert unread() == 0


def test_what_was_read_is_known_before_it_is_acknowledged() -> None:
    """Linux acknowledges what was read 40 ms later once the reader has sent something itself."""
    for _ in range(20):
        ours, peers = _tcp_pair("127.0.0.1")
        with ours, peers:
            unread, _ = how_to_tell(ours, SockDiag(), False)
            ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(50):
                ours.sendall(b"question")
                peers.recv(100)
                peers.sendall(b"answer")
                ours.recv(100)
            ours.sendall(b"question")
            assert unread() == 8
            peers.recv(100)
            left, is_acknowledged = unread(), not unsent(ours)
            assert left == 0
            if not is_acknowledged:
                return
    pytest.fail("it was acknowledged at once, twenty times")


@pytest.mark.skipif(why_not_native() is not None, reason="there is no native code")
def test_native_code_knows_what_was_read() -> None:
    """The same, and what else Linux acknowledges before or after it was read; see the program."""
    with built("unread_check", "router") as program:
        ran = subprocess.run([program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_a_full_queue_is_unread(pair: tuple[socket.socket, socket.socket]) -> None:
    """Bytes that do not fit into the peer's queue any more are unread too."""
    ours, peers = pair
    unread, _ = how_to_tell(ours, SockDiag(), False)
    ours.setblocking(False)
    sent = 0
    while True:
        try:
            sent += ours.send(bytes(65536))
        except BlockingIOError:
            break
    peers.settimeout(5)
    while sent:
        assert unread()
        sent -= len(peers.recv(min(sent, 65536)))
    assert unread() == 0


def test_a_closed_socket_tells_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    """Of a socket that we have closed nothing is known, and no error comes of asking."""
    ours, _ = pair
    unread, _ = how_to_tell(ours, SockDiag(), False)
    ours.close()
    assert unread() is None


def test_unknown_sockets_have_no_queue() -> None:
    """The kernel is asked about a connection that does not exist, and says so."""
    diag = SockDiag()
    nobody = ("127.0.0.1", 1), ("127.0.0.1", 2)
    assert diag.receive_queue(socket.AF_INET, *nobody) is None
    diag.close()
    assert diag.receive_queue(socket.AF_INET, *nobody) is None
    diag.close()


def test_unsent_is_what_the_machine_has_not_taken() -> None:
    """On TCP what was acknowledged is not unsent any more, whether it was read or not."""
    ours, peers = _tcp_pair("127.0.0.1")
    with ours, peers:
        ours.sendall(b"0")
        assert unsent(ours) == 0
