"""What the bridge needs of what is plugged in."""

from __future__ import annotations

from zope.interface import Attribute, Interface

# zope.interface declares methods without self, which the linters are told in pyproject.toml.


class INativeEndpoint(Interface):
    """
    The native half of an endpoint of the switch, which reads its frames and writes to it.

    What it does not deliver it hands to C{Bridge.received} and C{received_for}.
    """

    def closed() -> None:
        """Frames wait for the endpoint: let the bridge deliver what is for it until they do not."""

    def let_go() -> None:
        """The endpoint is about to be detached: hand over what has come from it."""


class IFrameLink(Interface):
    """
    One endpoint of the switch, seen from the bridge: where a port's frames go out.

    Whoever makes a link calls C{Bridge.attach}, C{received}, C{writable} and C{detach} for it.
    Nothing here calls back into the bridge before it returns, but C{Bridge.send_failed}.
    """

    description: str = Attribute("Who is at the other end, as the log says it.")
    module: str = Attribute("What kind of link it is, as C{port/print} says it.")

    def send(frame: bytes) -> bool:
        """
        Hand a frame to the operating system now, wholly or not at all.

        @return: whether it took it; if not, C{Bridge.writable} is called once it takes more. What
            it can never take is reported by C{Bridge.send_failed}, and True returned.
        """

    def pause() -> None:
        """Stop reading from the endpoint; L{resume} comes soon. Never twice in a row."""

    def resume() -> None:
        """Read from the endpoint again."""

    def close() -> None:
        """End the connection: the bridge has detached it already."""
