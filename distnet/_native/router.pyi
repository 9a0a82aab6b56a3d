"""The native path of a master; router.h says what it does."""

from typing import Any, Final

LARGEST_PAYLOAD: Final[int]

class Router:
    """
    An epoll object that serves nodes itself.

    @param epoll: a descriptor of epoll(7).
    @param max_payload: bytes, at most L{LARGEST_PAYLOAD}.
    @param patience: how long the sender to a node that takes no more is held, in seconds.
    """

    def __new__(cls, epoll: int, max_payload: int, patience: float) -> Router: ...
    def register(self, fd: int, events: int) -> None:
        """As C{select.epoll} has it."""
    def modify(self, fd: int, events: int) -> None:
        """As C{select.epoll} has it."""
    def unregister(self, fd: int) -> None:
        """As C{select.epoll} has it."""
    def knows(self, fd: int, events: int) -> None:
        """The descriptor is registered with the epoll descriptor already."""
    def poll(
        self, timeout: float
    ) -> tuple[
        list[tuple[int, int]], list[tuple[Node, bytes, int]], list[Node], list[Node], list[Node]
    ]:
        """
        Serve nodes until there is something for others to do.

        @param timeout: in seconds; negative for ever.
        @return: events of other descriptors; nodes that take no more, with a message that they took
            some first bytes of, and how many; nodes with something to L{Node.take}; nodes that
            cannot be read or written; paced nodes that were closed and take more now. In this
            order it must be dealt with, but for the events.
        """

class Node:
    """
    A node as a dest, and once L{read} was called as a source.

    @ivar reads: it is read here.
    @param segment: so many bytes of whole messages are unread at a time; 0: it is not paced.
    """

    owner: Final[Any]
    reads: Final[bool]

    def __new__(cls, router: Router, id: int, fd: int, owner: object, segment: int) -> Node: ...
    def open(self) -> None:
        """Write messages to it."""
    def close(self) -> None:
        """Write none to it, until L{open}."""
    def read(self, rest: bytes) -> None:
        """Read it, after these bytes of a message that were read elsewhere."""
    def take(self) -> bytes:
        """What has come from it and is to be delivered elsewhere; then nothing."""
    def detach(self) -> bytes:
        """End it; what has come from it and was not delivered."""
    def push(self, data: bytes | bytearray | memoryview) -> tuple[int, int]:
        """
        Write whole, readdressed messages to a paced node, at its pace.

        @return: how many bytes of them, and messages, were taken.
        """
    def unwritten(self) -> tuple[bytes, int]:
        """What was to be written to a paced node; how much of its first message was."""
    def counts(self) -> tuple[int, int, int, int]:
        """Messages and bytes received, and delivered, since the last call."""
