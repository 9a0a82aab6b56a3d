"""L{distnet.divert}: who holds it, and when it changes."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.divert import Divert


class DivertTests(SynchronousTestCase):
    """As long as anybody needs it."""

    def setUp(self) -> None:
        """What is told of changes is kept."""
        self.told: list[bool] = []
        self.divert = Divert(self.told.append)

    def test_at_first(self) -> None:
        """Nothing is diverted until somebody needs it."""
        self.assertFalse(self.divert)
        self.assertEqual(self.told, [])

    def test_the_last_one_ends_it(self) -> None:
        """Two may need it at once: it ends with the second, and each change is told once."""
        first, second = self.divert.begin(), self.divert.begin()
        first()
        self.assertTrue(self.divert)
        self.assertEqual(self.told, [True])
        second()
        self.assertFalse(self.divert)
        self.assertEqual(self.told, [True, False])

    def test_ended_twice(self) -> None:
        """Ending twice does not end it for another."""
        first = self.divert.begin()
        self.divert.begin()
        first()
        first()
        self.assertTrue(self.divert)
        self.assertEqual(self.told, [True])

    def test_again(self) -> None:
        """What has ended can begin again."""
        self.divert.begin()()
        self.divert.begin()
        self.assertEqual(self.told, [True, False, True])

    def test_nobody_to_tell(self) -> None:
        """Without native code there is nothing to change."""
        divert = Divert()
        divert.begin()()
        self.assertFalse(divert)
