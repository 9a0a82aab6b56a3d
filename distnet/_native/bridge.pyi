"""The native path of a switch; bridge.h says what it does."""

from typing import Any

LARGEST_FRAME: int
SWITCH: int
HUB: int
DIVERT: int
CLOSED: int
OPEN: int
SLOW: int

class Bridge:
    """
    An epoll object that serves endpoints itself.

    @param epoll: a descriptor of epoll(7).
    @param max_frame: bytes, at most L{LARGEST_FRAME}.
    @param patience: how long a source is held for a target that takes nothing, in seconds.
    """

    def __new__(cls, epoll: int, max_frame: int, patience: float) -> Bridge: ...
    def register(self, fd: int, events: int) -> None:
        """As C{select.epoll} has it."""
    def modify(self, fd: int, events: int) -> None:
        """As C{select.epoll} has it."""
    def unregister(self, fd: int) -> None:
        """As C{select.epoll} has it."""
    def knows(self, fd: int, events: int) -> None:
        """The descriptor is registered with the epoll descriptor already."""
    def set_vlan(self, number: int, members: list[Endpoint], has_tagged: bool) -> None:
        """
        Which endpoints get the frames of a VLAN without a tag; a port's own together.

        @param has_tagged: there are others, so that only Python can flood.
        """
    def learn(self, vlan: int, address: bytes, port: int) -> None:
        """An address is behind a port."""
    def forget(self, vlan: int, address: bytes) -> None:
        """An address is not known any more."""
    def poll(
        self, timeout: float, mode: int
    ) -> tuple[
        list[tuple[int, int]],
        list[Any],
        list[tuple[int, bytes, float]],
        list[Any],
        list[Any],
        list[tuple[Any, int]],
    ]:
        """
        Serve endpoints until there is something for others to do.

        @param timeout: in seconds; negative for ever.
        @param mode: L{SWITCH}; L{HUB}, every frame goes everywhere; L{DIVERT}, all are given.
        @return: events of other descriptors; the owners of endpoints whose L{Endpoint.counts} have
            changed; VLAN and address of what has sent something, and how many seconds ago; owners
            of those that were open and are closed now; of those with something to
            L{Endpoint.take}; of those that cannot be read, with an errno, or 0 for an end. In this
            order it must be dealt with, but for the events.
        """

class Endpoint:
    """
    An endpoint, as a source and as a target of frames.

    @param port: the number of its port.
    @param fd: -1 if only Python can write to it.
    @param is_socket: it takes several frames at once; another descriptor takes one in each write.
    @param is_source: it is read here.
    @param owner: what L{Bridge.poll} names it by.
    """

    def __new__(
        cls, bridge: Bridge, port: int, fd: int, is_socket: bool, is_source: bool, owner: object
    ) -> Endpoint: ...
    def set_state(self, state: int) -> None:
        """L{OPEN}: frames are written to it; L{SLOW}: they are dropped; L{CLOSED}: given."""
    def take(self) -> tuple[Any, bytes] | None:
        """The next frame that Python is to deliver, and the owner of its one target or None."""
    def detach(self) -> tuple[int, int]:
        """End it; how many frames, and bytes, were kept for it. L{take} what came from it."""
    def counts(self) -> tuple[int, int, int, int, int, int, int, int]:
        """Frames and bytes since the last call: received, sent, dropped as slow, local."""
