"""The processes of guests, as the gateway has them: started when needed, watched, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from distnet.gateway.backoff import Backoff
from distnet.gateway.channel import Channel, Message, close_all, pair
from distnet.gateway.forward import make_listener
from distnet.mac import format_mac
from distnet.once import Once
from distnet.sockets.descriptor import Descriptor

MOST_UNPROVEN: Final = 16
"""Processes of guests that have not answered yet: anybody can make up so many."""
UNPROVEN_SECONDS: Final = 0.5
"""How long such a guest has, while others wait for its place."""
MOST_UNPROVEN_SECONDS: Final = 10.0
"""How long it has while nobody does."""
MOST_WAITING: Final = 512
"""Guests that wait until one can be started."""
MOST_FRAMES: Final = 4
"""The last of their frames, which they have then."""
MOST_CHILDREN: Final = 1024
STUCK_SECONDS: Final = 5.0
"""How long a process may take nothing at all while there is something for it."""
MESSAGES_AT_ONCE: Final = 16
FIRST_SECONDS: Final = 0.1
MOST_SECONDS: Final = 10.0
"""How long until what forks them is started again."""
STOP_SECONDS: Final = 2.0
"""How long they have to end."""

_log = Logger(namespace="distnet")


class Parent(Protocol):
    """What the gateway does for a guest's process."""

    def started(self, child: Child) -> None:
        """It is being started."""

    def find(self, child: Child, number: int, address: bytes) -> None:
        """It asks where the master is for one of its guest's addresses."""

    def opened(self, child: Child, address: bytes, port: int) -> None:
        """The guest has connected to the master, from an address and port."""

    def closed(self, child: Child, address: bytes, port: int) -> None:
        """Such a connection has ended."""

    def gone(self, child: Child, expected: bool) -> None:
        """It has ended; what it had open is in L{Child.open} if that was not expected."""


