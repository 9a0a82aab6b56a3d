"""What frames the gateway takes and sends, and what it makes of them: guests made of frames."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import select
import socket
import time
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from pathlib import Path

import pytest

from distnet.gateway.libslirp import Network
from distnet.gateway.loop import Loop
from distnet.gateway.relay import READ_SIZE
from distnet.gateway.stack import Stack
from distnet.guestnet import PLAN
from distnet.master.unread import unsent
from distnet.sockets.cutting import is_cutting
from distnet.wire import encode_message
from tests.daemons import PATIENCE
from tests.gateways import (
    ACK,
    MASTER,
    PSH,
    SYN,
    FrameGuest,
    Gateway,
    cut,
    dhcp_discover,
    gateway_mac,
    packed,
    running_gateway,
)
from tests.packets import dhcp_answer
from tests.switches import BROADCAST, RawClient, Switch, frame, mac, switches

pytestmark = pytest.mark.skipif(find_library("slirp") is None, reason="no libslirp0 here")

OnSwitch = Callable[..., Gateway]


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    """A switch."""
    with switches(tmp_path) as start:
        yield start()


@pytest.fixture
def start_gateway(tmp_path: Path, switch: Switch) -> Iterator[OnSwitch]:
    """Start gateways on the switch, for a master that a test plays."""
    with contextlib.ExitStack() as stack:

        def start(*words: str) -> Gateway:
            gateway = Gateway(tmp_path, switch, "--control", f"{tmp_path}/none", *words)
            return stack.enter_context(running_gateway(gateway))

        yield start


@pytest.fixture
def client(switch: Switch) -> Iterator[RawClient]:
    """A client of the switch."""
    with RawClient(switch.sock).plug() as client:
        yield client


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a test is the master."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(PATIENCE)
        listener.bind(str(tmp_path / "kernels"))
        listener.listen()
        yield listener


def master_option(listener: socket.socket) -> str:
    """How a gateway finds it."""
    return f"--master=unix:{listener.getsockname()}"


def connected(client: RawClient, listener: socket.socket) -> tuple[FrameGuest, socket.socket]:
    """A guest that has its id from the master that a test plays, and that master's end."""
    guest = FrameGuest.on(client)
    guest.connect()
    end = listener.accept()[0]
    end.settimeout(PATIENCE)
    end.send(b"0")
    guest.until(lambda: guest.received == [b"0"])
    return guest, end


def answers(guest: FrameGuest, client: RawClient) -> list[bytes]:
    """The packets that have come to a guest for all that it has sent."""
    # A segment of no connection is answered by a reset, after all before it.
    guest.port += 1
    guest.tcp(ACK)
    packets = []
    while not guest.was_reset:
        frame = client.receive()
        guest.take(frame)
        if frame[12:14] == b"\x08\x00":
            packets.append(frame)
    return packets[:-1]


def test_arp_for_its_own_addresses_only(start_gateway: OnSwitch, client: RawClient) -> None:
    """The gateway answers for 10.0.2.2 and 10.0.2.16, and for nobody else."""
    start_gateway()
    guest = FrameGuest.on(client)
    for address in ("10.0.2.2", "10.0.2.16"):
        guest.arp(address)
        answer = client.receive()
        assert answer[:12] == guest.mac + gateway_mac(address)
        assert answer[28:32] == packed(address)
    for address in ("10.0.2.17", "10.0.2.50", "192.168.1.1", "10.0.2.2"):
        guest.arp(address)
    assert client.receive()[28:32] == packed("10.0.2.2")


def test_silent_on_what_is_for_others(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket
) -> None:
    """Flooded TCP, between other machines or to the gateway's address elsewhere, gets no answer."""
    start_gateway(master_option(listener))
    guest = FrameGuest.on(client)
    guest.tcp(SYN, target="10.0.2.50", mac=mac(50))
    guest.tcp(SYN, target="10.0.2.16", mac=mac(50))
    guest.tcp(SYN, target="10.0.2.50", mac=gateway_mac("10.0.2.2"))
    guest.tcp(SYN, target="10.0.2.2", mac=BROADCAST)
    assert answers(guest, client) == []


def test_master_frames_have_its_mac(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket
) -> None:
    """What comes from 10.0.2.16 comes from its MAC address, so that switches remember its port."""
    start_gateway(master_option(listener))
    guest = FrameGuest.on(client)
    guest.arp(MASTER[0])
    sources = [client.receive()[6:12]]
    guest.tcp(SYN)
    sources.append(client.receive()[6:12])
    assert sources == [gateway_mac(MASTER[0])] * 2


