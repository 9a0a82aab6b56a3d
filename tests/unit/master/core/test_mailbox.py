"""L{distnet.master.core.mailbox}: what waits, in order, counted to the byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.master.core import mailbox
from distnet.master.core.counters import Reason, Tally
from distnet.master.core.limits import Limits
from distnet.master.core.mailbox import Mailbox, Mailboxes
from distnet.wire import encode_message
from tests.unit.master.core.kernels import message

NODES = 2


class Model:
    """Lists of messages, and how much of each first one was written."""

    def __init__(self) -> None:
        self.waiting: dict[int, list[bytes]] = {node: [] for node in range(NODES)}
        self.written = dict.fromkeys(range(NODES), 0)
        self.serial = 0

    def rest(self, node: int) -> bytes:
        """All bytes to be written."""
        return b"".join(self.waiting[node])[self.written[node] :]

    def take(self, node: int, size: int) -> int:
        """Write so much; the number of messages that completed."""
        self.written[node] += size
        box = self.waiting[node]
        completed = 0
        while box and self.written[node] >= len(box[0]):
            self.written[node] -= len(box.pop(0))
            completed += 1
        return completed

    def tally(self, node: int) -> Tally:
        """What waits."""
        return Tally(len(self.waiting[node]), len(self.rest(node)))


Step = tuple[str, int, list[int]]

NAMES = ["append"] * 4 + ["take"] * 5 + ["batch"] * 2 + ["drop_cut", "take_unbegun", "clear"]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.integers(0, NODES - 1),
        st.lists(st.integers(8, 40), min_size=1, max_size=6),
    ),
    min_size=10,
    max_size=60,
)


class ModelTests(SynchronousTestCase):
    """Against a list of messages."""

    @given(steps)
    def test_against_lists(self, steps: list[Step]) -> None:
        """Whatever is appended, written, cut and removed, the same waits as in plain lists."""
        # Chunks of a few messages, so that steps cross their ends.
        self.patch(mailbox, "_CHUNK", 64)
        boxes, model = Mailboxes(Limits()), Model()
        for name, node, sizes in steps:
            getattr(self, f"_{name}")(boxes, model, node, sizes)
            for each in range(NODES):
                self.assertEqual(boxes.waiting_for(each), model.tally(each))
                self._check_box(boxes.get(each), model, each)
            self.assertEqual(boxes.waiting, sum(len(model.rest(n)) for n in range(NODES)))
            self.assertEqual(sorted(boxes), [n for n in range(NODES) if model.waiting[n]])

    def _check_box(self, box: Mailbox | None, model: Model, node: int) -> None:
        if box is None:
            self.assertFalse(model.waiting[node])
            return
        self.assertEqual(box.begun, model.written[node] > 0)
        with box.peek() as view:
            self.assertTrue(len(view))
            self.assertTrue(model.rest(node).startswith(bytes(view)))

    def _append(self, boxes: Mailboxes, model: Model, node: int, sizes: list[int]) -> None:
        added = []
        for size in sizes:
            model.serial += 1
            added.append(message(model.serial, size, bytes([model.serial % 256])))
        boxes.append(node, b"".join(added), len(added))
        model.waiting[node] += added

    def _take(self, boxes: Mailboxes, model: Model, node: int, sizes: list[int]) -> None:
        box = boxes.get(node)
        if box is not None:
            with box.peek() as view:
                size = min(sum(sizes), len(view))
            self.assertEqual(boxes.take(node, size), model.take(node, size))

    def _batch(self, boxes: Mailboxes, model: Model, node: int, sizes: list[int]) -> None:
        box = boxes.get(node)
        limit = sum(sizes)
        if box is None:
            return
        with box.peek_batch(limit) as view:
            batch = bytes(view)
        self.assertTrue(model.rest(node).startswith(batch))
        begun = model.written[node] > 0
        completed = model.take(node, len(batch))
        self.assertEqual(model.written[node], 0)
        self.assertTrue(completed == 1 if begun else completed == 1 or len(batch) <= limit)
        self.assertEqual(boxes.take(node, len(batch)), completed)

    def _drop_cut(self, boxes: Mailboxes, model: Model, node: int, _: list[int]) -> None:
        cut = Tally()
        if model.written[node]:
            cut = Tally(1, len(model.waiting[node].pop(0)) - model.written[node])
            model.written[node] = 0
        self.assertEqual(boxes.drop_cut(node), cut)

    def _take_unbegun(self, boxes: Mailboxes, model: Model, node: int, _: list[int]) -> None:
        expected: dict[int, tuple[bytes, int]] = {}
        for each in range(NODES):
            begun = 1 if model.written[each] else 0
            taken = model.waiting[each][begun:]
            model.waiting[each] = model.waiting[each][:begun]
            if taken:
                expected[each] = (b"".join(taken), len(taken))
        found: dict[int, tuple[bytes, int]] = {}
        for each, data, count in boxes.take_unbegun():
            before = found.get(each, (b"", 0))
            found[each] = (before[0] + data, before[1] + count)
        self.assertEqual(found, expected)

    def _clear(self, boxes: Mailboxes, model: Model, node: int, _: list[int]) -> None:
        self.assertEqual(boxes.clear(node), model.tally(node))
        model.waiting[node], model.written[node] = [], 0


class BatchTests(SynchronousTestCase):
    """What is written at once to a kernel that must not see half a header."""

    def setUp(self) -> None:
        self.box = Mailbox()

    def batch(self, limit: int) -> int:
        """How many bytes the next batch has."""
        with self.box.peek_batch(limit) as view:
            return len(view)

    def test_exactly(self) -> None:
        """A batch ends at the limit if a message does, and before a message that crosses it."""
        self.box.append(message(0, 60) + message(0, 40) + message(0, 9), 3)
        self.assertEqual(self.batch(100), 100)
        self.assertEqual(self.batch(99), 60)
        self.assertEqual(self.batch(109), 109)

    def test_larger_alone(self) -> None:
        """A message larger than the limit is a batch of its own, whole."""
        self.box.append(message(0, 200) + message(0, 10), 2)
        self.assertEqual(self.batch(100), 200)

    def test_rest_of_one(self) -> None:
        """After a part of a message its rest is the batch, whatever follows would fit."""
        self.box.append(message(0, 50) + message(0, 10), 2)
        self.box.take(9)
        self.assertEqual(self.batch(100), 41)


class RoomTests(SynchronousTestCase):
    """The limits, before anything is appended."""

    def setUp(self) -> None:
        self.boxes = Mailboxes(
            Limits(max_waiting_per_id=500, max_waiting=800, reserve=200, mailbox_overhead=0)
        )

    def wait(self, node: int, size: int) -> None:
        """Have so many bytes wait for a node."""
        self.boxes.append(node, encode_message(0, bytes(size - 8)), 1)

    def test_own(self) -> None:
        """An id has what is left of its own limit."""
        self.wait(0, 100)
        self.assertEqual(self.boxes.room(0, settled=True), (400, Reason.MAILBOX_FULL))
        self.assertEqual(self.boxes.room(0, settled=False), (400, Reason.MAILBOX_FULL))

    def test_shared(self) -> None:
        """An id that is not settled has what is left of the limit of all."""
        self.wait(0, 450)
        self.wait(1, 300)
        self.assertEqual(self.boxes.room(2, settled=False), (50, Reason.MEMORY_FULL))

    def test_reserve(self) -> None:
        """A settled id has its reserve, whatever the others hold."""
        self.wait(0, 450)
        self.wait(1, 350)
        self.assertEqual(self.boxes.room(2, settled=False), (0, Reason.MEMORY_FULL))
        self.assertEqual(self.boxes.room(2, settled=True), (200, Reason.MEMORY_FULL))
        self.wait(2, 150)
        self.assertEqual(self.boxes.room(2, settled=True), (50, Reason.MEMORY_FULL))

    def test_overhead(self) -> None:
        """What mailboxes take counts as if it waited, but for the reserve of a settled node."""
        boxes = Mailboxes(
            Limits(max_waiting_per_id=500, max_waiting=800, reserve=200, mailbox_overhead=100)
        )
        self.assertEqual(boxes.room(1, settled=False), (500, Reason.MAILBOX_FULL))
        for node in range(6):
            boxes.append(node, message(0, 20), 1)
        self.assertEqual(boxes.room(0, settled=False), (80, Reason.MEMORY_FULL))
        self.assertEqual(boxes.room(6, settled=False)[1], Reason.MEMORY_FULL)
        self.assertLessEqual(boxes.room(6, settled=False)[0], 0)
        self.assertEqual(boxes.room(6, settled=True), (200, Reason.MEMORY_FULL))
        self.assertEqual(boxes.waiting, 120)
        boxes.clear(0)
        self.assertEqual(boxes.room(1, settled=False), (200, Reason.MEMORY_FULL))
