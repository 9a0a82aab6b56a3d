"""The options that make a guest of QEMU find the master at 10.0.2.16:1234, form by form."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from distnet.address import Address, TcpAddress, TlsAddress, UnixAddress
from distnet.errors import LocalError, MachineError

GUEST_MASTER: Final = "10.0.2.16:1234"
"""Where a kernel looks for its master. Inside QEMU's user network, which is 10.0.2.0/24."""

_RECONNECT_MS: Final = (9, 2)
"""The version of QEMU in which C{reconnect-ms} came, and C{reconnect} began to go."""


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
        new = (self.major, self.minor) >= _RECONNECT_MS
        return "reconnect-ms=1000" if new else "reconnect=1"


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
    try:
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise MachineError(f"{program} --version fails: {error}") from error
    version = parse_version(said)
    if version is None:
        raise MachineError(f"{program} --version does not say a version")
    return version


def default_form(address: Address) -> Form:
    """The form that documents show: C{unix} at a unix socket, C{tcp} elsewhere."""
    return Form.UNIX if isinstance(address, UnixAddress) else Form.TCP


def guest_arguments(
    address: Address, form: Form | None = None, *, version: Version = OLDEST, pinned: bool = False
) -> list[str]:
    """
    The options for one guest, as words.

    @param address: where the master listens for it.
    @param form: L{default_form} if none is given.
    @param pinned: the listener is that of one node.
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
    netdev = f"user,id=net1,guestfwd=tcp:{GUEST_MASTER}-{target}"
    return [*chardev, "-netdev", netdev, "-device", "e1000e,netdev=net1"]


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
    if isinstance(address, UnixAddress) and re.search(r"[\s,'\"\\]", address.path):
        raise LocalError(
            f"the path {address.path!r} has a character that QEMU's options cannot hold:"
            f" use one without spaces, commas, quotes and backslashes"
        )
    if (
        form is Form.COMMAND
        and isinstance(address, UnixAddress)
        and re.search("[:!]", address.path)
    ):
        raise LocalError(
            f"the path {address.path!r} has a character that socat cannot be given:"
            f" use one without colons and exclamation marks, or another form"
        )


def _socat(address: Address) -> str:
    if isinstance(address, UnixAddress):
        return f"UNIX-CONNECT:{address.path}"
    return str(address).upper() if ":" not in address.host else f"TCP6:{str(address)[4:]}"


def _socket_options(address: Address) -> str:
    if isinstance(address, UnixAddress):
        return f"path={address.path}"
    return f"host={address.host},port={address.port}"
