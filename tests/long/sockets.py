"""The long run at a switch that is a process: clients, good and bad ones, come, send, and go."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from pathlib import Path
from random import Random
from statistics import mean
from typing import Self

from distnet.switch.console.commands import COMMANDS
from distnet.vdewire import encode_request, parse_reply
from tests.console.scripts import PROMPT, ConsoleClient
from tests.daemons import PATIENCE, eventually
from tests.long import made_up
from tests.long.clients import PORTS, Client, ManagedSwitch, address
from tests.long.vlans import TAG, History, Member
from tests.switches import BROADCAST, RawClient, running

BURST = 250
"""Frames of 1400 bytes: 456 of these and the bridge's 256 may wait for a client."""
BURSTS = 4
STEADY = (1, 2)
CHANGING = range(3, 12)
VLANS = (0, 5, 6)
TAGS = (0, 5, 5, 6, 6, 7, 4095)
NO_VLAN = 4095
MOST_CLIENTS = 14
MOST_REMAINS = 8
MOST_GROWTH_KIB = 8 * 1024
"""That the memory of the switch may grow from the first to the last quarter of a run, as a mean.

An address takes some 300 bytes, an endpoint a few KiB, but there are never many of these at a time.
"""
_HARMLESS = (
    "ds/", "help", "showinfo", "debug/", "hash/", "fstp/",
    "port/showinfo", "port/print", "port/allprint", "port/resetcounter", "vlan/print",
)  # fmt: skip
HARMLESS = tuple(
    command
    for command in COMMANDS
    if command.run is not None and command.path.startswith(_HARMLESS)
)
"""Commands that do not change who is where."""


