"""C{twistd distnet-vde}: vde_switch's options, and the wiring of the switch that they ask for."""

from __future__ import annotations

import contextlib
import grp
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.application.service import IService

from distnet import __version__
from distnet.control.claim import ControlPath
from distnet.control.paths import SWITCH, default_vde_directory
from distnet.control.server import Answers, ControlService
from distnet.daemon.options import DaemonOptions, seconds, show_size, size, whole_number
from distnet.daemon.process import Daemon
from distnet.gateway.cli import check_words, forwards_of
from distnet.gateway.supervise import GatewayProcess
from distnet.mac import parse_mac
from distnet.sockets.taken import Place, Taken, place_of
from distnet.switch.console.sockets import ConsoleProtocol
from distnet.switch.core.errors import NoSuchThing
from distnet.switch.core.limits import MAX_NUMPORTS, BridgeLimits
from distnet.switch.getopt import double_dashes
from distnet.switch.plugs.dgram import USE, DgramListener
from distnet.switch.plugs.dgram_udp import parse_udp
from distnet.switch.plugs.dgram_unix import parse_unix
from distnet.switch.plugs.stream import StreamListener, parse_stream
from distnet.switch.plugs.tap import check_name
from distnet.switch.plugs.vdedir import Permissions, VdeDirectory
from distnet.switch.service import Management, Plugs, Settings, SwitchService

T = TypeVar("T")

_LIMITS: Final = BridgeLimits()
_MAX_PORT_DIGITS: Final = len(str(MAX_NUMPORTS))
_SCRIPTS: Final = ("~/.vde2/vde_switch.rc", "/etc/vde2/vde_switch.rc")


def parse_dgram(text: str) -> DgramListener:
    """C{unix:PATH}, C{udp:PORT} on loopback, C{udp:HOST:PORT}. Raises ValueError in one line."""
    match text.partition(":")[0]:
        case "unix":
            return parse_unix(text)
        case "udp":
            return parse_udp(text)
    raise ValueError(f"{text!r} is not a place to get datagrams at: {USE}")


