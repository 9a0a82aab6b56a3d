"""Guests' processes, as the gateway has them. The test is what forks, and the processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway import child as child_module
from distnet.gateway import children as children_module
from distnet.gateway.channel import MAX_DESCRIPTORS, Channel, Message
from distnet.gateway.child import END_SECONDS, STUCK_SECONDS, Child
from distnet.gateway.children import (
    AGAIN_SECONDS,
    MOST_UNPROVEN,
    MOST_UNPROVEN_SECONDS,
    RETRY_SECONDS,
    STOP_SECONDS,
    UNPROVEN_SECONDS,
    Children,
    What,
)
from distnet.gateway.forker import ANSWER_SECONDS
from distnet.gateway.merge import LONGEST_BATCH, frames_of
from distnet.gateway.newcomers import MOST_WAITING, WAITING_SECONDS
from distnet.gateway.restarts import FIRST_SECONDS
from distnet.gateway.state import Flow
from tests.unit.gateway.limits import no_descriptor_left, open_descriptors
from tests.unit.gateway.reactors import Turning

ADDRESS = b"\x0a\0\2\x0f"
OPEN: Message = {"open": [ADDRESS.hex(), 4000]}
OVER: Message = {"over": [ADDRESS.hex(), 4000]}


def mac(number: int) -> bytes:
    """A guest's."""
    return b"\2\0\0\0" + number.to_bytes(2)


class Process:
    """
    A guest's process: its ends of what is between it and the gateway.

    @ivar told: what it was told.
    """

    def __init__(self, mac: str, descriptors: list[int]) -> None:
        self.mac = bytes.fromhex(mac)
        frames, control, listener, name = descriptors
        self.frames, self.listener = socket.socket(fileno=frames), socket.socket(fileno=listener)
        self.channel = Channel(socket.socket(fileno=control))
        for sock in (self.frames, self.channel.socket):
            sock.setblocking(False)
        os.close(name)

    def told(self) -> list[Message]:
        """What it was told since it was asked last."""
        messages = []
        with contextlib.suppress(BlockingIOError):
            while (received := self.channel.receive()) is not None:
                message, descriptors = received
                messages.append(message | {"descriptors": len(descriptors)})
                for descriptor in descriptors:
                    os.close(descriptor)
        return messages

    def is_told_to_end(self) -> bool:
        """Whether it was told to end."""
        return any("end" in message or "make_room" in message for message in self.told())

    def got(self) -> list[bytes]:
        """The frames that it was given."""
        frames: list[bytes] = []
        with contextlib.suppress(BlockingIOError):
            while batch := self.frames.recv(LONGEST_BATCH):
                frames += frames_of(batch)
        return frames

    def say(self, *messages: Message) -> None:
        """Tell the gateway something."""
        for message in messages:
            assert self.channel.send(message)

    def end(self) -> None:
        """It has ended."""
        self.frames.close()
        self.listener.close()
        self.channel.close()


class Zygote:
    """What forks, as Popen starts it."""

    def __init__(self, command: list[str], stdin: int) -> None:
        self.command = command
        self.answers = True
        self.channel = Channel(socket.socket(fileno=os.dup(stdin)))
        self.channel.socket.setblocking(False)

    def asked(self) -> list[Process]:
        """The processes that it was asked for since then."""
        processes = []
        with contextlib.suppress(BlockingIOError):
            while (received := self.channel.receive()) is not None:
                asked, descriptors = received
                assert len(descriptors) == MAX_DESCRIPTORS
                if self.answers:
                    self.channel.send({"forked": 1000})
                processes.append(Process(asked["mac"], descriptors))
        return processes

    def kill(self) -> None:
        """End it."""
        self.channel.close()

    def wait(self, timeout: float | None = None) -> int:
        """It has ended."""
        self.channel.close()
        return -9


