"""The log of a process in the foreground."""

from __future__ import annotations

import os
from typing import Any

from twisted.application.twist._options import TwistOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, Logger, formatEvent
from twisted.scripts._twistd_unix import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from distnet.daemon.log import UnwaitingObserver
from distnet.daemon.outlet import MOST_BYTES

OURS = "distnet.daemon.log.standard_output"


def named(*words: str) -> Any:
    """What twistd has become of C{--logger}, given some words."""
    options = ServerOptions()
    options.parseOptions(words)
    logger = options["logger"]
    return logger and f"{logger.__module__}.{logger.__name__}"


class OptionsTests(SynchronousTestCase):
    """Which logs go our way."""

    def test_in_the_foreground(self) -> None:
        """Those on standard output."""
        self.assertEqual(named("-n", "distnet"), OURS)
        self.assertEqual(named("-n", "--logfile=-", "distnet-vde", "--nostdin"), OURS)

    def test_elsewhere(self) -> None:
        """Those that go elsewhere are twistd's."""
        self.assertIsNone(named("distnet"))
        self.assertIsNone(named("-n", "--logfile=a.log", "distnet"))
        self.assertIsNone(named("-n", "--syslog", "distnet"))
        self.assertEqual(
            named("-n", "--logger=twisted.logger.STDLibLogObserver", "distnet"),
            "twisted.logger._stdlib.STDLibLogObserver",
        )

    def test_twist(self) -> None:
        """Those of twist, in the format that it has been told."""
        options = TwistOptions()
        options.parseOptions(["--log-format=text", "distnet"])
        with open(os.devnull, "w") as file:
            observer = options["fileLogObserverFactory"](file)
        self.assertIsInstance(observer, UnwaitingObserver)


class UnwaitingObserverTests(SynchronousTestCase):
    """L{UnwaitingObserver}"""

    def test_events(self) -> None:
        """An event is written as its format says, whatever its text is; or not, if it has none."""
        end, descriptor = os.pipe()
        self.addCleanup(os.close, end)
        self.addCleanup(os.close, descriptor)

        def form(event: LogEvent) -> str | None:
            return f"{event['what']}\n" if "what" in event else None

        log = Logger(observer=UnwaitingObserver(MemoryReactorClock(), descriptor, form))
        log.info("nothing")
        log.info("something", what="one \udc80")
        self.assertEqual(os.read(end, 100), b"one \\udc80\n")

    def test_what_is_missing(self) -> None:
        """It is told by an event of its own, in the same format."""
        end, descriptor = os.pipe()
        self.addCleanup(os.close, end)
        self.addCleanup(os.close, descriptor)
        log = Logger(observer=UnwaitingObserver(MemoryReactorClock(), descriptor, formatEvent))
        log.info("-" * MOST_BYTES + "-")
        log.info("after")
        self.assertEqual(
            os.read(end, 1000).replace(b"after", b""),
            b"lines of the log that are missing here, since it was not read in time: 1",
        )