def test_the_loopback_of_this_machine_is_out_of_reach(
    start_gateway: OnSwitch, client: RawClient
) -> None:
    """Not even with --nat does a guest get to 127.0.0.1, under whatever address."""
    start_gateway("--nat")
    guest = FrameGuest.on(client)
    guest.arp("10.0.2.2")
    client.receive()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        for target in ("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.2.2", "10.0.2.16"):
            guest.port += 1
            guest.tcp(SYN, target=target, port=port, mac=gateway_mac("10.0.2.2"))
            guest.tcp(SYN, target=target, port=port, mac=gateway_mac("10.0.2.16"))
        answers(guest, client)
        assert not select.select([listener], [], [], 0.3)[0]


def test_a_machine_with_the_masters_address(start_gateway: OnSwitch, client: RawClient) -> None:
    """A kernel with IP=1 is told of once, with the remedy, and does not disturb the others."""
    gateway = start_gateway()
    kernel = FrameGuest.on(client, "10.0.2.16", mac(16))
    for _ in range(3):
        kernel.arp("10.0.2.15")
    gateway.wait_for_log("10.0.2.16, which is the gateway's")
    guest = FrameGuest.on(client)
    guest.arp("10.0.2.2")
    assert client.receive()[6:12] == gateway_mac("10.0.2.2")
    assert gateway.log().count("which is the gateway's") == 1
    gateway.wait_for_log("another IP= than 1")


def test_another_gateway_is_noticed(start_gateway: OnSwitch) -> None:
    """Two gateways on one switch notice each other."""
    one = start_gateway()
    other = start_gateway()
    with RawClient(other.switch.sock).plug() as client:
        FrameGuest.on(client).arp("10.0.2.2")
        client.receive()
        client.receive()
        # Each answers, and the switch remembers the last; frames that are flooded tell the other.
        client.send(frame(BROADCAST, gateway_mac("10.0.2.2"), bytes(46)))
    one.wait_for_log("another gateway is on this switch")


def test_dhcp(start_gateway: OnSwitch, client: RawClient) -> None:
    """Addresses are given away beyond those of zCore's kernels, to any number of guests."""
    start_gateway()
    given = []
    for number in range(20):
        guest = FrameGuest.on(client, "0.0.0.0", mac(100 + number))
        dhcp_discover(guest)
        offer = None
        while offer is None:
            offer = dhcp_answer(client.receive(), guest.mac)
        given.append(offer[0])
        assert offer[1] == packed("255.255.254.0")
        assert 3 not in offer  # A router, without --nat.
    assert len(set(given)) == 20
    assert min(given) == packed("10.0.2.31")


def test_dhcp_with_nat(start_gateway: OnSwitch, client: RawClient) -> None:
    """With --nat a guest is told of its router and its name server too."""
    start_gateway("--nat")
    guest = FrameGuest.on(client, "0.0.0.0", mac(100))
    dhcp_discover(guest)
    offer = None
    while offer is None:
        offer = dhcp_answer(client.receive(), guest.mac)
    assert (offer[3], offer[6]) == (packed("10.0.2.2"), packed("10.0.2.3"))


def test_strange_frames_do_no_harm(start_gateway: OnSwitch, client: RawClient) -> None:
    """Frames of every length and with anything in them change nothing."""
    gateway = start_gateway()
    guest = FrameGuest.on(client)
    numbers = random.Random(1)
    heads = [
        destination + mac(1) + kind
        for destination in (BROADCAST, gateway_mac("10.0.2.2"), gateway_mac("10.0.2.16"))
        for kind in (b"\x08\x00", b"\x08\x06", b"\x86\xdd", b"\x88\xf8", b"\x81\x00")
    ]
    for size in (*range(60), 1500, 1522, 1523, 9000, 65000):
        for head in heads:
            client.send(head + numbers.randbytes(size))
            if size > 20 and head.endswith(b"\x08\x00"):
                body = bytearray(numbers.randbytes(size))
                body[0] = 0x45
                body[2:4] = size.to_bytes(2)
                body[9] = numbers.choice((1, 6, 17))
                body[16:20] = packed(numbers.choice(("10.0.2.2", "10.0.2.16")))
                client.send(head + bytes(body))
    while not client.is_silent():
        client.receive()
    guest.arp("10.0.2.2")
    assert client.receive()[28:32] == packed("10.0.2.2")
    gateway.stop()
    assert "too short or too long" in gateway.log()


