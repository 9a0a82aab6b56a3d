"""What of a stream of messages a guest's segment gets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.relay import next_batch
from distnet.wire import encode_message


class BatchTests(SynchronousTestCase):
    """Tests for C{next_batch}."""

    def test_whole_messages(self) -> None:
        """As many as a segment holds, and nothing of one that has not come."""
        small, large = encode_message(1, bytes(100)), encode_message(2, bytes(1344))
        self.assertEqual(next_batch(small), 108)
        self.assertEqual(next_batch(small + large), 1460)
        self.assertEqual(next_batch(small + large[:-1]), 108)
        self.assertEqual(next_batch(small + large + small), 1460)
        self.assertEqual(next_batch(large + small + small), 1460)
        self.assertEqual(next_batch(small * 20), 13 * 108)
        for size in range(len(small)):
            self.assertEqual(next_batch(small[:size]), 0)

    def test_a_large_one(self) -> None:
        """One that is larger than a segment is by itself, as soon as its header has come."""
        small, large = encode_message(1, bytes(100)), encode_message(2, bytes(1453))
        self.assertEqual(next_batch(small + large), 108)
        self.assertEqual(next_batch(large[:7]), 0)
        for have in (8, 100, 1460, len(large)):
            self.assertEqual(next_batch(large[:have]), 1461)
        self.assertEqual(next_batch(large + small), 1461)
