"""L{distnet.master.core.outbox}: how fast a node is written to, and in which portions."""

from __future__ import annotations

from typing import Any

from distnet.master.core.counters import Tally
from distnet.testing import FakeLink
from distnet.wire import encode_message
from tests.unit.master.core.kernels import Kernel, RouterTestCase, message

SEGMENT = 1460


def sizes(kernel: Kernel) -> list[int]:
    """The sizes of the writes to a kernel after its id."""
    return [len(data) for data in kernel.link.sends[1:]]


class OutboxTestCase(RouterTestCase):
    """A sender and a receiver that has read its id."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew, with two nodes."""
        super().start(*arguments, **limits)
        self.sender, self.receiver = self.kernel(), self.kernel()

    def send(self, *message_sizes: int) -> None:
        """Send messages of these sizes, headers included, to the receiver."""
        self.sender.write(b"".join(message(1, size) for size in message_sizes))


class SegmentTests(OutboxTestCase):
    """C{--pace segment}: for a kernel that cannot put a header together."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew, with the default pace."""
        super().start(*arguments, **limits)
        self.assertEqual(self.router.limits.segment, SEGMENT)

    def test_lone_message(self) -> None:
        """A lone message goes out at once, without a look at the clock or the queue."""
        self.send(100)
        self.assertEqual(self.receiver.read(), [(0, b"x" * 92)])
        self.assertEqual(self.receiver.link.watches, [])

    def test_next_after_it_was_read(self) -> None:
        """A message that follows one that was read goes out at once too."""
        for _ in range(3):
            self.send(100)
            self.assertEqual(len(self.receiver.read()), 1)
        self.assertEqual(self.receiver.link.watches, [])

    def test_next_only_after_it_was_read(self) -> None:
        """No more than a segment is unread at a time, and somebody looks eagerly for that."""
        for size in (1000, 460, 100, 100):
            self.send(size)
        self.assertEqual(sizes(self.receiver), [1000, 460])
        self.assertEqual(self.receiver.link.watches, [True])
        self.receiver.read()
        self.assertEqual(sizes(self.receiver), [1000, 460, 200])

    def test_next_after_a_larger_was_read(self) -> None:
        """Nothing is added to an unread message that is larger than a segment."""
        for size in (1461, 8):
            self.send(size)
        self.assertEqual(sizes(self.receiver), [1461])
        self.receiver.read()
        self.assertEqual(sizes(self.receiver), [1461, 8])

    def test_batches(self) -> None:
        """Batches are whole messages of at most 1460 bytes together, each after the last."""
        self.send(1000, 400, 1000, 460, 461, 1460, 8, 8)
        expected = [1400, 1460, 461, 1460, 16]
        for count in range(1, len(expected) + 1):
            self.assertEqual(sizes(self.receiver), expected[:count])
            self.receiver.read()
        self.assertEqual(sizes(self.receiver), expected)

    def test_batches_from_the_mailbox(self) -> None:
        """Messages that came one by one are batched in the same way."""
        for size in (8, 1000, 460, 1000, 461, 1460):
            self.send(size)
        self.receiver.read_all()
        self.assertEqual(sizes(self.receiver), [8, 1000, 1460, 461, 1460])

    def test_larger_alone(self) -> None:
        """A message larger than a segment goes out whole, alone, and after what was before it."""
        self.send(100, 1461, 100)
        self.receiver.read_all()
        self.send(5000, 100)
        self.receiver.read_all()
        self.assertEqual(sizes(self.receiver), [100, 1461, 100, 5000, 100])

    def test_unknown(self) -> None:
        """Where nobody can know what was read, nothing that waits is held for ever."""
        self.receiver.link.knows_unread = False
        self.send(1000, 1000, 1000)
        self.receiver.has_read()
        self.assertEqual(len(self.receiver.read()), 3)

    def test_first_mail(self) -> None:
        """What waited for the id goes out in batches as well."""
        self.sender.write(b"".join(message(2, size) for size in (1000, 460, 1000)))
        third = self.kernel()
        self.assertEqual(sizes(third), [1460])
        third.read()
        self.assertEqual(sizes(third), [1460, 1000])

    def test_begun_is_finished(self) -> None:
        """The rest of a message that was taken in part does not wait for the part to be read."""
        self.receiver.take(500)
        self.send(1461, 300)
        self.receiver.take(None)
        self.assertEqual(sizes(self.receiver), [500, 961])
        self.receiver.read()
        self.assertEqual(sizes(self.receiver), [500, 961, 300])


