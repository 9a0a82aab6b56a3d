"""Who is told what: each observer the events that it has a method for."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from distnet.errors import LocalError
from distnet.observers import broadcast, nobody


class IDoor(Interface):
    """What a door tells."""

    def opened(who: str, when: float) -> None:
        """It was opened."""

    def shut() -> None:
        """It was shut."""

    def painted(colour: str) -> None:
        """It was painted."""


class Noting:
    """Notes what it is told, in a list that several may share."""

    def __init__(self, notes: list[Any]) -> None:
        self.notes = notes

    def opened(self, *what: object) -> None:
        """The one event that it wants to know."""
        self.notes.append((self, *what))


class NotingBoth(Noting):
    """Wants to know one more."""

    def shut(self) -> None:
        """The other event that it wants to know."""
        self.notes.append((self, "shut"))


class BroadcastTests(SynchronousTestCase):
    """Tests for C{broadcast}."""

    def test_all_are_told(self) -> None:
        """Every observer is told what it has a method for, in order, with all that is said."""
        notes: list[Any] = []
        first, second = NotingBoth(notes), Noting(notes)
        everybody = broadcast(IDoor, first, second)
        everybody.opened("me", 1.5)
        everybody.shut()
        self.assertEqual(notes, [(first, "me", 1.5), (second, "me", 1.5), (first, "shut")])

    def test_it_costs_nothing(self) -> None:
        """What one wants to know is that one's method; what no one wants is the same for all."""
        one = NotingBoth([])
        everybody = broadcast(IDoor, one, Noting([]))
        self.assertEqual(everybody.shut, one.shut)
        self.assertIs(everybody.painted, nobody)
        everybody.painted("green")

    def test_interface(self) -> None:
        """It is an observer itself, with all events, whoever is told."""
        for observers in ((), (Noting([]),)):
            everybody = broadcast(IDoor, *observers)
            self.assertTrue(IDoor.providedBy(everybody))
            for event in IDoor:
                self.assertTrue(callable(getattr(everybody, event)))

    def test_misspelt(self) -> None:
        """A method that is nearly an event is a mistake; other methods are the observer's own."""

        class Wrong(Noting):
            def paint(self) -> None:
                """No event: a method of the observer's own."""

            def _shut(self) -> None:
                """No event either."""

        broadcast(IDoor, Wrong([]))
        for name in ("opend", "openned", "painted_"):
            kind = type("Wrong", (Noting,), {name: lambda self: None})
            with self.assertRaises(LocalError) as caught:
                broadcast(IDoor, kind([]))
            self.assertIn(f"Wrong.{name} is no event of IDoor", str(caught.exception))

    def test_of_no_use(self) -> None:
        """Who has no event at all is no observer."""
        with self.assertRaises(LocalError) as caught:
            broadcast(IDoor, object())
        self.assertEqual(str(caught.exception), "object has no event of IDoor")
