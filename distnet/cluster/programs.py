"""The command lines of all that a cluster starts. No I/O."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import distnet
from distnet.address import UnixAddress
from distnet.cluster.config import VDE, ClusterConfig, NodeConfig, fill
from distnet.cluster.directory import RunDirectory
from distnet.nic import without_rom
from distnet.qemu import OLDEST, Version, guest_arguments, switch_arguments, vde_netdev

_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
"""By this Python, so that it is the twistd that knows this distnet."""

_SPARE_PORTS: Final = 8
_DEFAULT_PORTS: Final = 32


def daemon_environment() -> dict[str, str]:
    """The environment in which twistd finds this very distnet, installed or not."""
    root = str(Path(distnet.__file__).parent.parent)
    paths = [*filter(None, [os.environ.get("PYTHONPATH")]), root]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _twistd(*words: str) -> list[str]:
    return [sys.executable, "-c", _TWISTD, "--nodaemon", "--pidfile=", *words]


def master_command(config: ClusterConfig, run: RunDirectory) -> list[str]:
    """The master: each node has a socket of its own, so that it is that node whenever it comes."""
    pins = [
        word
        for node in config.nodes
        for word in ("--node", f"{node.id}=unix:{run.node(node.id, 'master')}")
    ]
    return _twistd("distnet", "--control", run.control, *pins, *config.master)


def switch_command(config: ClusterConfig, run: RunDirectory) -> list[str]:
    """The switch, with a gateway on it that knows nodes by their addresses."""
    ports = max(_DEFAULT_PORTS, len(config.nodes) + _SPARE_PORTS)
    maps = [word for node in config.nodes for word in ("--map", f"{node.addresses.ip}={node.id}")]
    return _twistd(
        "distnet-vde", "--sock", str(run.switch), "--control", run.switch_control, "--nostdin",
        "--rcfile", str(run.switch_commands), "--numports", str(ports), "--gateway",
        "--master-control", run.control, *maps, *config.switch,
    )  # fmt: skip


def qemu_command(
    config: ClusterConfig,
    node: NodeConfig,
    run: RunDirectory,
    version: Version = OLDEST,
    bus: str | None = None,
) -> list[str]:
    """
    QEMU for a node.

    @param bus: what its network card goes on, by L{find_bus}; None if that is not known.
    @raise LocalError: the form of the guest's connection is not possible.
    """
    words = [
        f"qemu-system-{config.arch}",
        *("-name", f"{config.name}-{node.id}"),
        *config.machine,
        *("-accel", config.accel),
        *("-m", node.memory, "-smp", str(node.cpus)),
        *("-nodefaults", "-display", "none"),
        *([] if config.reboot else ["-no-reboot"]),
    ]
    if node.kernel is not None:
        words += ["-kernel", str(node.kernel)]
    if node.initrd is not None:
        words += ["-initrd", str(node.initrd)]
    if node.append:
        words += ["-append", fill(node.append, node, str(run.path))]
    # Whoever starts it has the console as its input and output. A socket with a logfile would have
    # bytes twice in the log whenever its reader is slow.
    words += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    gdb = _escaped(run.node(node.id, "gdb"))
    words += ["-chardev", f"socket,id=gdb,path={gdb},server=on,wait=off", "-gdb", "chardev:gdb"]
    words += ["-monitor", f"unix:{_escaped(run.node(node.id, 'monitor'))},server=on,wait=off"]
    words += _network(config, node, run, version, without_rom(node.nic, bus))
    return [*words, *(fill(word, node, str(run.path)) for word in node.arguments)]


def _network(
    config: ClusterConfig, node: NodeConfig, run: RunDirectory, version: Version, nic: str
) -> list[str]:
    if config.topology == VDE:
        return switch_arguments(vde_netdev(str(run.switch)), node.addresses.mac, nic)
    address = UnixAddress(str(run.node(node.id, "master")))
    *words, device = guest_arguments(
        address, config.form, version=version, pinned=True, restrict=node.restrict, nic=nic
    )
    return [*words, f"{device},mac={node.addresses.mac}"]


def _escaped(path: Path) -> str:
    """A path inside an option of QEMU's."""
    return str(path).replace(",", ",,")
