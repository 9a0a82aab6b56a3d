"""The fakes of L{distnet.testing} for the switch keep the promises of what they stand for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.link import IFrameLink
from distnet.testing import FakeFrameLink, NotingBridgeObserver
from tests.unit.switch.core.stations import BROADCAST, PAUSE, BridgeTestCase, frame


class FakeFrameLinkTests(SynchronousTestCase):
    """A link without a socket."""

    def setUp(self) -> None:
        self.link = FakeFrameLink()

    def test_interface(self) -> None:
        """It is a link for frames."""
        self.assertTrue(verifyObject(IFrameLink, self.link))

    def test_capacity(self) -> None:
        """It takes frames wholly, as many as it may, and knows whether it owes a word."""
        self.assertTrue(self.link.send(b"a"))
        self.link.capacity = 1
        self.assertTrue(self.link.send(b"b"))
        self.assertFalse(self.link.full)
        self.assertFalse(self.link.send(b"c"))
        self.assertTrue(self.link.full)
        self.assertEqual((self.link.read(), self.link.read()), ([b"a", b"b"], []))

    def test_notes(self) -> None:
        """It notes what it was told, and objects to pauses that make no sense."""
        self.assertRaises(AssertionError, self.link.resume)
        self.link.pause()
        self.assertRaises(AssertionError, self.link.pause)
        self.link.resume()
        self.link.close()
        self.assertEqual((self.link.paused, self.link.pauses, self.link.closed), (False, 1, True))


class NotingBridgeObserverTests(BridgeTestCase):
    """An observer that notes."""

    def test_all(self) -> None:
        """It is an observer, and all that observers are told is in its notes."""
        self.assertTrue(verifyObject(IBridgeObserver, NotingBridgeObserver()))
        self.start(max_addresses=1, queue_frames=1)
        one, two = self.station(), self.station()
        self.bridge.describe(one.endpoint, "first")
        one.send(BROADCAST)
        two.send(BROADCAST)
        two.take(0)
        one.send(two)
        one.send(two)
        self.clock.advance(PAUSE)
        two.take(None)
        for _ in range(6):
            for station in (one, two):
                self.clock.advance(1)
                self.bridge.received(station.endpoint, frame(1, 1))
        self.bridge.detach(one.endpoint)
        self.bridge.ports.remove(1)
        self.assertEqual(set(self.observer.names()), set(IBridgeObserver))