class Parent:
    """What happened, in order."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def started(self, child: Child) -> None:
        """That is seen otherwise."""

    def find(self, child: Child, number: int, address: bytes) -> None:
        """Asked."""
        self.seen.append(("find", number, address))

    def opened(self, child: Child, address: bytes, port: int) -> None:
        """Opened."""
        self.seen.append(("opened", address, port))

    def closed(self, child: Child, address: bytes, port: int) -> None:
        """Closed."""
        self.seen.append(("closed", address, port))

    def let_in(self, child: Child, flow: Flow) -> None:
        """Let in."""
        self.seen.append(("let in", flow))

    def let_none_in(self, child: Child) -> None:
        """None is left."""
        self.seen.append(("none in", child.mac))

    def gone(self, child: Child, expected: bool) -> None:
        """Gone, with so many connections."""
        self.seen.append(("gone", child.mac, expected, len(child.open)))


class ChildrenTestCase(SynchronousTestCase):
    """The gateway's side, whose zygote is the test."""

    def setUp(self) -> None:
        """One that was started."""
        self.zygotes: list[Zygote] = []
        self.killed: list[int] = []
        # Few tests are about processes that take nothing.
        unread = child_module._unread
        self.reads = True
        self.patch(child_module, "_unread", lambda sock: 0 if self.reads else unread(sock))
        self.patch(subprocess, "Popen", self.popen)
        self.patch(os, "kill", lambda pid, number: self.killed.append(pid))
        self.reactor = Turning()
        self.parent = Parent()
        self.children = Children(self.reactor, What(), self.parent)
        self.children.start()
        self.processes: dict[bytes, Process] = {}

    def tearDown(self) -> None:
        """Nothing stays open."""
        for process in self.processes.values():
            process.end()
        for zygote in self.zygotes:
            zygote.channel.close()
        for child in list(self.children.running.values()):
            child._end()

    def popen(self, command: list[str], stdin: int, env: object) -> Zygote:
        """Start a zygote."""
        self.zygotes.append(Zygote(command, stdin))
        return self.zygotes[-1]

    def asked(self) -> list[Process]:
        """The processes that the newest zygote was asked for."""
        processes = self.zygotes[-1].asked()
        self.reactor.settle()
        self.processes.update((each.mac, each) for each in processes)
        return processes

    def started(self, number: int = 1, *, pid: int | None = 1000) -> tuple[Child, Process]:
        """A guest with a process, which has told its pid."""
        self.children.input(mac(number), b"a frame")
        (process,) = self.asked()
        if pid is not None:
            process.say({"up": pid})
            self.reactor.settle()
        return self.children.running[mac(number)], process


