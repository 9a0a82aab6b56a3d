"""What one command line takes twice."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.sockets.listen import complete_description
from distnet.sockets.taken import Place, Taken, place_of


class TakenTests(SynchronousTestCase):
    """L{Taken}, and L{place_of}"""

    def clash(self, one: str, other: str) -> bool:
        """Whether two endpoints cannot be had together."""
        taken = Taken()
        taken.add(place_of(complete_description(one)), "--first")
        try:
            taken.add(place_of(complete_description(other)), "--second")
        except ValueError as error:
            self.assertEqual(
                str(error), "--second: --first has that already; give each a place of its own"
            )
            return True
        return False

    def test_the_same(self) -> None:
        """As Linux has it: one that is for all addresses is for each, of IPv4 too."""
        for one, other in (
            ("1234", "tcp:1234"),
            ("1234", "tcp:1234:interface=0.0.0.0"),
            ("1234", r"tcp6:1234:interface=\:\:"),
            (r"tcp6:1234:interface=\:\:", r"tcp6:1234"),
            ("unix:/a", "unix:address=/a:mode=666"),
        ):
            self.assertTrue(self.clash(one, other), (one, other))
            self.assertTrue(self.clash(other, one), (other, one))

    def test_others(self) -> None:
        """Any free port is another one each time, and so is that of another address."""
        for one, other in (
            ("0", "0"),
            ("1234", "1235"),
            ("1234", "tcp6:1234"),
            ("1234", "tcp:1234:interface=127.0.0.2"),
            ("1234", r"tcp6:1234:interface=\:\:1"),
            ("tcp:1234:interface=localhost", "tcp:1234"),
            ("unix:/a", "unix:/b"),
            ("systemd:domain=INET:index=0", "systemd:domain=INET:index=0"),
        ):
            self.assertFalse(self.clash(one, other), (one, other))

    def test_kinds(self) -> None:
        """What is alike by name alone is not the same."""
        taken = Taken()
        for number, place in enumerate(
            (Place("tcp", "::1", 5), Place("udp", "::1", 5), Place("tap", "a"), Place("path", "a"))
        ):
            taken.add(place, f"--{number}")
        self.assertRaises(ValueError, taken.add, Place("tap", "a"), "--last")
