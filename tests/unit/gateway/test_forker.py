"""What forks guests' processes, as a real process that the gateway has."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from ctypes.util import find_library
from pathlib import Path

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.channel import Message, pair
from distnet.gateway.forker import ANSWER_SECONDS, MALLOC, Forker
from distnet.gateway.forward import make_listener
from distnet.gateway.restarts import FIRST_SECONDS
from tests.daemons import PATIENCE
from tests.unit.gateway.limits import open_descriptors
from tests.unit.gateway.reactors import Turning


class ForkerProcessTests(SynchronousTestCase):
    """L{Forker}"""

    def setUp(self) -> None:
        """One that was started."""
        if find_library("slirp") is None:
            self.skipTest("no libslirp0 here")
        self.reactor = Turning()
        self.told: list[Message] = []
        self.happened: list[str] = []
        self.descriptors = open_descriptors()
        self.forker = Forker(
            self.reactor,
            ["--nat"],
            self.told.append,
            lambda: self.happened.append("there"),
            lambda: self.happened.append("gone"),
        )
        self.forker.start()
        self.addCleanup(self.forker.stop)

    def until(self, done: Callable[[], bool]) -> None:
        """Have the reactor read until something is so."""
        while not done():
            assert select.select(list(self.reactor.readers), [], [], PATIENCE)[0]
            self.reactor.settle()

    def pid(self) -> int:
        """The process that it has."""
        [pid] = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/stat")
            if path.read_text().rpartition(")")[2].split()[1] == str(os.getpid())
            and (path.parent / "comm").read_text() == "distnet-guests\n"
        ]
        return pid

    def fork(self) -> None:
        """Ask for a process of a guest that has gone already, and wait until it has ended."""
        before = len(self.told)
        frames, its_frames = pair()
        control, its_control = pair()
        listener, name = make_listener()
        with frames, its_frames, control, its_control, listener:
            its = its_frames.fileno(), its_control.fileno(), listener.fileno(), name
            self.assertTrue(self.forker.ask({"mac": "020000000040"}, *its))
        os.close(name)
        self.until(lambda: len(self.told) > before)
        self.assertEqual(self.told[-1]["status"], 0)

    def test_it_forks(self) -> None:
        """It is there at once, and tells what becomes of those that it is asked for."""
        self.assertEqual(self.happened, ["there"])
        self.assertTrue(self.forker.is_there)
        self.fork()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_killed(self) -> None:
        """One that has ended is said to, and another one takes its place."""
        self.fork()
        os.kill(self.pid(), signal.SIGKILL)
        with capturedLogs() as logged:
            self.until(lambda: self.happened == ["there", "gone"])
        self.assertEqual(
            [formatEvent(event) for event in logged],
            [
                "what forks guests' processes has ended (status -9), and is started again in 0.1 s",
            ],
        )
        self.assertFalse(self.forker.is_there)
        self.assertFalse(self.forker.ask({"mac": "020000000040"}))
        self.reactor.advance(FIRST_SECONDS)
        self.assertEqual(self.happened, ["there", "gone", "there"])
        self.fork()

    def test_stopped(self) -> None:
        """One that is stopped by a signal does not answer: it is killed for another one."""
        self.fork()
        os.kill(self.pid(), signal.SIGSTOP)
        self.assertTrue(self.forker.ask({"mac": "020000000040"}))
        self.reactor.advance(ANSWER_SECONDS)
        self.until(lambda: self.happened == ["there", "gone"])
        self.reactor.advance(FIRST_SECONDS)
        self.fork()

    def test_no_more(self) -> None:
        """Told to stop, it ends its process, and has nothing left of it."""
        self.fork()
        pid = self.pid()
        self.forker.stop()
        self.assertFalse(Path(f"/proc/{pid}").exists())
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(open_descriptors(), self.descriptors)
        self.assertEqual(self.happened, ["there"])


BUFFERS = """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.free(libc.malloc(1 << 20))
address = libc.malloc(1 << 18)
heap = [line.split()[0].split("-") for line in open("/proc/self/maps") if "[heap]" in line]
print(any(int(start, 16) <= address < int(end, 16) for start, end in heap))
"""
"""Says whether a large buffer is in the heap, once a larger one was freed."""


class EnvironmentTests(SynchronousTestCase):
    """What it is started with."""

    def test_buffers(self) -> None:
        """Buffers as large as libslirp's are mapped by themselves, whatever was freed before."""
        command = [sys.executable, "-c", BUFFERS]
        said = subprocess.check_output(command, env=os.environ | MALLOC, text=True)
        self.assertEqual(said, "False\n")