class NurseryTests(ChildrenTestCase):
    """How many there are, and which guests get one."""

    def test_the_first_frames(self) -> None:
        """A guest's process is told of the plug first, and has the frame that began it all."""
        with socket.socket() as plug:
            self.children.plugged(plug)
            self.children.input(mac(1), b"one")
            self.children.input(mac(1), b"two")
            (process,) = self.asked()
            self.assertEqual(process.mac, mac(1))
            self.assertEqual(process.told(), [{"plug": True, "descriptors": 1}])
            self.assertEqual(process.got(), [b"one", b"two"])
            self.children.plugged(None)
        self.assertEqual(process.told(), [{"plug": False, "descriptors": 0}])

    def test_a_nursery(self) -> None:
        """Anybody can make up guests; so many have a process, and the others wait."""
        for number in range(MOST_UNPROVEN + 3):
            self.children.input(mac(number), b"SYN")
        self.assertEqual([each.mac for each in self.asked()], list(map(mac, range(MOST_UNPROVEN))))
        self.reactor.advance(UNPROVEN_SECONDS / 2)
        self.assertEqual(self.asked(), [])

    def test_those_that_answer_make_room(self) -> None:
        """A guest that has answered is none of them any more, and one that waits is next."""
        for number in range(MOST_UNPROVEN + 2):
            self.children.input(mac(number), b"SYN")
        self.asked()
        self.processes[mac(3)].say({"proven": True})
        self.processes[mac(4)].say(OPEN)
        self.reactor.settle()
        # Who came last is there, more likely than others.
        waited = [mac(MOST_UNPROVEN + 1), mac(MOST_UNPROVEN)]
        self.assertEqual([each.mac for each in self.asked()], waited)
        self.assertEqual(len(self.children.running), MOST_UNPROVEN + 2)

    def test_those_that_do_not_answer_in_time(self) -> None:
        """While others wait the oldest has little time; it has more as long as nobody does."""
        for number in range(MOST_UNPROVEN):
            self.children.input(mac(number), b"SYN")
        self.asked()
        self.reactor.advance(MOST_UNPROVEN_SECONDS - 0.1)
        self.assertFalse(any(each.is_told_to_end() for each in self.processes.values()))
        self.children.input(mac(100), b"SYN")
        self.assertEqual([each.mac for each in self.asked()], [mac(100)])
        ended = [each.mac for each in self.processes.values() if each.is_told_to_end()]
        self.assertEqual(ended, [mac(0)])
        self.reactor.advance(0.1)
        ended = [each.mac for each in self.processes.values() if each.is_told_to_end()]
        self.assertEqual(ended, list(map(mac, range(1, MOST_UNPROVEN))))

    def test_as_soon_as_there_is_room(self) -> None:
        """One that waits is started as soon as the oldest has had its time."""
        for number in range(MOST_UNPROVEN + 1):
            self.children.input(mac(number), b"SYN")
        self.asked()
        self.reactor.advance(UNPROVEN_SECONDS)
        self.assertEqual([each.mac for each in self.asked()], [mac(MOST_UNPROVEN)])
        self.assertTrue(self.processes[mac(0)].is_told_to_end())

    def test_a_flood(self) -> None:
        """Of guests that wait not each costs another call of the reactor's."""
        now, later = self.reactor.seconds, self.reactor.callLater
        passed = itertools.count()
        called: list[float] = []

        def call_later(seconds: float, call: Any) -> Any:
            if call == self.children._go_on:
                called.append(seconds)
            return later(seconds, call)

        self.patch(self.reactor, "seconds", lambda: now() + next(passed) * 1e-6)
        self.patch(self.reactor, "callLater", call_later)
        for number in range(MOST_UNPROVEN + 100):
            self.children.input(mac(number), b"SYN")
        self.assertLessEqual(len(called), 2)

    def test_the_last_frames_of_those_that_wait(self) -> None:
        """Of a guest that waits only the last few frames are kept."""
        for number in range(MOST_UNPROVEN):
            self.children.input(mac(number), b"SYN")
        for number in range(10):
            self.children.input(mac(100), b"%d" % number)
        self.reactor.advance(UNPROVEN_SECONDS)
        self.asked()
        self.assertEqual(self.processes[mac(100)].got(), [b"6", b"7", b"8", b"9"])

    def test_so_many_wait(self) -> None:
        """No more than so many wait; those that came first are forgotten."""
        for number in range(MOST_UNPROVEN + MOST_WAITING + 5):
            self.children.input(mac(number), b"SYN")
        waiting = list(self.children._newcomers)
        self.assertEqual(len(waiting), MOST_WAITING)
        self.assertEqual(waiting[0], mac(MOST_UNPROVEN + 5))

    def test_those_that_have_gone_while_they_waited(self) -> None:
        """Whoever was not heard for so long is not waited for: of a flood nothing is left then."""
        for number in range(MOST_UNPROVEN + 50):
            self.children.input(mac(number), b"SYN")
        self.asked()
        # The newest of them gets the first room that there is, one that goes on sending the second.
        self.reactor.advance(UNPROVEN_SECONDS)
        self.assertEqual([each.mac for each in self.asked()], list(map(mac, range(59, 49, -1))))
        self.children.input(mac(20), b"SYN")
        self.reactor.advance(WAITING_SECONDS - UNPROVEN_SECONDS)
        self.assertEqual(list(self.children._newcomers), [mac(20)])
        self.reactor.advance(2 * UNPROVEN_SECONDS - WAITING_SECONDS)
        self.assertEqual([each.mac for each in self.asked()], [mac(20)])
        self.assertEqual(self.processes[mac(20)].got(), [b"SYN", b"SYN"])
        self.reactor.advance(10 * MOST_UNPROVEN_SECONDS)
        self.assertEqual(self.asked(), [])

    def test_so_many_guests(self) -> None:
        """There is a limit to all; the log says so once, and whoever leaves makes room."""
        self.patch(children_module, "MOST_CHILDREN", 3)
        with capturedLogs() as events:
            for number in range(5):
                self.children.input(mac(number), b"SYN")
        self.assertEqual(len(self.asked()), 3)
        self.assertEqual(len(events), 1)
        self.assertIn("there are 3 guests", formatEvent(events[0]))
        self.processes[mac(1)].end()
        self.reactor.settle()
        self.assertEqual([each.mac for each in self.asked()], [mac(4)])

    def test_no_descriptor(self) -> None:
        """Without descriptors none is started, nothing stays open, and it is tried again."""
        before = set(Path("/tmp").glob("distnet-gateway-*"))
        held = open_descriptors()
        for but in range(6):
            with no_descriptor_left(but), capturedLogs():
                self.children.input(mac(but), b"SYN")
        self.assertEqual(open_descriptors(), held)
        self.assertEqual(set(Path("/tmp").glob("distnet-gateway-*")), before)
        self.assertEqual(self.children.running, {})
        self.reactor.advance(RETRY_SECONDS)
        self.assertEqual(len(self.asked()), 6)


