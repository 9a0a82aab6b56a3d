"""Fakes for tests of what is built on distnet: links without a socket, observers that note."""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from distnet.mac import format_mac
from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import Episode, IObserver
from distnet.master.core.link import ILink
from distnet.master.core.session import Session
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.link import IFrameLink
from distnet.switch.core.records import Endpoint, FdbEntry, Port, SlowEpisode, Vlan
from distnet.wire import Messages


@implementer(ILink)
class FakeLink:
    """
    A connection whose peer is the test.

    @ivar sent: what was handed over so far and not cleared.
    @ivar capacity: bytes that it takes before somebody calls L{read}; None for any number.
    @ivar observable: as of L{ILink}.
    @ivar cuts: as of L{ILink}.
    @ivar knows_unread: whether L{unread} knows; where it does not it says None.
    @ivar watches: the C{eager} of each call of L{watch_unread}.
    @ivar watched: it is to say when its peer has read all.
    @ivar full: it took less than it was given, and is to say when it takes more.
    @ivar paused: reading from it is paused.
    @ivar ended: C{"close"} or C{"abort"} once that was called.
    """

    def __init__(self, peer: str = "test", observable: bool = True) -> None:
        self.peer = peer
        self.observable = observable
        self.cuts = False
        self.knows_unread = True
        self.capacity: int | None = None
        self.sent = bytearray()
        self.sends: list[bytes] = []
        self.watches: list[bool] = []
        self.watched = False
        self.full = False
        self.paused = False
        self.ended: str | None = None
        self._unread = 0

    def send(self, data: bytes | bytearray | memoryview) -> int:
        """Take as much as there is capacity for."""
        size = len(data)
        if self.capacity is not None:
            size = min(size, self.capacity)
            self.capacity -= size
            self.full = size < len(data)
        if size:
            self.sends.append(bytes(data[:size]))
        self.sent += data[:size]
        self._unread += size
        return size

    def unread(self) -> int | None:
        """What was sent since the last L{read}."""
        return self._unread if self.knows_unread else None

    def watch_unread(self, eager: bool) -> None:
        """Remember that somebody waits; the test calls C{Router.was_read} itself."""
        self.watches.append(eager)
        self.watched = True

    def pause(self) -> None:
        """Reading is paused."""
        self.paused = True

    def resume(self) -> None:
        """Reading goes on."""
        self.paused = False

    def close(self) -> None:
        """The connection ends when all is sent."""
        self.ended = self.ended or "close"

    def abort(self) -> None:
        """The connection ends at once."""
        self.ended = self.ended or "abort"

    def read(self) -> bytes:
        """What the peer reads: all that was sent since it last did."""
        data = bytes(self.sent)
        self.sent.clear()
        self._unread = 0
        return data

    def messages(self) -> list[tuple[int, bytes]]:
        """L{read}, as messages. Raises AssertionError if there is a part of one."""
        splitter = Messages()
        messages = splitter.feed(self.read())
        assert not splitter.incomplete, f"{splitter.incomplete} bytes of an incomplete message"
        return messages


