"""What waits for an id: a bounded FIFO of whole messages, and the sum over all ids."""

from __future__ import annotations

from collections.abc import Iterator

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.limits import Limits
from distnet.text import KIB
from distnet.wire import first_size, whole_messages

_CHUNK = 64 * KIB

Mail = tuple[int, bytes, int]
"""Messages that wait: (id, the messages back to back, how many)."""


class Mailbox:
    """
    Messages waiting for one id, oldest first.

    They are kept in chunks of many messages, so that a million small ones cost little more than
    their bytes. Only the very first message can have been written in part.

    @ivar waiting: bytes waiting.
    """

    __slots__ = ("_chunks", "_counts", "_done", "_head", "_offset", "waiting")

    def __init__(self) -> None:
        # Lists, since most have one chunk: a deque takes ten times the memory of such a list.
        self._chunks: list[bytearray] = []
        self._counts: list[int] = []
        # Of the first chunk: how far it is written, where the first message that is not wholly
        # written starts, and how many messages are before that.
        self._offset = 0
        self._head = 0
        self._done = 0
        self.waiting = 0

    @property
    def messages(self) -> int:
        """How many messages are waiting; one that was written in part counts."""
        return sum(self._counts) - self._done

    @property
    def begun(self) -> bool:
        """A part of the first message was written."""
        return self._head != self._offset

    def append(self, data: bytes | bytearray, count: int) -> None:
        """Add C{count} whole messages."""
        if self._chunks and len(self._chunks[-1]) + len(data) <= _CHUNK:
            self._chunks[-1] += data
            self._counts[-1] += count
        else:
            self._chunks.append(bytearray(data))
            self._counts.append(count)
        self.waiting += len(data)

    def append_begun(self, message: bytes | bytearray, written: int) -> None:
        """Add a message, to an empty mailbox, of which C{written} bytes are written already."""
        assert not self._chunks
        self._chunks.append(bytearray(message))
        self._counts.append(1)
        self._offset = written
        self.waiting = len(message) - written

    def put_back(self, data: bytes, written: int) -> None:
        """Add whole messages before all others, of which C{written} bytes are written already."""
        assert not self.begun
        if self._chunks:
            del self._chunks[0][: self._offset]
            self._counts[0] -= self._done
        self._chunks.insert(0, bytearray(data))
        self._counts.insert(0, whole_messages(data, 0, len(data))[1])
        self._offset, self._head, self._done = written, 0, 0
        self.waiting += len(data) - written

    def peek(self) -> memoryview:
        """
        The next bytes to write, as many as are at hand; the caller says how many went with L{take}.

        The view must be released before anything is appended.
        """
        return memoryview(self._chunks[0])[self._offset :]

    def peek_batch(self, limit: int) -> memoryview:
        """
        Whole messages of at most C{limit} bytes together, or a larger one, or the rest of one.
        """
        chunk = self._chunks[0]
        if self.begun:
            size = first_size(chunk, self._head)
        else:
            size = whole_messages(chunk, self._head, limit)[0] or first_size(chunk, self._head)
        return memoryview(chunk)[self._offset : self._head + size]

    def take(self, size: int) -> int:
        """Remove C{size} bytes that were written; return how many messages that completed."""
        self.waiting -= size
        self._offset += size
        chunk = self._chunks[0]
        if self._offset == len(chunk):
            completed = self._counts[0] - self._done
            self._drop_chunk()
            return completed
        written, completed = whole_messages(chunk, self._head, self._offset - self._head)
        self._head += written
        self._done += completed
        return completed

    def drop_cut(self) -> Tally:
        """
        Remove a first message that was written in part, since its connection ended.

        @return: one message and the bytes of it that had not been written, or nothing.
        """
        if not self.begun:
            return Tally()
        end = self._head + first_size(self._chunks[0], self._head)
        cut = Tally(1, end - self._offset)
        self.take(cut.bytes)
        return cut

    def take_unbegun(self) -> list[tuple[bytes, int]]:
        """
        Remove all messages but one that was written in part.

        @return: (messages back to back, how many), oldest first.
        """
        if not self._chunks:
            return []
        first = self._chunks[0]
        begun = self.begun
        start = self._head + first_size(first, self._head) if begun else self._head
        taken = [(bytes(first[start:]), self._counts[0] - self._done - begun)]
        taken += [(bytes(self._chunks[i]), self._counts[i]) for i in range(1, len(self._chunks))]
        self.waiting = start - self._offset
        del first[start:]
        self._counts[0] = self._done + begun
        while len(self._chunks) > 1:
            self._chunks.pop()
            self._counts.pop()
        if not self.waiting:
            self._drop_chunk()
        return [(data, count) for data, count in taken if count]

    def _drop_chunk(self) -> None:
        del self._chunks[0]
        del self._counts[0]
        self._offset = self._head = self._done = 0


