"""The way out to one settled node: at once while nothing waits, at the node's pace otherwise."""

from __future__ import annotations

from distnet.master.core.counters import Tally
from distnet.master.core.link import ILink
from distnet.master.core.mailbox import Mailboxes
from distnet.wire import first_size, whole_messages


class Outbox:
    """
    Writes messages to a link, in order, and never more than the link and the pace allow.

    With a C{segment}, whole messages of at most that many bytes are written together, and the next
    ones once the peer has read all of them: QEMU cuts what it finds in its queue into TCP segments
    without regard for messages, and a kernel that reads a header in two parts loses its way. So it
    does if the rest of a message keeps it waiting: what the link took in part goes on at once.

    @ivar blocked: the link took less than it was given; it will say when it takes more.
    @ivar held: the peer has not read the last batch; the link will say when it has.
    """

    __slots__ = (
        "_delivered",
        "_link",
        "_mailboxes",
        "_node",
        "_outstanding",
        "_segment",
        "blocked",
        "held",
    )

    def __init__(
        self,
        node: int,
        link: ILink,
        mailboxes: Mailboxes,
        segment: int | None,
        delivered: tuple[Tally, ...],
    ) -> None:
        self._node = node
        self._link = link
        self._mailboxes = mailboxes
        self._segment = segment
        self._delivered = delivered
        self._outstanding = False
        self.blocked = False
        self.held = False

    def push(self, data: bytes | bytearray, count: int) -> tuple[int, int]:
        """
        Write C{count} whole messages now, as far as that goes.

        @return: (bytes written, messages wholly written). What is left is for the mailbox; if only
            a part of a message was written, its rest must go there before anything else.
        """
        if self.blocked or self.held or self._mailboxes.get(self._node) is not None:
            return 0, 0
        size, messages = len(data), count
        if self._segment is not None:
            if not self._peer_has_read():
                return 0, 0
            if size > self._segment:
                size, messages = whole_messages(data, 0, self._segment)
                if not messages:
                    size, messages = first_size(data), 1
        written = self._link.send(data if size == len(data) else memoryview(data)[:size])
        if written:
            self._outstanding = True
        if written < size:
            self.blocked = True
            messages = whole_messages(data, 0, written)[1]
        elif size < len(data):
            self._hold()
        self._count(messages, written)
        return written, messages

    def pump(self) -> None:
        """Write what waits in the mailbox, as far as that goes."""
        while not self.blocked and not self.held:
            box = self._mailboxes.get(self._node)
            if box is None or not (self._segment is None or box.begun or self._peer_has_read()):
                return
            with box.peek() if self._segment is None else box.peek_batch(self._segment) as view:
                size = len(view)
                written = self._link.send(view)
            if written:
                self._outstanding = True
                self._count(self._mailboxes.take(self._node, written), written)
            self.blocked = written < size

    def filled(self, begun: bytes, written: int) -> None:
        """
        The link has been written to past this, and takes no more. Nothing waits in the mailbox.

        @param begun: a message of which C{written} bytes were taken, and counted; or nothing.
        """
        self.blocked = True
        if begun:
            self._mailboxes.append(self._node, begun, 1)
            self._mailboxes.take(self._node, written)

    def writable(self) -> None:
        """The link takes more."""
        self.blocked = False
        self.pump()

    def was_read(self) -> None:
        """The peer has read all that was written."""
        self.held = self._outstanding = False
        self.pump()

    def _peer_has_read(self) -> bool:
        if self._outstanding and self._link.unread():
            self._hold()
            return False
        self._outstanding = False
        return True

    def _hold(self) -> None:
        self.held = True
        self._link.watch_unread(eager=True)

    def _count(self, messages: int, size: int) -> None:
        for tally in self._delivered:
            tally.add(messages, size)
