"""Ports of this machine that lead to guests': C{--forward}, as it is given. No Twisted."""

from __future__ import annotations

import contextlib
import errno
import re
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from distnet.errors import StartupError
from distnet.guestnet import Plan

MOST_FORWARDS: Final = 64
"""How many may lead to one address of a guest's: each is a descriptor of its process."""
MAX_PORT: Final = 65535
LOOPBACK: Final = IPv4Address("127.0.0.1")
ANY: Final = IPv4Address("0.0.0.0")
TRIES: Final = 10
TRY_SECONDS: Final = 0.1
"""
How often a port that is in use is tried when the gateway starts, and how long that waits: the
processes of one that was killed a moment ago may still have it.
"""

USE: Final = "[ADDRESS:]PORT=IP:PORT[/udp], like 2222=10.0.2.17:22"
_FORM: Final = re.compile(r"(?:([^:=]*):)?([^:=]*)=([^:=]*):([^:=/]*)(/udp)?")


@dataclass(frozen=True, slots=True)
class HostForward:
    """
    One port of this machine that leads to one of a guest's.

    @ivar is_udp: it is for datagrams, or else for connections of TCP.
    @ivar address: of this machine; L{ANY} is all of them.
    @ivar port: of this machine.
    @ivar guest: the guest's address.
    @ivar guest_port: the guest's.
    """

    is_udp: bool
    address: IPv4Address
    port: int
    guest: IPv4Address
    guest_port: int

    def __str__(self) -> str:
        udp = "/udp" if self.is_udp else ""
        return f"{self.address}:{self.port}={self.guest}:{self.guest_port}{udp}"

    def to_list(self) -> list[bool | int | str]:
        """As JSON has it."""
        return [self.is_udp, str(self.address), self.port, str(self.guest), self.guest_port]

    @classmethod
    def from_list(cls, values: Sequence[bool | int | str]) -> HostForward:
        """What L{to_list} has made."""
        is_udp, address, port, guest, guest_port = values
        return cls(
            bool(is_udp), IPv4Address(address), int(port), IPv4Address(guest), int(guest_port)
        )


def parse_forwards(texts: Sequence[str], plan: Plan) -> tuple[HostForward, ...]:
    """
    What C{[ADDRESS:]PORT=IP:PORT[/udp]} means, of each as users give it.

    Raises ValueError in one line.
    """
    made: list[HostForward] = []
    for text in texts:
        forward = _parse(text, plan)
        for other in made:
            if _is_same_port(forward, other):
                raise ValueError(f"{text!r}: {other} has the same port of this machine")
        made.append(forward)
    for guest, count in Counter(forward.guest for forward in made).items():
        if count > MOST_FORWARDS:
            raise ValueError(f"more than {MOST_FORWARDS} ports lead to {guest}")
    return tuple(made)


def _parse(text: str, plan: Plan) -> HostForward:
    form = _FORM.fullmatch(text)
    if form is None:
        raise ValueError(f"{text!r} is not {USE}")
    address, port, guest, guest_port, udp = form.groups()
    try:
        ours = LOOPBACK if address is None else IPv4Address(address)
    except AddressValueError:
        raise ValueError(f"{text!r}: {address!r} is not an IPv4 address of this machine") from None
    return HostForward(
        udp is not None,
        ours,
        _port(text, port),
        _guest(text, guest, plan),
        _port(text, guest_port),
    )


def _port(text: str, port: str) -> int:
    if not (port.isascii() and port.isdigit()) or len(port) > 5 or not 0 < int(port) <= MAX_PORT:
        raise ValueError(f"{text!r}: {port!r} is not the number of a port, 1 to {MAX_PORT}")
    return int(port)


def _guest(text: str, guest: str, plan: Plan) -> IPv4Address:
    try:
        address = IPv4Address(guest)
    except AddressValueError:
        raise ValueError(f"{text!r}: {guest!r} is not the address of a guest") from None
    if address in plan.own:
        raise ValueError(f"{text!r}: {guest} is the gateway's own address, and no guest's")
    network = plan.network
    if address not in network or address in (network.network_address, network.broadcast_address):
        raise ValueError(f"{text!r}: {guest} is not an address of a guest in {network}")
    return address


def _is_same_port(one: HostForward, other: HostForward) -> bool:
    """Whether two cannot be listened at, at the same time."""
    return (
        one.is_udp is other.is_udp
        and one.port == other.port
        and (one.address == other.address or ANY in (one.address, other.address))
    )


def check_forwards(forwards: Sequence[HostForward]) -> None:
    """Listen at each, and stop at once. Raises StartupError if that is not possible."""
    for forward in forwards:
        for left in reversed(range(TRIES)):
            try:
                listen(forward)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and left:
                    time.sleep(TRY_SECONDS)
                    continue
                raise StartupError(f"--forward {forward}: {why_not(forward, error)}") from None
            break


def listen(forward: HostForward) -> None:
    """Listen as libslirp would, and stop at once. Raises OSError."""
    with bound(forward) as sock:
        if not forward.is_udp:
            sock.listen(1)


def bound(forward: HostForward) -> socket.socket:
    """A socket that does not block, at the port of this machine. Raises OSError."""
    kind = socket.SOCK_DGRAM if forward.is_udp else socket.SOCK_STREAM
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK))
        if not forward.is_udp:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((str(forward.address), forward.port))
        stack.pop_all()
    return sock


def why_not(forward: HostForward, error: OSError) -> str:
    """Why nobody can listen there, for people."""
    return f"cannot listen at {forward.address}:{forward.port}: {error.strerror or error}"
