"""L{distnet.switch.core.delivery}: queues, pauses, and those who are too slow."""

from __future__ import annotations

from typing import Any

from distnet.switch.core.counters import Reason, Traffic
from tests.unit.switch.core.stations import BROADCAST, PAUSE, BridgeTestCase, Station, frame

QUEUE = 8
DRAINED = 6


class DeliveryTestCase(BridgeTestCase):
    """Three stations, with small queues between them."""

    def setUp(self) -> None:
        self.begin()

    def begin(self, **limits: Any) -> None:
        """Begin anew."""
        self.start(**{"queue_frames": QUEUE, "pause_seconds": PAUSE, **limits})
        self.one, self.two, self.three = self.stations(3)

    def fill(self, target: Station, source: Station | None = None) -> list[bytes]:
        """Have a station take no more, and its queue be full."""
        target.take(0)
        frames = []
        for number in range(QUEUE):
            more, data = (source or self.one).send(target, b"%d" % number)
            self.assertTrue(more)
            frames.append(data)
        return frames

    def make_slow(self, target: Station) -> None:
        """Have a station be slow."""
        self.fill(target)
        self.assertFalse(self.one.send(target, b"waits")[0])
        self.clock.advance(PAUSE)
        self.assertTrue(target.port.slow)
        self.assertFalse(self.one.link.paused)


class QueueTests(DeliveryTestCase):
    """What a link does not take."""

    def test_in_order(self) -> None:
        """What a link does not take waits, and goes out in order, before what comes later."""
        self.two.take(2)
        frames = [self.one.send(self.two, b"%d" % number)[1] for number in range(5)]
        self.assertEqual(self.two.read(), frames[:2])
        self.assertEqual(self.two.port.queued_frames, 3)
        self.assertEqual(self.two.endpoint.queued_bytes, 3 * 15)
        self.two.take(1)
        frames.append(self.one.send(self.two, b"last")[1])
        self.two.take(None)
        self.assertEqual(self.two.read(), frames[2:])
        self.assertEqual((self.two.port.queued_frames, self.two.endpoint.queued_bytes), (0, 0))
        self.assertEqual(self.two.port.counters.sent.frames, 6 + 2)

    def test_room_before_it_is_said(self) -> None:
        """A frame does not overtake those that wait though the link would take it."""
        frames = self.fill(self.two)
        self.two.link.capacity = 1
        self.assertFalse(self.one.send(self.two)[0])
        self.assertEqual(self.two.read(), [])
        self.bridge.writable(self.two.endpoint)
        self.assertEqual(self.two.read(), frames[:1])

    def test_at_once_again(self) -> None:
        """When the queue is empty frames go out at once again."""
        self.fill(self.two)
        self.two.take(None)
        self.two.read()
        _, data = self.one.send(self.two)
        self.assertEqual(self.two.read(), [data])

    def test_spurious(self) -> None:
        """A link may say that it takes more without having been asked."""
        self.bridge.writable(self.two.endpoint)
        self.assertEqual(self.two.read(), [])

    def test_bytes(self) -> None:
        """A queue is full by its bytes too, but one frame fits always."""
        self.begin(max_frame=100, queue_bytes=100)
        self.two.take(0)
        self.assertTrue(self.one.send(self.two, bytes(86))[0])
        self.assertFalse(self.one.send(self.two)[0])

    def test_bytes_together(self) -> None:
        """Frames that together have just as many bytes as the queue may fit."""
        self.begin(max_frame=100, queue_bytes=100)
        self.two.take(0)
        self.assertTrue(self.one.send(self.two, bytes(36))[0])
        self.assertTrue(self.one.send(self.two, bytes(36))[0])
        self.assertFalse(self.one.send(self.two)[0])

    def test_left(self) -> None:
        """What waits for an endpoint that leaves is counted, and whoever waits goes on."""
        self.fill(self.two)
        self.one.send(self.two)
        self.assertTrue(self.one.link.paused)
        self.bridge.detach(self.two.endpoint)
        self.assertEqual(self.two.lost(Reason.RECEIVER_LEFT), QUEUE + 1)
        self.assertFalse(self.one.link.paused)
        self.assertEqual(self.said("slow"), [])

    def test_one_of_two(self) -> None:
        """Endpoints that share a port have queues of their own."""
        other = self.station(2)
        self.two.take(0)
        _, data = self.one.send(self.two)
        self.assertEqual((self.two.read(), other.read()), ([], [data]))