class EndingTests(ChildrenTestCase):
    """How they end."""

    def test_good_bye(self) -> None:
        """One that takes leave has ended as expected."""
        _, process = self.started()
        process.say(OPEN, OVER, {"bye": True, "dropped": {}})
        process.end()
        self.reactor.settle()
        self.assertEqual(
            self.parent.seen,
            [("opened", ADDRESS, 4000), ("closed", ADDRESS, 4000), ("gone", mac(1), True, 0)],
        )
        self.assertEqual(self.children.running, {})

    def test_ways_in(self) -> None:
        """What it tells of connections from ports of this machine is passed on."""
        _, process = self.started()
        process.say({"in": [[ADDRESS.hex(), 22], ["0a000202", 5000]]}, {"none_in": True})
        self.reactor.settle()
        flow = Flow(mac(1), ADDRESS, 22, b"\x0a\0\2\2", 5000)
        self.assertEqual(self.parent.seen, [("let in", flow), ("none in", mac(1))])

    def test_without_good_bye(self) -> None:
        """One that does not was killed; the log says how, as what has forked it tells."""
        _, process = self.started(pid=77)
        process.say(OPEN)
        process.end()
        with capturedLogs() as events:
            self.reactor.settle()
            self.assertEqual(self.parent.seen[-1], ("gone", mac(1), False, 1))
            self.assertEqual(events, [])
            self.zygotes[0].channel.send({"ended": 77, "status": -9})
            self.reactor.settle()
        self.assertIn("02:00:00:00:00:01: its process has ended by SIGKILL", formatEvent(events[0]))

    def test_told_before(self) -> None:
        """It is said once, whichever comes first."""
        _, process = self.started(pid=77)
        self.zygotes[0].channel.send({"ended": 77, "status": 1})
        with capturedLogs() as events:
            self.reactor.settle()
            process.end()
            self.reactor.settle()
        self.assertEqual(len(events), 1)
        self.assertIn("with status 1", formatEvent(events[0]))
        self.assertEqual(self.children._statuses, {})

    def test_after_what_has_forked_it(self) -> None:
        """If nobody is left to tell how, the log says that it has ended all the same."""
        _, first = self.started(1, pid=77)
        _, second = self.started(2, pid=78)
        with capturedLogs() as events:
            first.end()
            self.reactor.settle()
            self.zygotes[0].channel.close()
            self.reactor.settle()
            second.end()
            self.reactor.settle()
        lines = [line for line in map(formatEvent, events) if line and "its process" in line]
        self.assertEqual(
            lines,
            [
                f"02:00:00:00:00:0{n}: its process has ended: its connections are reset"
                for n in "12"
            ],
        )
        self.assertEqual(self.children._statuses, {})

    def test_idle(self) -> None:
        """One that is idle may end, unless its guest has just connected, or it is needed."""
        child, process = self.started()
        child.pinned = True
        process.say({"idle": True})
        self.reactor.settle()
        child.pinned = False
        process.say(OPEN, {"idle": True})
        self.reactor.settle()
        self.assertFalse(process.is_told_to_end())
        process.say(OVER, {"idle": True})
        self.reactor.settle()
        (told,) = process.told()
        # If its guest connects in this moment, there is something to reset.
        self.assertEqual(told, {"end": "is idle", "reset": True, "descriptors": 0})

    def test_one_that_does_not_end(self) -> None:
        """One that was told to end and does not is killed, and its guest is asked."""
        child, process = self.started(pid=77)
        process.say(OPEN)
        self.reactor.settle()
        child.end("has left", reset=False)
        self.reactor.advance(END_SECONDS / 2)
        self.assertEqual(self.killed, [])
        self.reactor.advance(END_SECONDS / 2)
        self.assertEqual(self.killed, [77])
        process.end()
        with capturedLogs() as events:
            self.reactor.settle()
        self.assertEqual(events, [])
        self.assertEqual(self.parent.seen[-1], ("gone", mac(1), False, 1))

    def test_one_that_ends_in_time(self) -> None:
        """Nobody kills what has ended: its number may be another's."""
        child, process = self.started(pid=77)
        child.end("has left", reset=False)
        process.say({"bye": True, "dropped": {}})
        process.end()
        self.reactor.settle()
        self.reactor.advance(END_SECONDS)
        child.kill()
        for _ in range(3):
            child.tell({"found": 1})
            child.input(b"late")
            self.reactor.advance(2 * STUCK_SECONDS)
        self.assertEqual(self.killed, [])

    def test_one_that_never_was(self) -> None:
        """One that was asked for and is not there makes room, too."""
        child, _ = self.started(pid=None)
        child.end("has not answered", reset=True)
        self.reactor.advance(END_SECONDS)
        self.assertEqual(self.children.running, {})
        self.assertEqual(self.killed, [])

    def test_many_frames_at_once(self) -> None:
        """Any number reach it, in their order; those that it does not take are counted."""
        child, process = self.started()
        process.got()
        frames = [b"%d" % number for number in range(100)]
        child.input(*frames)
        self.assertEqual(process.got(), frames)
        while not child.dropped:
            child.input(*frames[:20])
        self.assertEqual(child.dropped.total(), 20)

    def test_stuck(self) -> None:
        """One that takes nothing for long while there is something is killed, unexpectedly."""
        child, process = self.started(pid=77)
        process.say(OPEN)
        self.reactor.settle()
        while not child.dropped:
            child.input(b"frame")
        self.reactor.advance(STUCK_SECONDS)
        child.input(b"frame")
        self.assertEqual(self.killed, [])
        self.reactor.advance(0.1)
        with capturedLogs() as events:
            child.input(b"frame")
            child.input(b"frame")
        self.assertEqual(self.killed, [77])
        self.assertEqual(len(events), 1)
        self.assertIn("does nothing any more", formatEvent(events[0]))
        process.end()
        self.reactor.settle()
        self.assertEqual(self.parent.seen[-1], ("gone", mac(1), False, 1))

    def test_stopped(self) -> None:
        """One that takes nothing is asked, and killed if it does not answer."""
        self.reads = False
        child, process = self.started(pid=77)
        child.input(b"frame")
        self.reactor.advance(STUCK_SECONDS)
        self.assertEqual([set(each) - {"descriptors"} for each in process.told()[1:]], [{"there"}])
        with capturedLogs() as events:
            self.reactor.advance(STUCK_SECONDS)
        self.assertEqual(self.killed, [77])
        self.assertIn("does nothing any more", formatEvent(events[0]))

    def test_one_that_answers(self) -> None:
        """One that answers, or takes what there was for it after all, is there."""
        self.reads = False
        child, process = self.started(pid=77)
        child.input(b"frame")
        process.say({"proven": True})
        self.reactor.settle()
        for _ in range(3):
            self.reactor.advance(STUCK_SECONDS)
            self.assertEqual(len([each for each in process.told() if "there" in each]), 1)
            process.say({"here": True})
            self.reactor.settle()
        process.got()
        self.reactor.advance(STUCK_SECONDS)
        # And nobody looks any more while nothing is sent to it.
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.killed, [])

    def test_busy(self) -> None:
        """One that goes on is only busy, however long that lasts."""
        child, process = self.started(pid=77)
        process.say(OPEN)
        self.reactor.settle()
        for _ in range(3):
            while not child.dropped:
                child.input(b"frame")
            child.dropped.clear()
            process.got()
            child.input(b"frame")
            self.reactor.advance(STUCK_SECONDS + 1)
        self.assertEqual(self.killed, [])

    def test_an_exception(self) -> None:
        """After a mistake of ours with one of them, that one is ended, and its guest is asked."""
        child, _ = self.started(pid=77)
        child.connectionLost(Failure(KeyError("no such thing")))
        self.assertEqual(self.killed, [77])
        self.assertEqual(self.parent.seen, [("gone", mac(1), False, 0)])
        # As the reactor does, after it has closed its descriptor.
        child.connectionLost(Failure(KeyError("no such thing")))
        self.assertEqual(len(self.parent.seen), 1)


