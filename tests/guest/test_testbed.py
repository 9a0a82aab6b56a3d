"""The test bed tests itself: guests boot, are strict, and see the faults of a naive master."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.daemons import PATIENCE

from . import debian, image, wire
from .qemu import Guest, GuestError, guestfwd, results

HERE = pathlib.Path(__file__).resolve().parent


class OneNodeMaster:
    """A correct master for a single node: everything it sends comes back, from itself.

    Correct only because one node that speaks first needs nothing more: its first byte says that
    the id was read.
    """

    def __init__(self, greeting: bytes = b"7", source: int = 7) -> None:
        self._greeting, self._source = greeting, source
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.received: list[tuple[int, bytes]] = []
        self.quit = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection, connection.makefile("rb") as stream:
                connection.sendall(self._greeting)
                while word := stream.read(4):
                    if word == b"quit":
                        self.quit = True
                        return
                    dest = int.from_bytes(word, "little")
                    data = stream.read(int.from_bytes(stream.read(4), "little"))
                    self.received.append((dest, data))
                    connection.sendall(wire.frame(self._source, data))

    def close(self) -> None:
        # a mere close() would leave the accept() of the thread waiting
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@contextlib.contextmanager
def toy_server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    argv = [sys.executable, str(HERE / "toy_server.py")]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().split()[1])
        finally:
            process.kill()


def test_image_is_cached(built: image.Image) -> None:
    """A second build returns the same files without touching them."""
    before = built.initramfs.stat().st_mtime_ns, built.kernel.stat().st_mtime_ns
    assert image.build() == built
    assert (built.initramfs.stat().st_mtime_ns, built.kernel.stat().st_mtime_ns) == before


def test_missing_parts_are_named_in_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a kernel package the error is one line that says so."""
    monkeypatch.setenv("DISTNET_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(debian.ImageError, match=r"^looking up linux-image\S+: no program \S+$"):
        image.build()


def test_one_guest_gets_its_id_and_talks(built: image.Image) -> None:
    """A guest boots, reads its id, sends 4 blocks, gets them back intact and says quit."""
    master = OneNodeMaster()
    script = "connect;getid;send:3:512:4;expect:7:4;quit"
    with Guest(guestfwd(master.port), script, image=built) as guest:
        guest.wait_for(r"^DN done sent=4 received=4 ")
        assert guest.wait() == 0
    master.close()
    assert {"DN id=7", "DN getid=7", "DN recv from=7 len=512 seq=3 ok"} <= set(guest.lines())
    assert master.received == [(3, wire.payload(7, seq, 512)) for seq in range(4)]
    assert master.quit


def test_stopped_guest_holds_its_connection_until_continued(built: image.Image) -> None:
    """With -S QEMU is connected at once, and an id glued to a message is what kills the guest."""
    master = OneNodeMaster(greeting=b"7" + wire.frame(1, wire.payload(1, 0, 16)))
    with Guest(guestfwd(master.port), "connect", image=built, stopped=True) as guest:
        assert guest.qmp("query-status")
        assert guest.console() == ""
        guest.cont()
        guest.wait_for(r"^DN PANIC id len=10 hex=3701000000")
        guest.wait_for(r"^DN exit=1")
        with pytest.raises(GuestError, match="ended without"):
            guest.wait_for("DN done")
    assert "guestfwd=" in guest.report()
    assert "DN PANIC" in guest.report()
    master.close()


def test_toy_server_dies_of_a_message_to_an_absent_node() -> None:
    """The naive master ends with IndexError on the first frame for an id nobody has."""
    with toy_server() as (process, port), socket.create_connection(("127.0.0.1", port)) as node:
        assert node.recv(10) == b"0"
        node.sendall(wire.frame(1, wire.payload(0, 0, 16)))
        assert process.stderr is not None
        assert "IndexError" in process.stderr.read()
        assert process.wait(10) == 1


def test_three_guests_do_not_come_up_with_the_toy_server(built: image.Image) -> None:
    """Booted together against the naive master, kernels read a message glued to their id."""
    script = "connect;bcast:0,1,2:512:4;expect:any:8:3"
    with toy_server() as (process, port), contextlib.ExitStack() as stack:
        guests = [
            # the delay makes sure that one of them is first
            Guest(guestfwd(port), script, name=f"g{n}", image=built, start_delay=n * 0.4)
            for n in range(3)
        ]
        for guest in guests:
            stack.enter_context(guest)
        for guest in guests:
            guest.wait()
        died = process.poll() is not None
    ends = results(guests)
    assert ends["done"] < 3, guests
    assert ends["PANIC"] >= 1 or died, guests


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The program that runs scripts in guests, for this machine."""
    if missing := image.missing_tools():
        pytest.skip(f"missing: {', '.join(missing)}")
    path = tmp_path_factory.mktemp("client") / "strict_client"
    image.compile_client("gcc", path)
    return path


def served(data: bytes, port: int) -> bytes:
    """What C{serve} sends, as ethernet.c says it, of the length of C{data}."""
    factor, mask = 0x9E3779B97F4A7C15, 2**64 - 1
    words = ((number + (port << 40) + 1) * factor & mask for number in range(len(data) // 8 + 1))
    return b"".join(word.to_bytes(8, "little") for word in words)[: len(data)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda data: data, "DN fetch peer=127.0.0.1 bytes=70001 "),
        (lambda data: data[:-1], "DN FAIL fetch: 70000 of 70001 bytes"),
        (lambda data: data + b"x", "DN FAIL fetch: "),
        (lambda data: data[:66000] + b"x" + data[66001:], "DN FAIL fetch: other bytes"),
        (lambda data: data[8:] + data[:8], "DN FAIL fetch: other bytes"),
    ],
    ids=["right", "short", "long", "wrong byte", "shifted"],
)
def test_a_guest_compares_what_it_fetches(
    wrong: Callable[[bytes], bytes], said: str, client: pathlib.Path
) -> None:
    """A guest that reads bytes from another says so if one is wrong, or missing, or too many."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        port = listener.getsockname()[1]
        script = f"fetch:127.0.0.1:{port}:70001"
        with subprocess.Popen([client, script], stdout=subprocess.PIPE, text=True) as process:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE)
                with contextlib.suppress(OSError):  # it has hung up
                    connection.sendall(wrong(served(bytes(70001), port)))
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(2)
            assert process.stdout is not None
            assert said in process.stdout.read()


def test_a_guest_takes_one_script_after_another(built: image.Image) -> None:
    """Scripts that are given at the console run at once, and end what ran before."""
    master = OneNodeMaster()
    with Guest(guestfwd(master.port), image=built, commands=True) as guest:
        assert guest.run("connect;getid")[-2:-1] == ["DN getid=7"]
        guest.begin("wait")
        guest.wait_for("^DN waiting$")
        assert guest.run("getid")[:1] == ["DN getid=none"]
        with pytest.raises(GuestError, match="DN FAIL unknown step"):
            guest.run("dance")
    master.close()
