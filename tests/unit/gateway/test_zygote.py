"""What forks guests' processes, and those, as real processes."""

from __future__ import annotations

import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from distnet._native import SWITCH
from distnet.gateway.channel import Channel, Message, pair
from distnet.gateway.forward import make_listener
from distnet.gateway.guest_process import DESCRIPTORS, MEMORY
from distnet.gateway.merge import batch_of
from distnet.gateway.segments import ACK, SYN
from tests.daemons import PATIENCE, ROOT
from tests.gateways import FrameGuest
from tests.suites import why_not_native

MAC = b"\2\0\0\0\0\x40"


class Process:
    """
    A guest's process, and the gateway's ends of what is between them.

    @ivar pid: its own.
    @ivar said: what it has said.
    """

    def __init__(self, zygote: Channel) -> None:
        self.frames, frames = pair()
        control, its_control = pair()
        self.channel = Channel(control)
        self.plug, plug = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        listener, name = make_listener()
        with frames, its_control, listener:
            descriptors = frames.fileno(), its_control.fileno(), listener.fileno(), name
            zygote.send({"mac": MAC.hex()}, *descriptors)
        os.close(name)
        self.said: list[Message] = []
        with plug:
            self.channel.send({"plug": True}, plug.fileno())
        self.pid: int = self.hear("up")["up"]

    def hear(self, word: str) -> Message:
        """The next message with a word."""
        while True:
            assert select.select([self.channel.socket], [], [], PATIENCE)[0], word
            received = self.channel.receive()
            assert received is not None, (word, self.said)
            self.said.append(received[0])
            if word in received[0]:
                return received[0]

    def give(self, frame: bytes) -> None:
        """A frame of the guest's."""
        self.frames.send(batch_of([frame]))

    def receive(self) -> bytes:
        """A frame for the guest."""
        assert select.select([self.plug], [], [], PATIENCE)[0]
        return self.plug.recv(2000)

    def has_ended(self) -> bool:
        """Whether it has."""
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Nobody wants it any more."""
        for sock in (self.frames, self.channel.socket, self.plug):
            sock.close()


class ZygoteTestCase(SynchronousTestCase):
    """
    A zygote.

    @cvar environment: what it has, besides what there is.
    @cvar words: its arguments.
    """

    environment: ClassVar[Mapping[str, str]] = {}
    words: ClassVar[Sequence[str]] = ()

    def setUp(self) -> None:
        """One that was started."""
        if find_library("slirp") is None:
            self.skipTest("no libslirp0 here")
        ours, its = pair()
        self.channel = Channel(ours)
        with its:
            self.zygote = subprocess.Popen(
                [sys.executable, "-m", "distnet.gateway.zygote", *self.words],
                stdin=its.fileno(),
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment},
            )
        assert self.zygote.stderr is not None
        self.addCleanup(self.zygote.stderr.close)
        self.addCleanup(self.zygote.wait)
        self.addCleanup(self.zygote.kill)
        self.addCleanup(self.channel.close)

    def started(self) -> Process:
        """A guest's process."""
        process = Process(self.channel)
        self.addCleanup(process.close)
        return process

    def told(self) -> Message:
        """What the zygote tells next, but for what it has forked."""
        while "forked" in (message := self._told()):
            pass
        return message

    def ended(self, *processes: Process) -> dict[int, int]:
        """How these have ended, by what the zygote tells."""
        told: dict[int, int] = {}
        while told.keys() < {process.pid for process in processes}:
            message = self.told()
            told[message["ended"]] = message["status"]
        return told

    def descriptors(self, pid: int) -> dict[int, str]:
        """Those of a process, and what they are."""
        return {
            int(each.name): str(each.readlink()).partition(":")[0]
            for each in Path(f"/proc/{pid}/fd").iterdir()
        }

    def _told(self) -> Message:
        assert select.select([self.channel.socket], [], [], PATIENCE)[0]
        received = self.channel.receive()
        if received is None:
            raise EOFError
        return received[0]


def free_numbers(descriptors: Iterable[int]) -> list[int]:
    """The numbers that the next descriptors have, those to come first."""
    taken = set(descriptors)
    return sorted(set(range(max(taken) + 6)) - taken)