def test_fragments_end_nothing(start_gateway: OnSwitch, client: RawClient) -> None:
    """The last fragments of what was lost, and datagrams of 9000 bytes, end no gateway."""
    gateway = start_gateway("--nat")
    guest = FrameGuest.on(client)
    made: list[bytes] = []
    maker = FrameGuest(made.append, lambda: b"")
    for number, target in enumerate(("10.0.2.2", "10.0.2.3", "10.0.2.16", "192.0.2.1")):
        maker.udp(target, (4000, 7), bytes(8972), gateway_mac("10.0.2.2"))
        packet = made.pop()
        client.send(cut(packet, 1480, 100 + number)[-1])
        for fragment in reversed(cut(packet, 1480, number)):
            client.send(fragment)
    guest.arp("10.0.2.2")
    while client.receive()[20:22] != b"\x00\x02":
        pass
    assert gateway.process.poll() is None


def test_a_segment_in_fragments(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket
) -> None:
    """What QEMU's e1000e makes of a large segment is read at once, not when it is sent again."""
    start_gateway(master_option(listener))
    guest, kernel = connected(client, listener)
    with kernel:
        data = random.Random(1).randbytes(2180)
        guest.cut_at = 1456
        guest.tcp(ACK, data)
        assert kernel.recv(len(data), socket.MSG_WAITALL) == data


def test_a_guest_that_begins_anew_at_its_old_port(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket
) -> None:
    """A kernel that is started again and connects from the same port has a fresh connection."""
    start_gateway(master_option(listener))
    _, first = connected(client, listener)
    with first:
        again = FrameGuest.on(client)
        again.sequence = 500_000
        again.connect()
        assert first.recv(10) == b""
        with listener.accept()[0] as second:
            second.send(b"1")
            again.until(lambda: again.received == [b"1"])


def test_no_more_is_read_than_the_guest_has_room_for(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket
) -> None:
    """What the guest's window has no room for waits where the master sees it, but for a little."""
    start_gateway(master_option(listener))
    guest, master = connected(client, listener)
    # Told with the next acknowledgement; a window does not shrink without one.
    guest.window = 0
    # When this has come, what was sent before has too.
    guest.tcp(ACK, b"x")
    with master:
        assert master.recv(1) == b"x"
        data = b"".join(encode_message(1, bytes([number % 256]) * 600) for number in range(2000))
        master.setblocking(False)
        sent = master.send(data)
        assert sent < len(data)
        # Time for what must not happen.
        time.sleep(0.3)
        with contextlib.suppress(BlockingIOError):
            sent += master.send(data[sent:])
        waiting = unsent(master)
        assert waiting is not None
        # As much as is read once there is room for anything, twice.
        assert sent - waiting <= 2 * READ_SIZE
        guest.window = 65535
        guest.tcp(ACK)
        whole = sent - sent % 608
        guest.until(lambda: sum(map(len, guest.received)) >= 1 + whole)
        assert b"".join(guest.received[1:]) == data[:whole]


@pytest.mark.parametrize("seed", range(4))
def test_messages_are_whole_in_their_segments(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket, seed: int
) -> None:
    """Of a stream the guest gets segments of whole messages, and a larger one in its own."""
    start_gateway(master_option(listener))
    guest, master = connected(client, listener)
    chance = random.Random(seed)
    sizes = [chance.choice([0, 16, 600, 722, 723, 1024, 1452, 1453, 4000]) for _ in range(600)]
    sizes[100] = 200_000
    messages = [encode_message(7, chance.randbytes(size)) for size in sizes]
    data = b"".join(messages)
    with master:
        assert is_cutting(master)
        master.setblocking(False)
        sent = 0
        while sum(map(len, guest.received)) < 1 + len(data):
            if sent < len(data) and chance.random() < 0.3:
                # Anywhere in the middle of one.
                with contextlib.suppress(BlockingIOError):
                    sent += master.send(data[sent : sent + chance.choice([1, 7, 900, 40_000])])
            while select.select([client.data], [], [], 0 if sent < len(data) else 1)[0]:
                guest.take(client.receive())
                if chance.random() < 0.01:
                    # It stands still for a while.
                    time.sleep(0.05)
    assert b"".join(guest.received[1:]) == data
    ends = {0, *itertools.accumulate(map(len, messages))}
    begin, at = 0, 0
    for segment in guest.received[1:]:
        at += len(segment)
        # Where a segment ends, a message does; or it has nothing of any other.
        assert at in ends or not any(begin < end < at for end in ends)
        begin = at


