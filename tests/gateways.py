"""A gateway as a process, and guests for it: namespaces with a tap, and guests made of frames."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self

from tests.daemons import PATIENCE, Daemon, eventually
from tests.masters import Kernel
from tests.packets import (
    arp_body,
    bootp_message,
    checksum,
    ip_packet,
    tcp_segment,
    udp_datagram,
)
from tests.switches import BROADCAST, RawClient, Switch

MASTER = ("10.0.2.16", 1234)
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
CLONE_NEWNET = 0x40000000


def packed(address: str) -> bytes:
    """An IPv4 address as frames have it."""
    return IPv4Address(address).packed


def gateway_mac(address: str) -> bytes:
    """The MAC address of one of the gateway's own addresses."""
    return b"\x52\x55" + packed(address)


class Gateway(Daemon):
    """
    One C{distnet gateway}.

    @ivar switch: what it plugs into.
    @ivar words: its arguments, but for that.
    @ivar within: a command that runs it, like C{prlimit}.
    """

    noun = "gateway"

    def __init__(
        self, directory: Path, switch: Switch, *words: str, within: Sequence[str] = ()
    ) -> None:
        super().__init__(directory / f"gateway{len(list(directory.iterdir()))}.log")
        self.switch = switch
        self.words = words
        self.within = list(within)
        self._before = 0

    def command(self) -> list[str]:
        """How it is started."""
        sock = ["--sock", str(self.switch.sock)]
        return [*self.within, sys.executable, "-m", "distnet.cli", "gateway", *sock, *self.words]

    def start(self) -> Self:
        """Start it, and wait until the switch has one gateway more than before."""
        self._before = self.switch.gateways()
        return super().start()

    def is_ready(self) -> bool:
        """Whether the switch has it; it plugs in when all that it needs for guests is there."""
        return self.switch.gateways() > self._before

    def kill_all(self) -> None:
        """End it and all its processes at once, so that none can say anything."""
        pids = [self.process.pid]
        for pid in pids:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
            pids.extend(map(int, children.split()))
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        self.process.wait()

    def launch(self) -> None:
        """Start it."""
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.switch.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its processes are found by it, whatever has become of their parents.
                start_new_session=True,
            )


@contextlib.contextmanager
def running_gateway(gateway: Gateway) -> Iterator[Gateway]:
    """A gateway that runs, and does not any more afterwards."""
    try:
        yield gateway.start()
    finally:
        gateway.kill()


def gateway_of(switch: Switch) -> int | None:
    """The process of a switch's gateway."""
    children = Path(f"/proc/{switch.process.pid}/task/{switch.process.pid}/children")
    for pid in children.read_text().split():
        if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return int(pid)
    return None


