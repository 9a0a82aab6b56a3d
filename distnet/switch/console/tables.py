"""Console commands about addresses, VLANs, and the spanning tree, which is not done yet."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final

from distnet.switch.console.arguments import CommandError, Kind
from distnet.switch.console.ports import check_port_number, port_of
from distnet.switch.console.records import Command
from distnet.switch.console.session import ConsoleSession
from distnet.switch.core.errors import InUse
from distnet.switch.core.records import FdbEntry, Vlan
from distnet.switch.core.vlans import HIGHEST_VLAN

_NO_TREE: Final = "the spanning tree is not done yet: links that form a loop are not blocked"
_PORT_COST: Final = 20_000_000
"""What vde_switch shows of every port."""


def _vlan_of(session: ConsoleSession, number: int) -> Vlan:
    """A VLAN that exists. Raises CommandError, NoSuchThing."""
    if not 0 <= number <= HIGHEST_VLAN:
        raise CommandError(errno.EINVAL)
    return session.console.bridge.vlans[number]


# Addresses


def _show_hash(session: ConsoleSession) -> Iterator[str]:
    fdb = session.console.bridge.fdb
    yield f"Hash size {fdb.size}"
    yield f"GC interval {fdb.sweep_seconds:.0f} secs"
    yield f"GC expire {fdb.expire_seconds:.0f} secs"
    yield f"Min persistence {fdb.min_persistence_seconds:.0f} secs"


def _set_size(session: ConsoleSession, size: int) -> None:
    session.console.bridge.fdb.set_size(size)


def _set_sweep(session: ConsoleSession, seconds: int) -> None:
    session.console.bridge.set_sweep(seconds)


def _set_expire(session: ConsoleSession, seconds: int) -> None:
    session.console.bridge.fdb.set_expire(seconds)


def _set_min_persistence(session: ConsoleSession, seconds: int) -> None:
    session.console.bridge.fdb.set_min_persistence(seconds)


def _print_hash(session: ConsoleSession) -> Iterator[str]:
    return (_show_entry(session, entry) for entry in session.console.bridge.fdb)


def _find(session: ConsoleSession, mac: bytes, vlan: int) -> Iterator[str]:
    entry = session.console.bridge.fdb.find(mac, vlan)
    if entry is None:
        raise CommandError(errno.ENODEV)
    yield _show_entry(session, entry)


def _show_entry(session: ConsoleSession, entry: FdbEntry) -> str:
    age = int(session.console.clock() - entry.seen)
    # There are no buckets, so all are in the first.
    return (
        f"Hash: 0000 Addr: {entry.mac.hex(':')} VLAN {entry.vlan:04d}"
        f" to port: {entry.port.number:03d}  age {age} secs"
    )


HASH_COMMANDS: Final = (
    Command("hash", "", "ADDRESSES"),
    Command("hash/showinfo", "", "how addresses are kept", (), _show_hash, True),
    Command("hash/setsize", "N", "has no effect: there is always room", (Kind.LOOSE,), _set_size),
    Command("hash/setgcint", "N", "look for old ones every N seconds", (Kind.LOOSE,), _set_sweep),
    Command("hash/setexpire", "N", "forget those not seen for N seconds", (Kind.LOOSE,),
            _set_expire),
    Command("hash/setminper", "N", "one that was just seen may move after N seconds",
            (Kind.LOOSE,), _set_min_persistence),
    Command("hash/print", "", "all addresses", (), _print_hash, True),
    Command("hash/find", "MAC [VLAN]", "where an address is", (Kind.MAC, Kind.LOOSE), _find, True),
)  # fmt: skip


# VLANs


def _create_vlan(session: ConsoleSession, number: int) -> None:
    # The first one is always there; asking for it is a number that was left out.
    if number == 0:
        raise CommandError(errno.EINVAL)
    session.console.bridge.vlans.create(number)


def _remove_vlan(session: ConsoleSession, number: int) -> None:
    vlan = _vlan_of(session, number)
    session.console.bridge.vlans.remove(number)
    session.console.spanning_tree.bonus.pop(vlan.number, None)


def _add_port(session: ConsoleSession, number: int, port: int) -> None:
    vlan = _vlan_of(session, number)
    session.console.bridge.vlans.add_tagged(vlan.number, port_of(session, port))


def _remove_port(session: ConsoleSession, number: int, port_number: int) -> None:
    vlan = _vlan_of(session, number)
    port = port_of(session, port_number)
    if port.home is vlan:
        raise InUse(f"port {port.number} is an untagged member of VLAN {number}")
    session.console.bridge.vlans.remove_tagged(number, port)


def _print_vlans(session: ConsoleSession, number: int | None) -> Iterator[str]:
    return _show_vlans(session, number, inactive=False)


def _print_all_vlans(session: ConsoleSession, number: int | None) -> Iterator[str]:
    return _show_vlans(session, number, inactive=True)


def _chosen(session: ConsoleSession, number: int | None) -> list[Vlan]:
    return list(session.console.bridge.vlans) if number is None else [_vlan_of(session, number)]


def _show_vlans(session: ConsoleSession, number: int | None, inactive: bool) -> Iterator[str]:
    for vlan in _chosen(session, number):
        yield f"VLAN {vlan.number:04d}"
        for port in sorted(vlan.untagged.keys() | vlan.tagged.keys()):
            tagged = port in vlan.tagged
            active = session.console.bridge.ports[port].active
            if active or inactive:
                yield f" -- Port {port:04d} tagged={tagged:d} active={active:d} status=" + (
                    "Forwarding" if active else "Learning"
                )


VLAN_COMMANDS: Final = (
    Command("vlan", "", "VLANS"),
    Command("vlan/create", "N", f"create a VLAN, 1 to {HIGHEST_VLAN}", (Kind.LOOSE,),
            _create_vlan),
    Command("vlan/remove", "N", "remove a VLAN that has no ports", (Kind.LOOSE,), _remove_vlan),
    Command("vlan/addport", "N PORT", "its frames pass this port with a tag",
            (Kind.EXACT, Kind.EXACT), _add_port),
    Command("vlan/delport", "N PORT", "they do so no more", (Kind.EXACT, Kind.EXACT),
            _remove_port),
    Command("vlan/print", "[N]", "all VLANs with the ports in use, or one", (Kind.OPTIONAL,),
            _print_vlans, True),
    Command("vlan/allprint", "[N]", "all VLANs with all their ports, or one", (Kind.OPTIONAL,),
            _print_all_vlans, True),
)  # fmt: skip


# The spanning tree


def _show_tree(session: ConsoleSession) -> Iterator[str]:
    console = session.console
    priority = console.spanning_tree.priority
    yield f"MAC {console.about.mac.hex(':')} Priority {priority} (0x{priority:04x})"
    yield "FSTP=false"
    if console.spanning_tree.wanted:
        yield _NO_TREE


def _set_tree(session: ConsoleSession, wanted: bool) -> Iterator[str]:
    session.console.spanning_tree.wanted = wanted
    if wanted:
        yield _NO_TREE


def _set_edge(session: ConsoleSession, number: int, port: int, edge: int) -> None:
    _vlan_of(session, number)
    check_port_number(session, port)


def _set_bonus(session: ConsoleSession, number: int, port: int, cost: int) -> None:
    _vlan_of(session, number)
    check_port_number(session, port)
    session.console.spanning_tree.bonus[number] = (port, cost)


def _print_tree(session: ConsoleSession, number: int | None) -> Iterator[str]:
    console = session.console
    tree = console.spanning_tree
    uptime = int(console.clock() - console.about.started)
    for vlan in _chosen(session, number):
        port, cost = tree.bonus.get(vlan.number, (0, 0))
        root = (tree.priority.to_bytes(2) + console.about.mac).hex(":")
        yield f"FST DATA VLAN {vlan.number:04d} ROOTSWITCH FSTP IS DISABLED"
        yield f" ++ root {root}"
        yield f" ++ designated {'ff:' * 7}ff"
        yield (f" ++ rootport 0000 cost 0 age {uptime} bonusport {port:04d} bonuscost {cost}")
        for member in sorted(vlan.untagged.keys() | vlan.tagged.keys()):
            if console.bridge.ports[member].active:
                tagged = member in vlan.tagged
                yield f" -- Port {member:04d} tagged={tagged:d} portcost={_PORT_COST} role=" + (
                    "Unknown" if tagged else "Designated"
                )


TREE_COMMANDS: Final = (
    Command("fstp", "", "SPANNING TREE (NOT DONE YET)"),
    Command("fstp/showinfo", "", "priority, and whether it is on", (), _show_tree, True),
    Command("fstp/setfstp", "0/1", "is noted: 1=ON 0=OFF", (Kind.FLAG,), _set_tree, True),
    Command("fstp/setedge", "VLAN PORT 1/0", "is checked, and has no effect",
            (Kind.EXACT, Kind.EXACT, Kind.EXACT), _set_edge),
    Command("fstp/bonus", "VLAN PORT COST", "is noted, and has no effect",
            (Kind.EXACT, Kind.EXACT, Kind.EXACT), _set_bonus),
    Command("fstp/print", "[N]", "all VLANs as one root sees them, or one", (Kind.OPTIONAL,),
            _print_tree, True),
)  # fmt: skip
