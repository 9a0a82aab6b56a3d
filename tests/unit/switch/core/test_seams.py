"""What is put around the bridge's receiving and delivering: it sees, drops, delays, doubles."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from distnet.switch.core.bridge import Receive
from distnet.switch.core.counters import Reason
from distnet.switch.core.delivery import Deliver
from distnet.switch.core.records import Endpoint
from tests.unit.switch.core.stations import BROADCAST, PAUSE, BridgeTestCase, Station, frame

Delivery = tuple[Endpoint, tuple[Endpoint, ...], bytes]


class Keeper:
    """
    Delivers nothing before it is told to.

    @ivar kept: what it would have delivered.
    @ivar deliver: what it was put around.
    """

    deliver: Deliver

    def __init__(self) -> None:
        self.kept: list[Delivery] = []

    def __call__(self, deliver: Deliver) -> Deliver:
        """Be put around something."""
        self.deliver = deliver
        return self.keep

    def keep(self, source: Endpoint, targets: Iterable[Endpoint], frame: bytes) -> None:
        """Keep what is to be delivered."""
        self.kept.append((source, tuple(targets), frame))

    def release(self, times: int = 1) -> None:
        """Deliver all that was kept, so often."""
        kept, self.kept = self.kept, []
        for each in kept:
            for _ in range(times):
                self.deliver(*each)


class ReceivedTests(BridgeTestCase):
    """Tests for C{Bridge.wrap_received}."""

    def test_sees(self) -> None:
        """It sees each frame once, held ones when they come, until it is taken away."""
        self.start(queue_frames=1)
        sender, slow = self.stations(2)
        seen: list[bytes] = []

        def watching(received: Receive) -> Receive:
            def watched(endpoint: Endpoint, frame: bytes) -> bool:
                seen.append(frame)
                return received(endpoint, frame)

            return watched

        undo = self.bridge.wrap_received(watching)
        slow.take(0)
        sent = [sender.send(slow, bytes([number])) for number in range(4)]
        self.assertEqual([more for more, _ in sent], [True, False, False, False])
        self.assertEqual(seen, [data for _, data in sent])
        slow.take(None)
        undo()
        sent.append(sender.send(slow, b"unseen"))
        self.assertEqual(slow.read(), [data for _, data in sent])
        self.assertEqual(seen, [data for _, data in sent[:4]])

    def test_nothing_is_left(self) -> None:
        """When the last one is taken away, links call the method itself again."""
        bare = self.bridge.received
        undo = [self.bridge.wrap_received(lambda received: received) for _ in range(2)]
        self.assertNotEqual(self.bridge.received, bare)
        for each in undo:
            self.assertTrue(self.bridge.divert)
            each()
        self.assertEqual(self.bridge.received, bare)
        self.assertNotIn("received", vars(self.bridge))
        self.assertFalse(self.bridge.divert)


class DeliverTests(BridgeTestCase):
    """Tests for C{Bridge.wrap_deliver}."""

    def keep(self) -> tuple[Keeper, Callable[[], None]]:
        """A wrapper that keeps everything, and what takes it away."""
        keeper = Keeper()
        return keeper, self.bridge.wrap_deliver(keeper)

    def test_nothing_is_left(self) -> None:
        """The bare method delivers before there is a wrapper, and after."""
        bare = self.bridge._deliver, self.bridge._deliver_late
        _, undo = self.keep()
        self.assertTrue(self.bridge.divert)
        self.assertNotEqual((self.bridge._deliver, self.bridge._deliver_late), bare)
        undo()
        self.assertEqual((self.bridge._deliver, self.bridge._deliver_late), bare)
        self.assertEqual(bare[0], self.bridge._delivery.deliver)
        self.assertFalse(self.bridge.divert)

    def test_sees(self) -> None:
        """It sees every frame with where it goes, whichever way that was decided."""
        self.bridge.vlans.create(5)
        one, two, tagged = self.stations(3)
        self.bridge.vlans.set_untagged(tagged.port, 4095)
        self.bridge.vlans.set_untagged(two.port, 5)
        self.bridge.vlans.set_untagged(one.port, 5)
        self.bridge.vlans.add_tagged(5, tagged.port)
        keeper, _ = self.keep()
        _, flooded = one.send(BROADCAST)
        _, back = two.send(one)
        tagged.send(one, vlan=5)
        self.bridge.received_for(one.endpoint, two.endpoint, b"late")
        with_tag = frame(BROADCAST, one.number, vlan=5)
        self.assertEqual(
            keeper.kept,
            [
                (one.endpoint, (two.endpoint, one.endpoint), flooded),
                (one.endpoint, (tagged.endpoint,), with_tag),
                (two.endpoint, (one.endpoint,), back),
                (tagged.endpoint, (one.endpoint,), frame(one.number, tagged.number)),
                (one.endpoint, (two.endpoint,), b"late"),
            ],
        )
        self.assertEqual([each.read() for each in (one, two, tagged)], [[], [], []])
        keeper.release()
        self.assertEqual(two.read(), [flooded, b"late"])
        self.assertEqual(tagged.read(), [with_tag])
        self.assertEqual(one.read(), [back, frame(one.number, tagged.number)])

    def test_sees_held_ones(self) -> None:
        """What was held of a paused source passes it when it is dealt with."""
        self.start(queue_frames=1)
        sender, slow = self.stations(2)
        slow.take(0)
        sent = [sender.send(slow, bytes([number]))[1] for number in range(4)]
        keeper, _ = self.keep()
        slow.take(None)
        self.assertEqual([data for _, _, data in keeper.kept], sent[2:])
        keeper.release()
        self.assertEqual(slow.read(), sent)

    def test_drops(self) -> None:
        """What it does not deliver is counted as received, and as nothing else."""
        sender, reader = self.stations(2)
        before = sender.port.counters.received.frames
        self.keep()
        sender.send(reader)
        self.assertEqual(reader.read(), [])
        self.assertEqual(sender.port.counters.received.frames, before + 1)
        self.assertEqual(reader.port.counters.undelivered, {})

    def test_doubles(self) -> None:
        """What it delivers twice comes twice, and is counted so."""
        sender, reader = self.stations(2)
        sent = reader.port.counters.sent.frames
        keeper, _ = self.keep()
        _, data = sender.send(reader)
        keeper.release(2)
        self.assertEqual(reader.read(), [data, data])
        self.assertEqual(reader.port.counters.sent.frames, sent + 2)

    def test_changes(self) -> None:
        """It may deliver something else, and to others."""
        sender, reader, other = self.stations(3)
        keeper, _ = self.keep()
        sender.send(reader)
        keeper.deliver(sender.endpoint, [other.endpoint], b"something else")
        self.assertEqual((reader.read(), other.read()), ([], [b"something else"]))

    def test_delays(self) -> None:
        """What it delivers late comes late, when it has been taken away too."""
        sender, reader = self.stations(2)
        keeper, undo = self.keep()
        _, first = sender.send(reader)
        undo()
        _, second = sender.send(reader)
        self.assertEqual(reader.read(), [second])
        keeper.release()
        self.assertEqual(reader.read(), [first])

    def test_target_has_gone(self) -> None:
        """What is for one that has gone meanwhile is counted, and the others get it."""
        sender, leaver, reader = self.stations(3)
        keeper, _ = self.keep()
        _, data = sender.send(BROADCAST)
        self.bridge.detach(leaver.endpoint)
        keeper.release()
        self.assertEqual((leaver.read(), reader.read()), ([], [data]))
        self.assertEqual(leaver.lost(Reason.RECEIVER_LEFT), 1)

    def test_source_has_gone(self) -> None:
        """What is of one that has gone is delivered; to whom has no room, it is dropped."""
        self.start(queue_frames=1)
        leaver, reader, full = self.stations(3)
        keeper, _ = self.keep()
        for _ in range(3):
            leaver.send(BROADCAST)
        self.bridge.detach(leaver.endpoint)
        full.take(0)
        keeper.release()
        self.assertEqual(len(reader.read()), 3)
        self.assertEqual(full.lost(Reason.QUEUE_FULL), 2)
        self.assertEqual((full.endpoint.waiters, leaver.link.paused), ({}, False))
        full.take(None)
        self.assertEqual(len(full.read()), 1)

    def test_pauses(self) -> None:
        """A source waits for a full target, but not with two frames for the same."""
        self.start(queue_frames=1)
        sender, full, also_full = self.stations(3)
        keeper, _ = self.keep()
        sent = [sender.send(full, bytes([number]))[1] for number in range(4)]
        also = [sender.send(also_full, bytes([number]))[1] for number in range(2)]
        for each in (full, also_full):
            each.take(0)
        keeper.release()
        self.assertTrue(sender.link.paused)
        self.assertEqual(full.lost(Reason.QUEUE_FULL), 2)
        self.assertEqual(also_full.lost(Reason.QUEUE_FULL), 0)
        for each in (full, also_full):
            each.take(None)
        self.assertEqual((full.read(), also_full.read()), (sent[:2], also))
        self.assertFalse(sender.link.paused)

    def test_own_port(self) -> None:
        """Nobody gets what came from his own port, and nothing is counted for that."""
        sender, reader = self.stations(2)
        other = Station(self.bridge, sender.number)
        keeper, _ = self.keep()
        sender.send(BROADCAST)
        self.bridge.detach(other.endpoint)
        keeper.release()
        self.assertEqual((other.read(), len(reader.read())), ([], 1))
        self.assertEqual(sender.port.counters.undelivered.keys() - {Reason.NOBODY}, set())

    def test_time_goes_on(self) -> None:
        """A pause that a late frame has begun ends as any other."""
        self.start(queue_frames=1)
        sender, dead = self.stations(2)
        keeper, undo = self.keep()
        for _ in range(2):
            sender.send(dead)
        undo()
        dead.take(0)
        keeper.release()
        self.assertTrue(sender.link.paused)
        self.clock.advance(PAUSE)
        self.assertFalse(sender.link.paused)
        self.assertIsNotNone(dead.endpoint.slow)
        self.assertEqual(dead.lost(Reason.SLOW), 1)
