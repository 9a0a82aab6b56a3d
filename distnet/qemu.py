"""QEMU's options: a guest that finds the master at 10.0.2.16:1234, or that is on the switch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from distnet.address import (
    LOOPBACK,
    MAX_UNIX_PATH,
    Address,
    BadAddress,
    TcpAddress,
    TlsAddress,
    UnixAddress,
    long_path,
    parse,
)
from distnet.errors import LocalError, MachineError
from distnet.guestnet import GUEST_MASTER, PLAN
from distnet.mac import format_mac, is_group, parse_mac

DEFAULT_NIC: Final = "e1000e"
"""The network card that a guest has unless it is said: zCore's."""

_RECONNECT_MS: Final = (9, 2)
"""The version of QEMU in which C{reconnect-ms} came, and C{reconnect} began to go."""
_STREAM: Final = (7, 2)
"""The version in which C{-netdev stream} and C{-netdev dgram} came."""
_STREAM_RECONNECT: Final = (8, 0)
"""The version in which C{-netdev stream} learnt to connect again."""


class Form(StrEnum):
    """The ways in which QEMU forwards the guest's connection."""

    TCP = "tcp"
    RECONNECT = "reconnect"
    UNIX = "unix"
    COMMAND = "command"
    CHARDEV = "chardev"


ABOUT: Final = {
    Form.TCP: "One connection for QEMU's whole life, made when QEMU starts: start the master first."
    " A guest that disconnects or reboots inside QEMU gets no new id.",
    Form.RECONNECT: "QEMU connects again when the master was away or has closed the connection;"
    " the node must be pinned, so that it stays the same node; over a unix socket, and with"
    " --state, it goes on where it was.",
    Form.UNIX: "As tcp, over a unix socket; with --node, the socket says which node it is.",
    Form.COMMAND: "One connection for each connection of the guest, made when the guest connects:"
    " guests may reboot and connect again, the master may be started later. Needs socat.",
    Form.CHARDEV: "As tcp or unix, with the connection named by -chardev, for more options of it.",
}


@dataclass(frozen=True, slots=True)
class Version:
    """A version of QEMU."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def reconnect(self) -> str:
        """The chardev option that has QEMU connect again after a second."""
        return "reconnect-ms=1000" if self.is_from(_RECONNECT_MS) else "reconnect=1"

    @property
    def stream_reconnect(self) -> str | None:
        """The option of C{-netdev stream} that does so, or None if this version has none."""
        return self.reconnect if self.is_from(_STREAM_RECONNECT) else None

    def is_from(self, version: tuple[int, int]) -> bool:
        """Whether it is a given version, (major, minor), or a later one."""
        return (self.major, self.minor) >= version


OLDEST: Final = Version(7, 2)
"""What is assumed where no QEMU is found: Debian 12's."""


def parse_version(text: str) -> Version | None:
    """The version in what C{qemu-system-... --version} prints, or None."""
    found = re.search(r"QEMU emulator version (\d+)\.(\d+)", text)
    return Version(int(found[1]), int(found[2])) if found else None


def find_version(architecture: str) -> Version | None:
    """
    The version of the QEMU for an architecture on this machine, or None if there is none.

    @raise MachineError: there is one, and it does not say its version.
    """
    program = shutil.which(f"qemu-system-{architecture}")
    if program is None:
        return None
    version = parse_version(ask_qemu(program, "--version"))
    if version is None:
        raise MachineError(f"{program} --version does not say a version")
    return version


def has_netdev(architecture: str, kind: str) -> bool:
    """
    Whether the QEMU for an architecture on this machine has a kind of C{-netdev}.

    True if there is no such QEMU. Raises L{MachineError} if there is one and it does not say.
    """
    program = shutil.which(f"qemu-system-{architecture}")
    return program is None or kind in ask_qemu(program, "-netdev", "help").split()


