"""C{distnet cluster}: the command's words, and what each does."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from distnet.cluster.config import MACHINES, NAME, read_config
from distnet.cluster.directory import RunDirectory, all_clusters, running_clusters
from distnet.cluster.launcher import Launcher, ask_launcher, run_detached
from distnet.cluster.node import ClusterError
from distnet.cluster.record import Process
from distnet.cluster.terminal import attach, follow
from distnet.control.ask import NoMaster, ask
from distnet.text import duration, table

DOWN_SECONDS: Final = 30.0
"""How long a launcher has to end its cluster."""


class NoCluster(NoMaster):
    """No cluster of that name runs; for the command, the same as no master."""


def add_cluster(commands: Any) -> None:
    """Add the command C{cluster} to the subcommands of a parser."""
    about = "Start kernels in QEMU, with a master and a switch, as a file describes them."
    cluster = commands.add_parser("cluster", help=about, description=about)
    words = cluster.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[Any], None], help: str, *arguments: str) -> Any:
        made = words.add_parser(name, help=help, description=help)
        made.set_defaults(run=run)
        for argument in arguments:
            made.add_argument(argument.lower(), metavar=argument, help=_ARGUMENTS[argument])
        if name != "up":
            made.add_argument("cluster", metavar="CLUSTER", nargs="?", help=_ARGUMENTS["CLUSTER"])
        return made

    up = command(
        "up", _up, "Start a cluster, and run it until Control-C or 'cluster down'.", "FILE"
    )
    up.add_argument("--quiet", action="store_true", help="do not print what the consoles say")
    up.add_argument(
        "--tmux", action="store_true", help="the console of each node in a window of tmux"
    )
    up.add_argument(
        "--detach", action="store_true", help="return once all nodes have their ids; it goes on"
    )
    status = command("status", _status, "Show the nodes of a cluster.")
    status.add_argument("--json", action="store_true", help="all that is known, as JSON")
    logs = command("logs", _logs, "Print what came on a console, or a daemon's log.", "LOG")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the cluster ends")
    command("console", _console, "Type on a node's console; Control-] leaves it.", "NODE")
    command("restart", _restart, "End a node's QEMU and start it again; its id stays.", "NODE")
    command("gdb", _gdb, "Debug a node's kernel, by the stub of its QEMU.", "NODE")
    down = command("down", _down, "End a cluster, and what an earlier one has left.")
    down.add_argument(
        "--timeout", type=float, default=DOWN_SECONDS, metavar="SECONDS",
        help="how long until it is killed if it does not end (default: %(default)g)",
    )  # fmt: skip


_ARGUMENTS: Final = {
    "FILE": "its description, TOML",
    "NODE": "a node's id",
    "LOG": "a node's id, master, or switch",
    "CLUSTER": "its name or its file (default: the only one that runs)",
}


def _up(arguments: Any) -> None:
    launcher = Launcher(read_config(arguments.file), quiet=arguments.quiet, windows=arguments.tmux)
    if arguments.detach:
        run_detached(launcher)
    else:
        launcher.run()


def _status(arguments: Any) -> None:
    run, told = _described(arguments, left=True)
    ended = run.how_it_ended()
    nodes = {}
    try:
        status = ask(run.control, "/status")[1]
        nodes = {node["id"]: node for node in status["nodes"]}
    except NoMaster:
        status = None
    records = run.records()
    if arguments.json:
        processes = {name: process.pid for name, process in records.items() if process.runs}
        about = {**told, "ended": ended, "processes": processes, "master": status}
        print(json.dumps(about, indent=1))
    else:
        _print_status(run, told, ended, nodes, records)
    if ended is not None:
        sys.stdout.flush()
        raise NoCluster(
            f"the cluster {run.name} has ended: 'distnet cluster logs NODE {run.name}' prints a"
            f" console, 'distnet cluster down {run.name}' removes what is left"
        )


def _print_status(
    run: RunDirectory,
    told: dict[str, Any],
    ended: dict[str, Any] | None,
    nodes: dict[int, dict[str, Any]],
    records: dict[str, Process],
) -> None:
    if ended is None:
        state = f"up {duration(time.time() - told['started'])}"
    elif ended["at"] is None:
        state = "ended"
    else:
        state = f"ended {duration(time.time() - ended['at'])} ago"
    print(
        f"cluster {told['name']}, {len(told['nodes'])} {told['arch']} nodes, {told['topology']},"
        f" {state}"
    )
    if ended is not None:
        print(f"  {ended['why']}")
    print(f"  {told['file']}")
    if ended is None:
        print(f"  distnet status --control {run.control}")
        if told["topology"] == "vde":
            print(f"  vde_plug {run.switch}")
    print()
    rows = [_row(node, nodes.get(node["id"]), records) for node in told["nodes"]]
    print("\n".join(table(["NODE", "STATE", "PID", "ADDRESS", "SINCE", "CONSOLE"], rows)))


def _row(
    node: dict[str, Any], seen: dict[str, Any] | None, records: dict[str, Process]
) -> list[str]:
    process = records.get(f"node-{node['id']}")
    pid = str(process.pid) if process is not None and process.runs else "-"
    state, since = "not connected", "-"
    if pid == "-":
        state = node["ended"] or "ended"
    if seen is not None:
        state, since = seen["state"], duration(time.time() - seen["since"])
    return [str(node["id"]), state, pid, node["ip"], since, node["log"]]


def _logs(arguments: Any) -> None:
    run, told = _described(arguments, left=True)
    if arguments.log.isdecimal():
        log = Path(_node(told, arguments.log)["log"])
    elif arguments.log in told["logs"]:
        log = Path(told["logs"][arguments.log])
    else:
        raise ClusterError(f"{arguments.log!r} is not a node, {' or '.join(told['logs'])}")
    if arguments.follow:
        follow(log, run)
    elif log.exists():
        sys.stdout.buffer.write(log.read_bytes())


def _console(arguments: Any) -> None:
    run, told = _described(arguments)
    node = _node(told, arguments.node)
    attach(run, node["id"], Path(node["log"]))


def _restart(arguments: Any) -> None:
    run, told = _described(arguments)
    node = _node(told, arguments.node)
    if not told["served"]:
        raise ClusterError(f"the cluster {run.name} belongs to a program: let that restart it")
    for line in ask_launcher(run, {"restart": node["id"]}):
        print(line, flush=True)


def _gdb(arguments: Any) -> None:
    _, told = _described(arguments)
    node = _node(told, arguments.node)
    names = MACHINES[told["arch"]].gdb
    program = next(filter(None, map(shutil.which, names)), None)
    words = ["-ex", f"target remote {node['gdb']}"]
    symbols = node["symbols"]
    if symbols is not None and _is_elf(Path(symbols)):
        words.append(symbols)
    if program is None:
        # To be typed where there is one.
        print(shlex.join([names[0], *words]))
        raise ClusterError(
            f"there is no debugger for {told['arch']} here: on Debian, apt-get install {names[0]}"
        )
    sys.stdout.flush()
    os.execv(program, [program, *words])


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _down(arguments: Any) -> None:
    run = _which(arguments.cluster, running_clusters() or list(all_clusters()))
    owner = run.owner()
    if owner is None:
        if not run.sweep():
            raise NoCluster(f"no cluster {run.name} runs")
        print(f"what was left of the cluster {run.name} has been ended")
        return
    told = run.description()
    if told is not None and not told["served"]:
        raise ClusterError(
            f"the cluster {run.name} belongs to process {owner.pid}: end that, and it ends too"
        )
    owner.send(signal.SIGTERM)
    if not owner.wait(arguments.timeout):
        owner.send(signal.SIGKILL)
        owner.wait(DOWN_SECONDS)
        run.sweep()


# Which cluster, which node


def _which(text: str | None, found: list[RunDirectory]) -> RunDirectory:
    """
    The cluster that a user means.

    @param text: its name or its file; or None for the only one of C{found}.
    @raise NoCluster: there is none, to be the only one.
    @raise ClusterError: there are several, or the text is neither a name nor a file.
    """
    if text is None:
        if len(found) == 1:
            return found[0]
        if not found:
            raise NoCluster("no cluster runs: start one with 'distnet cluster up FILE'")
        names = ", ".join(run.name for run in found)
        raise ClusterError(f"there are several clusters, say which: {names}")
    if text.endswith(".toml") or "/" in text:
        return RunDirectory(read_config(text).name)
    if not NAME.fullmatch(text):
        raise ClusterError(f"{text!r} is neither the name of a cluster nor a file")
    return RunDirectory(text)


def _described(arguments: Any, left: bool = False) -> tuple[RunDirectory, dict[str, Any]]:
    """
    The cluster that is meant, which runs, and its description.

    @param left: what one has left that has ended will do.
    @raise NoCluster: it does not run.
    """
    found = running_clusters() or (list(all_clusters()) if left else [])
    run = _which(arguments.cluster, found)
    runs = run.is_locked()
    told = run.description()
    if told is None or not (runs or left):
        how = "" if told is None else f": it has ended, see 'distnet cluster status {run.name}'"
        raise NoCluster(f"no cluster {run.name} runs{how}")
    return run, told


def _node(told: dict[str, Any], text: str) -> dict[str, Any]:
    """What the description of a cluster says of a node. Raises L{ClusterError}."""
    for node in told["nodes"]:
        if str(node["id"]) == text:
            found: dict[str, Any] = node
            return found
    raise ClusterError(f"there is no node {text}: they are 0 to {len(told['nodes']) - 1}")
