"""What is said once, or once in a while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from distnet.once import Once


class OnceTests(SynchronousTestCase):
    """Tests for C{Once}."""

    def test_once_each(self) -> None:
        """Each key is said the first time, whatever was said before, and not again."""
        once = Once()
        self.assertEqual([once.say(key) for key in "abab"], [0, 0, None, None])

    def test_forget(self) -> None:
        """What it was about is over: the same is news again, and what was not said is no matter."""
        once = Once(1)
        for key in "aaa":
            once.say(key)
        once.forget()
        self.assertEqual(once.say("a"), 0)

    def test_again(self) -> None:
        """After a while the same is said again, with how often it was not."""
        clock = Clock()
        once = Once(seconds=clock.seconds, again=10)
        self.assertEqual([once.say(key) for key in "aaba"], [0, None, 0, None])
        clock.advance(9.9)
        self.assertIsNone(once.say("a"))
        clock.advance(0.1)
        self.assertEqual([once.say(key) for key in "aba"], [3, 0, None])

    def test_many(self) -> None:
        """Keys beyond the limit share the last place."""
        once = Once(3)
        self.assertEqual([once.say(key) for key in "abcdab"], [0, 0, 0, None, None, None])

    def test_room_for_others(self) -> None:
        """What may be said again gives its place to what is new; nothing uncounted is lost."""
        clock = Clock()
        once = Once(2, seconds=clock.seconds, again=10)
        self.assertEqual([once.say(key) for key in "aabb"], [0, None, 0, None])
        clock.advance(10)
        self.assertEqual([once.say(key) for key in "ca"], [0, 2])

    def test_the_oldest_goes_first(self) -> None:
        """The place of what was said again is not taken while another could be."""
        clock = Clock()
        once = Once(3, seconds=clock.seconds, again=10)
        once.say("a")
        clock.advance(5)
        once.say("b")
        clock.advance(5)
        self.assertEqual(once.say("a"), 0)
        clock.advance(5)
        self.assertEqual([once.say(key) for key in "cad"], [0, None, 0])

    @given(st.integers(1, 4), st.lists(st.integers(0, 6) | st.just("wait")))
    def test_all_are_counted(self, most: int, events: list[int | str]) -> None:
        """No more are said in any such time than there may be, and the rest is counted."""
        clock = Clock()
        once = Once(most, seconds=clock.seconds, again=1)
        said = happened = unsaid = 0
        for event in [*events, "wait", *range(10, 10 + most)]:
            if event == "wait":
                clock.advance(1)
                said = 0
                continue
            happened += 1
            told = once.say(event)
            if told is not None:
                said += 1
                unsaid += told + 1
            self.assertLessEqual(said, most)
        # The last ones were new, took all places, and told of all that was before them.
        self.assertEqual(unsaid, happened)
