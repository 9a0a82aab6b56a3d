"""The switch as a service: what it does at its start, and its log."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from twisted.internet.defer import maybeDeferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from distnet.errors import StartupError
from distnet.observers import broadcast
from distnet.switch.core.bridge import Bridge
from distnet.switch.core.events import IBridgeObserver
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.plugs.vdedir import Permissions, VdeDirectory
from distnet.switch.service import (
    CONTEST_SECONDS,
    Management,
    Plugs,
    Settings,
    SwitchLog,
    SwitchService,
)
from tests.unit.sockets.listening import ListeningReactor
from tests.unit.switch.core.stations import BROADCAST, Station, frame

DEFAULTS = Settings()


class ServiceTests(SynchronousTestCase):
    """Tests for C{SwitchService}."""

    def setUp(self) -> None:
        """A place for it; trial's own are too long for sockets."""
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.sock = self.home / "s"

    def make(self, settings: Settings = DEFAULTS, script: Path | None = None) -> SwitchService:
        """A switch that has not started."""
        return SwitchService(
            ListeningReactor(),
            VdeDirectory(str(self.sock), Permissions()),
            settings,
            Management(f"{self.home}/console", script=None if script is None else str(script)),
            Plugs(),
            version="9",
        )

    def logged(self, service: SwitchService) -> list[str]:
        """What it logs from its start to its end."""
        with capturedLogs() as events:
            service.startService()
            self.assertTrue(self.sock.is_dir())
            self.successResultOf(maybeDeferred(service.stopService))
        self.assertFalse(self.sock.exists())
        return [formatEvent(event) for event in events]

    def test_start_and_end(self) -> None:
        """It says where it listens, and nothing is left in the end."""
        path = self.sock.resolve()
        logged = self.logged(self.make())
        self.assertIn(f"listening in {path} for VDE", logged)
        self.assertIn(f"the console is at {self.home}/console", logged)

    def test_no_spanning_tree(self) -> None:
        """Who asks for a spanning tree is told that there is none, and nobody else."""
        for wanted in (True, False):
            logged = " ".join(self.logged(self.make(Settings(spanning_tree=wanted))))
            self.assertEqual("there is no spanning tree yet (-F)" in logged, wanted)

    def test_script(self) -> None:
        """The commands of the script are done before anybody can plug in; what fails is logged."""
        script = self.home / "rc"
        script.write_text("port/create 7\nno such command\n")
        service = self.make(script=script)
        logged = self.logged(service)
        self.assertIn(7, service.bridge.ports)
        failed = f"{script}: no such command: Function not implemented"
        self.assertLess(
            logged.index(failed), logged.index(f"listening in {self.sock.resolve()} for VDE")
        )

    def test_no_script(self) -> None:
        """A script that is not there is an error, before anything is made."""
        service = self.make(script=self.home / "none")
        error = self.assertRaises(StartupError, service.startService)
        self.assertEqual(
            str(error), f"cannot read the commands in {self.home}/none: No such file or directory"
        )
        self.assertFalse(self.sock.exists())
        self.successResultOf(maybeDeferred(service.stopService))


class LogTests(SynchronousTestCase):
    """Tests for C{SwitchLog}."""

    def test_comings_and_goings(self) -> None:
        """The log says who is plugged in and unplugged, and who did not read meanwhile."""
        reactor = ListeningReactor()
        bridge = Bridge(
            BridgeLimits(queue_frames=2), broadcast(IBridgeObserver, SwitchLog(reactor)), reactor
        )
        self.addCleanup(bridge.stop)
        with capturedLogs() as events:
            sender, slow = Station(bridge), Station(bridge, description="deaf")
            for reads in (True, False):
                slow.take(0)
                for _ in range(4):
                    sender.send(BROADCAST)
                    reactor.advance(1)
                if reads:
                    slow.take(None)
            bridge.detach(slow.endpoint)
        who = "port 2, endpoint 2 (deaf)"
        not_read = f"{who} does not read in time: 2 frames of 28 bytes wait, more is dropped"
        self.assertEqual(
            [formatEvent(event) for event in events],
            [
                "port 1, endpoint 1 is plugged in",
                f"{who} is plugged in",
                not_read,
                f"{who} has read after 1.000 s: 2 frames of 28 bytes were dropped",
                not_read,
                f"{who} has gone after 1.000 s: 4 frames of 56 bytes were dropped",
                f"{who} is unplugged",
            ],
        )

    def test_two_with_one_address(self) -> None:
        """The log names the address and both ports, and once in a while only."""
        reactor = ListeningReactor()
        bridge = Bridge(BridgeLimits(), broadcast(IBridgeObserver, SwitchLog(reactor)), reactor)
        self.addCleanup(bridge.stop)
        first, second = Station(bridge, description="QEMU"), Station(bridge)

        def take_turns() -> list[str | None]:
            with capturedLogs() as events:
                for _ in range(9):
                    for station in (first, second):
                        bridge.received(station.endpoint, frame(BROADCAST, 1))
                        reactor.advance(1)
            return [formatEvent(event) for event in events]

        said = (
            "02:00:00:00:00:01 sends at port 1 (QEMU) and at port 2: two guests have the same"
            " address, which each must have for itself (QEMU's mac=), or the network has a loop"
        )
        self.assertEqual(take_turns(), [said])
        self.assertEqual(take_turns(), [])
        reactor.advance(CONTEST_SECONDS)
        self.assertEqual(take_turns(), [said])
