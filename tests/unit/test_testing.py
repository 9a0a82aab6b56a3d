"""L{distnet.testing}: the fakes keep the promises of what they stand for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.master.core.counters import Reason, Tally
from distnet.master.core.events import Episode, IObserver
from distnet.master.core.link import ILink
from distnet.master.core.session import Session
from distnet.testing import FakeLink, NotingObserver
from distnet.wire import encode_message


class FakeLinkTests(SynchronousTestCase):
    """A link without a socket."""

    def setUp(self) -> None:
        self.link = FakeLink()

    def test_interface(self) -> None:
        """It is a link."""
        self.assertTrue(verifyObject(ILink, self.link))

    def test_takes_all(self) -> None:
        """Without a capacity it takes whatever it is given, in the forms that links are given."""
        for data in (b"ab", bytearray(b"cd"), memoryview(b"ef")):
            self.assertEqual(self.link.send(data), 2)
        self.assertEqual(self.link.sends, [b"ab", b"cd", b"ef"])
        self.assertEqual(self.link.unread(), 6)
        self.assertEqual(self.link.read(), b"abcdef")
        self.assertEqual(self.link.unread(), 0)
        self.assertFalse(self.link.full)

    def test_capacity(self) -> None:
        """With a capacity it takes so much in all, and knows whether it owes a word."""
        self.link.capacity = 3
        self.assertEqual(self.link.send(b"ab"), 2)
        self.assertFalse(self.link.full)
        self.assertEqual(self.link.send(b"cd"), 1)
        self.assertTrue(self.link.full)
        self.assertEqual(self.link.send(b"d"), 0)
        self.assertEqual(bytes(self.link.sent), b"abc")
        self.assertEqual(self.link.sends, [b"ab", b"c"])

    def test_unknown(self) -> None:
        """It can be one that does not know what was read."""
        self.link.send(b"ab")
        self.link.knows_unread = False
        self.assertIsNone(self.link.unread())

    def test_notes(self) -> None:
        """It notes what it was told, and keeps the first of two ends."""
        self.link.pause()
        self.assertTrue(self.link.paused)
        self.link.resume()
        self.assertFalse(self.link.paused)
        self.link.watch_unread(eager=True)
        self.assertEqual((self.link.watches, self.link.watched), ([True], True))
        self.link.close()
        self.link.abort()
        self.assertEqual(self.link.ended, "close")
        other = FakeLink()
        other.abort()
        self.assertEqual(other.ended, "abort")

    def test_messages(self) -> None:
        """What was sent can be read as messages, if it is whole ones."""
        self.link.send(encode_message(3, b"a") + encode_message(4, b""))
        self.assertEqual(self.link.messages(), [(3, b"a"), (4, b"")])
        self.link.send(encode_message(3, b"a")[:-1])
        self.assertRaises(AssertionError, self.link.messages)


class NotingObserverTests(SynchronousTestCase):
    """An observer that notes."""

    def test_interface(self) -> None:
        """It is an observer, and all that observers are told is in its notes, in order."""
        observer = NotingObserver()
        self.assertTrue(verifyObject(IObserver, observer))
        session = Session(3, FakeLink(), 0.0)
        episode = Episode(5, 3, Reason.MAILBOX_FULL, 0.0, Tally())
        observer.connected(session)
        observer.settled(session, "its first byte")
        observer.first_message(session, 5)
        observer.refused(session, 9, Reason.GONE)
        observer.congested(episode)
        observer.dropping(episode)
        observer.relieved(episode)
        observer.truncated(session, 4)
        observer.cut(session, Tally(1, 2))
        observer.left(session, "closed", Tally())
        self.assertEqual(
            observer.events,
            [
                ("connected", 3),
                ("settled", 3, "its first byte"),
                ("first_message", 3, 5),
                ("refused", 3, 9, Reason.GONE),
                ("congested", 5, 3, Reason.MAILBOX_FULL),
                ("dropping", 5),
                ("relieved", 5, Tally()),
                ("truncated", 3, 4),
                ("cut", 3, Tally(1, 2)),
                ("left", 3, "closed", Tally()),
            ],
        )
        self.assertEqual(set(observer.names()), set(IObserver))
