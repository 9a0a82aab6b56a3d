"""Wrappers around a callable, put there and taken away while it is called."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from distnet.divert import Divert
from distnet.seam import Seam

Say = Callable[[str], str]


class SeamTests(SynchronousTestCase):
    """Tests for L{Seam}."""

    def setUp(self) -> None:
        """A callable that notes what comes."""
        self.came: list[str] = []
        self.changes: list[Say | None] = []
        self.divert = Divert()
        self.seam = Seam[Say](self.bare, self.changes.append, self.divert)

    def bare(self, text: str) -> str:
        """Note a text that has come, and return it in brackets."""
        self.came.append(text)
        return f"<{text}>"

    def call(self, text: str) -> str:
        """Call what is to be called now."""
        return ((self.changes[-1] if self.changes else None) or self.bare)(text)

    def adding(self, mark: str) -> Callable[[Say], Say]:
        """A wrapper that adds something to what passes."""
        return lambda go_on: lambda text: go_on(text + mark)

    def test_order(self) -> None:
        """The last one is outermost, and what is returned comes back."""
        self.seam.wrap(self.adding("1"))
        self.seam.wrap(self.adding("2"))
        self.assertEqual(self.call("a"), "<a21>")

    def test_any_order_of_undoing(self) -> None:
        """Each can be taken away first, once; in the end the bare one alone is called."""
        for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)):
            undo = [self.seam.wrap(self.adding(str(number))) for number in range(3)]
            left = [0, 1, 2]
            for number in order:
                undo[number]()
                undo[number]()
                left.remove(number)
                self.assertEqual(self.call("a"), f"<a{''.join(map(str, reversed(left)))}>")
            self.assertIsNone(self.changes[-1])

    def test_wrapped_once(self) -> None:
        """A wrapper is made once, whatever happens around it, so that it may keep something."""
        made = []

        def counting(go_on: Say) -> Say:
            made.append(go_on)
            return go_on

        inner = self.seam.wrap(self.adding("1"))
        self.seam.wrap(counting)
        self.seam.wrap(self.adding("2"))
        inner()
        self.assertEqual((self.call("a"), len(made)), ("<a2>", 1))

    def test_later(self) -> None:
        """What a wrapper has kept can go on when it, and those inside of it, are there no more."""
        kept: list[Callable[[], str]] = []

        def keeping(go_on: Say) -> Say:
            def keep(text: str) -> str:
                kept.append(lambda: go_on(text))
                return "kept"

            return keep

        for inner_first in (True, False):
            inner = self.seam.wrap(self.adding("1"))
            outer = self.seam.wrap(keeping)
            self.assertEqual(self.call("a"), "kept")
            for undo in (inner, outer) if inner_first else (outer, inner):
                undo()
            self.assertEqual(self.came, [])
            self.assertEqual(kept.pop()(), "<a>")
            self.came.clear()

    def test_diverts(self) -> None:
        """Traffic is diverted from the first wrapper to the end of the last one."""
        self.assertFalse(self.divert)
        undo = [self.seam.wrap(self.adding(str(number))) for number in range(2)]
        for each in undo:
            self.assertTrue(self.divert)
            each()
            each()
        self.assertFalse(self.divert)

    def test_a_wrapper_that_fails(self) -> None:
        """If a wrapper cannot be made, nothing has changed."""

        def failing(go_on: Say) -> Say:
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, self.seam.wrap, failing)
        self.assertEqual(self.call("a"), "<a>")
        self.assertFalse(self.divert)
