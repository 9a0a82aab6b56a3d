"""What the core needs of a connection, and of its native half."""

from __future__ import annotations

from zope.interface import Attribute, Interface

# zope.interface declares methods without self, which the linters are told in pyproject.toml.


class ILink(Interface):
    """
    One connection, seen from the core: where a node's bytes go out.

    Whoever makes a link calls C{Router.received}, C{writable}, C{was_read} and C{lost} for it.
    Nothing here calls back into the core before it returns.
    """

    peer: str = Attribute("Who is at the other end, as the log says it.")
    observable: bool = Attribute("Whether L{unread} tells what the peer itself has not read yet.")
    cuts: bool = Attribute("Whether the peer cuts a stream into segments itself: it is not paced.")

    def send(data: bytes | bytearray | memoryview) -> int:
        """
        Hand bytes to the operating system now.

        @return: how many it took; if not all, C{Router.writable} is called once it takes more.
        """

    def unread() -> int | None:
        """How many bytes the peer has not read of what was sent, or None if nobody can know."""

    def watch_unread(eager: bool) -> None:
        """
        Call C{Router.was_read} once, when L{unread} is no longer above 0.

        @param eager: messages are held up by this, so look often at first.
        """

    def pause() -> None:
        """Stop reading from the peer."""

    def resume() -> None:
        """Read from the peer again."""

    def close() -> None:
        """End the connection in good order: all that L{send} took is delivered first."""

    def abort() -> None:
        """End the connection at once."""


class INative(Interface):
    """The native half of a node: what reads and writes its socket past the link."""

    reads: bool = Attribute("Whether the node is read natively.")

    def open() -> None:
        """What is sent to the node may be written natively from now on."""

    def close() -> None:
        """What is sent to the node is not written natively any more, until L{open}."""

    def push(data: bytes | bytearray | memoryview) -> tuple[int, int]:
        """
        Write whole messages to a paced node, or keep them until they may be written.

        @return: how many bytes of them, and messages, it has taken; if not all, C{Router.writable}
            is called once it takes more.
        """

    def let_go() -> None:
        """Read and write the node no more, and give the router what has come from it."""