class PauseTests(DeliveryTestCase):
    """Full queues."""

    def test_paused_until_drained(self) -> None:
        """Whoever sends to a full queue waits until a quarter of it is free; nothing is lost."""
        frames = self.fill(self.two)
        more, data = self.one.send(self.two, b"waits")
        self.assertEqual((more, self.one.link.paused), (False, True))
        self.assertEqual(self.two.port.queued_frames, QUEUE)
        self.two.take(1)
        self.assertTrue(self.one.link.paused)
        self.two.take(1)
        self.assertFalse(self.one.link.paused)
        self.assertEqual(self.two.port.queued_frames, DRAINED + 1)
        self.two.take(None)
        self.assertEqual(self.two.read(), [*frames, data])
        self.clock.advance(PAUSE)
        self.assertEqual((self.said("slow"), self.one.link.pauses), ([], 1))

    def test_held_in_order(self) -> None:
        """What comes during a pause is held, and goes out in order, wherever it goes."""
        frames = self.fill(self.two)
        frames.append(self.one.send(self.two, b"waits")[1])
        _, other = self.one.send(self.three, b"held")
        frames.append(self.one.send(self.two, b"held too")[1])
        self.assertEqual((self.three.read(), len(self.one.endpoint.held)), ([], 2))
        self.two.take(None)
        self.assertEqual((self.two.read(), self.three.read()), (frames, [other]))
        self.assertEqual(self.one.endpoint.held_bytes, 0)
        self.assertEqual(self.one.port.counters.received.frames, QUEUE + 4)

    def test_held_limit(self) -> None:
        """So much is held, in frames and in bytes, and not more."""
        self.begin(held_frames=2)
        self.fill(self.two)
        for _ in range(4):
            self.one.send(self.two)
        self.assertEqual((len(self.one.endpoint.held), self.one.lost(Reason.HELD_FULL)), (2, 1))
        self.begin(max_frame=100, held_bytes=100)
        self.fill(self.two)
        self.one.send(self.two)
        self.one.send(self.two, bytes(86))
        self.one.send(self.two)
        self.assertEqual((len(self.one.endpoint.held), self.one.lost(Reason.HELD_FULL)), (1, 1))

    def test_others_wait_too(self) -> None:
        """While somebody waits for a queue everybody does, in the order in which they came."""
        frames = self.fill(self.two)
        frames.append(self.one.send(self.two, b"first")[1])
        self.two.take(1)
        more, data = self.three.send(self.two, b"second")
        frames.append(data)
        self.assertEqual((more, self.three.link.paused), (False, True))
        self.two.take(None)
        self.assertEqual(self.two.read(), frames)
        self.assertFalse(self.one.link.paused or self.three.link.paused)

    def test_waits_again(self) -> None:
        """Who does not fit when a quarter is free waits on, and whatever was held stays held."""
        self.begin(queue_frames=1)
        self.two.take(0)
        self.one.send(self.two, b"a")
        self.assertFalse(self.one.send(self.two, b"b")[0])
        self.assertFalse(self.three.send(self.two, b"c")[0])
        self.one.send(self.two, b"d")
        for count, paused in ((1, (True, True)), (2, (True, False)), (3, (False, False))):
            self.clock.advance(PAUSE / 4)
            self.two.take(1)
            self.assertEqual(len(self.two.link.frames), count)
            self.assertEqual((self.one.link.paused, self.three.link.paused), paused)
        self.two.take(1)
        self.assertEqual([data[14:] for data in self.two.read()], [b"a", b"b", b"c", b"d"])

    def test_broadcast_reaches_others(self) -> None:
        """A frame for many goes to those who take it at once, and to each of them once."""
        self.fill(self.two)
        more, data = self.one.send(BROADCAST)
        self.assertEqual((more, self.three.read()), (False, [data]))
        self.two.take(None)
        self.assertEqual((self.two.read()[-1], self.three.read()), (data, []))

    def test_sender_leaves(self) -> None:
        """Who leaves during a pause has what was held delivered as far as that goes at once."""
        self.fill(self.two)
        self.one.send(self.two)
        _, other = self.one.send(self.three)
        self.one.send(self.two)
        self.bridge.detach(self.one.endpoint)
        self.assertEqual(self.three.read(), [other])
        self.assertEqual(self.two.lost(Reason.QUEUE_FULL), 2)
        self.assertFalse(self.two.port.slow)
        self.bridge.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertIsNone(self.bridge.fdb.find(frame(1, 1)[:6]))

    def test_to_one_who_left(self) -> None:
        """What was held for somebody who leaves is not lost without being counted."""
        self.fill(self.two)
        self.one.send(self.two)
        _, data = self.one.send(self.two)
        self.bridge.detach(self.two.endpoint)
        self.assertEqual(self.three.read(), [data])