class StreamTests(OutboxTestCase):
    """C{--pace stream}: for readers that loop."""

    def start(self, *arguments: Any, **limits: Any) -> None:
        """Begin anew, with the other pace."""
        super().start(*arguments, segment=None, **limits)

    def test_one_write(self) -> None:
        """All that came together goes out in one write, read or not, and nobody looks."""
        self.send(1000, 1000, 1000)
        self.send(1000)
        self.assertEqual(sizes(self.receiver), [3000, 1000])
        self.assertEqual(self.receiver.link.watches, [])

    def test_full(self) -> None:
        """What a full link does not take waits, and goes on to the byte where it stopped."""
        self.receiver.take(1005)
        self.send(1000, 1000)
        self.send(1000)
        self.assertEqual(self.receiver.session.delivered, Tally(1, 1005))
        self.assertEqual(self.router.mailboxes.waiting_for(1), Tally(2, 1995))
        self.receiver.take(900)
        self.receiver.take(None)
        self.assertEqual(self.receiver.read(), [(0, b"x" * 992)] * 3)
        self.assertEqual(self.receiver.session.delivered, Tally(3, 3000))

    def test_every_byte(self) -> None:
        """A link that takes one byte at a time gets the same messages."""
        self.receiver.take(1)
        payloads = [bytes([n]) * n for n in range(20)]
        self.sender.send(1, *payloads)
        while self.receiver.link.full:
            self.receiver.take(1)
        self.assertEqual(self.receiver.read(), [(0, payload) for payload in payloads])

    def test_no_overtaking(self) -> None:
        """A link that takes more again, but has not said so, gets nothing before what waits."""
        self.receiver.take(0)
        self.sender.send(1, b"first")
        self.receiver.link.capacity = None
        self.sender.send(1, b"second")
        self.assertEqual(sizes(self.receiver), [])
        self.receiver.take(None)
        self.assertEqual(self.receiver.read(), [(0, b"first"), (0, b"second")])


class WhoseMailTests(RouterTestCase):
    """Connections that are over."""

    def test_gone_link_is_writable(self) -> None:
        """A link that is over takes no messages from the mailbox of its node's next connection."""
        self.start(pinned=(5,), segment=None)
        first = self.kernel(pinned=5)
        first.take(0)
        sender = self.kernel()
        sender.send(5, b"for the first")
        first.leave()
        sender.send(5, b"for the second")
        first.take(None)
        self.assertEqual(bytes(first.link.sent), b"")
        second = self.kernel(pinned=5)
        self.assertEqual(second.read(), [(0, b"for the second")])

    def test_gone_link_was_read(self) -> None:
        """Nor does it when its peer has read what was written before."""
        self.start(pinned=(5,))
        first, sender = self.kernel(pinned=5), self.kernel()
        sender.send(5, b"a")
        sender.send(5, b"b")
        first.leave()
        sender.send(5, b"for the second")
        first.read()
        self.assertEqual(bytes(first.link.sent), b"")

    def test_id_is_not_counted(self) -> None:
        """The id is not counted as delivered, nor waited for by a message to who proved it."""
        kernel = self.connect(FakeLink())
        kernel.send(0, b"to oneself")
        self.assertEqual(bytes(kernel.link.sent), b"0" + encode_message(0, b"to oneself"))
        self.assertEqual(kernel.session.delivered, Tally(1, 18))
