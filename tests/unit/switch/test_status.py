"""What a switch says of itself, as records."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
from dataclasses import FrozenInstanceError, astuple
from pathlib import Path
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from distnet.control.server import VERSION_KEY
from distnet.control.telling import as_json
from distnet.switch import service
from distnet.switch.console.session import MAX_SESSIONS
from distnet.switch.core.counters import Reason
from distnet.switch.core.errors import NoSuchThing
from distnet.switch.core.limits import BridgeLimits
from distnet.switch.options import answers_of, parse_dgram
from distnet.switch.plugs.stream import parse_stream
from distnet.switch.plugs.vdedir import Permissions, VdeDirectory
from distnet.switch.service import Management, Plugs, Settings, SwitchService
from distnet.switch.status import (
    Amount,
    CountersStatus,
    DumpStatus,
    EndpointStatus,
    FdbEntryStatus,
    ListenerKind,
    ListenerStatus,
    PortStatus,
    RefusedStatus,
    VlanStatus,
)
from tests.unit.sockets.listening import ListeningReactor
from tests.unit.switch.core.stations import BROADCAST, Station, frame

LIMITS = BridgeLimits(queue_frames=2, pause_seconds=1, max_addresses=2)
NOTHING = Amount(0, 0)


def counters(received: Amount, sent: Amount, **undelivered: Amount) -> CountersStatus:
    """Counters with these, and nothing else, undelivered: names of reasons in capitals."""
    found = {reason: undelivered.pop(reason.name, NOTHING) for reason in Reason}
    assert not undelivered
    return CountersStatus(received, sent, found)


class StatusTests(SynchronousTestCase):
    """Tests for C{SwitchService.status}."""

    def setUp(self) -> None:
        """A switch that has started, whose clock counts from the epoch on."""
        self.patch(service, "Dates", lambda seconds: float)
        self.home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.sock = self.home / "s"
        self.reactor = ListeningReactor()
        self.service = self.start(Plugs())
        self.bridge = self.service.bridge

    def start(self, plugs: Plugs, name: str = "s") -> SwitchService:
        """A switch that has started."""
        service = SwitchService(
            self.reactor,
            VdeDirectory(str(self.home / name), Permissions()),
            Settings(numports=9, strict=True, address=bytes(range(6)), limits=LIMITS),
            Management(),
            plugs,
            version="9",
        )
        service.privilegedStartService()
        service.startService()
        self.addCleanup(lambda: self.successResultOf(maybeDeferred(service.stopService)))
        return service

    def test_itself(self) -> None:
        """It says what it is, where, and how it was set up."""
        self.reactor.advance(7)
        status = self.service.status()
        self.assertEqual(
            (status.distnet, status.pid, status.started, status.directory, status.mac),
            ("9", os.getpid(), 0.0, str(self.sock.resolve()), "00:01:02:03:04:05"),
        )
        self.assertEqual(
            (status.hub, status.strict, status.numports, status.limits), (False, True, 9, LIMITS)
        )
        self.assertIsNotNone(status.not_native)
        self.assertEqual(
            (status.ports, status.addresses, status.errors, status.dump), ((), (), {}, None)
        )
        self.assertEqual(status.vlans, (VlanStatus(0, (), (), 0),))

    def test_listeners(self) -> None:
        """It says where it listens besides its directory, with the ports that there are."""
        self.assertEqual(self.service.status().listeners, ())
        paths = [self.home / "stream", self.home / "dgram"]
        service = self.start(
            Plugs(
                streams=(
                    parse_stream(self.reactor, f"7=unix:{paths[0]}"),
                    parse_stream(self.reactor, "tcp:5"),
                ),
                dgrams=(parse_dgram("udp:0"), parse_dgram(f"unix:{paths[1]}")),
            ),
            "other",
        )
        told = service.status().listeners
        (port,) = re.findall("udp:127.0.0.1:([1-9][0-9]*)$", told[2].address)
        self.assertEqual(
            told,
            (
                ListenerStatus(ListenerKind.STREAM, f"unix:{paths[0]}", 7),
                ListenerStatus(ListenerKind.STREAM, "tcp:127.0.0.1:5", None),
                ListenerStatus(ListenerKind.DGRAM, f"udp:127.0.0.1:{port}", None),
                ListenerStatus(ListenerKind.DGRAM, f"unix:{paths[1]}", None),
            ),
        )
        self.successResultOf(maybeDeferred(service.stopService))
        self.assertEqual(service.status().listeners, ())

    def test_the_parts_are_those_of_the_whole(self) -> None:
        """Each path of the control interface answers with what the whole status has."""
        for station in (Station(self.bridge, 3), Station(self.bridge, 5)):
            station.send(BROADCAST)
        told, answers = self.service.status(), answers_of(self.service)
        self.assertEqual(answers["/status"](), told)
        for part in ("ports", "vlans", "addresses"):
            self.assertEqual(answers[f"/{part}"](), list(getattr(told, part)))
        self.assertEqual(answers["/counters"](), told.counters)
        self.assertEqual(answers["/ports/N"]("5"), told.ports[1])
        for text in ("", "x", "-1", "4", "٣", "9" * 5000):
            self.assertIsNone(answers["/ports/N"](text))

    def test_as_json(self) -> None:
        """All of it can be told as JSON, with reasons and errors as keys."""
        Station(self.bridge, 3).send(BROADCAST)
        self.service.vde.errors.count(OSError(errno.ENOBUFS, ""))
        told = json.loads(json.dumps(as_json(self.service.status())))
        self.assertEqual(told[VERSION_KEY], "9")
        (port,) = told["ports"]
        self.assertEqual(port["counters"]["undelivered"]["nobody"], {"frames": 1, "bytes": 14})
        self.assertEqual((told["errors"], told["limits"]["queue_frames"]), ({"ENOBUFS": 1}, 2))

    def test_diverted(self) -> None:
        """It says whether frames go by Python because somebody asked for that."""
        self.assertFalse(self.service.status().diverted)
        end = self.service.divert.begin()
        self.assertTrue(self.service.status().diverted)
        end()
        self.assertFalse(self.service.status().diverted)

    def test_records(self) -> None:
        """What was said does not change, whatever happens afterwards."""
        station = Station(self.bridge)
        status = self.service.status()
        self.assertRaises(FrozenInstanceError, setattr, status, "hub", True)
        before = astuple(status)
        station.send(BROADCAST, b"123")
        self.bridge.describe(station.endpoint, "other")
        self.bridge.set_hub(True)
        self.assertEqual(astuple(status), before)
        self.assertNotEqual(astuple(self.service.status()), before)

    def test_ports(self) -> None:
        """Each port says who may use it, its VLANs, its endpoints, and what was counted there."""
        self.bridge.vlans.create(5)
        self.bridge.vlans.create(4)
        self.bridge.ports.create(3).allowed_user = 12
        first = Station(self.bridge, 1, user=7, description="one")
        for vlan in (5, 4):
            self.bridge.vlans.add_tagged(vlan, first.port)
        first.send(BROADCAST, b"123")
        ports = self.service.status().ports
        self.assertEqual([port.number for port in ports], [1, 3])
        self.assertEqual(
            ports[0],
            PortStatus(
                number=1,
                allocatable=True,
                vlan=0,
                tagged_vlans=(4, 5),
                user=7,
                allowed_user=None,
                allowed_group=None,
                endpoints=(
                    EndpointStatus(1, "one", first.link.module, 7, NOTHING, NOTHING, False, None),
                ),
                counters=counters(Amount(1, 17), NOTHING, NOBODY=Amount(1, 17)),
            ),
        )
        self.assertEqual(
            ports[1], PortStatus(3, False, 0, (), None, 12, None, (), counters(NOTHING, NOTHING))
        )
        self.assertEqual(self.service.port(3), ports[1])
        self.assertEqual(tuple(self.service.ports()), ports)
        self.assertRaises(NoSuchThing, self.service.port, 2)

    def test_no_vlan(self) -> None:
        """A port that takes no untagged frames has no VLAN of its own."""
        station = Station(self.bridge, 1)
        self.bridge.vlans.set_untagged(station.port, 4095)
        self.assertIsNone(self.service.port(1).vlan)

    def test_waiting(self) -> None:
        """What waits for an endpoint and what is held of another are told, and who is slow."""
        sender, slow = Station(self.bridge, 1), Station(self.bridge, 2)
        slow.take(0)
        for _ in range(3):
            sender.send(BROADCAST)
        sender.send(BROADCAST, b"1234")
        (one,), (two,) = (port.endpoints for port in self.service.ports())
        self.assertEqual((one.paused, one.held), (True, Amount(1, 18)))
        self.assertEqual((two.waiting, two.slow_since), (Amount(2, 28), None))
        self.reactor.advance(1)
        (one,), (two,) = (port.endpoints for port in self.service.ports())
        self.assertEqual((one.paused, one.held), (False, Amount(0, 0)))
        self.assertEqual((two.waiting, two.slow_since), (Amount(2, 28), 1.0))

    def test_vlans(self) -> None:
        """Each VLAN says which ports are in it, and how many addresses."""
        self.bridge.vlans.create(5)
        stations = [Station(self.bridge, number) for number in (2, 1)]
        self.bridge.vlans.add_tagged(5, stations[0].port)
        stations[0].send(BROADCAST)
        self.assertEqual(
            self.service.status().vlans, (VlanStatus(0, (1, 2), (), 1), VlanStatus(5, (), (2,), 0))
        )

    def test_addresses(self) -> None:
        """Each address says where it is, and how long ago it was seen."""
        station = Station(self.bridge, 3)
        self.reactor.advance(1)
        station.send(BROADCAST)
        self.reactor.advance(2)
        self.assertEqual(
            self.service.status().addresses, (FdbEntryStatus("02:00:00:00:00:03", 0, 3, 2.0),)
        )

    def test_totals(self) -> None:
        """The totals have what was counted at ports that are not there any more."""
        first, second = (Station(self.bridge) for _ in range(2))
        first.send(BROADCAST)
        for station in (first, second):
            self.bridge.detach(station.endpoint)
            self.bridge.ports.remove(station.number)
        totals = counters(Amount(1, 14), Amount(1, 14))
        self.assertEqual(self.service.status().counters, totals)
        self.assertEqual(self.service.counters(), totals)

    def test_refused(self) -> None:
        """What is refused is counted by what it was."""
        station = Station(self.bridge)
        for number in range(5):
            self.bridge.received(station.endpoint, frame(BROADCAST, 100 + number))
        self.service.vde.refusals.refuse("a test")
        for _ in range(MAX_SESSIONS + 2):
            self.service.console.new_session(lambda _: None)
        self.assertEqual(
            self.service.status().refused,
            RefusedStatus(vde=1, streams=0, dgrams=0, consoles=2, addresses=3),
        )

    def test_contested(self) -> None:
        """How often two ports took turns to send from one address is counted."""
        stations = [Station(self.bridge) for _ in range(2)]
        for _ in range(6):
            for station in stations:
                self.bridge.received(station.endpoint, frame(BROADCAST, 1))
                self.reactor.advance(1)
        self.assertEqual(self.service.status().contested, 3)

    def test_errors(self) -> None:
        """Errors of the operating system are counted by name."""
        errors: Any = self.service.vde.errors
        for number in (errno.ENOBUFS, errno.EMSGSIZE, errno.ENOBUFS):
            errors.count(OSError(number, ""))
        self.assertEqual(self.service.status().errors, {"EMSGSIZE": 1, "ENOBUFS": 2})

    def test_dump(self) -> None:
        """Of the packet dump it says what was written, as long as it is loaded."""
        station = Station(self.bridge)
        path = str(self.sock.parent / "dump")
        session = self.service.console.new_session(lambda _: None)
        assert session is not None
        session.feed(f"plugin/add /x/pdump.so\npdump/filename {path}\npdump/active 1\n".encode())
        station.send(BROADCAST)
        self.assertEqual(self.service.status().dump, DumpStatus(path, True, 1, 0))
        session.feed(b"plugin/del pdump\n")
        self.assertIsNone(self.service.status().dump)
