"""Which of those that run here is meant, and where a kernel finds it."""

from __future__ import annotations

import os
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.address import TcpAddress, UnixAddress
from distnet.control import ask
from distnet.control.ask import (
    NoMaster,
    SeveralRun,
    find,
    find_master_at,
    find_switch,
    find_vde_directory,
    listener_for,
    running,
)
from distnet.control.paths import SWITCH, default_control, default_vde_directory
from tests.unit.control.runtime import RuntimeTestCase


def listener(address: str, **what: Any) -> dict[str, Any]:
    """One, as the master's status has it."""
    return {"address": address, "node": None, "tools": False, "tls": False, **what}


class FindTests(RuntimeTestCase):
    """Tests for C{find}, C{running} and C{find_master_at}."""

    def test_none(self) -> None:
        """If none runs, the documented path is where one would be."""
        self.assertEqual((running(), find()), ([], default_control()))
        error = self.assertRaises(NoMaster, ask.ask, find(), "/status")
        self.assertEqual(
            str(error),
            f"no master answers at {default_control()}: start one with 'twistd -n distnet',"
            f" or give its --control PATH",
        )
        error = self.assertRaises(NoMaster, ask.ask, find(SWITCH), "/status", kind=SWITCH)
        self.assertIn("no switch answers", str(error))
        self.assertIn("'twistd -n distnet-vde'", str(error))

    def test_a_path_that_is_too_long(self) -> None:
        """Nobody can be at a path that is too long for a socket, and that is what is said."""
        path = "/" + "l" * 107
        error = self.assertRaises(NoMaster, ask.ask, path, "/status")
        self.assertEqual(
            str(error),
            f"no master can be at {path}: the path has 108 bytes, a unix socket's can have 107; use"
            f" a shorter one",
        )

    def test_the_only_one(self) -> None:
        """The only one is found, by the name that it always has, whatever else is there."""
        path, sock = self.start("1235")
        self.listen(f"{path.path}.tools")
        self.listen(self.directory / "switch")
        self.listen(self.directory / "controller")
        (self.directory / "control-log").touch()
        self.start("1236")[1].close()
        self.assertEqual((running(), find()), ([path.path], path.path))
        self.assertEqual(find(SWITCH), str(self.directory / "switch"))
        sock.close()
        self.assertEqual(find(), default_control())

    def test_by_what_name(self) -> None:
        """One that is called by its process is found at the path that outlives that."""
        self.start()
        self.assertEqual(find(), default_control())

    def test_several(self) -> None:
        """Of several it is said which there are, and how to choose."""
        one, sock = self.start("1235")
        status = {"pid": 5, "listeners": [listener("unix:/t", tools=True), listener("tcp:h:1235")]}
        self.answer(sock, status)
        other, sock = self.start("1236")
        self.answer(sock, None)
        error = self.assertRaises(SeveralRun, find, how="--this PATH")
        self.assertEqual(
            str(error),
            f"2 masters run here, say which with --this PATH: {one.path} (pid 5, tcp:h:1235),"
            f" {other.path} (does not answer)",
        )

    def test_by_its_address(self) -> None:
        """The master that listens at an address is found among several."""
        for port in ("1235", "1236"):
            self.answer(self.start(port)[1], {"pid": 5, "listeners": [listener(f"tcp:h:{port}")]})
        self.assertEqual(find_master_at(TcpAddress("h", 1236)), f"{self.directory}/control-1236")
        self.assertRaises(SeveralRun, find_master_at, TcpAddress("h", 1237))

    def test_each_is_asked_once(self) -> None:
        """Where none listens at an address, none of them is looked at again to say so."""
        for port in ("1235", "1236"):
            self.answer(self.start(port)[1], {"pid": 5, "listeners": [listener(f"tcp:h:{port}")]})
        seen: list[tuple[str, str]] = []

        def noting(name: str) -> None:
            noted = getattr(ask, name)

            def note(control: Any, *rest: Any, **named: Any) -> Any:
                seen.append((name, str(control)))
                return noted(control, *rest, **named)

            self.patch(ask, name, note)

        noting("listens")
        noting("ask")
        error = self.assertRaises(SeveralRun, find_master_at, TcpAddress("h", 1237))
        self.assertIn("control-1236 (pid 5, tcp:h:1236)", str(error))
        each = [f"{self.directory}/control-{port}" for port in ("1235", "1236")]
        self.assertEqual(
            sorted(seen), [(name, control) for name in ("ask", "listens") for control in each]
        )

    def test_by_an_address_that_it_does_not_tell(self) -> None:
        """The only one is meant, even if it is known by another address."""
        self.answer(self.start("1235")[1], {"pid": 5, "listeners": [listener("tcp:h:1235")]})
        self.assertEqual(find_master_at(UnixAddress("/x")), f"{self.directory}/control-1235")

    def test_switches(self) -> None:
        """A switch is found by the directory of its clients, and tells it."""
        self.assertEqual(find_vde_directory("--vde DIRECTORY"), default_vde_directory())
        self.start("1235")
        for name in ("a", "b"):
            sock = self.listen(self.directory / f"switch-{name}")
            where = {"directory": f"/tmp/{name}", "listeners": [{"address": "udp:127.0.0.1:5"}]}
            self.answer(sock, {"pid": 5, **where})
            if name == "a":
                self.assertEqual(find_vde_directory("--vde DIRECTORY"), "/tmp/a")
        error = self.assertRaises(SeveralRun, find_vde_directory, "--vde DIRECTORY")
        self.assertIn("2 switches run here, say which with --vde DIRECTORY: ", str(error))
        self.assertIn(f"{self.directory}/switch-a (pid 5, /tmp/a), ", str(error))
        self.assertEqual(find_switch("/tmp/../tmp/b"), f"{self.directory}/switch-b")
        error = self.assertRaises(NoMaster, find_switch, "/tmp/c")
        self.assertIn("no switch answers for /tmp/c: start one with 'twistd", str(error))

    def test_of_others(self) -> None:
        """Nothing but the directory of this user's sockets is looked at."""
        self.start("1235")
        os.environ["XDG_RUNTIME_DIR"] = str(self.directory)
        self.assertEqual(running(), [])


class ListenerTests(SynchronousTestCase):
    """Tests for C{listener_for}."""

    def test_choice(self) -> None:
        """A fixed node gets its own listener, others the first for kernels, of the scheme."""
        listeners = [
            listener("unix:/t", tools=True),
            listener("tls:h:1", tls=True),
            listener("unix:/3", node=3),
            listener("tcp:127.0.0.1:9"),
            listener("unix:/k"),
        ]
        self.assertEqual(listener_for(listeners, None), TcpAddress("127.0.0.1", 9))
        self.assertEqual(listener_for(listeners, None, "unix"), UnixAddress("/k"))
        self.assertEqual(listener_for(listeners, 3), UnixAddress("/3"))
        self.assertIsNone(listener_for(listeners, 3, "tcp"))
        self.assertIsNone(listener_for(listeners, 4))
        self.assertIsNone(listener_for(listeners[:3], None))
