"""The connection to a switch's management console, when there is none."""

from __future__ import annotations

import errno
import os

from twisted.internet.error import ConnectError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.management import MOST_SECONDS, Management


class ManagementTests(SynchronousTestCase):
    """Tests for C{Management}."""

    def test_why_there_is_none(self) -> None:
        """Each reason is said once, until there is a console again."""
        reactor = MemoryReactorClock()
        management = Management(reactor, "/s/console", lambda mac, port: None)

        def fail(number: int) -> list[str | None]:
            path, factory, *_ = reactor.unixClients[-1]
            self.assertEqual(path, "/s/console")
            with capturedLogs() as events:
                factory.clientConnectionFailed(
                    None, Failure(ConnectError(number, os.strerror(number)))
                )
            reactor.advance(MOST_SECONDS)
            return [formatEvent(event) for event in events]

        def says(why: str) -> list[str | None]:
            return [
                f"no console of a switch at /s/console ({why}): a guest that dies is not noticed"
                " until it is there"
            ]

        management.start()
        self.assertEqual(fail(errno.ENOENT), says("No such file or directory"))
        self.assertEqual(fail(errno.ENOENT), [])
        self.assertEqual(fail(errno.EACCES), says("Permission denied"))
        management.connected(None)
        self.assertEqual(fail(errno.ENOENT), says("No such file or directory"))
        management.stop()