class Options(DaemonOptions):
    """The options of the switch: those of vde_switch 2.3.2, and a few of our own."""

    synopsis = "[options]"
    longdesc = (
        "A virtual Ethernet switch in the place of vde_switch: QEMU's -netdev vde, vde_plug and all"
        " that uses libvdeplug plug into it. Long options may be written with one dash, as in"
        " -F -sock /tmp/myswitch. A MODE is octal; a SIZE is in bytes, or 64K, 1M."
    )

    optParameters = [
        ["numports", "n", "32", "N: how many ports there are."],
        ["macaddr", None, None, "MAC: the address of the switch itself. [default: made up]"],
        ["priority", None, "32768", "N: for the spanning tree, which there is not yet."],
        ["hashsize", None, "128", "N: accepted and shown, without effect: our table grows."],
        ["mode", "m", None, "MODE of the control socket. [default: that of --dirmode, or 0600]"],
        ["dirmode", None, None, "MODE of the directory. [default: that of --mode with x where r or"
         " w is, or 02700]"],
        ["group", "g", None, "GROUP of the sockets and their directory."],
        ["rcfile", "f", None, "FILE of console commands to begin with. [default:"
         " ~/.vde2/vde_switch.rc, else /etc/vde2/vde_switch.rc, if there is one]"],
        ["mgmt", "M", None, "PATH of the management socket."],
        ["mgmtmode", None, None, "MODE of the management socket. Whoever may use it can read and"
         " overwrite files as the user that the switch runs as (load, pdump/filename) and stop it."
         " [default: 0600]"],
        ["mgmtgroup", None, None, "GROUP of the management socket."],
        ["max-frame", None, show_size(_LIMITS.max_frame), "SIZE of a frame; longer ones are"
         " dropped."],
        ["queue-frames", None, _LIMITS.queue_frames, "N: frames waiting for one reader."],
        ["queue-bytes", None, show_size(_LIMITS.queue_bytes), "SIZE of what waits for one"
         " reader."],
        ["pause-seconds", None, _LIMITS.pause_seconds, "How long a sender to a full queue is"
         " paused before frames are dropped; 0: never."],
        ["max-addresses", None, _LIMITS.max_addresses, "N: addresses that are remembered; frames"
         " for others go everywhere."],
        ["control", None, None, "PATH of the control socket, HTTP and JSON, or none. [default:"
         " switch in $XDG_RUNTIME_DIR/distnet, /run/distnet or /tmp/distnet-UID; with another"
         " --sock than its default switch-NAME, as the directory is called]"],
        ["master", None, None, "ADDRESS of the master, for --gateway. [default: ask it, else"
         " 127.0.0.1:1234]"],
        ["master-control", None, None, "PATH of the master's control socket, for --gateway."
         " [default: that of the only master that runs]"],
        ["debugclients", "D", None, "N: accepted, no effect: all consoles can have events."],
        ["pidfile", "p", None, "Give this to twistd: twistd --pidfile=FILE distnet-vde ..."],
    ]  # fmt: skip

    optFlags = [
        ["hub", "x", "Send every frame to every port."],
        [
            "fstp",
            "F",
            "Accepted, no effect: there is no spanning tree yet.",
        ],
        ["daemon", "d", "Accepted, no effect: twistd is a daemon unless it is given -n."],
        [
            "strict-vlans",
            None,
            "Drop tagged frames of VLANs that their port is not in, as vde_switch does.",
        ],
        ["nostdin", None, "Do not take console commands from standard input."],
        ["gateway", None, "Give guests the master at 10.0.2.16:1234, 10.0.2.2 and DHCP."],
        ["map-zcore", None, "The guest at 10.0.2.(15+n), a zCore with IP=n, is node n."],
        ["nat", None, "Let guests reach the network of this machine, but not its loopback."],
    ]

    def __init__(self) -> None:
        super().__init__()
        self.settings = Settings()
        self.permissions = Permissions()
        self.management = Management()
        self.plugs = Plugs()
        self["sock"] = None
        self["tap"], self["stream"], self["dgram"] = [], [], []
        self["map"], self["forward"] = [], []
        self.gateway: list[str] | None = None
        self.control: ControlPath | None = None

    def opt_sock(self, directory: str) -> None:
        """DIRECTORY of the sockets. [default: /var/run/vde.ctl for root, else /tmp/vde.ctl]"""
        self["sock"] = directory

    opt_s = opt_sock

    def opt_vdesock(self, directory: str) -> None:
        """The same as --sock."""
        self["sock"] = directory

    def opt_unix(self, directory: str) -> None:
        """The same as --sock."""
        self["sock"] = directory

    def opt_tap(self, interface: str) -> None:
        """TAP: an interface to plug in, made unless it is there; may be repeated."""
        self["tap"].append(interface)

    opt_t = opt_tap

    def opt_stream(self, endpoint: str) -> None:
        """[N=]ENDPOINT for QEMU's -netdev stream, plugged in at port N; may be repeated."""
        self["stream"].append(endpoint)

    def opt_dgram(self, address: str) -> None:
        """ADDRESS for QEMU's -netdev dgram: unix:PATH, udp:PORT, udp:HOST:PORT; may be repeated."""
        self["dgram"].append(address)

    def opt_map(self, node: str) -> None:
        """IP=N: the guest with this address is node N of the master; may be repeated."""
        self["map"].append(node)

    def opt_forward(self, ports: str) -> None:
        """[ADDRESS:]PORT=IP:PORT[/udp]: a port of this machine leads to a guest's; may be
        repeated."""
        self["forward"].append(ports)

    opt_v = DaemonOptions.opt_version

    def opt_h(self) -> None:
        """The same as --help."""
        self.opt_help()

    def parseOptions(self, options: Any = None) -> None:
        """Read a command line; see L{double_dashes}."""
        words = sys.argv[1:] if options is None else options
        super().parseOptions(double_dashes(words, self.shortOpt, self.longOpt))

    def check(self) -> None:
        """Make of the options what the services are made of."""
        if self["pidfile"] is not None:
            raise ValueError(
                "--pidfile is an option of twistd: twistd --pidfile=FILE distnet-vde ...,"
                " or use distnet-vde-switch --pidfile=FILE ..."
            )
        if self["sock"] == "":
            raise ValueError("--sock: the directory is missing")
        # Now, since twistd leaves the directory that it was started in.
        self["sock"] = str(Path(self["sock"] or default_vde_directory(self.user)).absolute())
        self.control = self._control()
        if self["debugclients"] is not None:
            self._number("debugclients", 0, 2**31 - 1)
        self.permissions = Permissions.from_options(
            self._mode("mode"), self._mode("dirmode"), self._group("group")
        )
        self.settings = Settings(
            numports=self._number("numports", 1, MAX_NUMPORTS),
            hub=bool(self["hub"]),
            strict=bool(self["strict-vlans"]),
            spanning_tree=bool(self["fstp"]),
            priority=self._number("priority", 0, 65535),
            hash_size=self._number("hashsize", 1, 2**31 - 1),
            address=self._address("macaddr"),
            limits=self._limits(),
        )
        if self["mgmt"] is None and (self["mgmtmode"] or self["mgmtgroup"]):
            raise ValueError("--mgmtmode and --mgmtgroup are for --mgmt PATH")
        mode = self._mode("mgmtmode")
        self.management = Management(
            path=str(Path(self["mgmt"]).absolute()) if self["mgmt"] else None,
            mode=0o600 if mode is None else mode,
            group=self._group("mgmtgroup"),
            standard_input=self._in_the_foreground() and not self["nostdin"],
            script=self._script(),
        )
        self.plugs = Plugs(
            taps=tuple(self._each("tap", check_name)),
            streams=tuple(map(self._stream, self["stream"])),
            dgrams=tuple(self._each("dgram", parse_dgram)),
        )
        self.gateway = self._gateway()
        self._check_places()

    def _check_places(self) -> None:
        """Nothing may be given twice. Raises ValueError, naming both options."""
        taken = Taken()
        taken.add(Place("path", f"{self['sock']}/ctl"), f"--sock {self['sock']}")
        for option, path in (
            ("mgmt", self.management.path),
            ("control", self.control.path if self.control is not None else None),
        ):
            if path:
                taken.add(Place("path", path), f"--{option} {path}")
        for name in self.plugs.taps:
            taken.add(Place("tap", name), f"--tap {name}")
        for stream, text in zip(self.plugs.streams, self["stream"], strict=True):
            taken.add(place_of(stream.description), f"--stream {text}")
        for dgram, text in zip(self.plugs.dgrams, self["dgram"], strict=True):
            taken.add(dgram.place, f"--dgram {text}")
        for forward in forwards_of(self.gateway or ()):
            kind = "udp" if forward.is_udp else "tcp"
            taken.add(Place(kind, str(forward.address), forward.port), f"--forward {forward}")

    def _control(self) -> ControlPath | None:
        told = self["control"] or None
        if told == "none":
            return None
        usual = self["sock"] == default_vde_directory(self.user)
        if told is not None:
            told = str(Path(told).absolute())
        return ControlPath(SWITCH, told, Path(self["sock"]).name, usual)

    def _gateway(self) -> list[str] | None:
        """The words after C{distnet gateway}, or None if there is to be none."""
        words = [
            f"--{name}={self[option]}"
            for name, option in (("master", "master"), ("control", "master-control"))
            if self[option] is not None
        ]
        words += [f"--{name}={text}" for name in ("map", "forward") for text in self[name]]
        words += [f"--{flag}" for flag in ("map-zcore", "nat") if self[flag]]
        if not self["gateway"]:
            if words:
                raise ValueError(f"{words[0]} is for --gateway")
            return None
        return check_words([f"--sock={self['sock']}", *words])

    def _in_the_foreground(self) -> bool:
        return self.parent is not None and not self.background

    def _script(self) -> str | None:
        if self["rcfile"] is not None:
            return str(Path(self["rcfile"]).absolute())
        usual = (os.path.expanduser(script) for script in _SCRIPTS)
        # os.path.isfile is False of what may not be looked at.
        return next((script for script in usual if os.path.isfile(script)), None)

    def _stream(self, text: str) -> StreamListener:
        from twisted.internet import reactor

        try:
            place = parse_stream(reactor, text)
        except ValueError as error:
            raise ValueError(f"--stream: {error}") from error
        if place.port is not None and not 0 < place.port < self.settings.numports:
            raise ValueError(
                f"--stream {text}: there is no port {place.port} for it, but 1 to"
                f" {self.settings.numports - 1} (--numports)"
            )
        return place

    def _number(self, option: str, least: int, most: int) -> int:
        text = self[option]
        with contextlib.suppress(ValueError):
            if least <= (number := whole_number(text)) <= most:
                return number
        raise ValueError(f"--{option} {text}: it is a number from {least} to {most}")

    def _limits(self) -> BridgeLimits:
        max_frame = self.read("max-frame", size)
        limits = BridgeLimits(
            max_frame=max_frame,
            queue_frames=self.read("queue-frames", whole_number),
            queue_bytes=self.read("queue-bytes", size),
            held_bytes=max(max_frame, _LIMITS.held_bytes),
            pause_seconds=self.read("pause-seconds", seconds),
            max_addresses=self.read("max-addresses", whole_number),
        )
        problem = limits.problem()
        if problem is not None:
            raise ValueError(problem)
        return limits

    def _each(self, option: str, read: Callable[[str], T]) -> list[T]:
        try:
            return [read(text) for text in self[option]]
        except ValueError as error:
            raise ValueError(f"--{option} {error}") from error

    def _mode(self, option: str) -> int | None:
        text = self[option]
        if text is None:
            return None
        if not re.fullmatch("[0-7]{1,5}", text) or int(text, 8) > 0o7777:
            raise ValueError(f"--{option} {text}: it is an octal number, like 0660")
        return int(text, 8)

    def _group(self, option: str) -> int | None:
        name = self[option]
        if name is None:
            return None
        try:
            return grp.getgrgid(int(name)).gr_gid if name.isdigit() else grp.getgrnam(name).gr_gid
        except KeyError:
            raise ValueError(f"--{option} {name}: there is no such group") from None

    def _address(self, option: str) -> bytes | None:
        if self[option] is None:
            return None
        try:
            return parse_mac(self[option])
        except ValueError as error:
            raise ValueError(f"--{option}: {error}") from error