class Machine:
    """
    A network namespace that is plugged into a switch: a guest with Linux's own TCP.

    @ivar name: of the namespace.
    @ivar plug: the process that plugs it in.
    """

    def __init__(self, directory: Path, address: str | None, name: str) -> None:
        self.name = name
        self._ip("netns", "add", name)
        self.plug = subprocess.Popen(self.command(directory))
        eventually("there is a tap", lambda: Path(f"/proc/{self.plug.pid}/fd").exists())
        eventually("there is a tap", self._has_tap)
        if address is not None:
            self._ip("-n", name, "addr", "add", f"{address}/24", "dev", "tap0")
        self._ip("-n", name, "link", "set", "lo", "up")
        self._ip("-n", name, "link", "set", "tap0", "up")

    def command(self, directory: Path) -> list[str]:
        """What plugs it in, as a tap of its own with the name C{tap0}."""
        plug = ["vde_plug2tap", "-s", str(directory), "tap0"]
        return ["ip", "netns", "exec", self.name, *plug]

    def _has_tap(self) -> bool:
        show = ["ip", "-n", self.name, "link", "show", "tap0"]
        return not subprocess.run(show, capture_output=True, check=False).returncode

    @staticmethod
    def _ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *words],
            capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip

    def ping(self, address: str) -> bool:
        """Whether an address answers."""
        return not self.run("ping", "-c", "1", "-W", "5", address).returncode

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Sockets that are made meanwhile are the machine's."""
        library = ctypes.CDLL(None, use_errno=True)
        with (
            Path("/proc/thread-self/ns/net").open() as own,
            Path(f"/run/netns/{self.name}").open() as its,
        ):
            assert library.setns(its.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert library.setns(own.fileno(), CLONE_NEWNET) == 0

    def connect(self) -> Kernel:
        """A connection to the master, of which the id is not read yet."""
        with self.entered():
            return Kernel(MASTER)

    def close(self) -> None:
        """Unplug it, and remove it."""
        self.plug.kill()
        self.plug.wait()
        self._ip("netns", "del", self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class FrameGuest:
    """
    A guest that speaks ARP, UDP and a little TCP by frames of its own.

    @ivar received: what has come on its connection, a segment each.
    @ivar cut_at: its packets go in fragments with so many bytes of data, a multiple of 8; 0 if not.
    """

    def __init__(
        self,
        send: Callable[[bytes], object],
        receive: Callable[[], bytes],
        address: str = "10.0.2.40",
        mac: bytes = b"\x02\x00\x00\x00\x00\x40",
    ) -> None:
        self._send, self._receive = send, receive
        self.address, self.mac = packed(address), mac
        self.window = 65535
        self.cut_at = 0
        self.port = 4000
        self.sequence, self.acknowledged = 1000, 0
        self.received: list[bytes] = []
        self.ended = self.was_reset = False

    @classmethod
    def on(cls, client: RawClient, *arguments: object) -> FrameGuest:
        """One that is plugged into a switch."""
        return cls(client.send, client.receive, *arguments)  # type: ignore[arg-type]

    def arp(self, target: str, *, sender: bytes | None = None) -> None:
        """Ask for an address."""
        body = arp_body(1, self.mac, sender or self.address, bytes(6), packed(target))
        self._send(BROADCAST + self.mac + b"\x08\x06" + body)

    def ip(self, target: str, protocol: int, data: bytes, mac: bytes | None = None) -> None:
        """Send a packet."""
        to = gateway_mac(target) if mac is None else mac
        packet = ip_packet(self.address, packed(target), protocol, data)
        frame = to + self.mac + b"\x08\x00" + packet
        for part in cut(frame, self.cut_at) if self.cut_at else [frame]:
            self._send(part)

    def udp(self, target: str, ports: tuple[int, int], data: bytes, mac: bytes) -> None:
        """Send a datagram, without a checksum."""
        self.ip(target, 17, udp_datagram(ports, data), mac)

    def tcp(
        self,
        flags: int,
        data: bytes = b"",
        *,
        target: str = MASTER[0],
        port: int = MASTER[1],
        mac: bytes | None = None,
        options: bytes = b"",
    ) -> None:
        """Send a segment."""
        numbers = (self.sequence, self.acknowledged)
        ends = (self.address, packed(target))
        ports = (self.port, port)
        segment = tcp_segment(
            ends, ports, numbers, flags, data, window=self.window, options=options
        )
        self.ip(target, 6, segment, mac)
        self.sequence += len(data) + bool(flags & (SYN | FIN))

    def connect(self) -> None:
        """Connect to the master, and take segments of 1460 bytes."""
        self.tcp(SYN, options=struct.pack("!BBH", 2, 4, 1460))
        self.until(lambda: self.acknowledged != 0)
        self.tcp(ACK)

    def until(self, done: Callable[[], bool]) -> None:
        """Take frames until something is so. Raises TimeoutError."""
        while not done():
            self.take(self._receive())

    def take(self, frame: bytes) -> None:
        """Take a frame: answer ARP, and acknowledge TCP."""
        if frame[12:14] == b"\x08\x06" and frame[38:42] == self.address and frame[21] == 1:
            body = arp_body(2, self.mac, self.address, frame[22:28], frame[28:32])
            self._send(frame[6:12] + self.mac + b"\x08\x06" + body)
        if frame[12:14] == b"\x08\x00" and frame[30:34] == self.address and frame[23] == 6:
            self._take_tcp(frame[34 : 14 + int.from_bytes(frame[16:18])])

    def _take_tcp(self, segment: bytes) -> None:
        _, port, sequence, _, offset, flags = struct.unpack("!HHIIBB", segment[:14])
        if port != self.port:
            return
        data = segment[(offset >> 4) * 4 :]
        self.was_reset |= bool(flags & RST)
        if flags & SYN:
            self.acknowledged = sequence + 1
        elif sequence == self.acknowledged and (data or flags & FIN):
            if data:
                self.received.append(data)
            self.ended |= bool(flags & FIN)
            self.acknowledged += len(data) + bool(flags & FIN)
            self.tcp(ACK)


def cut(frame: bytes, size: int, number: int = 0) -> list[bytes]:
    """
    A frame with a packet in fragments.

    @param size: bytes of data in each but the last, a multiple of 8.
    @param number: the packet's.
    """
    head, data = frame[14:34], frame[34 : 14 + int.from_bytes(frame[16:18])]
    result = []
    for begin in range(0, len(data), size):
        part = data[begin : begin + size]
        place = begin // 8 | 0x2000 * (begin + size < len(data))
        its = head[:2] + struct.pack("!HHH", 20 + len(part), number, place)
        its += head[8:10] + bytes(2) + head[12:]
        result.append(frame[:14] + its[:10] + checksum(its) + its[12:] + part)
    return result


def dhcp_discover(guest: FrameGuest) -> None:
    """Ask for an address, RFC 2131."""
    own, guest.address = guest.address, bytes(4)
    guest.udp("255.255.255.255", (68, 67), bootp_message(guest.mac, 1), BROADCAST)
    guest.address = own


def is_closed_by_end(kernel: Kernel) -> bool:
    """Whether a connection has ended in good order."""
    return not kernel.socket.recv(1, socket.MSG_PEEK)
