"""The event loop of a guest's process, with real descriptors."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from distnet.gateway.loop import Loop, Timer


class LoopTestCase(SynchronousTestCase):
    """A loop that ends, should nothing happen."""

    def setUp(self) -> None:
        """One that has begun."""
        self.loop = Loop()
        self.loop.begin()
        self.addCleanup(self.loop.close)
        self.loop.call_later(20, self.fail, "nothing has happened")
        self.seen: list[object] = []

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets."""
        ends = socket.socketpair()
        for end in ends:
            end.setblocking(False)
            self.addCleanup(end.close)
        return ends

    def see(self, what: object, *, until: int) -> Callable[[], None]:
        """What notes something, and stops the loop when so much was seen."""

        def note() -> None:
            self.seen.append(what)
            if len(self.seen) >= until:
                self.loop.stop()

        return note


class TimerTests(LoopTestCase):
    """Times."""

    def test_in_order(self) -> None:
        """Calls come in the order of their times, and those of one time as they were asked for."""
        for name, seconds in ("c", 0.02), ("a", 0.0), ("b", 0.01):
            self.loop.call_later(seconds, self.seen.append, name)
        self.loop.call_later(0.03, self.loop.stop)
        self.loop.run()
        self.assertEqual(self.seen, ["a", "b", "c"])

    def test_not_before(self) -> None:
        """No call comes before its time."""
        begin = self.loop.seconds()
        timer = self.loop.call_later(0.05, self.loop.stop)
        self.assertGreaterEqual(timer.when, begin + 0.05)
        self.loop.run()
        self.assertGreaterEqual(self.loop.seconds(), timer.when)

    def test_arguments(self) -> None:
        """They are called with what was given."""
        self.loop.call_later(0, lambda *words: self.seen.append(words), 1, "two")
        self.loop.call_later(0, self.loop.stop)
        self.loop.run()
        self.assertEqual(self.seen, [(1, "two")])

    def test_cancelled(self) -> None:
        """What was cancelled does not come, also by another call of the same moment."""
        timers = [self.loop.call_later(0, self.seen.append, number) for number in range(2)]
        timers[0].cancel()
        self.assertEqual([timer.active() for timer in timers], [False, True])
        later: list[Timer] = []

        def cancel() -> None:
            later[0].cancel()

        self.loop.call_later(0, cancel)
        later.append(self.loop.call_later(0, self.seen.append, 3))
        self.loop.call_later(0.01, self.loop.stop)
        self.loop.run()
        self.assertEqual(self.seen, [1])
        self.assertFalse(timers[1].active())
        # It has come: that is harmless.
        timers[1].cancel()

    def test_what_a_call_adds(self) -> None:
        """What a call adds for now has its turn after descriptors had theirs: none starve."""
        near, far = self.pair()
        far.send(b"data")

        def again() -> None:
            self.seen.append("timer")
            self.loop.call_later(0, again)

        self.loop.call_later(0, again)
        self.loop.add_reader(near.fileno(), self.loop.stop)
        self.loop.run()
        self.assertLessEqual(len(self.seen), 2)

    def test_without_any(self) -> None:
        """Without a call that is to come it waits for descriptors alone."""
        loop = Loop()
        loop.begin()
        self.addCleanup(loop.close)
        near, far = self.pair()
        loop.add_reader(near.fileno(), loop.stop)
        loop.call_later(0, far.send, b"data")
        loop.call_later(60, self.fail).cancel()
        loop.run()


