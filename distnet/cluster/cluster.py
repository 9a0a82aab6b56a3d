"""A cluster that runs: its daemons and kernels, from their start to their end."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from distnet.cluster.config import VDE, ClusterConfig
from distnet.cluster.directory import RunDirectory
from distnet.cluster.log import last_lines
from distnet.cluster.mail import Mail
from distnet.cluster.node import POLL, TOLD_LINES, ClusterError, Node
from distnet.cluster.prepare import prepare
from distnet.cluster.programs import (
    daemon_environment,
    master_command,
    qemu_command,
    switch_command,
)
from distnet.cluster.record import Process, end, read_record, start
from distnet.control.ask import NoMaster, ask
from distnet.control.paths import SWITCH
from distnet.errors import LocalError
from distnet.guestnet import GATEWAY, GUEST_MASTER
from distnet.nic import find_bus
from distnet.processes import how_ended
from distnet.qemu import DEFAULT_NIC, OLDEST, Form, find_version

LISTEN_SECONDS: Final = 30.0
"""How long a daemon has until it listens, on however busy a machine."""
LEAVE_SECONDS: Final = 30.0
"""How long a node's old connection may last when its QEMU has ended."""

PACKAGES: Final = {
    "riscv64": "qemu-system-misc",
    "x86_64": "qemu-system-x86",
    "aarch64": "qemu-system-arm",
}
"""Debian's packages of QEMU."""


