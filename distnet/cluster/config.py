"""The file that describes a cluster: TOML, read into records; a mistake in it is one line."""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from distnet.cluster.keys import BadConfig, Keys
from distnet.errors import LocalError
from distnet.guestnet import MAX_NODES, NodeAddresses, addresses_of
from distnet.nic import check_nic
from distnet.qemu import DEFAULT_NIC, Form

GUESTFWD: Final = "guestfwd"
VDE: Final = "vde"

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
"""Of a cluster: it is part of the paths of sockets, which are short."""


@dataclass(frozen=True, slots=True)
class Machine:
    """
    What QEMU is told of an architecture, unless the file says otherwise.

    @ivar machine: words of its command line.
    @ivar gdb: names of debuggers that know it, the best first.
    """

    machine: tuple[str, ...]
    gdb: tuple[str, ...]


MACHINES: Final = {
    "riscv64": Machine(
        ("-machine", "virt", "-bios", "default"),
        ("gdb-multiarch", "riscv64-unknown-elf-gdb", "riscv64-linux-gnu-gdb"),
    ),
    # Nobody boots from the NIC, and the package of its boot program need not be installed.
    "x86_64": Machine(("-machine", "pc", "-global", "e1000e.romfile="), ("gdb-multiarch", "gdb")),
    "aarch64": Machine(
        ("-machine", "virt", "-cpu", "cortex-a72"),
        ("gdb-multiarch", "aarch64-none-elf-gdb", "aarch64-linux-gnu-gdb"),
    ),
}


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """
    One kernel.

    @ivar id: the id that it gets, by which it is called, too.
    @ivar nodes: how many kernels the cluster has.
    @ivar addresses: its MAC and its IP address on the switch.
    @ivar kernel: the file that QEMU boots, or None if C{arguments} or the machine's words say what
        it boots instead; C{initrd} goes with it.
    @ivar append: the kernel's command line, a template: see L{fill}.
    @ivar nic: its network card: see L{check_nic}.
    @ivar arguments: more words for QEMU, templates too.
    @ivar memory: as QEMU's C{-m} has it.
    @ivar symbols: the file that a debugger reads, or None if there is none.
    @ivar restrict: it reaches the master alone; for the topology C{guestfwd}.
    """

    id: int
    nodes: int
    addresses: NodeAddresses
    kernel: Path | None
    initrd: Path | None
    append: str
    nic: str
    arguments: tuple[str, ...]
    memory: str
    cpus: int
    symbols: Path | None
    restrict: bool


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """
    All that a file says.

    @ivar where: the file, or what else an error is to name.
    @ivar directory: what its paths are relative to, and where C{prepare} runs.
    @ivar arch: one of L{MACHINES}.
    @ivar topology: L{GUESTFWD}, a network for each kernel, or L{VDE}, one for all.
    @ivar form: how QEMU forwards the guest's connection; for the topology C{guestfwd}.
    @ivar machine: words for QEMU.
    @ivar accel: QEMU's accelerator.
    @ivar reboot: a guest that resets boots again, rather than that its QEMU exits.
    @ivar timeout: seconds until every node must have its id.
    @ivar prepare: a command that runs first, or nothing.
    @ivar logs: a directory that keeps the logs, or None.
    @ivar master: more words for C{twistd distnet}.
    @ivar switch: more words for C{twistd distnet-vde}.
    """

    name: str
    where: str
    directory: Path
    arch: str
    topology: str
    form: Form
    machine: tuple[str, ...]
    accel: str
    reboot: bool
    timeout: float
    prepare: tuple[str, ...]
    logs: Path | None
    master: tuple[str, ...]
    switch: tuple[str, ...]
    nodes: tuple[NodeConfig, ...]


_NODE_KEYS: Final = (
    *("kernel", "initrd", "append", "nic", "arguments", "memory", "cpus", "symbols", "restrict"),
)
_KEYS: Final = (
    "name",
    "nodes",
    "arch",
    "topology",
    "form",
    "machine",
    "accel",
    "reboot",
    "timeout",
    "prepare",
    "logs",
    "master",
    "switch",
    *_NODE_KEYS,
    "node",
)


def read_config(path: str | Path) -> ClusterConfig:
    """The cluster that a file describes. Raises L{BadConfig}."""
    file = Path(path)
    return from_table({"name": file.stem, **read_table(file)}, file.absolute().parent, str(file))


def read_table(file: Path) -> dict[str, Any]:
    """What a file has, unchecked. Raises L{BadConfig} if it is not TOML."""
    try:
        return tomllib.loads(file.read_text())
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{file}: it is not TOML: {error}") from None


