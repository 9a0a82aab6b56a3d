"""The way out to one settled node: at once while nothing waits, at the node's pace otherwise."""

from __future__ import annotations

from distnet.master.core.counters import Tally
from distnet.master.core.link import ILink, INative
from distnet.master.core.mailbox import Mailbox, Mailboxes
from distnet.wire import first_size, whole_messages


class Outbox:
    """
    Writes messages to a link, in order, and never more than the link and the pace allow.

    With a C{segment}, whole messages of at most that many bytes are written together, and the next
    ones once the peer has read all of them: QEMU cuts what it finds in its queue into TCP segments
    without regard for messages, and a kernel that reads a header in two parts loses its way. So it
    does if the rest of a message keeps it waiting: what the link took in part goes on at once. More
    may follow unread messages as long as all of them are within the C{segment}.

    It alone knows whether what is sent to the node may be written now, and tells the native half of
    the node, which writes what does not come by here. With a C{segment} all that is written goes by
    the native half, which keeps the pace in the place of this.

    @ivar open: what is sent to the node is written at once: nothing waits for it, the link takes
        more, and the peer has read what it has to.
    """

    __slots__ = (
        "_delivered",
        "_full",
        "_link",
        "_mailboxes",
        "_native",
        "_node",
        "_outstanding",
        "_paced",
        "_segment",
        "open",
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
        self._native: INative | None = None
        self._paced: INative | None = None
        # Bytes that the peer has not read, at the most.
        self._outstanding = 0
        # Why it is not open: the link takes no more, or else the peer has not read.
        self._full = False
        self.open = True

    @property
    def segment(self) -> int | None:
        """How many bytes of whole messages are written together, or None."""
        return self._segment

    def attach(self, native: INative | None) -> None:
        """From now on, the settled node has this native half, or none."""
        self._native = native
        self._paced = None if self._segment is None else native
        if native is not None and self.open:
            native.open()

    def push(self, data: bytes | bytearray, count: int) -> tuple[int, int]:
        """
        Write C{count} whole messages now, as far as that goes.

        @return: (bytes, messages) that were written or begun; what is left is for the mailbox. The
            rest of a message that was begun is there already, whatever the limits.
        """
        if not self.open:
            return 0, 0
        if self._paced is not None:
            size, messages = self._paced.push(data)
            if size < len(data):
                self._shut()
            return size, messages
        size, messages = len(data), count
        if self._segment is not None and size > self._segment - self._outstanding:
            size, messages = whole_messages(data, 0, self._segment - self._outstanding)
            if not messages:
                if not self._peer_has_read():
                    return 0, 0
                size, messages = whole_messages(data, 0, self._segment)
                if not messages:
                    size, messages = first_size(data), 1
        written = self._link.send(data if size == len(data) else memoryview(data)[:size])
        self._outstanding += written
        if written == size:
            self._count(messages, written)
            if size < len(data):
                self._hold()
            return size, messages
        self._shut()
        size, messages = whole_messages(data, 0, written)
        self._count(messages, written)
        if size < written:
            begun = data[size : size + first_size(data, size)]
            self._mailboxes.append_begun(self._node, begun, written - size)
            size += len(begun)
            messages += 1
        return size, messages

    def pump(self) -> None:
        """Write what waits in the mailbox, as far as that goes."""
        while self.open:
            box = self._mailboxes.get(self._node)
            if box is None:
                return
            if self._paced is not None and not box.begun:
                with box.peek() as view:
                    size = len(view)
                    written, _ = self._paced.push(view)
                self._mailboxes.take(self._node, written)
            else:
                with box.peek() if self._segment is None else self._next_batch(box) as view:
                    size = len(view)
                    if not size:
                        return
                    written = self._link.send(view)
                if written:
                    self._outstanding += written
                    self._count(self._mailboxes.take(self._node, written), written)
            if written < size:
                self._shut()

    def _next_batch(self, box: Mailbox) -> memoryview:
        """What may be written next; nothing if the peer has to read first."""
        assert self._segment is not None
        room = self._segment - self._outstanding
        view = box.peek_batch(max(room, 0))
        if len(view) <= room or not self._outstanding or box.begun:
            return view
        view.release()
        return box.peek_batch(self._segment) if self._peer_has_read() else memoryview(b"")

    def take_back(self, data: bytes, written: int) -> None:
        """
        The native half has ended, and had these messages to write before all that waits.

        @param written: how many bytes of the first one were written, and counted.
        """
        if data:
            self._mailboxes.put_back(self._node, data, written)
        if self._segment is not None:
            self._outstanding = self._segment
            self._full = False
            self.open = True

    def filled(self, begun: bytes, written: int) -> None:
        """
        The native half has written, and the link takes no more.

        @param begun: a message of which C{written} bytes were taken, and counted; or nothing.
        """
        self._shut()
        if begun:
            self._mailboxes.append_begun(self._node, begun, written)

    def writable(self) -> None:
        """The link takes more."""
        if not self._full:
            return
        self._full = False
        self.open = True
        self.pump()
        if self.open and self._native is not None:
            self._native.open()

    def was_read(self) -> None:
        """The peer has read all that was written."""
        self._outstanding = 0
        if not self._full:
            self.open = True
            self.pump()
            if self.open and self._native is not None:
                self._native.open()

    def _shut(self) -> None:
        """The link takes no more for now."""
        self.open = False
        self._full = True
        if self._native is not None:
            self._native.close()

    def _peer_has_read(self) -> bool:
        if self._outstanding and self._link.unread():
            self._hold()
            return False
        self._outstanding = 0
        return True

    def _hold(self) -> None:
        self.open = False
        self._link.watch_unread(eager=True)

    def _count(self, messages: int, size: int) -> None:
        for tally in self._delivered:
            tally.add(messages, size)
