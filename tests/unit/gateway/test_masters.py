"""Which master the gateway connects its guests to."""

from __future__ import annotations

import socket
from pathlib import Path
from unittest.mock import Mock

from twisted.internet import threads
from twisted.internet.defer import Deferred, succeed

from distnet.address import TcpAddress, UnixAddress
from distnet.control.ask import NoMaster, SeveralRun
from distnet.gateway.guests import Guest
from distnet.gateway.masters import USUAL, Masters, NoListener
from tests.unit.control.runtime import RuntimeTestCase
from tests.unit.control.test_ask import listener

PACED = {"segment": 1460}


class MastersTests(RuntimeTestCase):
    """Tests for C{Masters}."""

    def run_master(self, port: int) -> tuple[str, socket.socket]:
        """Run one that has a listener for node 3 too; its control socket."""
        path, sock = self.start(str(port))
        listeners = [listener(f"tcp:127.0.0.1:{port}"), listener(f"unix:/3-{port}", node=3)]
        self.answer(sock, {"pid": port, "listeners": listeners, "limits": PACED})
        return path.path, sock

    def test_none(self) -> None:
        """Without any, guests wait for the usual one, and a fixed node is told that it is away."""
        masters = Masters(None, None, None, {})
        self.assertEqual(masters.look(None), USUAL)
        self.assertRaises(NoMaster, masters.look, 3)

    def test_the_only_one(self) -> None:
        """The only one is taken, and kept: also when another one starts, or it is away itself."""
        masters = Masters(None, None, None, {})
        control, _ = self.run_master(1235)
        self.assertEqual(masters.look(None), TcpAddress("127.0.0.1", 1235))
        self.run_master(1236)
        self.assertEqual(masters.look(3), UnixAddress("/3-1235"))
        away = Path(control).rename(self.directory / "away")
        self.assertEqual(masters.look(None), TcpAddress("127.0.0.1", 1235))
        self.assertRaises(NoMaster, masters.look, 3)
        away.rename(control)
        self.assertEqual(masters.look(3), UnixAddress("/3-1235"))

    def test_told_and_away(self) -> None:
        """One that was told by its control socket and has never answered is not the usual one."""
        path = str(self.directory / "told")
        for node in (None, 3):
            error = self.assertRaises(NoMaster, Masters(None, path, None, {}).look, node)
            self.assertIn(f"no master answers at {path}: ", str(error))
        elsewhere = TcpAddress("127.0.0.1", 1237)
        told_both = Masters(None, path, elsewhere, {})
        found = self.successResultOf(Deferred.fromCoroutine(told_both.find(Guest(b"", b"abcd"))))
        self.assertEqual(found, elsewhere)

    def test_where_it_was_last(self) -> None:
        """A guest waits where the master was last, whoever asked then; nowhere if nowhere."""
        path, sock = self.start("5000")
        listeners = [listener("tcp:127.0.0.1:5000"), listener("unix:/3", node=3)]
        self.answer(sock, {"listeners": listeners, "limits": PACED})
        masters = Masters(None, None, None, {})
        masters.look(3)
        control, away = Path(path.path), self.directory / "away"
        control.rename(away)
        self.assertEqual(masters.look(None), TcpAddress("127.0.0.1", 5000))
        away.rename(control)
        del listeners[0]
        masters.look(3)
        control.rename(away)
        error = self.assertRaises(NoMaster, masters.look, None)
        self.assertIn(str(control), str(error))
        away.rename(control)

    def test_where_it_is_cut(self) -> None:
        """A paced master is found where it sends streams to who cuts them; others are not cut."""
        path, sock = self.start("5000")
        beside = listener("unix:/beside", tools=True) | {"relays": True}
        listeners = [listener("tcp:127.0.0.1:5000"), listener("unix:/3", node=3), beside]
        status = {"listeners": listeners, "limits": dict(PACED)}
        self.answer(sock, status)
        masters = Masters(None, None, None, {b"\0\0\0\3": 3})
        self.patch(threads, "deferToThreadPool", lambda _, __, look, node: succeed(look(node)))
        masters._reactor = Mock()
        for segment, other, fixed in (
            (1460, {"path": "/beside", "cut": True}, {"path": "/3", "cut": True}),
            (None, {"host": "127.0.0.1", "port": 5000}, {"path": "/3"}),
        ):
            status["limits"] = {"segment": segment}
            for address, place in ((bytes(4), other), (b"\0\0\0\3", fixed)):
                found = Deferred.fromCoroutine(masters.place_for(Guest(address, b"abcd")))
                self.assertEqual(self.successResultOf(found), place)
        # It waits there, too, while the master is away.
        status["limits"] = {"segment": 1460}
        masters.look(3)
        control, away = Path(path.path), self.directory / "away"
        control.rename(away)
        self.assertEqual(masters.look(None), UnixAddress("/beside"))
        away.rename(control)

    def test_a_name_of_a_host(self) -> None:
        """A guest's process is told a number in its place, with the scope that it has."""

        wheres: list[object] = []

        def look_up(reactor: object, pool: object, *_: object, **__: object) -> object:
            return succeed([(socket.AF_INET6, 1, 6, "", wheres.pop())])

        self.patch(threads, "deferToThreadPool", look_up)
        masters = Masters(Mock(), None, TcpAddress("host", 1234), {})
        for where, told in (
            (("10.1.2.3", 1234), "10.1.2.3"),
            (("fe80::1", 1234, 0, 2), "fe80::1%2"),
            (("fe80::1%lo", 1234, 0, 1), "fe80::1%lo"),
            (("::1", 1234, 0, 0), "::1"),
        ):
            wheres.append(where)
            place = Deferred.fromCoroutine(masters.place_for(Guest(b"", b"abcd")))
            self.assertEqual(self.successResultOf(place), {"host": told, "port": 1234})

    def test_several(self) -> None:
        """Of several none is taken, until it is told which by its control socket or address."""
        control, _ = self.run_master(1235)
        self.run_master(1236)
        error = self.assertRaises(SeveralRun, Masters(None, None, None, {}).look, None)
        self.assertIn("--control PATH (--master-control PATH at the switch)", str(error))
        self.assertIn(f"{control} (pid 1235, tcp:127.0.0.1:1235)", str(error))
        by_path = Masters(None, control, None, {})
        self.assertEqual(by_path.look(None), TcpAddress("127.0.0.1", 1235))
        by_address = Masters(None, None, TcpAddress("127.0.0.1", 1236), {})
        self.assertEqual(by_address.look(3), UnixAddress("/3-1236"))

    def test_no_listener(self) -> None:
        """A master that does not listen for a guest is told how it would."""
        path, sock = self.start("1235")
        listeners = [listener("tls:h:1", tls=True)]
        self.answer(sock, {"listeners": listeners, "limits": PACED})
        masters = Masters(None, path.path, None, {})
        error = self.assertRaises(NoListener, masters.look, 4)
        self.assertIn("no listener for node 4: start it with --node 4=unix:PATH", str(error))
        error = self.assertRaises(NoListener, masters.look, None)
        self.assertIn("start it with --port or --listen", str(error))
