"""Sockets that somebody else has opened, and passes on."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from distnet.sockets import systemd
from distnet.sockets.listen import Listener, listen, stop_listening
from distnet.sockets.quiet import QuietFactory
from distnet.sockets.systemd import NotPassed, adopt, find


def variables(count: int = 2, **more: str) -> dict[str, str]:
    """What systemd puts into the environment of this process."""
    return {"LISTEN_FDS": str(count), "LISTEN_PID": str(os.getpid()), **more}


class FindTests(SynchronousTestCase):
    """L{find}"""

    def refuses(self, said: str, arguments: dict[str, str], passed: dict[str, str]) -> None:
        """There is none, with a reason in which something is said."""
        self.assertIn(said, str(self.assertRaises(NotPassed, find, arguments, passed)))

    def test_found(self) -> None:
        """By number from 0 on, or by name."""
        passed = variables(LISTEN_FDNAMES="kernels:tools")
        for arguments, descriptor in (
            ({"index": "0"}, 3), ({"index": "1"}, 4), ({"name": "kernels"}, 3),
            ({"name": "tools"}, 4),
        ):  # fmt: skip
            self.assertEqual(find({"domain": "UNIX", **arguments}, passed), descriptor)

    def test_without_names(self) -> None:
        """What passes them may give them no names: then they have numbers all the same."""
        self.assertEqual(find({"domain": "INET", "index": "1"}, variables()), 4)
        self.refuses("'unknown', 'unknown'", {"domain": "INET", "name": "a"}, variables())

    def test_none(self) -> None:
        """That none was passed is told from too few of them, and from those of another process."""
        first = {"domain": "INET6", "index": "0"}
        self.refuses("no socket to this process (LISTEN_FDS)", first, {})
        self.refuses("no socket to this process (LISTEN_FDS)", first, variables(0))
        self.refuses("2 sockets", {"domain": "INET6", "index": "2"}, variables())
        others = {**variables(), "LISTEN_PID": "1"}
        self.refuses("are for process 1 (LISTEN_PID)", first, others)
        self.refuses("are for process ? (LISTEN_PID)", first, {"LISTEN_FDS": "1"})

    def test_mistakes(self) -> None:
        """What does not say which, or of no domain, is a mistake of whoever has written it."""
        for arguments in (
            {"index": "0"}, {"domain": "AX25", "index": "0"}, {"domain": "INET"},
            {"domain": "INET", "index": "0", "name": "a"}, {"domain": "INET", "index": "x"},
        ):  # fmt: skip
            self.assertRaises(ValueError, find, arguments, variables())


class AdoptTests(SynchronousTestCase):
    """L{adopt}: what is not as systemd would have made it is refused."""

    def setUp(self) -> None:
        """A reactor that never runs, and a descriptor that is passed."""
        self.reactor = MemoryReactorClock()
        self.factory = QuietFactory(Protocol)
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(self.home.rmdir)

    def passed(self, sock: socket.socket) -> None:
        """A socket is what systemd has passed."""
        descriptor = os.dup(sock.fileno())
        os.set_inheritable(descriptor, True)
        self.addCleanup(os.close, descriptor)
        self.patch(systemd, "_FIRST", descriptor)
        self.patch(systemd, "environment", lambda: variables(1))

    def refuses(self, said: str, domain: str = "UNIX") -> None:
        """It is not adopted, with a reason in which something is said."""
        arguments = {"domain": domain, "index": "0"}
        error = self.assertRaises(OSError, adopt, self.reactor, arguments, self.factory)
        self.assertIn(said, str(error))

    def test_left_as_it_is(self) -> None:
        """Its mode and its path stay, and whoever connects afterwards waits for the next one."""
        with socket.socket(socket.AF_UNIX) as sock:
            path = self.home / "s"
            sock.bind(str(path))
            self.addCleanup(path.unlink)
            path.chmod(0o640)
            sock.listen(1)
            self.passed(sock)
            port = listen(self.reactor, Listener("systemd:domain=UNIX:index=0"), self.factory)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
            stopped = Deferred.fromCoroutine(stop_listening(port, path))
            self.reactor.advance(0)
            self.successResultOf(stopped)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                sock.accept()[0].close()
            self.refuses("is listened at already")

    def test_of_another_domain(self) -> None:
        """One that is not of the domain that was named is not taken for one."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            self.passed(sock)
            self.refuses("no stream socket of that domain")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            self.passed(sock)
            self.refuses("no stream socket of that domain")

    def test_not_listening(self) -> None:
        """One that does not listen takes no connections."""
        with socket.socket(socket.AF_UNIX) as sock:
            self.passed(sock)
            self.refuses("does not listen")