class StoppingTests(ChildrenTestCase):
    """The gateway ends."""

    def test_all_end(self) -> None:
        """All are told, with a reset for their guests; it is over when all have ended."""
        processes = [self.started(number, pid=number)[1] for number in (1, 2)]
        stopped = self.children.stop("the gateway stops")
        for process in processes:
            self.assertNoResult(stopped)
            self.assertIn(
                {"end": "the gateway stops", "reset": True, "descriptors": 0}, process.told()
            )
            process.say({"bye": True, "dropped": {}})
            process.end()
            self.reactor.settle()
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(self.reactor.readers, set())

    def test_without_any(self) -> None:
        """It is over at once, though one waited to be tried again."""
        for number in range(MOST_UNPROVEN + 1):
            self.children.input(mac(number), b"SYN")
        for process in self.asked():
            process.end()
        self.children.running.clear()
        self.successResultOf(self.children.stop("the gateway stops"))
        for child in list(self.reactor.readers):
            child._end()

    def test_those_that_do_not_end(self) -> None:
        """What does not end is killed, and not waited for."""
        self.started(1, pid=77)
        stopped = self.children.stop("the gateway stops")
        self.reactor.advance(STOP_SECONDS)
        self.assertEqual(self.killed, [77])
        self.successResultOf(stopped)

    def test_none_is_started(self) -> None:
        """Whoever comes then gets none."""
        self.children.stop("the gateway stops")
        self.children.input(mac(1), b"SYN")
        self.assertEqual(self.children.running, {})
        self.assertEqual(len(self.zygotes), 1)