class ForkingTests(ZygoteTestCase):
    """What forks."""

    def held(self, count: int) -> dict[int, str]:
        """Its descriptors, after it has refused a request with so many."""
        with open(os.devnull) as nowhere:
            self.channel.send({"mac": MAC.hex()}, *[nowhere.fileno()] * count)
        self.assertEqual(self.told(), {"failed": "Too many open files", "mac": MAC.hex()})
        # That it has refused another one shows that it is done with the first.
        self.channel.send({"mac": MAC.hex()})
        self.told()
        return self.descriptors(self.zygote.pid)

    def test_how_they_end(self) -> None:
        """It tells how each one has ended."""
        one, other = self.started(), self.started()
        os.kill(one.pid, signal.SIGKILL)
        self.assertEqual(self.told(), {"ended": one.pid, "status": -9})
        other.channel.send({"end": "enough", "reset": False})
        self.assertEqual(self.told(), {"ended": other.pid, "status": 0})

    def test_it_ends_with_its_socket(self) -> None:
        """It ends when nobody can ask it any more; those that it has forked go on."""
        process = self.started()
        self.channel.close()
        self.assertEqual(self.zygote.wait(PATIENCE), 0)
        self.assertFalse(process.has_ended())
        process.channel.send({"end": "enough", "reset": False})
        process.hear("bye")

    def test_signals_of_a_terminal(self) -> None:
        """Signals that go to all processes at once end neither: the gateway does that."""
        process = self.started()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(self.zygote.pid, number)
            os.kill(process.pid, number)
        other = self.started()
        for each in (process, other):
            each.channel.send({"end": "enough", "reset": False})
            each.hear("bye")

    def test_names(self) -> None:
        """They have names of their own, for ps(1)."""
        process = self.started()
        self.assertEqual(Path(f"/proc/{self.zygote.pid}/comm").read_text(), "distnet-guests\n")
        self.assertEqual(Path(f"/proc/{process.pid}/comm").read_text(), "distnet-guest\n")

    def test_without_descriptors(self) -> None:
        """A request that came without them is refused, and ends nothing."""
        self.channel.send({"mac": MAC.hex()})
        self.assertEqual(self.told(), {"failed": "Too many open files", "mac": MAC.hex()})
        self.started()

    def test_all_at_once(self) -> None:
        """Of those that end at the same time it tells each."""
        processes = [self.started() for _ in range(5)]
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
        statuses = self.ended(*processes)
        self.assertEqual(statuses, dict.fromkeys((each.pid for each in processes), -9))

    def test_killed(self) -> None:
        """When it is killed, the gateway sees so at once; those that it has forked go on."""
        process = self.started()
        # It may be slower than what it has forked.
        self.assertEqual(self._told(), {"forked": process.pid})
        self.zygote.kill()
        self.assertRaises(EOFError, self._told)
        process.channel.send({"there": True})
        process.hear("here")

    def test_one_is_not_held_by_another(self) -> None:
        """What goes on has nothing of one that has ended: its frames have nobody who reads them."""
        one, other = self.started(), self.started()
        one.channel.send({"end": "enough", "reset": False})
        self.assertEqual(self.ended(one), {one.pid: 0})
        with self.assertRaises(BrokenPipeError):
            one.give(b"a frame")
        other.channel.send({"there": True})
        other.hear("here")

    def test_its_own_descriptors(self) -> None:
        """Whatever it was asked for, it has as many descriptors afterwards as before."""
        self.started()
        before = self.held(0)
        self.assertEqual(self.held(3), before)
        processes = [self.started() for _ in range(3)]
        for process in processes:
            process.channel.send({"end": "enough", "reset": False})
        self.ended(*processes)
        self.assertEqual(self.held(0), before)

    def test_out_of_descriptors(self) -> None:
        """Without room for all that come with a request it refuses that, and goes on."""
        self.started()
        before = self.held(0)
        _, hard = resource.prlimit(self.zygote.pid, resource.RLIMIT_NOFILE)
        for most in free_numbers(before)[:4]:
            resource.prlimit(self.zygote.pid, resource.RLIMIT_NOFILE, (most, hard))
            self.assertEqual(self.held(4), before)
        resource.prlimit(self.zygote.pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.started()

    def test_one_that_fails(self) -> None:
        """What goes wrong in one that was forked ends that one."""
        with open(os.devnull) as nowhere:
            self.channel.send({"mac": "not in hex"}, *[nowhere.fileno()] * 4)
            failed = self._told()["forked"]
        self.assertEqual(self.told(), {"ended": failed, "status": 1})
        self.started()

    def test_what_is_no_request(self) -> None:
        """What cannot be understood ends it, with the reason: it is started again."""
        self.channel.socket.send(b"no JSON")
        assert self.zygote.stderr is not None
        self.assertIn(b"KeyError: 'mac'", self.zygote.stderr.read())
        self.assertEqual(self.zygote.wait(PATIENCE), 1)

    def test_it_tells_what_it_has_forked(self) -> None:
        """It tells of each process, so that it is seen to do something."""
        process = self.started()
        self.assertEqual(self._told(), {"forked": process.pid})


class GuestTests(ZygoteTestCase):
    """A guest's process."""

    def setUp(self) -> None:
        """One that was started, and its guest."""
        super().setUp()
        self.process = self.started()
        self.guest = FrameGuest(self.process.give, self.process.receive)

    def test_its_descriptors(self) -> None:
        """It has those that it needs, none of another's, nor of what has forked it."""
        another = self.started()
        its = self.descriptors(self.process.pid)
        self.assertEqual(its[0], os.devnull)
        kinds = [kind for number, kind in sorted(its.items()) if number > 2]
        # Its frames, its messages, its listener and the name of that; its loop, libslirp's, a plug;
        # and Python's loop, in the native one.
        self.assertEqual(kinds[:3], ["socket"] * 3)
        is_pure = why_not_native() or self.environment.get(SWITCH) == "0"
        loops = 2 if is_pure else 3
        self.assertEqual(sorted(kinds[4:]), ["anon_inode"] * loops + ["socket"])
        self.assertEqual(len(its), 8 + loops)
        self.assertNotEqual(another.pid, self.process.pid)

    def test_its_limits(self) -> None:
        """It has so many descriptors, and so much memory more than at its start."""
        limits = resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE)
        self.assertEqual(limits, (DESCRIPTORS, DESCRIPTORS))
        data, _ = resource.prlimit(self.process.pid, resource.RLIMIT_DATA)
        status = Path(f"/proc/{self.zygote.pid}/status").read_text()
        held = int(status.partition("VmData:")[2].split()[0]) * 1024
        self.assertLessEqual(abs(data - held - MEMORY), 4 << 20)

    def connect(self) -> None:
        """The guest connects, and its process asks where the master is."""
        self.guest.connect()
        self.process.hear("open")
        self.process.hear("find")

    def test_the_gateway_ends(self) -> None:
        """When the gateway has gone, its guest's connections are reset, and it ends."""
        self.connect()
        self.process.frames.close()
        self.process.channel.close()
        self.guest.until(lambda: self.guest.was_reset)
        self.assertEqual(self.told(), {"ended": self.process.pid, "status": 0})

    def test_the_gateway_reads_nothing_more(self) -> None:
        """So it is by the end of either of its sockets."""
        self.connect()
        self.process.channel.close()
        self.guest.until(lambda: self.guest.was_reset)
        self.assertEqual(self.told()["status"], 0)

    def test_it_takes_leave(self) -> None:
        """Told to end, it says what has ended, and good-bye last."""
        self.connect()
        self.process.channel.send({"end": "ended, for a test", "reset": True})
        self.process.hear("bye")
        words = [word for message in self.process.said for word in message]
        self.assertLess(words.index("over"), words.index("bye"))
        self.assertIn(
            "10.0.2.40 (02:00:00:00:00:40): ended, for a test",
            [message.get("log") for message in self.process.said],
        )
        self.guest.until(lambda: self.guest.was_reset)

    def test_an_exception(self) -> None:
        """A mistake of ours ends it with a line for the log that says where."""
        self.process.channel.send({"found": 1, "end": "no word on resets"})
        line = self.process.hear("log")
        self.assertIn("KeyError: 'reset'", line["log"])
        self.assertTrue(line["warn"])
        self.assertEqual(self.told(), {"ended": self.process.pid, "status": 1})

    def test_out_of_descriptors(self) -> None:
        """Without a descriptor left a connection waits, and is there after the guest's next try."""
        self.guest.tcp(SYN)
        self.guest.until(lambda: self.guest.acknowledged != 0)
        pid = self.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # One is for libslirp's end.
        most = free_numbers(self.descriptors(pid))[1]
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, hard))
        self.guest.tcp(ACK)
        line = self.process.hear("log")
        self.assertEqual(line["log"], "02:00:00:00:00:40: a connection waits: Too many open files")
        self.assertTrue(line["warn"])
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.guest.tcp(ACK, b"data")
        self.process.hear("open")
        self.process.hear("find")

    def test_fragments(self) -> None:
        """It puts a guest's packets together that come in fragments."""
        self.guest.cut_at = 8
        self.guest.tcp(SYN)
        self.guest.until(lambda: self.guest.acknowledged != 0)
        self.guest.tcp(ACK)
        self.process.hear("open")

    def test_whether_it_is_there(self) -> None:
        """It answers."""
        self.process.channel.send({"there": True})
        self.process.hear("here")

    def test_a_connection_of_before(self) -> None:
        """A segment of a connection that it has not is answered by a reset."""
        self.guest.tcp(ACK)
        while not self.guest.was_reset:
            self.guest.take(self.process.receive())

    def test_a_guest_that_has_answered(self) -> None:
        """It says so when its guest has answered something, and not before."""
        self.guest.tcp(SYN)
        self.guest.until(lambda: self.guest.acknowledged != 0)
        self.assertFalse(any("proven" in message for message in self.process.said))
        self.guest.tcp(ACK)
        self.process.hear("proven")


class PureForkingTests(ForkingTests):
    """What forks processes without native code."""

    environment: ClassVar[Mapping[str, str]] = {SWITCH: "0"}


class PureGuestTests(GuestTests):
    """A guest's process without native code."""

    environment: ClassVar[Mapping[str, str]] = {SWITCH: "0"}
