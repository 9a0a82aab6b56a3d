"""Signals that a process ignores, or has handled."""

from __future__ import annotations

import signal

from twisted.trial.unittest import SynchronousTestCase

from distnet.daemon.hangup import at_hangup


class HangupTests(SynchronousTestCase):
    """L{at_hangup}"""

    def setUp(self) -> None:
        """What is done about SIGHUP is nobody else's."""
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        self.heard: list[int] = []

    def test_handled(self) -> None:
        """It is handled where it would end the process."""
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.assertTrue(at_hangup(lambda number, _: self.heard.append(number)))
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.heard, [signal.SIGHUP])

    def test_ignored(self) -> None:
        """Where it is ignored, as nohup has it, it stays so."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.assertFalse(at_hangup(lambda number, _: self.heard.append(number)))
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.heard, [])