def ask_qemu(program: str, *words: str) -> str:
    """What a program of QEMU's prints and then ends. Raises L{MachineError}."""
    try:
        return subprocess.run(
            [program, *words], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise MachineError(f"{program} {' '.join(words)} fails: {error}") from error


def about_restrict(restrict: bool) -> str:
    """What a guest with a user network reaches, in one line."""
    if restrict:
        return (
            "The guest reaches the master and nothing else: --no-restrict lets it reach this"
            " machine, too."
        )
    return (
        f"The guest reaches this machine as {PLAN.host}, with what listens on its loopback, and"
        f" what this machine reaches."
    )


def default_form(address: Address) -> Form:
    """The form that documents show: C{unix} at a unix socket, C{tcp} elsewhere."""
    return Form.UNIX if isinstance(address, UnixAddress) else Form.TCP


def guest_arguments(
    address: Address,
    form: Form | None = None,
    *,
    version: Version = OLDEST,
    pinned: bool = False,
    restrict: bool = True,
    nic: str = DEFAULT_NIC,
) -> list[str]:
    """
    The options for one guest, as words.

    @param address: where the master listens for it.
    @param form: L{default_form} if none is given.
    @param pinned: the listener is that of one node.
    @param restrict: the guest reaches the master alone. Else it reaches this machine, loopback
        addresses too, as 10.0.2.2, and through it whatever this machine reaches.
    @param nic: the guest's network card, see L{distnet.nic.check_nic}.
    @raise LocalError: there is no such form for this address; the message says what to do.
    """
    form = form or default_form(address)
    _check(address, form, pinned)
    chardev: list[str] = []
    if form is Form.COMMAND:
        target = f"cmd:socat - {_socat(address)}"
    elif form is Form.CHARDEV:
        chardev = ["-chardev", f"socket,id=distnet0,{_socket_options(address)}"]
        target = "chardev:distnet0"
    else:
        target = str(address)
        if form is Form.RECONNECT:
            # QEMU takes the doubled comma for one that belongs to the guestfwd.
            target += f",,{version.reconnect}"
    alone = "restrict=on," if restrict else ""
    netdev = f"user,id=net1,{alone}guestfwd=tcp:{GUEST_MASTER}-{target}"
    return [*chardev, "-netdev", netdev, "-device", _device(nic)]


def _device(nic: str) -> str:
    """The C{-device} of a network card; its own options come after the one that is made here."""
    model, *options = nic.split(",")
    return ",".join((model, "netdev=net1", *options))


def _check(address: Address, form: Form, pinned: bool) -> None:
    if isinstance(address, TlsAddress):
        raise LocalError("QEMU's guestfwd does not speak TLS: use a listener without it")
    if form is Form.UNIX and not isinstance(address, UnixAddress):
        raise LocalError(
            "the form unix needs a unix listener: start the master with --listen unix:PATH"
            " or --node N=unix:PATH"
        )
    if form is Form.TCP and not isinstance(address, TcpAddress):
        raise LocalError("the form tcp needs a TCP listener: start the master with --port 1234")
    if form is Form.RECONNECT and not pinned:
        raise LocalError(
            "the form reconnect is for pinned nodes (--node N): at a listener for all, the id of"
            " each new connection would land in the middle of the guest's stream"
        )
    if isinstance(address, UnixAddress):
        _check_path(address.path)
    if (
        form is Form.COMMAND
        and isinstance(address, UnixAddress)
        and re.search("[:!]", address.path)
    ):
        raise LocalError(
            f"the path {address.path!r} has a character that socat cannot be given:"
            f" use one without colons and exclamation marks, or another form"
        )


def _check_path(path: str) -> None:
    if re.search(r"[\s,'\"\\]", path):
        raise LocalError(
            f"the path {path!r} has a character that QEMU's options cannot hold:"
            f" use one without spaces, commas, quotes and backslashes"
        )


def _socat(address: Address) -> str:
    if isinstance(address, UnixAddress):
        return f"UNIX-CONNECT:{address.path}"
    return str(address).upper() if ":" not in address.host else f"TCP6:{str(address)[4:]}"


def _socket_options(address: Address) -> str:
    if isinstance(address, UnixAddress):
        return f"path={address.path}"
    return f"host={address.host},port={address.port}"


# A guest on the switch


class SwitchForm(StrEnum):
    """The ways in which QEMU plugs into the switch."""

    VDE = "vde"
    STREAM = "stream"
    DGRAM = "dgram"


MAX_GUEST: Final = 2**23 - 1
"""The highest number of a guest that has a MAC of its own; made-up ones are above."""
_PREFIX: Final = b"\x52\x54\x00"


@dataclass(frozen=True, slots=True)
class UdpAddress:
    """
    A switch that takes datagrams of UDP.

    @ivar host: a name or an IPv4 address.
    @ivar port: 1 to 65535.
    """

    host: str
    port: int


def parse_dgram(text: str) -> UdpAddress | UnixAddress:
    """
    The address that C{unix:PATH}, C{udp:PORT} or C{udp:HOST:PORT} means.

    @raise BadAddress: it means none; the message is one line.
    """
    kind, _, rest = text.partition(":")
    address = parse(rest if kind == "udp" else text)
    if kind == "unix" and isinstance(address, UnixAddress):
        return address
    if kind != "udp" or not isinstance(address, TcpAddress):
        raise BadAddress(f"{text!r} is not unix:PATH, udp:PORT or udp:HOST:PORT")
    if ":" in address.host:
        raise BadAddress(f"{text!r}: QEMU's -netdev dgram speaks IPv4 alone")
    return UdpAddress(address.host, address.port)


def guest_mac(number: int) -> str:
    """The MAC of the guest with a number. Raises L{LocalError} if there is none."""
    if not 0 <= number <= MAX_GUEST:
        raise LocalError(f"{number} is no number of a guest: they have 0 to {MAX_GUEST}")
    return format_mac(_PREFIX + number.to_bytes(3))


def make_up_mac() -> str:
    """A random MAC: no guest with a number has it, and hardly any other guest."""
    made_up = bytearray(os.urandom(3))
    made_up[0] |= 0x80
    return format_mac(_PREFIX + bytes(made_up))


def check_mac(text: str) -> str:
    """A MAC as QEMU takes it. Raises L{LocalError} if it cannot be that of a guest."""
    try:
        mac = parse_mac(text)
    except ValueError as error:
        raise LocalError(f"{error}: it is like 52:54:00:00:00:01") from error
    if is_group(mac) or not any(mac):
        raise LocalError(
            f"{text} cannot be the MAC of a guest: that of one station is like 52:54:00:00:00:01"
        )
    return format_mac(mac)


def check_switch_form(form: SwitchForm, version: Version, has_it: bool = True) -> None:
    """Raise L{LocalError}, with what to do, if a QEMU does not have a form."""
    if form is not SwitchForm.VDE and not version.is_from(_STREAM):
        raise LocalError(
            f"QEMU {version} has no -netdev {form}, which came with 7.2: use --vde DIRECTORY, or a"
            f" later QEMU"
        )
    if not has_it:
        use = (
            "start the switch with --stream ENDPOINT, and use --stream ADDRESS here"
            if form is SwitchForm.VDE
            else "use --vde DIRECTORY"
        )
        raise LocalError(f"this QEMU {version} was built without -netdev {form}: {use}")


def about_switch_form(form: SwitchForm, version: Version) -> str:
    """What a form can and cannot do, in one line."""
    if form is SwitchForm.VDE:
        return (
            "QEMU plugs in when it starts, and not again: start the switch first, and QEMU anew"
            " after it. Without the switch QEMU exits."
        )
    if form is SwitchForm.DGRAM:
        return (
            "A frame a datagram, without a connection: the switch and QEMU may be started in any"
            " order, and again."
        )
    if version.stream_reconnect is not None:
        return "One connection, made when QEMU starts, and again when the switch was away."
    return (
        f"One connection, made when QEMU starts: start the switch first. QEMU {version} does not"
        f" say that nobody listens, and does not connect again; 8.0 does."
    )


def vde_netdev(directory: str, port: int | None = None) -> str:
    """The C{-netdev} of a guest on a VDE switch, at a port or the first free one."""
    _check_path(directory)
    if (problem := long_path(directory, "ctl")) is not None:
        raise LocalError(f"no switch can be in {directory}: {problem}")
    return f"vde,id=net1,sock={directory}" + (f",port={port}" if port is not None else "")


def stream_netdev(address: Address, version: Version = OLDEST) -> str:
    """The C{-netdev} of a guest that connects to a switch. Raises L{LocalError}."""
    if isinstance(address, TlsAddress):
        raise LocalError("QEMU's -netdev stream does not speak TLS: use a listener without it")
    if isinstance(address, UnixAddress):
        _check_path(address.path)
        where = f"addr.type=unix,addr.path={address.path}"
    else:
        where = f"addr.type=inet,addr.host={address.host},addr.port={address.port}"
    again = version.stream_reconnect
    return f"stream,id=net1,server=off,{where}" + (f",{again}" if again is not None else "")


def dgram_netdev(address: UdpAddress | UnixAddress, mac: str) -> str:
    """
    The C{-netdev} of a guest that sends datagrams to a switch.

    Its own address, to which the switch answers, is no other guest's: a path with its MAC in it, or
    a port that the system chooses.

    @raise LocalError: the path cannot be used.
    """
    if isinstance(address, UdpAddress):
        near = address.host == "localhost" or address.host.startswith("127.")
        return (
            f"dgram,id=net1,remote.type=inet,remote.host={address.host},remote.port={address.port},"
            f"local.type=inet,local.host={LOOPBACK if near else '0.0.0.0'},local.port=0"
        )
    own = f"{address.path}.{mac.replace(':', '')}"
    _check_path(own)
    size = len(os.fsencode(own))
    if size > MAX_UNIX_PATH:
        raise LocalError(
            f"the path of the guest's own socket, {own}, has {size} bytes, a unix socket's can have"
            f" {MAX_UNIX_PATH}: start the switch with a shorter one"
        )
    return (
        f"dgram,id=net1,remote.type=unix,remote.path={address.path},"
        f"local.type=unix,local.path={own}"
    )


def switch_arguments(netdev: str, mac: str, nic: str = DEFAULT_NIC) -> list[str]:
    """
    The options for one guest on the switch, as words.

    With a MAC, since all that QEMU makes up are the same, and two such guests cannot talk.
    """
    return ["-netdev", netdev, "-device", f"{_device(nic)},mac={mac}"]