def from_table(table: Mapping[str, Any], directory: Path, where: str) -> ClusterConfig:
    """
    The cluster that a table describes.

    @param table: with the keys of a file.
    @param directory: what paths are relative to.
    @param where: what errors begin with.
    @raise BadConfig: a key or value is wrong.
    """
    keys = Keys(table, _KEYS, where, directory)
    arch = keys.one_of("arch", tuple(MACHINES), "riscv64")
    topology = keys.one_of("topology", (GUESTFWD, VDE), GUESTFWD)
    form = Form(keys.one_of("form", (Form.UNIX, Form.COMMAND, Form.CHARDEV), Form.UNIX))
    if topology == VDE and "form" in table:
        raise keys.wrong("form", f"it is for the topology {GUESTFWD}")
    if topology == GUESTFWD and "switch" in table:
        raise keys.wrong("switch", f"it is for the topology {VDE}")
    return ClusterConfig(
        name=keys.matching("name", NAME, "letters, digits, - and _, at most 32"),
        where=where,
        directory=directory,
        arch=arch,
        topology=topology,
        form=form,
        machine=keys.words("machine") or MACHINES[arch].machine,
        accel=keys.text("accel", "tcg"),
        reboot=keys.flag("reboot"),
        timeout=keys.seconds("timeout", 120.0),
        prepare=keys.words("prepare"),
        logs=keys.path("logs"),
        master=keys.words("master"),
        switch=keys.words("switch"),
        nodes=_nodes(keys),
    )


def _nodes(keys: Keys) -> tuple[NodeConfig, ...]:
    count = keys.number("nodes", 1, MAX_NODES, None)
    _check_restrict(keys, keys)
    tables = keys.tables("node")
    own: dict[int, Keys] = {}
    for table in tables:
        mine = Keys(table, ("id", *_NODE_KEYS), keys.where, keys.directory, "node.")
        node = mine.number("id", 0, count - 1, None)
        if node in own:
            raise mine.wrong("id", f"there are two tables for node {node}")
        own[node] = mine
        _check_restrict(keys, mine)
    no_table = Keys({}, (), keys.where, keys.directory)
    return tuple(_node(node, count, keys, own.get(node, no_table)) for node in range(count))


def _check_restrict(keys: Keys, mine: Keys) -> None:
    if "restrict" in mine.table and keys.text("topology", GUESTFWD) == VDE:
        raise mine.wrong(
            "restrict",
            f"it is for the topology {GUESTFWD}: on {VDE} a kernel reaches no more than the master"
            f' and the others, but for switch = "--nat"',
        )


def _node(node: int, count: int, keys: Keys, mine: Keys) -> NodeConfig:
    """
    @param keys: of the whole file.
    @param mine: of the table of this node; empty if it has none.
    """
    chosen = mine.path("kernel") or keys.path("kernel")
    for_all = keys.text("append", "")
    append = mine.text("append", "{append}").replace("{append}", for_all)
    arguments = (*keys.words("arguments"), *mine.words("arguments"))
    initrd = mine.path("initrd") or keys.path("initrd")
    if chosen is None:
        _check_what_boots(keys, mine, arguments)
    made = NodeConfig(
        id=node,
        nodes=count,
        addresses=addresses_of(node),
        kernel=chosen,
        initrd=initrd,
        append=append,
        nic=_nic(mine) or _nic(keys) or DEFAULT_NIC,
        arguments=arguments,
        memory=mine.memory("memory") or keys.memory("memory") or "512M",
        cpus=mine.number("cpus", 1, 512, keys.number("cpus", 1, 512, 1)),
        symbols=mine.path("symbols") or keys.path("symbols") or chosen,
        restrict=mine.flag("restrict", keys.flag("restrict", True)),
    )
    whose = mine if "append" in mine.table else keys
    _check_template(whose, "append", append, made)
    for word in arguments:
        whose = mine if word in mine.words("arguments") else keys
        _check_template(whose, "arguments", word, made)
    return made


def _check_what_boots(keys: Keys, mine: Keys, arguments: tuple[str, ...]) -> None:
    """Without a kernel something else must be there to boot, and nothing that goes with one."""
    if not arguments and not keys.words("machine"):
        raise keys.wrong(
            "kernel",
            "it is missing: the file that QEMU boots; without one, arguments = or machine = says"
            " what it boots from: a disk, -bios, -device loader",
        )
    for key in "initrd", "append":
        for whose in mine, keys:
            if key in whose.table:
                raise whose.wrong(key, "QEMU gives it to a kernel, and there is none: kernel =")


def _nic(keys: Keys) -> str | None:
    """The network card of a table, or None if it has none."""
    text = keys.text("nic", "")
    if "nic" not in keys.table:
        return None
    try:
        return check_nic(text)
    except LocalError as error:
        raise keys.wrong("nic", str(error)) from None


def _check_template(keys: Keys, key: str, template: str, node: NodeConfig) -> None:
    """Check that all names in braces in a template can be filled in for a node."""
    try:
        fill(template, node, "")
    except ValueError as error:
        raise keys.wrong(key, str(error)) from None


def fill(template: str, node: NodeConfig, run: str) -> str:
    """
    A template with a node's values in it: C{{node}} is its id, C{{nodes}} how many there are,
    C{{n}} the number of its address as zCore's C{IP=} has it, C{{ip}} and C{{mac}} its addresses,
    C{{run}} the directory of the running cluster. Doubled braces stand for braces.

    @raise ValueError: there is another name in braces, or a brace alone.
    """
    values = {
        "node": node.id,
        "nodes": node.nodes,
        "n": node.addresses.number,
        "ip": node.addresses.ip,
        "mac": node.addresses.mac,
        "run": run,
    }
    text = ""
    for literal, field, spec, conversion in string.Formatter().parse(template):
        text += literal
        if field is None:
            continue
        if field not in values or spec or conversion:
            allowed = ", ".join(f"{{{name}}}" for name in values)
            raise ValueError(f"{{{field}}} is none of {allowed}; a brace alone is written {{{{")
        text += str(values[field])
    return text