def answers_of(switch: SwitchService) -> Answers:
    """What the control interface of a switch answers."""

    def port(text: str) -> Any:
        if not (text.isascii() and text.isdigit()) or len(text) > _MAX_PORT_DIGITS:
            return None
        try:
            return switch.port(int(text))
        except NoSuchThing:
            return None

    return {
        "/status": switch.status,
        "/ports": lambda: list(switch.ports()),
        "/ports/N": port,
        "/vlans": lambda: list(switch.vlans()),
        "/addresses": lambda: list(switch.addresses()),
        "/counters": switch.counters,
    }


def makeService(options: Options) -> IService:
    """Wire the services that the options ask for. Opens nothing."""
    from twisted.internet import reactor

    daemon = Daemon(reactor, background=options.background)
    directory = VdeDirectory(options["sock"], options.permissions)
    switch = SwitchService(
        reactor,
        directory,
        options.settings,
        options.management,
        options.plugs,
        version=__version__,
    )
    if options.control is not None:
        ControlService(
            reactor,
            options.control,
            __version__,
            answers_of(switch),
            # A switch in the place of vde_switch starts wherever that would.
            needed=options.control.told,
        ).setServiceParent(daemon)
    switch.setServiceParent(daemon)
    if options.gateway is not None:
        GatewayProcess(
            reactor, options.gateway, lambda: ConsoleProtocol(switch.console, clock=reactor)
        ).setServiceParent(daemon)
    return daemon
