"""Console commands about ports and their endpoints."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Final

from distnet.switch.console.arguments import CommandError, Kind
from distnet.switch.console.records import Command
from distnet.switch.console.session import ConsoleSession
from distnet.switch.core.counters import Traffic
from distnet.switch.core.errors import NoFreePort
from distnet.switch.core.records import Endpoint, Port
from distnet.text import printable

_NOBODY: Final = ("NONE", "ANY")
"""In the place of a user or a group: no restriction."""


def port_of(session: ConsoleSession, number: int) -> Port:
    """A port that exists. Raises CommandError, NoSuchThing."""
    check_port_number(session, number)
    return session.console.bridge.ports[number]


def check_port_number(session: ConsoleSession, number: int) -> None:
    """Raises CommandError for one that no port can have."""
    if not 0 <= number < session.console.bridge.ports.numports:
        raise CommandError(errno.EINVAL)


def _show_info(session: ConsoleSession) -> Iterator[str]:
    bridge = session.console.bridge
    yield f"Numports={bridge.ports.numports}"
    yield f"HUB={'true' if bridge.hub else 'false'}"
    yield "counters=true"


def _set_numports(session: ConsoleSession, number: int) -> None:
    session.console.bridge.ports.set_numports(number)


def _set_hub(session: ConsoleSession, hub: bool) -> None:
    session.console.bridge.set_hub(hub)


def _set_vlan(session: ConsoleSession, number: int, vlan: int) -> None:
    session.console.bridge.vlans.set_untagged(port_of(session, number), vlan)


def _create_first(session: ConsoleSession) -> Port:
    try:
        return session.console.bridge.ports.create_first()
    except NoFreePort as error:
        raise CommandError(errno.ENOSPC) from error


def _create_auto(session: ConsoleSession) -> Iterator[str]:
    yield f"Port {_create_first(session).number:04d}"


def _create(session: ConsoleSession, number: int) -> None:
    # The management port is not created by hand: 0 is any.
    if number == 0:
        _create_first(session)
    else:
        session.console.bridge.ports.create(number)


def _remove(session: ConsoleSession, number: int) -> None:
    check_port_number(session, number)
    session.console.bridge.ports.remove(number)


def _set_allocatable(session: ConsoleSession, number: int, allocatable: int) -> None:
    port_of(session, number).allocatable = allocatable != 0


def _set_user(session: ConsoleSession, number: int, name: str) -> None:
    port = port_of(session, number)
    port.allowed_user = _identity(name, session.console.machine.user_id)


def _set_group(session: ConsoleSession, number: int, name: str) -> None:
    port = port_of(session, number)
    port.allowed_group = _identity(name, session.console.machine.group_id)


def _identity(name: str, number_of: Callable[[str], int]) -> int | None:
    if name in _NOBODY:
        return None
    try:
        return number_of(name)
    except (KeyError, ValueError) as error:
        raise CommandError(errno.EINVAL) from error


def _close_endpoint(session: ConsoleSession, number: int, endpoint: int) -> None:
    check_port_number(session, number)
    session.console.bridge.close_endpoint(number, endpoint)


def _reset_counter(session: ConsoleSession, number: int | None) -> None:
    ports = session.console.bridge.ports
    if number is not None:
        check_port_number(session, number)
    for port in ports:
        if number is None or port.number == number:
            port.counters.reset()


def _print(session: ConsoleSession, number: int | None) -> Iterator[str]:
    return _show_ports(session, number, inactive=False)


def _print_all(session: ConsoleSession, number: int | None) -> Iterator[str]:
    return _show_ports(session, number, inactive=True)


def _show_ports(session: ConsoleSession, number: int | None, inactive: bool) -> Iterator[str]:
    if number is not None:
        port = port_of(session, number)
        if not (inactive or port.active):
            raise CommandError(errno.ENXIO)
        yield from _show_port(session, port)
        return
    for port in session.console.bridge.ports:
        if inactive or port.active:
            yield from _show_port(session, port)


def _show_port(session: ConsoleSession, port: Port) -> Iterator[str]:
    machine = session.console.machine
    active = "ACTIVE" if port.active else "INACTIVE"
    allocatable = "Unnamed" if port.allocatable else "NOT Unnamed"
    yield f"Port {port.number:04d} untagged_vlan={port.untagged:04d} {active} -" + (
        f" {allocatable} Allocatable"
    )
    user = _shown(port.user, machine.user_name)
    allowed_user = _shown(port.allowed_user, machine.user_name)
    allowed_group = _shown(port.allowed_group, machine.group_name)
    yield f" Current User: {user} Access Control: (User: {allowed_user} - Group: {allowed_group})"
    yield f" IN:  {_amount(port.counters.received)}"
    yield f" OUT: {_amount(port.counters.sent)}"
    for reason, traffic in port.counters.undelivered.items():
        yield f" NOT: {_amount(traffic)} ({reason})"
    # The newest first.
    for endpoint in reversed(port.endpoints):
        yield f"  -- endpoint ID {endpoint.number:04d} module {endpoint.link.module:<12}: " + (
            printable(endpoint.description)
        )
        yield from _show_slow(session, endpoint)


def _show_slow(session: ConsoleSession, endpoint: Endpoint) -> Iterator[str]:
    episode = endpoint.slow
    if episode is not None:
        yield (
            f"     SLOW for {int(session.console.clock() - episode.since)} secs:"
            f" {len(endpoint.queue)} pkts wait, {episode.dropped.frames} pkts dropped since"
        )


def _amount(traffic: Traffic) -> str:
    return f"pkts {traffic.frames:10d}          bytes {traffic.bytes:20d}"


def _shown(number: int | None, name_of: Callable[[int], str]) -> str:
    return "NONE" if number is None else name_of(number)


PORT_COMMANDS: Final = (
    Command("port", "", "PORTS"),
    Command("port/showinfo", "", "how many there can be, and whether it is a hub", (), _show_info,
            True),
    Command("port/setnumports", "N", "how many there can be, with port 0", (Kind.LOOSE,),
            _set_numports),
    Command("port/sethub", "0/1", "1: a hub, 0: a switch", (Kind.FLAG,), _set_hub),
    Command("port/setvlan", "N VLAN", "the VLAN of untagged frames; 4095: none",
            (Kind.EXACT, Kind.EXACT), _set_vlan),
    Command("port/createauto", "", "create a port, and tell its number", (), _create_auto, True),
    Command("port/create", "N", "create a port, for who asks for it by number; 0: any",
            (Kind.LOOSE,), _create),
    Command("port/remove", "N", "remove a port that nobody uses", (Kind.LOOSE,), _remove),
    Command("port/allocatable", "N 0/1", "1: for whoever asks for any port, 0: not",
            (Kind.EXACT, Kind.EXACT), _set_allocatable),
    Command("port/setuser", "N user", "only for this user (and root); ANY: for all",
            (Kind.EXACT, Kind.NAME), _set_user),
    Command("port/setgroup", "N group", "only for this group (and root); ANY: for all",
            (Kind.EXACT, Kind.NAME), _set_group),
    Command("port/epclose", "N ID", "unplug endpoint ID of a port", (Kind.EXACT, Kind.EXACT),
            _close_endpoint),
    Command("port/resetcounter", "[N]", "count again from 0, all ports or one", (Kind.OPTIONAL,),
            _reset_counter),
    Command("port/print", "[N]", "ports in use, or one of them", (Kind.OPTIONAL,), _print, True),
    Command("port/allprint", "[N]", "all ports that are there, or one", (Kind.OPTIONAL,),
            _print_all, True),
)  # fmt: skip