@implementer(IObserver)
class NotingObserver:
    """
    Notes what it is told.

    @ivar events: (name of the event, id it is about, what else was said).
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def names(self) -> list[str]:
        """The names of the events."""
        return [event[0] for event in self.events]

    def connected(self, session: Session) -> None:
        """Note: a node has got an id."""
        self.events.append(("connected", session.node))

    def settled(self, session: Session, by: str) -> None:
        """Note: a node has read its id, and what showed that."""
        self.events.append(("settled", session.node, by))

    def first_message(self, session: Session, dest: int) -> None:
        """Note: a node has sent its first message, and to whom."""
        self.events.append(("first_message", session.node, dest))

    def left(self, session: Session, why: str, discarded: Tally) -> None:
        """Note: a node has left, why, and what waited for it and is lost."""
        self.events.append(("left", session.node, why, discarded))

    def truncated(self, session: Session, size: int) -> None:
        """Note: a node left inside a message, and how many bytes of it had come."""
        self.events.append(("truncated", session.node, size))

    def cut(self, session: Session, cut: Tally) -> None:
        """Note: a node left inside a message to it, and what did not go out."""
        self.events.append(("cut", session.node, cut))

    def refused(self, session: Session, dest: int, reason: Reason) -> None:
        """Note: a node sends to an id that cannot be reached, and why."""
        self.events.append(("refused", session.node, dest, reason))

    def congested(self, episode: Episode) -> None:
        """Note: a limit was reached for an id, by whose message, and which limit."""
        self.events.append(("congested", episode.dest, episode.source, episode.reason))

    def dropping(self, episode: Episode) -> None:
        """Note: messages for an id are dropped from now on."""
        self.events.append(("dropping", episode.dest))

    def relieved(self, episode: Episode) -> None:
        """Note: an id is rid of what waited, and what was dropped until then."""
        self.events.append(("relieved", episode.dest, episode.dropped))


@implementer(IFrameLink)
class FakeFrameLink:
    """
    An endpoint of a switch whose far end is the test.

    @ivar frames: what was handed over so far and not read.
    @ivar capacity: frames that it takes before the test gives it another one; None for any number.
    @ivar full: it has refused a frame, and is to say when it takes more.
    @ivar paused: reading from it is paused.
    @ivar pauses: how often it was.
    @ivar closed: it was told to end.
    """

    def __init__(self, description: str = "test", module: str = "fake") -> None:
        self.description = description
        self.module = module
        self.frames: list[bytes] = []
        self.capacity: int | None = None
        self.full = False
        self.paused = False
        self.pauses = 0
        self.closed = False

    def send(self, frame: bytes) -> bool:
        """Take it if there is capacity for it."""
        self.full = self.capacity == 0
        if self.full:
            return False
        if self.capacity is not None:
            self.capacity -= 1
        self.frames.append(bytes(frame))
        return True

    def pause(self) -> None:
        """Reading is paused. Raises AssertionError if it was already."""
        assert not self.paused, "paused twice"
        self.paused = True
        self.pauses += 1

    def resume(self) -> None:
        """Reading goes on. Raises AssertionError if it was not paused."""
        assert self.paused, "resumed without a pause"
        self.paused = False

    def close(self) -> None:
        """Remember that the bridge has ended it."""
        self.closed = True

    def read(self) -> list[bytes]:
        """The frames that were handed over since the last time."""
        frames, self.frames = self.frames, []
        return frames


@implementer(IBridgeObserver)
class NotingBridgeObserver:
    """
    Notes what it is told of a switch.

    @ivar events: (name of the event, number of the port it is about, what else was said).
    """

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def names(self) -> list[str]:
        """The names of the events."""
        return [event[0] for event in self.events]

    def port_created(self, port: Port) -> None:
        """Note: a port is there."""
        self.events.append(("port_created", port.number))

    def port_removed(self, port: Port) -> None:
        """Note: a port is gone."""
        self.events.append(("port_removed", port.number))

    def endpoint_attached(self, endpoint: Endpoint) -> None:
        """Note: something was plugged in, with its number at the port."""
        self.events.append(("endpoint_attached", endpoint.port.number, endpoint.number))

    def endpoint_described(self, endpoint: Endpoint) -> None:
        """Note: an endpoint has another description, and which."""
        self.events.append(("endpoint_described", endpoint.port.number, endpoint.description))

    def endpoint_detached(self, endpoint: Endpoint) -> None:
        """Note: something was unplugged, with its number at the port."""
        self.events.append(("endpoint_detached", endpoint.port.number, endpoint.number))

    def address_learned(self, entry: FdbEntry) -> None:
        """Note: an address is known to be at a port, and in which VLAN."""
        text = format_mac(entry.mac)
        self.events.append(("address_learned", entry.port.number, text, entry.vlan))

    def address_forgotten(self, entry: FdbEntry) -> None:
        """Note: an address is not known any more; where it was, and in which VLAN."""
        text = format_mac(entry.mac)
        self.events.append(("address_forgotten", entry.port.number, text, entry.vlan))

    def address_contested(self, entry: FdbEntry, port: Port) -> None:
        """Note: a port sends from an address of another, and which other."""
        self.events.append(("address_contested", port.number, entry.port.number))

    def vlan_changed(self, vlan: Vlan) -> None:
        """Note: the ports of a VLAN are others; about no port, as it may be about several."""
        self.events.append(("vlan_changed", None, vlan.number))

    def addresses_full(self) -> None:
        """Note: no more addresses are learned; about no port."""
        self.events.append(("addresses_full", None))

    def slow(self, episode: SlowEpisode) -> None:
        """Note: an endpoint does not drain, and what waits for it."""
        self.events.append(("slow", episode.endpoint.port.number, episode.waiting))

    def recovered(self, episode: SlowEpisode) -> None:
        """Note: an endpoint is slow no longer, and what was dropped until then."""
        self.events.append(("recovered", episode.endpoint.port.number, episode.dropped))
