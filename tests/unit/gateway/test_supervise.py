"""A gateway that cannot be started."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import libslirp
from distnet.gateway.restarts import FIRST_SECONDS, MOST_SECONDS
from distnet.gateway.supervise import GatewayProcess
from tests.unit.gateway.limits import no_descriptor_left


class Machine(Clock):
    """
    What starts processes, or cannot.

    @ivar fails: with what; None if it can.
    @ivar started: how many were.
    @ivar protocol: the last one's.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fails: OSError | None = None
        self.started = 0

    def callWhenRunning(self, call: Any) -> None:
        """It runs."""
        call()

    def adoptStreamConnection(self, descriptor: int, family: int, factory: Any) -> None:
        """It has it."""
        socket.close(os.dup(descriptor))

    def spawnProcess(self, protocol: Any, *_: Any, **__: Any) -> Machine:
        """Start one."""
        if self.fails is not None:
            raise self.fails
        self.started += 1
        self.protocol = protocol
        return self

    def signalProcess(self, number: int) -> None:
        """It has ended."""
        raise ProcessExitedAlready


class StartingTests(SynchronousTestCase):
    """L{GatewayProcess}, where processes cannot be started at times."""

    def setUp(self) -> None:
        """A machine that can."""
        self.patch(libslirp, "load", lambda: None)
        self.machine = Machine()
        self.gateway = GatewayProcess(self.machine, [], Protocol)
        self.lines: list[str] = []

        def observe(event: Any) -> None:
            self.lines.append(event["log_format"].format(**event))

        observer: Any = observe
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def test_how_it_ended(self) -> None:
        """It is told by which signal, whether that has a name or not, and started again."""
        self.gateway.startService()
        for number, told in ((9, "by SIGKILL"), (37, "by signal 37")):
            self.machine.protocol.processEnded(Failure(ProcessTerminated(signal=number)))
            self.assertIn(f"gateway: it has ended ({told}), and is started again", self.lines.pop())
            self.machine.advance(MOST_SECONDS)
        self.assertEqual(self.machine.started, 3)

    def test_what_may_pass(self) -> None:
        """Whatever the machine refuses, it is said why, and tried again."""
        for number in (errno.EPERM, errno.EACCES, errno.EAGAIN, errno.ENOMEM, errno.EMFILE):
            machine = Machine()
            machine.fails = OSError(number, os.strerror(number))
            GatewayProcess(machine, [], Protocol).startService()
            self.assertEqual(
                self.lines.pop(),
                f"gateway: it cannot be started ({os.strerror(number)}), "
                f"and is started again in {FIRST_SECONDS:g} s",
            )
            machine.fails = None
            machine.advance(FIRST_SECONDS)
            self.assertEqual(machine.started, 1)

    def test_no_descriptor(self) -> None:
        """Nor does it need a descriptor to fail."""
        with no_descriptor_left():
            self.gateway.startService()
        self.assertIn(os.strerror(errno.EMFILE), self.lines[0])
        self.machine.advance(FIRST_SECONDS)
        self.assertEqual(self.machine.started, 1)

    def test_later_and_later(self) -> None:
        """While it goes on, it is tried less and less often."""
        self.machine.fails = PermissionError(errno.EACCES, "no")
        self.gateway.startService()
        gaps = []
        for _ in range(10):
            gaps.append(self.machine.getDelayedCalls()[0].getTime() - self.machine.seconds())
            self.machine.advance(gaps[-1])
        self.assertEqual([round(gap, 1) for gap in gaps[:4]], [0.1, 0.2, 0.4, 0.8])
        self.assertEqual(round(gaps[-1], 1), MOST_SECONDS)

    def test_stopped_meanwhile(self) -> None:
        """It is not tried again once it is to stop."""
        self.machine.fails = PermissionError(errno.EACCES, "no")
        self.gateway.startService()
        self.assertIsNone(self.gateway.stopService())
        self.assertEqual(self.machine.getDelayedCalls(), [])
