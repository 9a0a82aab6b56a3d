"""The file that describes a cluster: TOML, read into records; a mistake in it is one line."""

from __future__ import annotations

import difflib
import re
import shlex
import string
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from distnet.errors import LocalError
from distnet.guestnet import MAX_NODES, NodeAddresses, addresses_of
from distnet.qemu import Form

T = TypeVar("T")

GUESTFWD: Final = "guestfwd"
VDE: Final = "vde"

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
"""Of a cluster: it is part of the paths of sockets, which are short."""


class BadConfig(LocalError):
    """A description of a cluster is wrong; the message is one line: where, which key, what."""


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
    @ivar kernel: the file that QEMU boots; C{initrd} goes with it.
    @ivar append: the kernel's command line, a template: see L{fill}.
    @ivar arguments: more words for QEMU, templates too.
    @ivar memory: as QEMU's C{-m} has it.
    @ivar symbols: the file that a debugger reads.
    @ivar restrict: it reaches the master alone; for the topology C{guestfwd}.
    """

    id: int
    nodes: int
    addresses: NodeAddresses
    kernel: Path
    initrd: Path | None
    append: str
    arguments: tuple[str, ...]
    memory: str
    cpus: int
    symbols: Path
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
    *("kernel", "initrd", "append", "arguments", "memory", "cpus", "symbols", "restrict"),
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
    keys = _Keys(table, _KEYS, where, directory)
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


def _nodes(keys: _Keys) -> tuple[NodeConfig, ...]:
    count = keys.number("nodes", 1, MAX_NODES, None)
    _check_restrict(keys, keys)
    tables = keys.tables("node")
    own: dict[int, _Keys] = {}
    for table in tables:
        mine = _Keys(table, ("id", *_NODE_KEYS), keys.where, keys.directory, "node.")
        node = mine.number("id", 0, count - 1, None)
        if node in own:
            raise mine.wrong("id", f"there are two tables for node {node}")
        own[node] = mine
        _check_restrict(keys, mine)
    no_table = _Keys({}, (), keys.where, keys.directory)
    return tuple(_node(node, count, keys, own.get(node, no_table)) for node in range(count))


def _check_restrict(keys: _Keys, mine: _Keys) -> None:
    if "restrict" in mine.table and keys.text("topology", GUESTFWD) == VDE:
        raise mine.wrong(
            "restrict",
            f"it is for the topology {GUESTFWD}: on {VDE} a kernel reaches no more than the master"
            f' and the others, but for switch = "--nat"',
        )


def _node(node: int, count: int, keys: _Keys, mine: _Keys) -> NodeConfig:
    """
    @param keys: of the whole file.
    @param mine: of the table of this node; empty if it has none.
    """
    chosen = mine.path("kernel") or keys.path("kernel")
    if chosen is None:
        raise keys.wrong("kernel", "it is missing: the file that QEMU boots")
    for_all = keys.text("append", "")
    append = mine.text("append", "{append}").replace("{append}", for_all)
    arguments = (*keys.words("arguments"), *mine.words("arguments"))
    made = NodeConfig(
        id=node,
        nodes=count,
        addresses=addresses_of(node),
        kernel=chosen,
        initrd=mine.path("initrd") or keys.path("initrd"),
        append=append,
        arguments=arguments,
        memory=mine.memory("memory") or keys.memory("memory") or "512M",
        cpus=mine.number("cpus", 1, 512, keys.number("cpus", 1, 512, 1)),
        symbols=mine.path("symbols") or keys.path("symbols") or chosen,
        restrict=mine.flag("restrict", keys.flag("restrict", True)),
    )
    whose = mine if "append" in mine.table else keys
    whose.filled("append", append, made)
    for word in arguments:
        whose = mine if word in mine.words("arguments") else keys
        whose.filled("arguments", word, made)
    return made


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


class _Keys:
    """
    The values of a table by key, checked one by one.

    @ivar where: what errors begin with.
    """

    def __init__(
        self,
        table: Mapping[str, Any],
        known: tuple[str, ...],
        where: str,
        directory: Path,
        prefix: str = "",
    ) -> None:
        self.table = table
        self.where = where
        self.directory = directory
        self._prefix = prefix
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise self.wrong(str(key), f"there is no such key: {hint}")

    def wrong(self, key: str, why: str) -> BadConfig:
        """The error for a key."""
        return BadConfig(f"{self.where}: {self._prefix}{key}: {why}")

    def _typed(self, key: str, kind: type[T] | tuple[type[T], ...], what: str) -> T | None:
        value = self.table.get(key)
        if value is None:
            return None
        # True and false are numbers to Python.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(key, f"{value!r} is not {what}")
        return value

    def text(self, key: str, default: str) -> str:
        """The text of a key, or the default if it is not there."""
        value = self._typed(key, str, "a text")
        return default if value is None else value

    def flag(self, key: str, default: bool = False) -> bool:
        """Whether a key is true, or the default if it is not there."""
        value = self._typed(key, bool, "true or false")
        return default if value is None else value

    def number(self, key: str, least: int, most: int, default: int | None) -> int:
        """A whole number; one without a default must be there."""
        value = self._typed(key, int, "a whole number")
        value = default if value is None else value
        if value is None:
            raise self.wrong(key, f"it is missing: a number from {least} to {most}")
        if not least <= value <= most:
            raise self.wrong(key, f"{value} is not a number from {least} to {most}")
        return value

    def seconds(self, key: str, default: float) -> float:
        """A number of seconds above 0."""
        value = self._typed(key, (int, float), "a number of seconds")
        value = default if value is None else float(value)
        if not value > 0:
            raise self.wrong(key, f"{value:g} is not a number of seconds above 0")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        """A text that must be one of those that are allowed."""
        value = self.text(key, default)
        if value not in allowed:
            raise self.wrong(key, f"{value!r} is not {' or '.join(allowed)}")
        return value

    def matching(self, key: str, pattern: re.Pattern[str], what: str) -> str:
        """A text that a pattern matches as a whole; C{what} says in words what it should be."""
        value = self.text(key, "")
        if not pattern.fullmatch(value):
            raise self.wrong(key, f"{value!r} is not {what}")
        return value

    def memory(self, key: str) -> str | None:
        """An amount of memory: a number of MiB, or a text such as 512M or 2G."""
        value = self.table.get(key)
        if value is None:
            return None
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch("[1-9][0-9]{0,7}[MG]?", text):
            raise self.wrong(key, f'{value!r} is not an amount of memory, such as "512M" or "2G"')
        return text if text[-1] in "MG" else f"{text}M"

    def path(self, key: str) -> Path | None:
        """A path, from the directory of the file; C{~} is the user's home."""
        value = self._typed(key, str, "a path")
        if value is None:
            return None
        if not value:
            raise self.wrong(key, "the path is empty")
        return self.directory / Path(value).expanduser()

    def words(self, key: str) -> tuple[str, ...]:
        """Words of a command: a list of them, or one text as a shell would split it."""
        value = self.table.get(key)
        if value is None:
            return ()
        if isinstance(value, str):
            try:
                return tuple(shlex.split(value))
            except ValueError as error:
                raise self.wrong(key, f"{value!r}: {error}") from None
        if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
            return tuple(value)
        raise self.wrong(key, f"{value!r} is neither a text nor a list of texts")

    def tables(self, key: str) -> list[dict[str, Any]]:
        """The tables of a key, C{[[key]]} in the file; none if it is not there."""
        value = self.table.get(key, [])
        if isinstance(value, list) and all(isinstance(table, dict) for table in value):
            return value
        raise self.wrong(key, "it is written as [[node]], with an id and keys for that node")

    def filled(self, key: str, template: str, node: NodeConfig) -> None:
        """Check that all names in braces in a template can be filled in for a node."""
        try:
            fill(template, node, "")
        except ValueError as error:
            raise self.wrong(key, str(error)) from None