class Child(Descriptor):
    """
    A guest's process.

    @ivar mac: the guest's, 6 bytes.
    @ivar proven: the guest has answered what was sent to it.
    @ivar open: its connections to the master, by the guest's address and port.
    @ivar dropped: frames that it was not given, or has not taken, by the reason.
    @ivar pid: its number, or None until it has told.
    @ivar pinned: it is needed though its guest does nothing.
    @ivar ending: it was told to end, or killed, or has said good-bye.
    @ivar told: how it ended has been logged.
    """

    prefix = "guest"

    def __init__(self, reactor: Any, mac: bytes, frames: socket.socket, channel: Channel) -> None:
        super().__init__(reactor)
        self.mac = mac
        self.since: float = reactor.seconds()
        self.proven = False
        self.pinned = False
        self.ending = False
        self.told = False
        self.open: set[tuple[bytes, int]] = set()
        self.dropped: Counter[str] = Counter()
        self.pid: int | None = None
        self.received: Callable[[Child, Message], None] | None = None
        self.lost: Callable[[Child], None] | None = None
        self._frames = frames
        self._channel = channel
        self._full_since: float | None = None
        self.want_to_read(True)

    def input(self, frame: bytes) -> None:
        """Hand it a frame of its guest's."""
        try:
            self._frames.send(frame)
        except BlockingIOError:
            self.dropped["its process is busy"] += 1
            self._full()
        except OSError:
            # It has ended: its channel tells.
            self.dropped["its process has ended"] += 1
        else:
            self._full_since = None

    def tell(self, message: Message, *descriptors: int) -> None:
        """Send it a message."""
        if not self._channel.send(message, *descriptors):
            self._full()

    def kill(self) -> None:
        """End it at once."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _full(self) -> None:
        now = self._reactor.seconds()
        if self._full_since is None:
            self._full_since = now
        elif now - self._full_since > STUCK_SECONDS and not self.ending:
            self.ending = True
            _log.error("{mac}: its process does nothing any more: ended", mac=format_mac(self.mac))
            self.kill()

    def fileno(self) -> int:
        return self._channel.socket.fileno()

    def doRead(self) -> None:
        """It has told something, or has ended."""
        for _ in range(MESSAGES_AT_ONCE):
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            if received is None:
                self._end()
                return
            message, descriptors = received
            close_all(descriptors)
            assert self.received is not None
            self.received(self, message)

    def _end(self) -> None:
        self.want_to_read(False)
        self._channel.close()
        self._frames.close()
        assert self.lost is not None
        self.lost(self)


@dataclass(frozen=True, slots=True)
class What:
    """
    What guests' processes are like.

    @ivar nat: guests may reach the network of this machine.
    @ivar fixed: the addresses of guests that are fixed nodes.
    """

    nat: bool = False
    fixed: frozenset[bytes] = field(default_factory=frozenset)


class Children:
    """
    All of them.

    @ivar running: by the guest's MAC address.
    """

    def __init__(self, reactor: Any, what: What, parent: Parent) -> None:
        self.running: dict[bytes, Child] = {}
        self._reactor = reactor
        self._parent = parent
        words = [*(["--nat"] if what.nat else []), *(each.hex() for each in what.fixed)]
        self._zygote = _Zygote(reactor, words, self._told_by_zygote, self._start_waiting)
        self._unproven: dict[bytes, Child] = {}
        self._waiting: dict[bytes, deque[bytes]] = {}
        self._statuses: dict[int, Child] = {}
        self._plug: socket.socket | None = None
        self._said = Once()
        self._stopped: Deferred[None] | None = None
        self._later: Any = None

    def start(self) -> None:
        """Be ready to start some."""
        self._zygote.start()

    def stop(self, why: str) -> Deferred[None]:
        """End all; fires when they have ended."""
        stopped = self._stopped = Deferred()
        self._zygote.stop()
        self._waiting.clear()
        for child in list(self.running.values()):
            self.end(child, why, reset=True)
        self._set_later(STOP_SECONDS, self._kill_all)
        self._look_whether_all_ended()
        return stopped

    def plugged(self, plug: socket.socket | None) -> None:
        """What frames for guests are sent to is another socket now, or none."""
        self._plug = plug
        for child in self.running.values():
            self._give_plug(child)

    def input(self, mac: bytes, frame: bytes) -> None:
        """A guest needs a process; start one, and hand it this frame first."""
        child = self.running.get(mac)
        if child is not None:
            child.input(frame)
        else:
            # Who comes last is the first: of a flood of guests that are none, others come after it.
            frames = self._waiting.pop(mac, None) or deque(maxlen=MOST_FRAMES)
            frames.append(frame)
            self._waiting[mac] = frames
            if len(self._waiting) > MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._start_waiting()

    def end(self, child: Child, why: str, *, reset: bool) -> None:
        """End one. C{reset}: its guest is to know."""
        child.ending = True
        child.tell({"end": why, "reset": reset})

    # Starting

    def _start_waiting(self) -> None:
        while self._waiting and self._zygote.is_there and self._stopped is None:
            if not self._has_room():
                return
            mac = next(reversed(self._waiting))
            if not self._start(mac):
                return
            frames = self._waiting.pop(mac)
            for frame in frames:
                self.running[mac].input(frame)

    def _has_room(self) -> bool:
        if len(self.running) >= MOST_CHILDREN:
            self._say("limit", f"there are {MOST_CHILDREN} guests: others are not served")
            return False
        if len(self._unproven) < MOST_UNPROVEN:
            return True
        return self._end_unproven(UNPROVEN_SECONDS)

    def _end_unproven(self, seconds: float) -> bool:
        """End the oldest that is unproven for so long; if there is none, have it done then."""
        oldest = next(iter(self._unproven.values()))
        left = oldest.since + seconds - self._reactor.seconds()
        if left <= 0:
            del self._unproven[oldest.mac]
            self.end(oldest, "has not answered", reset=False)
            return True
        if self._later is None or self._later.getTime() > self._reactor.seconds() + left:
            self._set_later(left, self._go_on)
        return False

    def _set_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have something done later, and nothing else."""
        if self._later is not None:
            self._later.cancel()
        self._later = self._reactor.callLater(seconds, call)

    def _go_on(self) -> None:
        self._later = None
        self._start_waiting()
        while self._unproven and self._end_unproven(MOST_UNPROVEN_SECONDS):
            pass

    def _start(self, mac: bytes) -> bool:
        try:
            ours, its = pair()
            our_control, its_control = pair()
            listener, name = make_listener()
        except OSError as error:
            self._say(error.errno, f"no process for a guest: {error.strerror}")
            return False
        with its, its_control, listener:
            descriptors = its.fileno(), its_control.fileno(), listener.fileno(), name
            asked = self._zygote.ask({"mac": mac.hex()}, *descriptors)
        os.close(name)
        if not asked:
            ours.close()
            our_control.close()
            return False
        child = Child(self._reactor, mac, ours, Channel(our_control))
        child.received, child.lost = self._received, self._lost
        self.running[mac] = self._unproven[mac] = child
        self._give_plug(child)
        self._parent.started(child)
        self._end_unproven(MOST_UNPROVEN_SECONDS)
        return True

    def _give_plug(self, child: Child) -> None:
        if self._plug is None:
            child.tell({"plug": False})
        else:
            child.tell({"plug": True}, self._plug.fileno())

    # What they tell

    def _received(self, child: Child, message: Message) -> None:
        if "log" in message:
            level = _log.warn if message["warn"] else _log.info
            level("{line}", line=message["log"])
        elif "find" in message:
            self._parent.find(child, message["find"], bytes.fromhex(message["address"]))
        elif "open" in message:
            address, port = message["open"]
            child.open.add((bytes.fromhex(address), port))
            self._prove(child)
            self._parent.opened(child, bytes.fromhex(address), port)
        elif "over" in message:
            address, port = message["over"]
            child.open.discard((bytes.fromhex(address), port))
            self._parent.closed(child, bytes.fromhex(address), port)
        elif "proven" in message:
            self._prove(child)
        elif "up" in message:
            child.pid = message["up"]
        elif "idle" in message:
            if not child.pinned and not child.open:
                self.end(child, "is idle", reset=False)
        elif "bye" in message:
            child.ending = True
            child.dropped.update(message["dropped"])

    def _prove(self, child: Child) -> None:
        if not child.proven:
            child.proven = True
            self._unproven.pop(child.mac, None)
            self._start_waiting()

    def _lost(self, child: Child) -> None:
        if self.running.get(child.mac) is child:
            del self.running[child.mac]
        if self._unproven.get(child.mac) is child:
            del self._unproven[child.mac]
        if child.pid is not None and not (child.ending or child.told):
            # How it ended is told by the one that has forked it.
            self._statuses[child.pid] = child
        self._parent.gone(child, child.ending)
        self._start_waiting()
        self._look_whether_all_ended()

    def _told_by_zygote(self, message: Message) -> None:
        if "failed" in message:
            self._say(message["failed"], f"no process for a guest: {message['failed']}")
            return
        pid, status = message["ended"], message["status"]
        child = self._statuses.pop(pid, None) or self._of(pid)
        if child is None or child.ending:
            return
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        _log.error(
            "{mac}: its process has ended {how}: its connections are reset",
            mac=format_mac(child.mac),
            how=how,
        )
        child.told = True

    def _of(self, pid: int) -> Child | None:
        return next((child for child in self.running.values() if child.pid == pid), None)

    def _say(self, key: object, line: str) -> None:
        if self._said.say(key) is not None:
            _log.error("{line}", line=line)

    # The end

    def _kill_all(self) -> None:
        self._later = None
        for child in list(self.running.values()):
            child.kill()
        self.running.clear()
        self._look_whether_all_ended()

    def _look_whether_all_ended(self) -> None:
        if self._stopped is not None and not self.running:
            stopped, self._stopped = self._stopped, None
            if self._later is not None:
                self._later.cancel()
                self._later = None
            stopped.callback(None)


