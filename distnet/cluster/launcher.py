"""C{distnet cluster up}: runs a cluster in the foreground until it is told to end it."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

from distnet.cluster import tmux
from distnet.cluster.cluster import Cluster
from distnet.cluster.config import ClusterConfig
from distnet.cluster.directory import RunDirectory
from distnet.cluster.log import Follower
from distnet.cluster.node import POLL, ClusterError
from distnet.daemon.hangup import hangup_is_ignored
from distnet.daemon.outlet import Outlet
from distnet.text import colours_only

_ALL_ENDED: Final = "all kernels have ended"


class Told(BaseException):
    """A signal told us to end."""


class Launcher:
    """
    A cluster in the foreground: its consoles are printed line by line, its nodes are restarted when
    another process asks for that at the launcher's socket.
    """

    def __init__(
        self, config: ClusterConfig, *, quiet: bool = False, windows: bool = False
    ) -> None:
        """
        @param quiet: do not print what comes on the consoles.
        @param windows: show the console of each node in a window of tmux instead.
        """
        self._cluster = Cluster(config, say=self._say, look=self._look, served=True)
        self._quiet = quiet or windows
        self._windows = windows
        self._followers: dict[int, Follower] = {}
        self._asking: IO[str] | None = None
        self._outlet: Outlet | None = None
        self._ended: set[int] = set()
        self._full = False

    def run(
        self,
        ready: Callable[[RunDirectory], object] = lambda run: None,
        detached: bool = False,
    ) -> None:
        """
        Run the cluster until a signal, or C{down}, ends it, or all of its kernels have ended.

        If it ends by itself, and nobody has seen its consoles, they and the logs stay.

        @param ready: called once all nodes have their ids.
        @param detached: nobody sees what is printed from then on.
        @raise ClusterError: it did not come up, or did not end well.
        """
        try:
            self._run(ready, detached)
        finally:
            # Before anything else is said, elsewhere perhaps.
            self._wait_until_printed()

    def _run(self, ready: Callable[[RunDirectory], object], detached: bool) -> None:
        cluster = self._cluster
        with _signals_raise():
            try:
                cluster.up()
            except Told:
                self._look()
                raise ClusterError("ended before all nodes had their ids") from None
            why: str | None = None
            with contextlib.ExitStack() as stack:
                # Whatever becomes of what is printed.
                stack.callback(lambda: cluster.down(kept=why))
                stack.callback(self._look)
                try:
                    self._wait_until_printed()
                    ready(cluster.run)
                    why = self._serve()
                except Told:
                    self._say("ending")
                except ClusterError as error:
                    why = str(error).partition("\n")[0]
                    raise
                finally:
                    if not (detached or self._quiet):
                        why = None
        self._say("ended")

    def _serve(self) -> str:
        """Why it has ended, once it has by itself. Raises L{ClusterError} if that is a failure."""
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(str(self._cluster.run.launcher))
            server.listen()
            selector = stack.enter_context(selectors.DefaultSelector())
            selector.register(server, selectors.EVENT_READ)
            while not self._all_ended():
                if selector.select(POLL):
                    connection, _ = server.accept()
                    with connection:
                        self._answer(connection)
                self._look()
                self._cluster.check()
        self._say(_ALL_ENDED)
        return _ALL_ENDED

    def _all_ended(self) -> bool:
        nodes = self._cluster.nodes
        before = set(self._ended)
        for node in nodes:
            if node.running:
                self._ended.discard(node.id)
            elif node.id not in self._ended:
                self._ended.add(node.id)
                self._say(f"{node.name}: {node.state}")
        if self._ended != before:
            self._cluster.describe()
        if len(self._ended) < len(nodes):
            return False
        failed = [f"{node.name} {node.state}" for node in nodes if node.returncode]
        if failed:
            raise ClusterError(f"{_ALL_ENDED}: {', '.join(failed)}")
        return True

    # What others ask for

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection.makefile("rw") as self._asking:
            try:
                request = json.loads(self._asking.readline())
                self._cluster.restart(int(request["restart"]))
                self._tell({"done": True})
            except (ClusterError, OSError) as error:
                self._tell({"error": str(error)})
            except (ValueError, KeyError, TypeError) as error:
                self._tell({"error": f"no request: {error!r}"})
        self._asking = None

    def _tell(self, what: dict[str, Any]) -> None:
        """Tell the one who asks, if there is one and it still listens."""
        if self._asking is not None:
            with contextlib.suppress(OSError, ValueError):
                self._asking.write(json.dumps(what) + "\n")
                self._asking.flush()

    # What is printed

    def _print(self, text: str) -> None:
        """
        Print lines, without waiting for whoever reads them. A disk that is full is no reason to end
        the cluster, nor is a terminal that has gone; a reader that has enough, like head(1), is.
        """
        if self._outlet is None:
            sys.stdout.flush()
            self._outlet = Outlet(sys.stdout.fileno(), _gap)
            self._outlet.hurry()
        if self._outlet.closed:
            raise BrokenPipeError
        for line in text.splitlines():
            self._outlet.write(f"{line}\n".encode(errors="backslashreplace"))

    def _wait_until_printed(self) -> None:
        if self._outlet is not None:
            self._outlet.be_patient()
            self._outlet.hurry()

    def _say(self, line: str) -> None:
        self._print(line)
        self._tell({"say": line})

    def _look(self) -> None:
        full = not _has_room(self._cluster.log("master").parent)
        if full and not self._full:
            self._say(
                "the disk of the logs is full: what comes on consoles is lost until it is not"
            )
        self._full = full
        for node in self._cluster.nodes:
            follower = self._followers.setdefault(node.id, Follower(node.log))
            lines = follower.lines()
            if lines and not self._quiet:
                self._print("\n".join(f"{node.id}| {colours_only(line)}" for line in lines))
        if self._windows and self._cluster.nodes:
            self._windows = False
            self._say(tmux.open_windows(self._cluster.config.name, len(self._cluster.nodes)))


def _has_room(directory: Path) -> bool:
    """Whether files in a directory can grow, as far as their disk is concerned."""
    with contextlib.suppress(OSError):
        return os.statvfs(directory).f_bavail > 0
    return True


def _gap(lines: int) -> bytes:
    return f"{lines} lines are missing here, since they were not read in time\n".encode()


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """
    Let the first signal that tells us to end raise L{Told}; those after it change nothing. Nor does
    SIGHUP if L{hangup_is_ignored}.
    """
    heeded = [signal.SIGINT, signal.SIGTERM]
    if not hangup_is_ignored():
        heeded.append(signal.SIGHUP)

    def told(number: int, frame: FrameType | None) -> None:
        for each in heeded:
            signal.signal(each, signal.SIG_IGN)
        raise Told

    before = {number: signal.signal(number, told) for number in heeded}
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)


def run_detached(launcher: Launcher) -> None:
    """
    Run a cluster in a process of its own in the background; returns once all nodes have their ids.

    There SIGHUP does not end it: it goes on in a C{launcher.log} opened anew.

    @raise ClusterError: it did not come up; it has said why on standard error.
    """
    sys.stdout.flush()
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        with open(read, "rb") as pipe:
            came_up = bool(pipe.read(1))
        if not came_up:
            os.waitpid(child, 0)
            sys.exit(1)
        return
    os.close(read)
    os.setsid()

    def ready(run: RunDirectory) -> None:
        def log_to_file(*signalled: object) -> None:
            log = os.open(run / "launcher.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.close(log)

        log_to_file()
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        signal.signal(signal.SIGHUP, log_to_file)
        os.write(write, b"1")
        os.close(write)

    launcher.run(ready, detached=True)


def ask_launcher(run: RunDirectory, request: dict[str, Any]) -> Iterator[str]:
    """
    Ask the launcher of a cluster for something; what it says while it does that.

    @raise ClusterError: it did not do it, or there is none.
    """
    path = Path(run.launcher)
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError as error:
            raise ClusterError(
                f"the cluster {run.name} takes no requests at {path}: {error.strerror}"
            ) from None
        with connection.makefile("rw") as stream:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
            for line in stream:
                told = json.loads(line)
                if "say" in told:
                    yield told["say"]
                elif "error" in told:
                    raise ClusterError(told["error"])
                else:
                    return
    raise ClusterError(f"the cluster {run.name} has ended")