class SocketSteps:
    """
    A switch, and what is done to it.

    Two clients stay, and now and then a frame of one must come to the other.

    @ivar done: how often each thing was done.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.done: dict[str, int] = {}
        self._context = contextlib.ExitStack()
        self._clients: list[Client] = []
        # What clients leave behind that did not go in good order.
        self._remains: list[socket.socket] = []
        # Of each frame: who sent it, at which port, at which moment of the history; it without its
        # payload, and the size of that.
        self._sent: list[tuple[int, int, int, bytes, int]] = [(0, 0, 0, b"", 0)]
        self._copies = 0
        self._memory: list[int] = []
        self._slow = 0
        self._number = 0
        strict = random.random() < 0.5
        self._options = ["--strict-vlans"] if strict else []
        self.history = History(strict, dict.fromkeys(range(PORTS), Member()))

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as context:
            directory = Path(context.enter_context(tempfile.TemporaryDirectory()))
            self.switch = ManagedSwitch(directory, *self._options)
            context.enter_context(running(self.switch))
            eventually("it has a console", self._has_console)
            self._rest = self.switch.descriptors_at_rest()
            self._console = ConsoleClient(self.switch.management, PATIENCE)
            context.callback(self._console.close)
            self._noise: ConsoleClient | None = None
            for line in (*(f"vlan/create {vlan}" for vlan in VLANS[1:]),
                         *(f"port/create {port}" for port in CHANGING)):  # fmt: skip
                assert self._ask(line), line
            for port in STEADY:
                self._clients.append(self._plug(port))
            self._context = context.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        for client in self._clients:
            client.close()
        for remain in self._remains:
            remain.close()
        if self._noise is not None:
            self._noise.close()
        self._context.close()

    def _has_console(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.switch.management) == 0

    def _ask(self, line: str) -> bool:
        """Whether a command succeeds."""
        return self._console.ask(line).endswith(b"1000 Success\n" + PROMPT)

    # What happens

    def step(self) -> None:
        """One thing is done."""
        self._number += 1
        (name,) = self.random.choices(NAMES, WEIGHTS)
        self.done[name] = self.done.get(name, 0) + 1
        getattr(self, f"_{name}")()
        if self._number % 10 == 0:
            self._read()
        if self._number % 50 == 0:
            self._reach()
        if self._number % 200 == 0:
            assert self.switch.process.poll() is None, f"the switch has ended:\n{self._log_end()}"
            self._memory.append(self.switch.memory())

    def _log_end(self) -> str:
        return self.switch.log()[-3000:]

    def _plug(self, port: int) -> Client:
        client = Client(self.switch.sock)
        try:
            client.plug(port)
        except BaseException:
            client.close()
            raise
        client.source = address(client.port, self.random.randrange(8))
        return client

    def _come(self) -> None:
        """A client is plugged in, at a port of its choice or any."""
        if len(self._clients) >= MOST_CLIENTS:
            self._go()
        port = self.random.choice((*CHANGING, *CHANGING, 0))
        # The management port is one of VLAN 0, like any other.
        self._clients.append(self._plug(port))

    def _take_out(self) -> Client | None:
        """One of those that may go."""
        if len(self._clients) <= len(STEADY):
            return None
        at = self.random.randrange(len(STEADY), len(self._clients))
        return self._clients.pop(at)

    def _remain(self, *left: socket.socket) -> None:
        self._remains += left
        while len(self._remains) > MOST_REMAINS:
            self._remains.pop(self.random.randrange(len(self._remains))).close()

    def _go(self) -> None:
        """A client goes: in order, in the middle, by halves, or is unplugged at the console."""
        client = self._take_out()
        if client is None:
            return
        draw = self.random.random()
        if draw < 0.15:
            client.send(b"")
        elif draw < 0.3:
            self._ask(f"port/epclose {client.port} {client.path.suffix[1:]}")
        if draw < 0.6:
            client.close()
        elif draw < 0.8:
            # Its frames are refused by the operating system from now on.
            client.data.close()
            self._remain(client.control)
        else:
            client.control.close()
            self._remain(client.data)
        client.own.unlink(missing_ok=True)

    def _be_killed(self) -> None:
        """A process with a client is killed, when that is plugged in or in the middle of it."""
        whole, half = self.random.random() < 0.5, self.random.randrange(100)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                client = RawClient(self.switch.sock)
                if whole:
                    client.plug()
                    client.send(BROADCAST + bytes(6) + b"\x88\xb5" + bytes(8))
                else:
                    client.control.send(client.request()[:half])
                os.write(writer, os.fsencode(client.own))
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        with open(reader, "rb", buffering=0) as told:
            own = told.read(200)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert own, "the client was not plugged in"
        Path(os.fsdecode(own)).unlink()

    def _request(self) -> None:
        """Somebody sends a request, good or not, perhaps in pieces, and goes or stays a while."""
        random = self.random
        client = RawClient(self.switch.sock)
        data = encode_request(made_up.request(random, os.fsencode(client.own), PORTS))
        if random.random() < 0.7:
            data = made_up.scratched(random, data)
        with contextlib.suppress(ConnectionError):
            at = random.randrange(len(data) + 1)
            client.control.send(data[:at])
            client.control.send(data[at:])
            if random.random() < 0.02:
                reply = client.control.recv(1024)
                assert not reply or parse_reply(reply)
        if random.random() < 0.3:
            self._remain(client.control)
            client.control = socket.socket(socket.AF_UNIX)
        client.close()

    def _frame(self) -> None:
        """A client sends a frame, to anybody, with tags or without."""
        client = self.random.choice(self._clients)
        if client.port in STEADY and self.random.random() < 0.5:
            return
        to = self.random.choice(self._clients).source
        self._send(client, self.random.choice((BROADCAST, to, to, made_up_address(self.random))))

    def _burst(self) -> None:
        """A client sends more than may wait for those who do not read, but not for the others."""
        client = self.random.choice(self._clients)
        for _ in range(BURSTS):
            for _ in range(BURST):
                self._send(client, BROADCAST, 1400)
            self._read()

    def _send(self, client: Client, to: bytes, size: int | None = None) -> int:
        """Send a frame; return its number."""
        random = self.random
        tags = b""
        if client.port not in STEADY and random.random() < 0.5:
            for _ in range(random.choice((1, 1, 1, 2, 3))):
                tags += TAG + random.choice(TAGS).to_bytes(2, "big")
        number = len(self._sent)
        if size is None:
            size = random.choice((0, 0, 30, 1400))
        head = to + client.source + tags + b"\x88\xb5"
        self._sent.append((client.number, client.port, self.history.moment, head, size))
        client.send(_whole(head, size, number))
        return number

    def _noise_frame(self) -> None:
        """A client sends what is no frame, or none of ours."""
        client = self.random.choice(self._clients[len(STEADY) :] or self._clients)
        data = self.random.randbytes(self.random.randrange(1, 40))
        if len(data) >= 14:
            # It may go anywhere, and says that it is nobody's.
            data = data[:6] + client.source + data[12:] + bytes(8)
        client.send(data)

    def _configure(self) -> None:
        """Somebody moves a port to another VLAN, or in or out of one with tags."""
        random, port = self.random, self.random.choice(CHANGING)
        member, vlan = self.history.members[port], random.choice(VLANS)
        draw = random.random()
        if draw < 0.4:
            home = NO_VLAN if draw < 0.05 else vlan
            line = f"port/setvlan {port} {home}"
            change = Member(None if home == NO_VLAN else home, member.tagged - {home})
        elif draw < 0.75:
            line = f"vlan/addport {vlan} {port}"
            change = Member(member.home, member.tagged | ({vlan} - {member.home}))
        else:
            if vlan == member.home:
                return
            line = f"vlan/delport {vlan} {port}"
            change = Member(member.home, member.tagged - {vlan})
        # Frames that are under way may be of the time before it, or after.
        assert self._ask(line), line
        self.history.change(port, change)

    def _line(self) -> None:
        """Somebody types at another console, which comes and goes."""
        random = self.random
        if self._noise is None:
            self._noise = ConsoleClient(self.switch.management, PATIENCE)
        line = made_up.console_line(random, HARMLESS) + b"\n"
        with contextlib.suppress(ConnectionError):
            self._noise.socket.sendall(line)
            answer = b""
            while random.random() < 0.9 and PROMPT not in answer:
                piece = self._noise.socket.recv(65536)
                assert piece, "the console is closed"
                answer += piece
        if random.random() < 0.1:
            self._noise.close()
            self._noise = None

    def _deafen(self) -> None:
        """A client does not read for a while, or does again."""
        client = self.random.choice(self._clients)
        client.deaf = client.port not in STEADY and not client.deaf

    # What must hold

    def _read(self) -> None:
        """All read what has come."""
        for client in self._clients:
            while not client.deaf and (data := client.arrived()) is not None:
                self._check(client, data)

    def _check(self, client: Client, data: bytes) -> int:
        number = int.from_bytes(data[-8:], "big")
        if number == 0:
            return 0
        self._copies += 1
        assert number < len(self._sent), f"nobody has sent {data.hex()}"
        source, port, moment, head, size = self._sent[number]
        frame = _whole(head, size, number)
        assert port != client.port, "reflected"
        assert number > client.latest.get(source, 0), "twice, or out of order"
        client.latest[source] = number
        assert self.history.allows(moment, port, client.port, frame, data), (
            f"port {client.port} sees {data[:40].hex()} of {frame[:40].hex()} from port {port},"
            f" as {self.history.members[client.port]} of {self.history.members[port]}"
        )
        return number

    def _reach(self) -> None:
        """A frame between those who stay arrives."""
        one, other = self._clients[:2]
        if self.random.random() < 0.5:
            one, other = other, one
        number = self._send(one, self.random.choice((BROADCAST, other.source)))
        while True:
            try:
                data = other.receive()
            except TimeoutError:
                raise AssertionError(f"a frame does not arrive:\n{self._log_end()}") from None
            if self._check(other, data) == number:
                return

    def end(self) -> None:
        """All go; nothing is left of them."""
        self._read()
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._remain()
        for each in self._remains:
            each.close()
        self._remains.clear()
        self._console.close()
        if self._noise is not None:
            self._noise.close()
        switch = self.switch
        eventually("all are unplugged", lambda: switch.sockets() == [])
        try:
            eventually("all is closed", lambda: switch.descriptors() <= self._rest)
        except AssertionError:
            raise AssertionError(f"{switch.descriptors()} are open, {self._rest} at rest") from None
        left = [path.name for path in switch.sock.iterdir()]
        assert left == ["ctl"], f"left in the directory: {left}"
        assert switch.process.poll() is None, self._log_end()
        assert switch.stop() == 0
        for word in ("Traceback", "Unhandled"):
            at = switch.log().find(word)
            assert at < 0, switch.log()[max(at - 300, 0) : at + 2000]
        odd = set(switch.log()) - set("\n\t")
        assert all(each.isprintable() for each in odd), "the log has what clients wrote"
        self._slow = switch.log().count("does not read in time")
        growth = self._growth()
        assert growth <= MOST_GROWTH_KIB, f"it has grown by {growth:.0f} KiB: {self._memory}"

    def _growth(self) -> float:
        """KiB from the first quarter to the last."""
        quarter = len(self._memory) // 4
        return mean(self._memory[-quarter:]) - mean(self._memory[:quarter]) if quarter else 0.0

    def summary(self) -> str:
        """What was done."""
        done = ", ".join(f"{name.removeprefix('_')} {count}" for name, count in self.done.items())
        return (
            f"{len(self._sent) - 1} frames of which {self._copies} copies arrived,"
            f" {self._slow} times too slowly;"
            f" {self._memory[-1] if self._memory else 0} KiB in the end,"
            f" {self._growth():+.0f} from the first quarter to the last; {done}"
        )


SHARES = {
    "frame": 700,
    "burst": 1,
    "noise_frame": 50,
    "come": 60,
    "go": 50,
    "request": 60,
    "be_killed": 2,
    "configure": 30,
    "line": 30,
    "deafen": 20,
}
"""How often each thing is done, in about a thousand."""
NAMES, WEIGHTS = list(SHARES), list(SHARES.values())


def _whole(head: bytes, size: int, number: int) -> bytes:
    return head + bytes(size) + number.to_bytes(8, "big")


def made_up_address(random: Random) -> bytes:
    """Of nobody, of a group, or of somebody who was there."""
    return random.choice((bytes(6), b"\x01\0\x5e\0\0\1", address(random.choice(CHANGING), 3)))
