"""L{distnet.master.unread}: who has read, asked as seldom as can be."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.master.unread import EAGER_SECONDS, ROUND_SECONDS, ROUND_SHARE, UnreadWatch

LOOK_SECONDS = 0.00001


class Link:
    """
    A link whose peer is the test.

    A look takes time: without that the first turns of an eager look would be one for a Clock.

    @ivar looks: when it was looked at.
    """

    def __init__(self, clock: Clock, unread: int | None, takes: float) -> None:
        self.clock = clock
        self.now_unread = unread
        self.takes = takes
        self.looks: list[float] = []

    def unread(self) -> int | None:
        """Note the look."""
        self.looks.append(self.clock.seconds())
        self.clock.rightNow += self.takes
        return self.now_unread


class WatchTests(SynchronousTestCase):
    """All of it."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.watch = UnreadWatch(self.clock)
        self.read: list[Link] = []

    def link(self, unread: int | None = 1, takes: float = LOOK_SECONDS) -> Link:
        """A link."""
        return Link(self.clock, unread, takes)

    def look_at(
        self, link: Link, eager: bool = False, then: Callable[[], None] | None = None
    ) -> None:
        """Have it watched."""
        self.watch.watch(link, then or (lambda: self.read.append(link)), eager)

    def assert_idle(self) -> None:
        """No timer is left."""
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_never_at_once(self) -> None:
        """Nobody is called from within the call that asks, even if all was read long ago."""
        for eager in (True, False):
            link = self.link(unread=0)
            self.look_at(link, eager)
            self.assertEqual((self.read, link.looks), ([], []))
            self.clock.advance(ROUND_SECONDS)
            self.assertEqual(self.read, [link])
            self.read.clear()

    def test_once(self) -> None:
        """When all was read that is said once, and nobody looks any more."""
        for eager in (True, False):
            link = self.link()
            self.look_at(link, eager)
            self.clock.pump([0.01] * 20)
            self.assertEqual(self.read, [])
            link.now_unread = 0
            self.clock.pump([0.01] * 20)
            self.assertEqual(self.read, [link])
            looks = len(link.looks)
            self.clock.pump([0.01] * 20)
            self.assertEqual(len(link.looks), looks)
            self.read.clear()
        self.assert_idle()

    def test_unknown(self) -> None:
        """Where nobody can know, nobody waits."""
        link = self.link(unread=None)
        self.look_at(link, eager=True)
        self.clock.advance(0)
        self.assertEqual(self.read, [link])

    def test_eagerly(self) -> None:
        """An eager look is repeated at every turn at first, then at growing intervals."""
        link = self.link()
        self.look_at(link, eager=True)
        self.clock.advance(0)
        turns = len(link.looks)
        self.assertGreater(turns, 10)
        self.clock.pump([0.0001] * 500)
        gaps = [b - a for a, b in zip(link.looks[turns:], link.looks[turns + 1 :], strict=False)]
        self.assertTrue(5 < len(gaps) < 15, gaps)
        self.assertGreater(gaps[-1], 10 * gaps[0])

    def test_eager_for_so_long(self) -> None:
        """A link that stays unread joins the rounds."""
        link = self.link()
        self.look_at(link, eager=True)
        self.clock.pump([0.001] * int(1000 * (2 * EAGER_SECONDS + ROUND_SECONDS)))
        link.looks.clear()
        self.clock.pump([ROUND_SECONDS + LOOK_SECONDS] * 10)
        self.assertEqual(len(link.looks), 10)

    def test_one_round_for_all(self) -> None:
        """Links that nobody is in a hurry about share one timer."""
        links = [self.link(takes=0) for _ in range(100)]
        for link in links:
            self.look_at(link)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.clock.advance(ROUND_SECONDS)
        self.assertEqual({len(link.looks) for link in links}, {1})
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_long_rounds_are_rare(self) -> None:
        """A round takes no more than its share of the time."""
        takes = 0.001
        links = [self.link(takes=takes) for _ in range(200)]
        for link in links:
            self.look_at(link)
        self.clock.advance(ROUND_SECONDS)
        took = takes * len(links)
        self.assertGreater(took * ROUND_SHARE, ROUND_SECONDS)
        [call] = self.clock.getDelayedCalls()
        self.assertAlmostEqual(call.getTime() - self.clock.seconds(), took * ROUND_SHARE)

    def test_twice_is_once(self) -> None:
        """Asking twice, in a hurry or not, is asking once."""
        for first, second in ((False, False), (True, True), (True, False), (False, True)):
            link = self.link()
            self.look_at(link, first)
            self.look_at(link, second)
            link.now_unread = 0
            self.clock.pump([0.01] * 20)
            self.assertEqual(self.read, [link])
            self.assert_idle()
            self.read.clear()

    def test_hurry_while_waiting(self) -> None:
        """A link in the rounds is looked at eagerly once somebody is in a hurry."""
        link = self.link()
        self.look_at(link)
        self.look_at(link, eager=True)
        self.clock.advance(0)
        self.assertTrue(link.looks)

    def test_again_from_the_callback(self) -> None:
        """Who is called may ask again at once, as for the next batch."""
        link = self.link(unread=0)
        self.look_at(link, eager=True, then=lambda: self.look_at(link, eager=True))
        self.clock.advance(0)
        self.assertEqual((self.read, len(link.looks)), ([link], 2))
        self.assert_idle()

    def test_hurry_from_the_callback_of_another(self) -> None:
        """Who is called in a round may put another link of that round in a hurry."""
        first, second = self.link(unread=0), self.link(unread=0)
        self.look_at(first, then=lambda: self.look_at(second, eager=True))
        self.look_at(second)
        self.clock.advance(ROUND_SECONDS)
        self.clock.pump([0.01] * 20)
        self.assertEqual(self.read, [second])
        self.assert_idle()

    def test_forget(self) -> None:
        """A link that is forgotten is not looked at, and leaves no timer behind."""
        for eager in (True, False):
            link = self.link(unread=0)
            self.look_at(link, eager)
            self.watch.forget(link)
            self.assert_idle()
            self.clock.advance(1)
            self.assertEqual((self.read, link.looks), ([], []))
        self.watch.forget(self.link())

    def test_forget_from_a_callback(self) -> None:
        """Who is called in a round may have another link of that round forgotten."""
        first, second = self.link(unread=0), self.link(unread=0)
        self.look_at(first, then=lambda: self.watch.forget(second))
        self.look_at(second)
        self.clock.advance(ROUND_SECONDS)
        self.assertEqual((self.read, second.looks), ([], []))

    def test_forget_one_of_many(self) -> None:
        """The others are looked at as before."""
        stays, goes = self.link(unread=0), self.link()
        self.look_at(stays)
        self.look_at(goes)
        self.watch.forget(goes)
        self.clock.advance(ROUND_SECONDS)
        self.assertEqual(self.read, [stays])
