"""Things as people read them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.text import (
    amount,
    colours_only,
    duration,
    host_port,
    printable,
    table,
    unix_path,
    volume,
)


class AmountTests(SynchronousTestCase):
    """How much, how long."""

    def test_amounts(self) -> None:
        """One message is singular."""
        self.assertEqual(amount(0, 0), "0 messages (0 B)")
        self.assertEqual(amount(1, 24), "1 message (24 B)")
        self.assertEqual(amount(3, 1560), "3 messages (1.6 kB)")

    def test_volumes(self) -> None:
        """Sizes have decimal prefixes, and never more than three digits before the point."""
        for size, shown in ((999, "999 B"), (1000, "1.0 kB"), (999_900, "999.9 kB"),
                            (999_999, "1.0 MB"), (64 * 2**20, "67.1 MB"),
                            (5_000_000_000, "5.0 GB"), (10**13, "10000.0 GB")):  # fmt: skip
            self.assertEqual(volume(size), shown)

    def test_durations(self) -> None:
        """Time spans have their two greatest units; a clock that was set back is no harm."""
        for seconds, shown in ((-5, "0s"), (0.9, "0s"), (59.9, "59s"), (60, "1m00s"),
                               (3599, "59m59s"), (7500, "2h05m"), (360000, "100h00m")):  # fmt: skip
            self.assertEqual(duration(seconds), shown)


class TableTests(SynchronousTestCase):
    """Columns."""

    def test_columns(self) -> None:
        """Columns are as wide as their widest cell, and no line ends with a blank."""
        self.assertEqual(
            table(["A", "BB"], [["ccc", ""], ["d", "e"]]), ["A    BB", "ccc", "d    e"]
        )

    def test_no_rows(self) -> None:
        """A table without rows is its head."""
        self.assertEqual(table(["A", "BB"], []), ["A  BB"])


class AddressTests(SynchronousTestCase):
    """Hosts and ports."""

    def test_brackets(self) -> None:
        """Only an IPv6 address stands in brackets."""
        self.assertEqual(host_port("localhost", 1234), "localhost:1234")
        self.assertEqual(host_port("127.0.0.1", 1), "127.0.0.1:1")
        self.assertEqual(host_port("::1", 1234), "[::1]:1234")

    def test_unix_paths(self) -> None:
        """A name in the abstract namespace begins with an @, and does not fill its line."""
        self.assertEqual(unix_path(b"/tmp/a\n"), "/tmp/a?")
        self.assertEqual(unix_path(b"\0a\0b" + bytes(100)), "@a@b")


class PrintableTests(SynchronousTestCase):
    """What others wrote."""

    def test_printable(self) -> None:
        """Letters of all kinds are kept; controls, lines, and bytes that are no text are not."""
        self.assertEqual(printable("é\tx\x85\x7f€\u4e2d\udcff\u2028"), "é?x??€\u4e2d??")

    def test_bytes(self) -> None:
        """Bytes are read as UTF-8, and what is none is marked."""
        self.assertEqual(printable("é\x1b".encode() + b"\xff"), "é?\ufffd")

    def test_colours_only(self) -> None:
        """On a shared terminal a kernel may use colours, and nothing that moves."""
        self.assertEqual(colours_only("\x1b[31mred\x1b[0m"), "\x1b[31mred\x1b[0m\x1b[0m")
        self.assertEqual(colours_only("\x1bc\x1b[2J\x1b[1;1Hplain"), "plain")
