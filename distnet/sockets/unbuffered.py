"""Stream sockets that are written at once, and what does not go out at once is with the writer."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPullProducer
from zope.interface import implementer


@implementer(IPullProducer)
class WrittenAtOnce:
    """
    A TCP or unix transport that is written without waiting for a turn of the reactor.

    Nothing is ever buffered in Twisted's transport, so that what was written, and what was not, is
    known to the byte. Being registered as a pull producer has the transport call
    L{resumeProducing} when the socket can be written again.
    """

    _wants_to_write = False
    _transport: Any

    def write_to(self, transport: Any) -> None:
        """From now on this is what is written to."""
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

    @property
    def is_full(self) -> bool:
        """The operating system takes no more; L{has_room} is called once it does."""
        return self._wants_to_write

    def filled(self) -> None:
        """The operating system takes no more of what somebody else writes there."""
        self._wants_to_write = True
        self._transport.startWriting()

    def has_room(self) -> None:
        """For a subclass to say: what is done when the operating system takes more."""
        raise NotImplementedError

    def resumeProducing(self) -> None:
        """The socket can be written again, or the producer was just registered."""
        if self._wants_to_write:
            self._wants_to_write = False
            self.has_room()

    def stopProducing(self) -> None:
        """The connection is over; others say so too."""