class DescriptorTests(LoopTestCase):
    """Descriptors."""

    def test_readable(self) -> None:
        """Its call comes as long as there is something to read."""
        near, far = self.pair()
        far.send(b"abc")

        def read() -> None:
            self.seen.append(near.recv(1))
            if len(self.seen) == 3:
                self.loop.call_later(0.01, self.loop.stop)

        self.loop.add_reader(near.fileno(), read)
        self.loop.run()
        self.assertEqual(self.seen, [b"a", b"b", b"c"])

    def test_both(self) -> None:
        """One can be waited for both ways, and for either alone thereafter."""
        near, far = self.pair()
        far.send(b"data")
        self.loop.add_reader(near.fileno(), self.see("read", until=2))
        self.loop.add_writer(near.fileno(), self.see("write", until=2))
        self.loop.run()
        self.assertEqual(self.seen, ["read", "write"])
        self.loop.remove_reader(near.fileno())
        self.loop.run()
        self.assertEqual(self.seen, ["read", "write", "write"])
        self.loop.remove_writer(near.fileno())
        self.loop.add_reader(near.fileno(), self.see("read", until=1))
        self.loop.run()
        self.assertEqual(self.seen[3:], ["read"])

    def test_another_call(self) -> None:
        """The last call for a descriptor is the one that counts."""
        near, far = self.pair()
        far.send(b"data")
        self.loop.add_reader(near.fileno(), self.fail)
        self.loop.add_reader(near.fileno(), self.see("other", until=1))
        self.loop.run()
        self.assertEqual(self.seen, ["other"])

    def test_removed_by_another(self) -> None:
        """One that another's call gives up in the same round is not called."""
        ends = [self.pair() for _ in range(5)]
        for near, far in ends:
            far.send(b"data")

            def readable(near: socket.socket = near) -> None:
                self.seen.append(near)
                for other, _ in ends:
                    if other is not near:
                        self.loop.remove_reader(other.fileno())
                        other.close()
                self.loop.stop()

            self.loop.add_reader(near.fileno(), readable)
        self.loop.run()
        self.assertEqual(len(self.seen), 1)

    def test_written_by_none_after_it_was_read(self) -> None:
        """One that its own call for reading gives up is not called for writing."""
        near, far = self.pair()
        far.send(b"data")

        def readable() -> None:
            self.loop.remove_reader(near.fileno())
            self.loop.remove_writer(near.fileno())
            near.close()
            self.loop.stop()

        self.loop.add_reader(near.fileno(), readable)
        self.loop.add_writer(near.fileno(), self.fail)
        self.loop.run()

    def test_hang_up(self) -> None:
        """The end of the other side is told to who waits, to read or to write."""
        near, far = self.pair()
        self.loop.add_reader(near.fileno(), self.see("read", until=1))
        far.close()
        self.loop.run()
        reading, writing = os.pipe()
        self.addCleanup(os.close, writing)
        while True:
            try:
                os.set_blocking(writing, False)
                os.write(writing, bytes(65536))
            except BlockingIOError:
                break
        self.loop.remove_reader(near.fileno())
        self.loop.add_writer(writing, self.see("write", until=2))
        # EPOLLERR, and no room.
        os.close(reading)
        self.loop.run()
        self.assertEqual(self.seen, ["read", "write"])

    def test_refused(self) -> None:
        """So is an error, of a connection that is refused."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            where = nobody.getsockname()
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.connect_ex(where)
            self.loop.add_writer(sock.fileno(), self.loop.stop)
            self.loop.run()
            self.assertNotEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
            self.loop.remove_writer(sock.fileno())

    def test_what_is_not_waited_for(self) -> None:
        """To remove what is not there does no harm, nor one that is closed."""
        near, _ = self.pair()
        self.loop.remove_reader(near.fileno())
        self.loop.remove_writer(near.fileno())
        near.close()
        self.loop.remove_reader(near.fileno())

    def test_an_exception(self) -> None:
        """An exception of a call is who runs the loop's."""
        near, far = self.pair()
        far.send(b"data")

        def fail() -> None:
            raise ZeroDivisionError

        self.loop.add_reader(near.fileno(), fail)
        self.assertRaises(ZeroDivisionError, self.loop.run)
        self.loop.remove_reader(near.fileno())
        self.loop.call_later(0, fail)
        self.assertRaises(ZeroDivisionError, self.loop.run)
