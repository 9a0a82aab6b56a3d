"""C{twistd distnet}: its options, and the wiring of the services that they ask for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from twisted.application.service import IService
from twisted.internet.ssl import CertificateOptions

from distnet import __version__
from distnet.control.claim import ControlPath
from distnet.control.paths import MASTER, tools_beside
from distnet.control.server import Answers, ControlService, Deletions
from distnet.daemon.options import DaemonOptions, seconds, show_size, size, whole_number
from distnet.daemon.process import Daemon
from distnet.errors import LocalError
from distnet.master.core.limits import Limits, Overflow
from distnet.master.core.registry import IdPolicy, check_pinned
from distnet.master.listener import NodeListener, for_tools
from distnet.master.service import MasterService
from distnet.master.state import StateFile
from distnet.master.tls import server_options
from distnet.sockets.listen import absolute_description, check_description
from distnet.sockets.taken import Place, Taken, place_of
from distnet.wire import MAX_ID_DIGITS

_DEFAULT: Final = Limits()
_PORT: Final = 1234


class Options(DaemonOptions):
    """The options of the master."""

    synopsis = "[options]"
    longdesc = (
        "Gives every kernel that connects an id, and routes messages between ids. A kernel connects"
        " to 10.0.2.16:1234 inside QEMU's user network; 'distnet qemu-args' prints the options of"
        " QEMU that bring it here. An ENDPOINT is a port number or a Twisted endpoint description:"
        " tcp:PORT, tcp:PORT:interface=ADDRESS, tcp6:PORT, unix:PATH, systemd:domain=INET:index=0."
        " TCP listens on loopback unless an interface is named. A SIZE is in bytes, or 64K, 64M,"
        " 1G."
    )

    optParameters = [
        ["port", "p", None, "ENDPOINT for all kernels. [default: 1234, unless --listen, --node or"
         " --tls is given]"],
        ["tls-cert", None, None, "FILE: the certificate for --tls, PEM, its chain after it."],
        ["tls-key", None, None, "FILE: its private key, PEM."],
        ["tls-client-ca", None, None, "FILE: the CAs whose clients are let in, PEM."],
        ["ids", None, IdPolicy.SEQUENTIAL.value, "sequential: 0, 1, 2, ..., never reused once"
         " read; lowest: the lowest free id."],
        ["highest-id", None, _DEFAULT.highest_id, "The highest id that a kernel gets, and that can"
         " be sent to."],
        ["second-connection", None, "refuse", "refuse or replace: what a second connection for a"
         " pinned node does while the first one lives."],
        ["max-payload", None, show_size(_DEFAULT.max_payload), "SIZE of the payload of a message;"
         " who announces more is disconnected."],
        ["max-waiting-per-id", None, show_size(_DEFAULT.max_waiting_per_id), "SIZE of all that"
         " waits for one id."],
        ["max-waiting", None, show_size(_DEFAULT.max_waiting), "SIZE of all that waits."],
        ["reserve", None, show_size(_DEFAULT.reserve), "SIZE that may wait for a settled node"
         " whatever waits for others."],
        ["pause-seconds", None, _DEFAULT.pause_seconds, "How long a sender to a full mailbox is"
         " paused before messages are dropped; 0: never, inf: for ever. A paused guest stands"
         " still. Native code waits up to 0.1 s before that, or as long as this if that is less:"
         " the two add up."],
        ["overflow", None, _DEFAULT.overflow.value, "drop-newest, or disconnect (the slow"
         " receiver): what happens then."],
        ["pace", None, "segment", "segment: whole messages of at most 1460 bytes at once, the next"
         " when the node has read them, for kernels; stream: no such care, for readers that loop."],
        ["settle-seconds", None, _DEFAULT.settle_seconds, "From the moment a node is seen to have"
         " taken its id until messages are delivered to it."],
        ["settle-remote", None, "first-byte", "first-byte or acked: what shows that a node on"
         " another machine has read its id: its first byte, or that its machine has it."],
        ["grace-seconds", None, 2.0, "How long a stopping master goes on delivering; it"
         " has ended within three times that."],
        ["state", None, None, "FILE to remember ids and waiting messages in over a restart."],
        ["control", None, None, "PATH of the control socket, or none. [default: control in"
         " $XDG_RUNTIME_DIR/distnet, /run/distnet or /tmp/distnet-UID; with another port than 1234"
         " control-PORT]"],
        ["tools", None, None, "PATH of the socket for tools, or none. [default: beside the control"
         " socket]"],
    ]  # fmt: skip

    optFlags = [
        ["keep-mail", None, "Keep what waits for a pinned node when it leaves, for its next"
         " connection."],
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[NodeListener] = []
        self.limits = _DEFAULT
        self.policy = IdPolicy.SEQUENTIAL
        self.grace_seconds = 0.0
        self.tls: CertificateOptions | None = None
        self.control: ControlPath | None = None
        self.tools_beside_control = False
        self["listen"], self["node"], self["tls"] = [], [], []
        self._taken = Taken()

    def opt_listen(self, endpoint: str) -> None:
        """ENDPOINT for all kernels; may be repeated."""
        self["listen"].append(endpoint)

    opt_l = opt_listen

    def opt_node(self, pin: str) -> None:
        """N=ENDPOINT: whoever connects there is node N; may be repeated."""
        self["node"].append(pin)

    def opt_tls(self, endpoint: str) -> None:
        """ENDPOINT for kernels and clients over TLS with a certificate; may be repeated."""
        self["tls"].append(endpoint)

    def check(self) -> None:
        """Make limits, listeners and so on of the texts. Raises ValueError, naming the option."""
        self.policy = IdPolicy(self._one_of("ids", *IdPolicy))
        self.limits = Limits(
            max_payload=self.read("max-payload", size),
            max_waiting_per_id=self.read("max-waiting-per-id", size),
            max_waiting=self.read("max-waiting", size),
            reserve=self.read("reserve", size),
            highest_id=self.read("highest-id", whole_number),
            pause_seconds=self.read("pause-seconds", seconds),
            overflow=Overflow(self._one_of("overflow", *Overflow)),
            segment=_DEFAULT.segment
            if self._one_of("pace", "segment", "stream") == "segment"
            else None,
            settle_seconds=self.read("settle-seconds", seconds),
            keep_pinned=bool(self["keep-mail"]),
            replace_pinned=self._one_of("second-connection", "refuse", "replace") == "replace",
        )
        problem = self.limits.problem()
        if problem is not None:
            raise ValueError(problem)
        self.grace_seconds = self.read("grace-seconds", seconds)
        if not 0 <= self.grace_seconds < float("inf"):
            raise ValueError(f"--grace-seconds {self['grace-seconds']} is not a number of seconds")
        if self["state"]:
            self["state"] = str(Path(self["state"]).absolute())
            self._taken.add(Place("path", self["state"]), f"--state {self['state']}")
        self._check_tls()
        self._find_listeners()

    def _one_of(self, option: str, *allowed: str) -> str:
        value: str = self[option]
        if value not in allowed:
            raise ValueError(f"--{option} {value}: it is {' or '.join(allowed)}")
        return value

    def _check_tls(self) -> None:
        files = ("tls-cert", "tls-key", "tls-client-ca")
        missing = [name for name in files if not self[name]]
        if self["tls"] and missing:
            raise ValueError(f"--tls needs --{' and --'.join(missing)} too")
        if not self["tls"] and len(missing) < len(files):
            raise ValueError("--tls-cert, --tls-key and --tls-client-ca are for --tls ENDPOINT")
        if self["tls"]:
            self.tls = server_options(self["tls-cert"], self["tls-key"], self["tls-client-ca"])

    def _find_listeners(self) -> None:
        from twisted.internet import reactor

        acked = self._one_of("settle-remote", "first-byte", "acked") == "acked"

        def add(option: str, endpoint: str, given: str | None = None, **what: Any) -> None:
            try:
                description = check_description(reactor, endpoint)
            except ValueError as error:
                raise ValueError(f"--{option}: {error}") from error
            listener = NodeListener(description, acked_is_read=acked, **what)
            if listener.path is not None and not Path(listener.path).is_absolute():
                # Before twistd changes its directory.
                listener = replace(listener, description=absolute_description(description))
            self._taken.add(place_of(listener.description), f"--{option} {given or endpoint}")
            self.listeners.append(listener)

        if self["port"] is None and not (self["listen"] or self["node"] or self["tls"]):
            self["port"] = str(_PORT)
        if self["port"] is not None:
            add("port", self["port"])
        for endpoint in self["listen"]:
            add("listen", endpoint)
        for pin in self["node"]:
            node, equals, endpoint = pin.partition("=")
            if not equals or not node.isdecimal():
                raise ValueError(f"--node {pin}: it is N=ENDPOINT, like 3=unix:/tmp/node3")
            try:
                number = whole_number(node)
            except ValueError as error:
                raise ValueError(f"--node {pin}: {error}") from error
            add("node", endpoint, pin, node=number)
        for endpoint in self["tls"]:
            add("tls", endpoint, tls=True)
        try:
            check_pinned(self._pinned(), 0, self.limits.highest_id)
        except LocalError as error:
            raise ValueError(f"--node: {error} (--highest-id)") from error
        self._find_control()

    def _find_control(self) -> None:
        first, told = self.listeners[0], self["control"] or None
        if told is not None and told != "none":
            told = str(Path(told).absolute())
        name = Path(first.path).name if first.path is not None else str(first.port or "")
        if told is not None and told != "none":
            self._taken.add(Place("path", told), f"--control {told}")
        if told != "none":
            self.control = ControlPath(MASTER, told, name, usual=first.port == _PORT)
        tools = self["tools"]
        if tools is None and told is not None and self.control is not None:
            tools = tools_beside(told)
        if tools is not None and tools != "none":
            tools = str(Path(tools).absolute())
            self._taken.add(Place("path", tools), f"--tools {tools}")
            self.listeners.append(for_tools(tools))
        self.tools_beside_control = tools is None and self.control is not None

    def _pinned(self) -> list[int]:
        pinned = [listener.node for listener in self.listeners if listener.node is not None]
        for node in pinned:
            if pinned.count(node) > 1:
                raise ValueError(f"--node {node}=... is given twice")
        return pinned


def makeService(options: Options) -> IService:
    """Wire the services that the options ask for. Opens nothing."""
    from twisted.internet import reactor

    daemon = Daemon(reactor, background=options.background)
    control = options.control

    def late_listeners() -> list[NodeListener]:
        if control is None or not options.tools_beside_control:
            return []
        return [for_tools(tools_beside(control.path))]

    state = StateFile(options["state"], reactor) if options["state"] else None
    master = MasterService(
        reactor,
        options.listeners,
        options.limits,
        options.policy,
        state=state,
        tls=options.tls,
        grace_seconds=options.grace_seconds,
        late_listeners=late_listeners,
    )
    if control is not None:
        ControlService(
            reactor,
            control,
            __version__,
            answers_of(master),
            deletions=deletions_of(master),
        ).setServiceParent(daemon)
    master.setServiceParent(daemon)
    return daemon


def answers_of(master: MasterService) -> Answers:
    """What the control interface of a master answers."""

    return {
        "/status": master.told,
        "/nodes": master.each_node,
        "/nodes/ID": lambda text: None if (node := _id(text)) is None else master.node(node),
        "/mailboxes": master.each_mailbox,
        "/counters": master.counters,
    }


def deletions_of(master: MasterService) -> Deletions:
    """What the control interface of a master lets its user end: connections of nodes."""

    def disconnect(text: str) -> Any:
        node = _id(text)
        if node is None or not master.disconnect(node):
            return None
        return master.node(node)

    return {"/nodes/ID": disconnect}


def _id(text: str) -> int | None:
    """The number that is meant, or None if it could not be an id."""
    if not (text.isascii() and text.isdigit()) or len(text) > MAX_ID_DIGITS:
        return None
    return int(text)
