"""Connections that could not be accepted, in the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet.sockets.unaccepted import QUIET_SECONDS, RESET, Unaccepted


class UnacceptedTests(SynchronousTestCase):
    """Tests for C{Unaccepted}."""

    def setUp(self) -> None:
        """All could be."""
        self.clock = Clock()
        self.unaccepted = Unaccepted(self.clock, "listener")

    def said(self, *events: dict[str, Any]) -> list[str]:
        """What is logged when Twisted tells of these events at the same time."""
        with capturedLogs() as captured:
            for event in events:
                self.unaccepted.noticed(event)
            self.clock.advance(0)
        return [str(formatEvent(event)) for event in captured]

    def test_a_crowd(self) -> None:
        """Of Twisted's lines about each of a crowd there is one, with their number and a hint."""
        closed = {"address": ("127.0.0.1", 1)}
        (line,) = self.said({"log_format": "EMFILE encountered"}, *[closed] * 99, {})
        self.assertTrue(
            line.startswith("listener: 99 connections could not be accepted (EMFILE): "), line
        )
        self.assertIn("LimitNOFILE=", line)

    def test_once_in_a_while(self) -> None:
        """Those that come soon after are counted in the line of the next one that comes later."""
        error = {"acceptError": "ENFILE"}
        line = "listener: {} could not be accepted (ENFILE)"
        self.assertEqual(self.said(error), [line.format("1 connection")])
        self.assertEqual(self.said(error, error), [])
        self.clock.advance(QUIET_SECONDS)
        self.assertEqual(self.said(error), [line.format("3 connections")])

    def test_each_reason(self) -> None:
        """No reason hides another."""
        with capturedLogs() as captured:
            self.unaccepted.failed(RESET)
            self.unaccepted.failed("ENOMEM")
            self.clock.advance(0)
        self.assertEqual([event["error"] for event in captured], [RESET, "ENOMEM"])