class Mailboxes:
    """
    All mailboxes, by id; one exists only while something waits in it.

    @ivar waiting: bytes waiting in all.
    @ivar native: what native code had to write besides, when that was last asked for, by id.
    """

    def __init__(self, limits: Limits) -> None:
        self.native: dict[int, Tally] = {}
        self._limits = limits
        self._boxes: dict[int, Mailbox] = {}
        self.waiting = 0

    def __iter__(self) -> Iterator[int]:
        return iter(self._boxes)

    def get(self, node: int) -> Mailbox | None:
        """The mailbox of an id, if something waits in it."""
        return self._boxes.get(node)

    def waiting_for(self, node: int) -> Tally:
        """What waits for an id, but for what native code has to write."""
        box = self._boxes.get(node)
        return Tally(box.messages, box.waiting) if box is not None else Tally()

    def all_waiting_for(self, node: int) -> Tally:
        """What waits for an id, and what native code has to write to it."""
        tally, native = self.waiting_for(node), self.native.get(node, Tally())
        return Tally(tally.messages + native.messages, tally.bytes + native.bytes)

    def room(self, node: int, settled: bool) -> tuple[int, Reason]:
        """How many bytes an id can still be sent, and what to blame if that is too few."""
        box = self._boxes.get(node)
        waiting = box.waiting if box is not None else 0
        own = self._limits.max_waiting_per_id - waiting
        boxes = len(self._boxes) + (box is None)
        shared = self._limits.max_waiting - self.waiting - boxes * self._limits.mailbox_overhead
        if settled:
            shared = max(shared, self._limits.reserve - waiting)
        return (own, Reason.MAILBOX_FULL) if own <= shared else (shared, Reason.MEMORY_FULL)

    def append(self, node: int, data: bytes | bytearray, count: int) -> None:
        """Add whole messages, whatever the limits: L{room} is asked before."""
        box = self._boxes.get(node)
        if box is None:
            box = self._boxes[node] = Mailbox()
        box.append(data, count)
        self.waiting += len(data)

    def append_begun(self, node: int, message: bytes | bytearray, written: int) -> None:
        """
        Add a message of which C{written} bytes are written already, whatever the limits. Nothing
        else waits for the id.
        """
        box = self._boxes[node] = Mailbox()
        box.append_begun(message, written)
        self.waiting += box.waiting

    def put_back(self, node: int, data: bytes, written: int) -> None:
        """
        Add whole messages before all that waits for an id, whatever the limits. C{written} bytes of
        the first of them are written already.
        """
        box = self._boxes.setdefault(node, Mailbox())
        before = box.waiting
        box.put_back(data, written)
        self.waiting += box.waiting - before

    def take(self, node: int, size: int) -> int:
        """Remove C{size} written bytes; return how many messages that completed."""
        box = self._boxes[node]
        completed = box.take(size)
        self.waiting -= size
        if not box.waiting:
            del self._boxes[node]
        return completed

    def drop_cut(self, node: int) -> Tally:
        """
        Remove the first message that waits for an id, if it was written in part.

        @return: one message and the bytes of it that had not been written, or nothing.
        """
        box = self._boxes.get(node)
        if box is None:
            return Tally()
        before = box.waiting
        cut = box.drop_cut()
        self.waiting -= before - box.waiting
        if not box.waiting:
            del self._boxes[node]
        return cut

    def take_unbegun(self) -> list[Mail]:
        """Remove and return all messages but those that were written in part, by id."""
        taken: list[Mail] = []
        for node in sorted(self._boxes):
            box = self._boxes[node]
            taken += [(node, data, count) for data, count in box.take_unbegun()]
            if not box.waiting:
                del self._boxes[node]
        self.waiting = sum(box.waiting for box in self._boxes.values())
        return taken

    def clear(self, node: int) -> Tally:
        """Remove all that waits for an id, and return what it was."""
        tally = self.waiting_for(node)
        self._boxes.pop(node, None)
        self.waiting -= tally.bytes
        return tally
