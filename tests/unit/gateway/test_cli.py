"""What may follow C{distnet gateway}."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.cli import check_words


class PathTests(SynchronousTestCase):
    """Paths of unix sockets."""

    def test_lengths(self) -> None:
        """What is too long for a socket is refused, with how long it is and may be."""
        for option, most, says in (
            ("--control", 107, "the path has 108 bytes, a unix socket's can have 107; use"),
            ("--mgmt", 107, "the path has 108 bytes, a unix socket's can have 107; use"),
            ("--sock", 92, "its path has 93 bytes, so that of a unix socket in it would be"),
        ):
            fits = "/" + "l" * (most - 1)
            self.assertIn(f"{option}={fits}", check_words([f"{option}={fits}"]))
            error = self.assertRaises(ValueError, check_words, [f"{option}={fits}l"])
            self.assertIn(f"{option}: {fits}l: {says}", str(error))
            self.assertNotIn("\n", str(error))
