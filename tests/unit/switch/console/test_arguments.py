"""How arguments of console commands are read."""

from __future__ import annotations

import errno

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from distnet.switch.console.arguments import CommandError, Kind, parse


class ArgumentTests(SynchronousTestCase):
    """Tests for C{parse}."""

    def check(self, kind: Kind, *cases: tuple[str, object]) -> None:
        """Each text is read as that value, or refused where that is None and may not be."""
        for text, value in cases:
            self.assertEqual(parse((kind,), text), [value], repr(text))

    def refused(self, kind: Kind, *texts: str) -> None:
        """Each text is refused."""
        for text in texts:
            error = self.assertRaises(CommandError, parse, (kind,), text)
            self.assertEqual(error.number, errno.EINVAL, repr(text))

    def test_loose(self) -> None:
        """A loose number is what digits there are, or 0."""
        self.check(
            Kind.LOOSE, ("", 0), (" x", 0), (" 5x", 5), ("7", 7), (" -3", -3), (" 010", 10),
            (" 0x10", 0), ("\t6", 6), (" 2147483647", 2147483647), (" -2147483648", -2147483648),
        )  # fmt: skip
        self.refused(Kind.LOOSE, " 2147483648", " -2147483649", " " + "9" * 9999)

    def test_flag(self) -> None:
        """A flag is whether a loose number is not 0."""
        self.check(Kind.FLAG, ("", False), (" 0", False), (" 1", True), (" -1", True))

    def test_optional(self) -> None:
        """An optional number is None if there is nothing."""
        self.check(Kind.OPTIONAL, ("", None), (" \t", None), (" 0", 0), (" x", 0))

    def test_exact(self) -> None:
        """An exact number must be there; it may have leading zeros or be hexadecimal."""
        self.check(Kind.EXACT, (" 0010", 10), ("0xff", 255), (" +7", 7), (" -1", -1), (" 5,", 5))
        self.refused(Kind.EXACT, "", " x", " ,5", " 2147483648", " 0x80000000")

    def test_two_exact(self) -> None:
        """The second number begins where the first ended."""
        kinds = (Kind.EXACT, Kind.EXACT)
        self.assertEqual(parse(kinds, " 5\t3 x"), [5, 3])
        for text in (" 5", " 5,3", " 5x 3"):
            self.assertRaises(CommandError, parse, kinds, text)

    def test_texts(self) -> None:
        """A text is the rest of the line, and a name too, which must be there."""
        self.check(Kind.TEXT, ("", ""), ("  a b ", "a b "))
        self.check(Kind.NAME, (" a b", "a b"))
        self.refused(Kind.NAME, "", "  ")

    def test_mac(self) -> None:
        """An address is six numbers of at most two hexadecimal digits."""
        mac = bytes.fromhex("0001020304ff")
        self.assertEqual(parse((Kind.MAC, Kind.LOOSE), " 0:1:2:03:4:FF 7"), [mac, 7])
        self.assertEqual(parse((Kind.MAC, Kind.LOOSE), "0:1:2:3:4:ff"), [mac, 0])
        self.refused(
            Kind.MAC, "", "x", "1:2:3:4:5", "1:2:3:4:5:6:7", "100:2:3:4:5:6", "1:2:3:4:5:g"
        )

    @given(st.lists(st.sampled_from(Kind), max_size=4), st.text(max_size=40))
    def test_anything(self, kinds: list[Kind], text: str) -> None:
        """Any text is read or refused, and nothing else happens."""
        try:
            values = parse(tuple(kinds), text)
        except CommandError:
            return
        self.assertEqual(len(values), len(kinds))
