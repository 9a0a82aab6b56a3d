"""Stream sockets without a buffer of ours: what the kernel does not take stays with the writer."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer


@implementer(IPullProducer)
class Unbuffered:
    """
    Writes to a TCP or unix transport of Twisted's now, not in the next turn of the reactor.

    Nothing is ever buffered in the transport, so that what was written, and what was not, is known
    to the byte. This is the transport's pull producer: that is whom a transport without anything
    buffered calls when its socket can be written again.
    """

    _wants_to_write = False
    _transport: Any

    def write_to(self, transport: Any) -> None:
        """Write to this transport from now on."""
        self._transport = transport
        transport.registerProducer(self, False)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """
        Hand bytes to the operating system now.

        @return: how many it took; if not all, L{has_room} is called once it takes more.
        @raise ConnectionLost: it takes none any more.
        """
        written = self._transport.writeSomeData(data)
        if isinstance(written, BaseException):
            raise ConnectionLost from written
        if written < len(data):
            self.filled()
        return int(written)

    def filled(self) -> None:
        """Somebody else, native code, has written there until the operating system took no more."""
        self._wants_to_write = True
        self._transport.startWriting()

    def has_room(self) -> None:
        """The operating system takes more. A subclass says what is done then."""
        raise NotImplementedError

    def resumeProducing(self) -> None:
        """The socket can be written again, or the producer was just registered."""
        if self._wants_to_write:
            self._wants_to_write = False
            self.has_room()

    def stopProducing(self) -> None:
        """The connection is over, of which the protocol is told too."""