class SlowTests(DeliveryTestCase):
    """Those who do not drain in time."""

    def test_slow(self) -> None:
        """After 20 ms a reader is slow: its frames are dropped, nobody waits, until it drained."""
        self.fill(self.two)
        self.one.send(self.two)
        self.clock.advance(PAUSE * 0.9)
        self.assertTrue(self.one.link.paused)
        self.clock.advance(PAUSE * 0.1)
        self.assertFalse(self.one.link.paused)
        self.assertTrue(self.one.send(self.two)[0])
        self.assertEqual(self.two.lost(Reason.SLOW), 2)
        self.two.take(QUEUE - 1)
        self.assertTrue(self.one.send(self.two)[0])
        self.assertEqual((self.two.lost(Reason.SLOW), self.two.port.slow), (3, True))
        self.two.take(1)
        self.assertFalse(self.two.port.slow)
        self.two.take(None)
        self.two.read()
        _, data = self.one.send(self.two)
        self.assertEqual(self.two.read(), [data])

    def test_said_once(self) -> None:
        """An episode is said once, and its end with what was dropped."""
        self.make_slow(self.two)
        self.one.send(self.two)
        self.one.send(self.two)
        self.two.take(None)
        self.assertEqual(
            self.said("slow", "recovered"),
            [("slow", 2, Traffic(QUEUE, QUEUE * 15)), ("recovered", 2, Traffic(3, 14 * 2 + 19))],
        )

    def test_leaves(self) -> None:
        """An episode ends when its endpoint leaves."""
        self.make_slow(self.two)
        self.bridge.detach(self.two.endpoint)
        self.assertEqual(len(self.said("recovered")), 1)

    def test_dead_port(self) -> None:
        """One dead port costs the broadcast of the others one pause, and not one for each frame."""
        self.two.take(0)
        for _ in range(10 * QUEUE):
            if not self.one.send(BROADCAST)[0]:
                self.clock.advance(PAUSE)
        self.assertEqual((len(self.three.read()), self.one.link.pauses), (10 * QUEUE, 1))
        self.assertEqual(self.two.lost(Reason.SLOW), 9 * QUEUE)

    def test_block_each_other(self) -> None:
        """Two that do not read while they are paused both go on after the bound."""
        self.fill(self.two, self.one)
        self.fill(self.one, self.two)
        self.assertFalse(self.one.send(self.two)[0])
        self.clock.advance(PAUSE / 2)
        self.assertFalse(self.two.send(self.one)[0])
        self.clock.advance(PAUSE / 2)
        self.assertEqual((self.one.link.paused, self.two.link.paused), (False, True))
        self.clock.advance(PAUSE / 2)
        self.assertFalse(self.two.link.paused)
        self.one.take(None)
        self.two.take(None)
        self.assertFalse(self.one.port.slow or self.two.port.slow)

    def test_one_pause(self) -> None:
        """Who waits for one after the other has one pause, and the second one is not slow."""
        self.fill(self.two)
        self.fill(self.three)
        self.one.send(self.two, b"waits")
        self.one.send(self.three, b"held")
        self.one.send(self.three, b"held")
        self.clock.advance(PAUSE / 2)
        self.two.take(None)
        self.assertTrue(self.one.link.paused)
        self.clock.advance(PAUSE / 2)
        self.assertFalse(self.one.link.paused)
        self.assertEqual((self.two.port.slow, self.three.port.slow), (False, False))
        self.assertEqual(self.three.lost(Reason.QUEUE_FULL), 2)
        self.assertFalse(self.one.send(self.three)[0])
        self.clock.advance(PAUSE)
        self.assertTrue(self.three.port.slow)

    def test_dead_long_since(self) -> None:
        """Who has had the time to drain and did not is slow at once, without another pause."""
        self.fill(self.two)
        self.one.send(self.two)
        self.bridge.detach(self.one.endpoint)
        self.clock.advance(PAUSE)
        self.assertTrue(self.three.send(self.two)[0])
        self.assertTrue(self.two.port.slow)
        self.assertEqual((self.two.lost(Reason.QUEUE_FULL), self.two.lost(Reason.SLOW)), (1, 1))

    def test_a_late_timer(self) -> None:
        """Whose link takes frames by the end of the pause is not slow, though nobody said so."""
        frames = self.fill(self.two)
        frames.append(self.one.send(self.two, b"waits")[1])
        frames.append(self.one.send(self.two, b"held")[1])
        self.two.link.capacity = None
        self.clock.advance(50 * PAUSE)
        self.assertEqual(self.two.read(), frames)
        self.assertEqual((self.said("slow"), self.one.link.paused), ([], False))

    def test_late_and_asked_by_another(self) -> None:
        """If somebody else sends before a late timer, the room there is decides who is slow."""
        for room, slow in ((0, True), (QUEUE // 4 - 1, True), (QUEUE // 4, False), (None, False)):
            self.begin()
            frames = self.fill(self.two)
            self.one.send(self.two)
            self.bridge.detach(self.one.endpoint)
            self.two.link.capacity = room
            self.clock.advance(PAUSE)
            self.assertTrue(self.three.send(self.two)[0])
            self.assertEqual((self.two.port.slow, self.two.lost(Reason.SLOW)), (slow, slow))
            self.two.take(None)
            self.assertEqual(self.two.read()[:QUEUE], frames)

    def test_late_after_a_pause_for_another(self) -> None:
        """The room decides, too, for one that has waited for another and has no patience left."""
        for room, reason in ((0, Reason.SLOW), (None, None)):
            self.begin()
            self.fill(self.two)
            self.fill(self.three)
            self.one.send(self.two, b"waits")
            self.one.send(self.three, b"held")
            self.three.send(self.two)
            self.two.send(self.three)
            self.three.link.capacity = room
            self.clock.advance(PAUSE)
            self.assertTrue(self.two.port.slow)
            self.assertEqual(self.three.port.slow, reason is not None)
            self.assertFalse(any(each.link.paused for each in (self.one, self.two, self.three)))
            self.assertEqual(self.three.lost(Reason.QUEUE_FULL), 0)

    def test_drains_steadily(self) -> None:
        """A reader that goes on reading is never slow, however long it has a full queue."""
        self.fill(self.two)
        for _ in range(50):
            self.one.send(self.two)
            self.assertTrue(self.one.link.paused)
            self.clock.advance(PAUSE * 0.9)
            self.two.take(QUEUE // 4)
            self.assertFalse(self.one.link.paused)
            while self.two.port.queued_frames < QUEUE:
                self.assertTrue(self.one.send(self.two)[0])
        totals = self.bridge.ports.totals()
        self.assertEqual((self.said("slow"), totals.undelivered), ([], {}))

    def test_many_wait(self) -> None:
        """All who wait for one that is slow go on at once, from within a single turn."""
        self.start(queue_frames=QUEUE, numports=1100)
        stations = self.stations(1001)
        self.fill(stations[1], stations[0])
        for each in stations[2:]:
            self.assertFalse(each.send(stations[1])[0])
            each.send(BROADCAST)
        self.clock.advance(PAUSE)
        self.assertFalse(any(each.link.paused for each in stations))
        self.assertEqual(len(stations[0].read()), 999)

    def test_no_pause(self) -> None:
        """With a pause of 0 nobody is paused: a reader whose queue is full is slow."""
        self.begin(pause_seconds=0)
        self.fill(self.two)
        self.assertTrue(self.one.send(self.two)[0])
        self.assertEqual((self.two.port.slow, self.one.link.pauses), (True, 0))
