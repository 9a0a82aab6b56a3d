"""L{distnet.client.inbox}: what was received, and who waits for it."""

from __future__ import annotations

import errno

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distnet.client.inbox import Inbox

GONE = OSError(errno.ECONNRESET, "the master is gone")


class InboxTests(SynchronousTestCase):
    """Tests for C{Inbox}."""

    def setUp(self) -> None:
        """Two messages of nothing reach its limit, and do not exceed it."""
        self.told: list[bool] = []
        self.inbox = Inbox(16, self.told.append)

    def test_in_order(self) -> None:
        """Those who wait are served in order, and nobody takes what is for them."""
        waiting = [self.inbox.wait() for _ in range(3)]
        self.assertIsNone(self.inbox.take())
        waiting[1].cancel()
        self.failureResultOf(waiting[1], CancelledError)
        self.inbox.put([(1, b"a"), (2, b"b"), (3, b"c")])
        self.assertEqual(
            [self.successResultOf(waiting[0]), self.successResultOf(waiting[2])],
            [(1, b"a"), (2, b"b")],
        )
        self.assertEqual((self.inbox.take(), self.inbox.take()), ((3, b"c"), None))

    def test_limit(self) -> None:
        """Above the limit no more is to be read, until half of it is left; each is told once."""
        self.inbox.put([(1, b"")] * 2)
        self.assertEqual((self.inbox.reading, self.told), (True, []))
        self.inbox.put([(1, b"")] * 2)
        self.assertEqual((self.inbox.reading, self.told), (False, [False]))
        for left, told in ((3, [False]), (2, [False]), (1, [False, True])):
            self.inbox.take()
            self.assertEqual((left, self.inbox.reading, self.told), (left, left == 1, told))

    def test_forgotten(self) -> None:
        """What is thrown away makes room."""
        self.inbox.put([(1, b"123")] * 2)
        self.inbox.forget()
        self.assertEqual((self.inbox.is_empty(), self.told), (True, [False, True]))

    def test_those_who_wait_are_told(self) -> None:
        """Each of those who wait gets an error of its own; who waits again because of it waits."""
        again: list[Deferred[tuple[int, bytes]]] = []
        one, other = self.inbox.wait(), self.inbox.wait()

        def wait_again(failure: Failure) -> Failure:
            again.append(self.inbox.wait())
            return failure

        one.addErrback(wait_again)
        self.inbox.fail(GONE)
        errors = [self.failureResultOf(each, OSError).value for each in (one, other)]
        self.assertEqual([error.args for error in errors], [GONE.args] * 2)
        self.assertIsNot(errors[0], errors[1])
        self.assertNoResult(again[0])