class ForkerTests(ChildrenTestCase):
    """What forks ends."""

    def lose(self) -> list[str]:
        """It ends; what the log says."""
        self.zygotes[-1].channel.close()
        with capturedLogs() as events:
            self.reactor.settle()
        return [formatEvent(event) for event in events]

    def test_started_again(self) -> None:
        """It is started again, later each time, and guests that waited get their processes."""
        (line,) = self.lose()
        self.assertIn("has ended (status -9), and is started again in 0.1 s", line)
        self.children.input(mac(1), b"SYN")
        self.assertEqual(self.children.running, {})
        self.reactor.advance(FIRST_SECONDS)
        self.assertEqual(len(self.zygotes), 2)
        self.assertEqual([each.got() for each in self.asked()], [[b"SYN"]])
        self.assertIn("in 0.2 s", self.lose()[0])

    def test_others_go_on(self) -> None:
        """Those that it has forked go on, and are given their frames."""
        child, process = self.started()
        self.lose()
        process.got()
        child.input(b"more")
        self.assertEqual(process.got(), [b"more"])

    def test_stopped_meanwhile(self) -> None:
        """It is not started again once the gateway stops."""
        self.lose()
        self.children.stop("the gateway stops")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cannot_be_started(self) -> None:
        """If it cannot be, it is tried again, and nothing stays open."""

        def fail(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.lose()
        before = open_descriptors()
        self.patch(subprocess, "Popen", fail)
        with capturedLogs() as events:
            self.reactor.advance(FIRST_SECONDS)
        self.assertIn("cannot be started (Permission denied)", formatEvent(events[0]))
        self.assertEqual(open_descriptors(), before)
        with no_descriptor_left(), capturedLogs() as events:
            self.reactor.advance(2 * FIRST_SECONDS)
        self.assertIn("cannot be started (Too many open files)", formatEvent(events[0]))
        self.patch(subprocess, "Popen", self.popen)
        self.reactor.advance(4 * FIRST_SECONDS)
        self.assertEqual(len(self.zygotes), 2)

    def test_it_does_nothing(self) -> None:
        """If it does not answer in time another one is started, and guests get their processes."""
        self.zygotes[0].answers = False
        self.children.input(mac(1), b"SYN")
        self.reactor.advance(ANSWER_SECONDS / 2)
        self.children.input(mac(2), b"SYN")
        for process in self.asked():
            process.end()
        with capturedLogs() as events:
            self.reactor.advance(ANSWER_SECONDS / 2)
            self.reactor.settle()
        lines = [formatEvent(event) for event in events]
        self.assertIn("does nothing any more", lines[0])
        self.assertEqual(len(lines), 2)
        self.assertEqual(self.children.running, {})
        self.reactor.advance(FIRST_SECONDS)
        self.children.input(mac(2), b"SYN")
        self.assertEqual([each.mac for each in self.asked()], [mac(2)])

    def test_it_answers(self) -> None:
        """As long as it answers the others may take their time."""
        self.zygotes[0].answers = False
        for number in range(4):
            self.children.input(mac(number), b"SYN")
        for process in self.asked():
            self.reactor.advance(ANSWER_SECONDS - 1)
            self.zygotes[0].channel.send({"forked": 1000})
            self.reactor.settle()
            process.end()
        self.reactor.advance(ANSWER_SECONDS)
        self.reactor.settle()
        self.assertEqual(len(self.zygotes), 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cannot_fork(self) -> None:
        """That it cannot fork is said."""
        _, process = self.started(pid=None)
        self.zygotes[0].channel.send({"failed": "Cannot allocate memory", "mac": mac(1).hex()})
        process.end()
        with capturedLogs() as events:
            self.reactor.settle()
        self.assertIn("no process for a guest: Cannot allocate memory", formatEvent(events[0]))
        self.assertEqual(self.children.running, {})
        for seconds, times in ((0, 0), (AGAIN_SECONDS, 1)):
            self.reactor.advance(seconds)
            self.zygotes[0].channel.send({"failed": "Cannot allocate memory", "mac": mac(2).hex()})
            with capturedLogs() as events:
                self.reactor.settle()
            said = [formatEvent(event) or "" for event in events]
            self.assertEqual(sum("Cannot allocate memory" in line for line in said), times)

    def test_what_it_is_told(self) -> None:
        """It is told what is the same for all guests."""
        other = Children(self.reactor, What(nat=True, fixed=frozenset({ADDRESS})), self.parent)
        other.start()
        self.assertEqual(self.zygotes[-1].command[-2:], ["--nat", ADDRESS.hex()])
        other.stop("")