class _Zygote(Descriptor):
    """The process that forks them, and is started again if it ends."""

    prefix = "zygote"

    def __init__(
        self,
        reactor: Any,
        words: Sequence[str],
        told: Callable[[Message], None],
        there: Callable[[], None],
    ) -> None:
        super().__init__(reactor)
        self._command = [sys.executable, "-m", "distnet.gateway.zygote", *words]
        self._told = told
        self._there = there
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._backoff = Backoff(FIRST_SECONDS, MOST_SECONDS)
        self._began = 0.0
        self._later: Any = None
        self._said = Once()

    @property
    def is_there(self) -> bool:
        """Whether it can be asked."""
        return self._channel is not None

    def start(self) -> None:
        """Start it."""
        self._later = None
        self._began = self._reactor.seconds()
        try:
            ours, its = pair()
            with its:
                self._process = subprocess.Popen(self._command, stdin=its.fileno())
        except OSError as error:
            self._fail(error.strerror or str(error))
            return
        self._channel = Channel(ours)
        self.want_to_read(True)
        self._there()

    def stop(self) -> None:
        """End it, for good."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._end()

    def ask(self, words: Message, *descriptors: int) -> bool:
        """Ask for a process. Returns False if that is not possible now."""
        return self._channel is not None and self._channel.send(words, *descriptors)

    def fileno(self) -> int:
        return -1 if self._channel is None else self._channel.socket.fileno()

    def doRead(self) -> None:
        """It tells of a process, or has ended."""
        assert self._channel is not None
        for _ in range(MESSAGES_AT_ONCE):
            try:
                received = self._channel.receive()
            except BlockingIOError:
                return
            if received is None:
                status = self._end()
                self._fail(f"status {status}")
                return
            self._told(received[0])

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if self._channel is not None:
            self.want_to_read(False)
            self._channel.close()
            self._channel = None
        if process is None:
            return None
        # Without its socket it ends by itself.
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _fail(self, why: str) -> None:
        if self._reactor.seconds() - self._began > MOST_SECONDS:
            self._backoff.reset()
        seconds = self._backoff.next()
        _log.error(
            "what forks guests' processes has ended ({why}), and is started again in {seconds:g} s",
            why=why,
            seconds=seconds,
        )
        self._later = self._reactor.callLater(seconds, self.start)
