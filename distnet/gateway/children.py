"""The processes of guests, as the gateway has them: started when needed, watched, ended."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from distnet.gateway.channel import Channel, Message, pair
from distnet.gateway.child import Child
from distnet.gateway.forker import Forker
from distnet.gateway.forward import make_listener
from distnet.gateway.newcomers import Newcomers
from distnet.gateway.state import Flow
from distnet.mac import format_mac
from distnet.once import Once
from distnet.processes import how_ended

MOST_UNPROVEN: Final = 10
"""Processes of guests that have not answered yet: anybody can make up so many."""
UNPROVEN_SECONDS: Final = 3.0
"""How long such a guest has, while others wait for its place."""
MOST_UNPROVEN_SECONDS: Final = 10.0
"""How long it has while nobody does."""
MOST_CHILDREN: Final = 1024
STOP_SECONDS: Final = 2.0
"""How long they have to end."""
RETRY_SECONDS: Final = 1.0
"""How long until one is started again that could not be."""
AGAIN_SECONDS: Final = 60.0
"""How long a reason is not said again after it was."""

_NO_MATTER_SECONDS: Final = 0.01
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

    def let_in(self, child: Child, flow: Flow) -> None:
        """Somebody connects to the guest by a port of this machine."""

    def let_none_in(self, child: Child) -> None:
        """All such connections have ended."""

    def gone(self, child: Child, expected: bool) -> None:
        """
        It has ended; what it had open is in L{Child.open} and L{Child.ways_in}.

        @param expected: it has said good-bye, so that its guest knows.
        """


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
        self._forker = Forker(
            reactor, words, self._told_by_zygote, self._start_waiting, self._orphaned
        )
        self._unproven: dict[bytes, Child] = {}
        self._newcomers = Newcomers(reactor.seconds)
        self._pinned: dict[bytes, list[Any]] = {}
        self._statuses: dict[int, Child] = {}
        self._plug: socket.socket | None = None
        self._said = Once(seconds=reactor.seconds, again=AGAIN_SECONDS)
        self._stopped: Deferred[None] | None = None
        self._later: Any = None

    def start(self) -> None:
        """Be ready to start some."""
        self._forker.start()

    def stop(self, why: str) -> Deferred[None]:
        """End all; fires when they have ended."""
        stopped = self._stopped = Deferred()
        self._newcomers.clear()
        self._pinned.clear()
        for child in list(self.running.values()):
            child.end(why, reset=True)
        self._forker.stop()
        self._set_later(STOP_SECONDS, self._wait_no_more)
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
            self._newcomers.heard(mac, frame)
            self._start_waiting()

    def pin(self, mac: bytes, forwards: list[Any]) -> None:
        """
        Have a process for a guest whatever it does, and ports of this machine lead there.

        @param forwards: L{HostForward.to_list} of each; none if it is not needed for that any more.
        """
        if forwards:
            self._pinned[mac] = forwards
        else:
            self._pinned.pop(mac, None)
        child = self.running.get(mac)
        if child is not None:
            self._give_forwards(child)
        else:
            self._start_waiting()

    # Starting

    def _start_waiting(self) -> None:
        while self._forker.is_there and self._stopped is None:
            # There are no more of the pinned ones than users have asked for.
            mac = next((each for each in self._pinned if each not in self.running), None)
            newcomer = self._newcomers.next()
            if mac is None and newcomer is not None and self._has_room():
                mac = newcomer
            if mac is None or self._is_full():
                return
            if not self._start(mac):
                self._go_on_at(self._reactor.seconds() + RETRY_SECONDS)
                return
            frames = self._newcomers.take(mac)
            if frames:
                self.running[mac].input(*frames)

    def _is_full(self) -> bool:
        is_full = len(self.running) >= MOST_CHILDREN
        if is_full:
            self._say("limit", f"there are {MOST_CHILDREN} guests: others are not served")
        return is_full

    def _has_room(self) -> bool:
        if self._is_full():
            return False
        if len(self._unproven) < MOST_UNPROVEN:
            return True
        return self._end_unproven(UNPROVEN_SECONDS)

    def _end_unproven(self, seconds: float) -> bool:
        """End the oldest that is unproven for so long; if there is none, have it done then."""
        oldest = next(iter(self._unproven.values()))
        due = oldest.since + seconds
        if due <= self._reactor.seconds():
            del self._unproven[oldest.mac]
            oldest.make_room("has not answered")
            return True
        self._go_on_at(due)
        return False

    def _go_on_at(self, when: float) -> None:
        # Of what is asked for with every frame of a flood, not each is another call.
        if self._later is None or self._later.getTime() > when + _NO_MATTER_SECONDS:
            self._set_later(max(when - self._reactor.seconds(), 0), self._go_on)

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
        with contextlib.ExitStack() as failed, contextlib.ExitStack() as its:
            try:
                ours, frames = _kept(pair(), failed, its)
                our_control, control = _kept(pair(), failed, its)
                listener, name = make_listener()
            except OSError as error:
                self._say(error.errno, f"no process for a guest: {error.strerror}")
                return False
            its.enter_context(listener)
            its.callback(os.close, name)
            descriptors = frames.fileno(), control.fileno(), listener.fileno(), name
            if not self._forker.ask({"mac": mac.hex()}, *descriptors):
                return False
            failed.pop_all()
        child = Child(self._reactor, mac, ours, Channel(our_control))
        child.received, child.lost = self._received, self._lost
        self.running[mac] = self._unproven[mac] = child
        self._give_plug(child)
        self._give_forwards(child)
        self._parent.started(child)
        if self._unproven:
            self._end_unproven(MOST_UNPROVEN_SECONDS)
        return True

    def _give_forwards(self, child: Child) -> None:
        forwards = self._pinned.get(child.mac, [])
        if forwards:
            # Its guest may not say a word until somebody connects to it.
            self._unproven.pop(child.mac, None)
        if forwards or child.pinned:
            child.pinned = bool(forwards)
            child.tell({"forward": forwards})

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
        elif "in" in message:
            (address, port), (own, own_port) = message["in"]
            ends = bytes.fromhex(address), port, bytes.fromhex(own), own_port
            self._parent.let_in(child, Flow(child.mac, *ends))
        elif "none_in" in message:
            self._parent.let_none_in(child)
        elif "proven" in message:
            self._prove(child)
        elif "up" in message:
            child.pid = message["up"]
        elif "idle" in message:
            if not child.pinned and not child.open:
                # There is something to reset if it connects in this moment.
                child.end("is idle", reset=True)
        elif "bye" in message:
            child.ending = child.done = True
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
            if child.orphan:
                self._tell_end(child)
            else:
                self._statuses[child.pid] = child
        self._parent.gone(child, child.done)
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
        self._tell_end(child, how_ended(status))

    def _orphaned(self) -> None:
        """What has forked those that run will tell nothing more of them."""
        for child in self.running.values():
            child.orphan = True
        for child in self._statuses.values():
            self._tell_end(child)
        self._statuses.clear()

    def _tell_end(self, child: Child, how: str = "ended") -> None:
        child.told = True
        _log.error(
            "{mac}: its process has {how}: its connections are reset",
            mac=format_mac(child.mac),
            how=how,
        )

    def _of(self, pid: int) -> Child | None:
        return next((child for child in self.running.values() if child.pid == pid), None)

    def _say(self, key: object, line: str) -> None:
        if self._said.say(key) is not None:
            _log.error("{line}", line=line)

    # The end

    def _wait_no_more(self) -> None:
        # Each has been killed by now.
        self._later = None
        self.running.clear()
        self._look_whether_all_ended()

    def _look_whether_all_ended(self) -> None:
        if self._stopped is not None and not self.running:
            stopped, self._stopped = self._stopped, None
            if self._later is not None:
                self._later.cancel()
                self._later = None
            stopped.callback(None)


def _kept(
    ends: tuple[socket.socket, socket.socket], *stacks: contextlib.ExitStack
) -> tuple[socket.socket, socket.socket]:
    """Have each end closed by a stack of its own."""
    for end, stack in zip(ends, stacks, strict=True):
        stack.enter_context(end)
    return ends