class Cluster:
    """
    A master, kernels, and a switch with a gateway if the topology is C{vde}.

    Start it with C{up} or a C{with} statement. What it starts gets a signal when the thread that
    called C{up} or C{restart} ends: call them from one that stays.

    @ivar nodes: the kernels, by id.
    @ivar run: the directory of its sockets.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        say: Callable[[str], object] = lambda line: None,
        look: Callable[[], object] = lambda: None,
        served: bool = False,
    ) -> None:
        """
        @param say: is told, in lines, how far it is.
        @param look: is called again and again while something is waited for; what it raises ends
            the waiting.
        @param served: whether a launcher answers other processes at the socket for that.
        """
        self.config = config
        self.run = RunDirectory(config.name)
        self.nodes: list[Node] = []
        self._say = say
        self._look = look
        self._served = served
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._commands: dict[str, list[str]] = {}
        self._logs = config.logs or self.run / "logs"
        self._settled_before: dict[int, float | None] = {}
        self._mail: Mail | None = None
        self._kept_report = ""
        self._taken = False
        self._started = 0.0

    # Life

    def up(self) -> Self:
        """
        Start all of it, and wait until every node has its id.

        @raise ClusterError: it did not come up, and nothing of it runs; the message says why.
        @raise MachineError: it cannot run here.
        """
        self.run.take()
        self._taken = True
        try:
            prepare(self.config, self.run, self._say)
            began = time.monotonic()
            self._start()
            self.wait_for_ids()
        except BaseException:
            self.down()
            raise
        took = time.monotonic() - began
        self._say(f"all {len(self.nodes)} nodes have their ids, {took:.1f} s after the start")
        return self

    def _start(self) -> None:
        config, run = self.config, self.run
        version = self._check_files()
        buses = self._find_buses()
        self._logs.mkdir(parents=True, exist_ok=True)
        for node in config.nodes:
            log = self.log(f"node-{node.id}")
            # What an earlier cluster has left in a directory that is kept.
            log.unlink(missing_ok=True)
            command = qemu_command(config, node, run, version, buses.get(node.nic))
            self.nodes.append(Node(node, run, command, log, config.directory))
        self._started = time.time()
        run.write_description(self._description(None))
        self._start_daemon("master", master_command(config, run), self._master_answers)
        if config.topology == VDE:
            run.switch_commands.touch()
            self._start_daemon("switch", switch_command(config, run), self._gateway_is_plugged_in)
        for each in self.nodes:
            self._start_node(each)

    def _check_files(self) -> Any:
        arch = self.config.arch
        program = f"qemu-system-{arch}"
        if shutil.which(program) is None:
            raise ClusterError(
                f"there is no {program} here: on Debian, apt-get install {PACKAGES[arch]}"
            )
        for node in self.config.nodes:
            for key, path in (("kernel", node.kernel), ("initrd", node.initrd)):
                if path is not None and not path.is_file():
                    raise ClusterError(f"{self.config.where}: {key}: there is no file {path}")
        return find_version(arch) or OLDEST

    def _find_buses(self) -> dict[str, str | None]:
        """What the network cards that the file names go on. Raises L{ClusterError}."""
        named = {node.nic for node in self.config.nodes} - {DEFAULT_NIC}
        try:
            return {nic: find_bus(self.config.arch, nic) for nic in named}
        except LocalError as error:
            raise ClusterError(f"{self.config.where}: nic: {error}") from None

    def _start_daemon(self, name: str, command: list[str], ready: Callable[[], bool]) -> None:
        self._commands[name] = command
        with self.log(name).open("wb") as log:
            self._daemons[name] = start(
                self.run.record(name), command, signal.SIGTERM,
                cwd=self.run.path, env=daemon_environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + LISTEN_SECONDS
        while not ready():
            self._check_daemons()
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"the {name} is not there after {LISTEN_SECONDS:g} s\n"
                    f"{self._daemon_report(name)}"
                )
            self._pause()
        self._say(f"{name}: ready")

    def _master_answers(self) -> bool:
        try:
            # An answer means that its reactor runs, so all that it listens at is there.
            ask(self.run.control, "/")
        except NoMaster:
            return False
        return True

    def _gateway_is_plugged_in(self) -> bool:
        try:
            ports = ask(self.run.switch_control, "/ports", kind=SWITCH)[1]
        except NoMaster:
            return False
        # It plugs in when all that it needs for its guests is there.
        return any(GATEWAY in end["description"] for port in ports for end in port["endpoints"])

    def _start_node(self, node: Node, settled_at: float | None = None) -> None:
        self._settled_before[node.id] = settled_at
        node.start()
        self._say(f"{node.name}: started, process {node.pid}")

    def restart(self, node: int) -> None:
        """
        End a node's QEMU, start it again, and wait until it has its id, which is the same.

        Raises L{ClusterError}; the rest of the cluster goes on.
        """
        which = self.node(node)
        which.stop()
        deadline = time.monotonic() + LEAVE_SECONDS
        while (seen := self._ask_node(which))["state"] != "expected":
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{which.name}: the master still has its old connection after"
                    f" {LEAVE_SECONDS:g} s\n{self.report()}"
                )
            self._check_daemons()
            self._pause()
        self._start_node(which, seen["settled_at"])
        self.wait_for_ids([node])

    def down(self, kept: str | None = None) -> None:
        """
        End all that was started, and nothing else. May be called again.

        @param kept: why it has ended by itself: what others need to find out more stays until the
            next cluster of that name, or C{distnet cluster down}. If None, nothing stays but what
            C{logs =} has.
        """
        if not self._taken:
            return
        self._kept_report = self.report()
        if kept is not None:
            self.describe(kept)
        if self._mail is not None:
            self._mail.close()
            self._mail = None
        try:
            self._end([f"node-{node.id}" for node in self.nodes])
            # The gateway goes with the switch, and says good-bye to the master.
            self._end(["switch"])
            self._end(["master"])
        finally:
            self.run.let_go(keep=kept is not None)
            self._taken = False
        for node in self.nodes:
            node.stop()
        for daemon in self._daemons.values():
            daemon.wait()

    def _end(self, names: Collection[str]) -> None:
        records = [read_record(self.run.record(name)) for name in names]
        processes: list[Process] = [record for record in records if record is not None]
        end(processes)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    # Nodes

    def __getitem__(self, node: int) -> Node:
        """As L{node}: the node with an id."""
        return self.node(node)

    def node(self, node: int) -> Node:
        """The node with an id. Raises L{ClusterError}."""
        for each in self.nodes:
            if each.id == node:
                return each
        raise ClusterError(f"there is no node {node}: they are 0 to {len(self.config.nodes) - 1}")

    def wait_for_ids(self, nodes: Collection[int] | None = None) -> None:
        """Wait until nodes, or all of them, have read their ids. Raises L{ClusterError}."""
        waiting = [node for node in self.nodes if nodes is None or node.id in nodes]
        connected: set[int] = set()
        while True:
            for node in list(waiting):
                running = node.running  # Before the look: it may get its id, and end, in between.
                seen = self._ask_node(node)
                state = seen["state"]
                if state == "unsettled" and self._is_news and node.id not in connected:
                    connected.add(node.id)
                    self._say(f"{node.name}: connected, after {node.seconds:.1f} s")
                if state in ("settled", "paused") or self._was_settled(node, seen):
                    waiting.remove(node)
                    self._say(f"{node.name}: has its id, after {node.seconds:.1f} s")
                elif not running:
                    raise ClusterError(
                        f"{node.name} has no id: its QEMU {node.state}{node.cure}\n{node.report()}"
                    )
                elif node.seconds > self.config.timeout:
                    raise ClusterError(self._too_late(node, state))
            if not waiting:
                return
            self._check_daemons()
            self._pause()

    @property
    def _is_news(self) -> bool:
        """Whether a connection is its kernel's, and not one that QEMU makes when it starts."""
        return self.config.topology == VDE or self.config.form is Form.COMMAND

    def _too_late(self, node: Node, state: str) -> str:
        why = "it is connected, and has not read its id"
        if state != "unsettled" or not self._is_news:
            why = f"it has not connected to {GUEST_MASTER}, or has not read its id"
        if re.search(r"\bIP=1\b", node.config.append):
            why += "; a zCore with IP=1 has the master's own address: write IP={n}"
        return f"{node.name} has no id after {self.config.timeout:g} s: {why}\n{node.report()}"

    def _ask_node(self, node: Node) -> dict[str, Any]:
        with contextlib.suppress(NoMaster):
            answer: dict[str, Any] = ask(self.run.control, f"/nodes/{node.id}")[1]
            return answer
        self._check_daemons()
        return {"state": "unknown"}

    def _was_settled(self, node: Node, seen: dict[str, Any]) -> bool:
        """Whether it has had its id since it was started, and has left again."""
        before = self._settled_before[node.id]
        return seen["state"] == "expected" and seen["settled_at"] != before

    def _pause(self) -> None:
        self._look()
        time.sleep(POLL)

    def check(self) -> None:
        """Raises L{ClusterError} if the master or the switch has ended."""
        self._check_daemons()

    def _check_daemons(self) -> None:
        for name, daemon in self._daemons.items():
            if daemon.poll() is not None:
                verb = "was" if daemon.returncode < 0 else "has"
                raise ClusterError(
                    f"the {name} {verb} {how_ended(daemon.returncode)}\n{self._daemon_report(name)}"
                )

    @property
    def mail(self) -> Mail:
        """The caller's own connection to the master, made when it is first asked for."""
        if self._mail is None:
            self._mail = Mail(self.run.tools)
        return self._mail

    # What is told

    def log(self, name: str) -> Path:
        """The path of the log of C{master}, C{switch}, or C{node-N}."""
        return self._logs / f"{name}.log"

    def status(self) -> dict[str, Any]:
        """What the master says at C{/status} of its control socket. Raises L{NoMaster}."""
        told: dict[str, Any] = ask(self.run.control, "/status")[1]
        return told

    def report(self) -> str:
        """What there is to know of all nodes and daemons; after L{down}, as it was then."""
        if not self._taken:
            return self._kept_report
        parts = [node.report() for node in self.nodes]
        return "\n".join([*parts, *(self._daemon_report(name) for name in self._daemons)])

    def _daemon_report(self, name: str) -> str:
        lines = last_lines(self.log(name), TOLD_LINES) or ["nothing in its log"]
        return "\n".join(
            [f"{name}: {shlex.join(self._commands[name])}", *(f"  | {x}" for x in lines)]
        )

    def describe(self, why: str | None = None) -> None:
        """
        Tell other processes what does not run any more. A disk that is full is no reason to fail.

        @param why: all of it has ended, for this reason.
        """
        with contextlib.suppress(OSError):
            self.run.write_description(self._description(why))

    def _description(self, why: str | None) -> dict[str, Any]:
        return {
            "name": self.config.name,
            "file": self.config.where,
            "topology": self.config.topology,
            "arch": self.config.arch,
            "started": self._started,
            "ended": None if why is None else {"why": why, "at": time.time()},
            "served": self._served,
            "nodes": [
                {
                    "id": node.id,
                    "ip": node.ip,
                    "mac": node.config.addresses.mac,
                    "command": node.command,
                    "ended": None if node.returncode is None else node.state,
                    "log": str(node.log),
                    "symbols": None if node.config.symbols is None else str(node.config.symbols),
                    "gdb": str(self.run.node(node.id, "gdb")),
                    "monitor": str(self.run.node(node.id, "monitor")),
                }
                for node in self.nodes
            ],
            "logs": {name: str(self.log(name)) for name in ("master", "switch")},
        }