def test_a_master_that_leaves_in_the_middle(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket
) -> None:
    """What it has sent comes, down to the begin of a message that never ends, and then the end."""
    start_gateway(master_option(listener))
    guest, master = connected(client, listener)
    whole = encode_message(1, b"whole")
    master.send(whole + encode_message(1, bytes(100))[:50])
    guest.until(lambda: guest.received[1:] == [whole])
    master.close()
    guest.until(lambda: guest.ended)
    assert b"".join(guest.received[1:]) == whole + encode_message(1, bytes(100))[:50]


@pytest.mark.parametrize("seed", range(3))
def test_segments_in_any_order(
    start_gateway: OnSwitch, client: RawClient, listener: socket.socket, seed: int
) -> None:
    """Segments that are lost, doubled, late, damaged, or cut anywhere give the master all bytes."""
    start_gateway(master_option(listener))
    guest, end = connected(client, listener)
    chance = random.Random(seed)
    data = chance.randbytes(400_000)
    frames: dict[int, bytes] = {}
    guest._send = lambda frame: frames.__setitem__(position, frame)
    begin, position = guest.sequence, 0
    while position < len(data):
        # Long runs of the same size, as they are usual, and all others.
        size = chance.choice([1460, 1460, 1460, 1448, chance.randint(1, 1460)])
        for _ in range(chance.choice([1, 1, 12])):
            piece = data[position : position + size]
            if piece:
                guest.tcp(ACK | chance.choice([0, 0, PSH]), piece)
                position += len(piece)
    received = bytearray()
    acknowledged = 0
    with end:
        end.setblocking(False)
        deadline = time.monotonic() + PATIENCE
        while len(received) < len(data):
            assert time.monotonic() < deadline
            ahead = [at for at in frames if acknowledged <= at < acknowledged + 40_000]
            if chance.random() < 0.7:
                chance.shuffle(ahead)
            for at in ahead:
                kind = chance.random()
                if kind < 0.01:
                    broken = bytearray(frames[at])
                    broken[chance.randrange(50, len(broken))] ^= 16
                    client.send(bytes(broken))
                for _ in range(0 if kind < 0.02 else 2 if kind > 0.98 else 1):
                    client.send(frames[at])
            with contextlib.suppress(TimeoutError):
                while select.select([client.data], [], [], 0.02)[0]:
                    answer = client.receive()
                    if answer[30:34] == guest.address and answer[23] == 6:
                        number = int.from_bytes(answer[42:46]) - begin
                        acknowledged = max(acknowledged, number)
            with contextlib.suppress(BlockingIOError):
                received += end.recv(1 << 20)
        assert received == data


def test_complaints_do_not_fill_the_log() -> None:
    """What libslirp says of guests is logged once in a while, but none hides another."""
    now = 0
    said: list[str] = []
    network = Network(
        PLAN,
        nat=False,
        clock_ns=lambda: now,
        send=_ignore,
        descriptor_closes=_ignore,
        say=said.append,
        failed=said.append,
    )
    ffi = network._ffi

    def complain(*messages: bytes) -> list[str]:
        said.clear()
        for message in messages:
            network._callbacks.guest_error(ffi.new("char[]", message), ffi.NULL)
        return said

    one, other = "libslirp: one", "libslirp: oth?er"
    assert complain(b"one\n", b"one\n", b"oth\x1ber") == [f"{one} (1 times)", f"{other} (1 times)"]
    now = 10**10
    assert complain(b"one\n", b"one\n") == [f"{one} (2 times)"]
    network.close()


def _ignore(_: object) -> None:
    pass


def test_no_spin_on_a_connection_that_nobody_reads(tmp_path: Path) -> None:
    """A peer that is gone when its guest sends makes libslirp end, not go round for ever."""
    frames: list[bytes] = []
    loop = Loop()
    stack = Stack(
        loop,
        PLAN,
        nat=False,
        clock_ns=time.monotonic_ns,
        send=lambda frame: frames.append(bytes(frame)),
        say=_ignore,
        failed=_ignore,
    )
    loop.begin()
    stack.begin()

    def run(seconds: float) -> None:
        loop.call_later(seconds, loop.stop)
        loop.run()

    path = tmp_path / "forward"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        stack.network.forward(os.fsencode(path), PLAN.master, 1234)

        def send(frame: bytes) -> None:
            stack.input(frame)
            stack.turn()

        guest = FrameGuest(send, lambda: frames.pop(0))
        guest.arp(MASTER[0])
        guest.connect()
        peer, _ = listener.accept()
        peer.close()
        run(0.1)
        guest.until(lambda: guest.ended)
        # libslirp cannot write it, and has nothing more to read.
        guest.tcp(ACK, b"sixteen bytes of")
        before = stack.turns
        run(1.0)
        assert stack.turns - before < 50
    stack.close()
