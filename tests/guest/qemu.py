"""One guest of the test bed: a QEMU process under emulation, its console and its monitor.

The caller says how the guest is connected, with the very options that are documented for users;
this module adds only what makes it boot fast and be watched. It is not a QEMU library. The blocking
methods suit plain pytest and threads; those ending in C{_async} keep a reactor turning.
"""

from __future__ import annotations

import atexit
import collections
import json
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import typing
import weakref
from collections.abc import Callable, Iterable, Sequence

from .image import ARCHS, Image, build

if typing.TYPE_CHECKING:
    from twisted.internet.defer import Deferred

POLL = 0.02
QMP_TIMEOUT = 10
COMMAND_LINE_MAX = 2000  # x86 takes 2048 bytes
MASTER = "10.0.2.16"

_started: weakref.WeakSet[Guest] = weakref.WeakSet()
T = typing.TypeVar("T")


class GuestError(AssertionError):
    """The guest did not do what the test waited for; the message ends with its report."""


def guestfwd(target: str | int, options: str = "") -> list[str]:
    """The documented network options, to a port of 127.0.0.1 or to what QEMU calls a target."""
    where = f"tcp:127.0.0.1:{target}" if isinstance(target, int) else target
    forward = f"guestfwd=tcp:{MASTER}:1234-{where}{options}"
    return ["-netdev", f"user,id=net1,restrict=on,{forward}", "-device", "e1000e,netdev=net1"]


class Guest:
    """A virtual machine running one script of strict_client.c, then powering off."""

    def __init__(
        self,
        netdev: Sequence[str],
        script: str = "",
        *,
        name: str = "guest",
        ip: str = "10.0.2.15",
        dhcp: bool = False,
        mac: str = "",
        mtu: int = 1500,
        start_delay: float = 0,
        keep: bool = False,
        stopped: bool = False,
        commands: bool = False,
        lifetime: int = 600,
        arch: str = "x86_64",
        memory: int = 128,
        append: str = "",
        extra: Sequence[str] = (),
        image: Image | None = None,
    ) -> None:
        """
        @param netdev: QEMU arguments that give it a NIC.
        @param script: see strict_client.c.
        @param start_delay: seconds between link up and the script.
        @param keep: stay on after the script.
        @param stopped: created with its processor halted until L{cont}.
        @param dhcp: it asks for its address, whatever C{ip} is.
        @param commands: instead, stay on and run scripts by L{begin} and L{run}.
        @param lifetime: seconds after which it ends by itself, should the test have died.
        @param append: more kernel arguments.
        @param extra: more QEMU arguments.
        """
        if ip == MASTER:
            # Linux would connect to itself instead of asking the network.
            raise ValueError(f"{ip} is the master's address")
        if re.search(r"\s", script):
            raise ValueError("a script has no spaces")
        self.name, self.ip = name, ip
        self._arch, self._image = arch, image
        self._netdev, self._extra, self._memory = list(netdev), list(extra), memory
        self._stopped, self._commands = stopped, commands
        self._runs = 0
        self._reset_at = 0
        words = [
            f"console={ARCHS[arch].console} quiet panic=-1 {ARCHS[arch].append} {append}".strip(),
            f"dn.ip={ip}",
            *(["dn.dhcp=1"] if dhcp else []),
            *([f"dn.mac={mac}"] if mac else []),
            *([f"dn.start_delay={start_delay}"] if start_delay else []),
            *([f"dn.mtu={mtu}"] if mtu != 1500 else []),
            *(["dn.keep=1"] if keep else []),
            *(["dn.commands=1"] if commands else []),
            f"dn.lifetime={lifetime}",
            f"dn.script={script}",
        ]
        self._append = " ".join(words)
        if len(self._append) > COMMAND_LINE_MAX:
            raise ValueError(f"kernel command line of {len(self._append)} bytes")
        self._process: subprocess.Popen[bytes] | None = None
        self._dir: pathlib.Path | None = None
        self._argv: list[str] = []
        self._kept_console = ""

    # --- life

    def start(self) -> Guest:
        """Start QEMU. The image is built first if need be. Raises ImageError, GuestError."""
        if self._process is not None:
            raise GuestError(f"{self.name} was started already")
        image = self._image or build(self._arch)
        arch = ARCHS[self._arch]
        # Short, because the path of a unix socket has at most 107 bytes and pytest's are long.
        self._dir = pathlib.Path(tempfile.mkdtemp(prefix="dn-"))
        self._argv = [
            *(arch.qemu, "-accel", "tcg", "-nodefaults", "-display", "none", *arch.machine),
            *("-m", str(self._memory), "-no-reboot"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initramfs)),
            *("-append", self._append),
            *self._console_arguments(),
            *("-qmp", f"unix:{self._dir / 'qmp'},server=on,wait=off"),
            *self._netdev,
            *(["-S"] if self._stopped else []),
            *self._extra,
        ]
        with (self._dir / "stderr").open("wb") as stderr:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
            )
        _started.add(self)
        return self

    def _console_arguments(self) -> list[str]:
        assert self._dir is not None
        if not self._commands:
            return ["-serial", f"file:{self._dir / 'console'}"]
        where = f"path={self._dir / 'tty'},server=on,wait=off,logfile={self._dir / 'console'}"
        return ["-chardev", f"socket,id=console,{where}", "-serial", "chardev:console"]

    @property
    def pid(self) -> int:
        """QEMU's process id, also after its end."""
        if self._process is None:
            raise GuestError(f"{self.name} was not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the QEMU process is there."""
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout: float = 60) -> int:
        """Wait until the guest powered off; QEMU's exit status."""
        self._until(lambda: not self.running, f"the end of {self.name}", timeout)
        assert self._process is not None
        return self._process.returncode

    def kill(self) -> None:
        """End QEMU with SIGKILL: for the network, the machine is gone without a word."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End QEMU if it still runs and remove its files; console and report stay readable."""
        self.kill()
        if self._dir is not None:
            self._kept_console = self.console()
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None
        _started.discard(self)

    def __enter__(self) -> Guest:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- console

    def console(self) -> str:
        """All that the guest and QEMU printed, the guest's complete lines only."""
        if self._dir is None:
            return self._kept_console
        text = ""
        for name in ("stderr", "console"):
            path = self._dir / name
            data = path.read_bytes() if path.exists() else b""
            text += data.decode("utf-8", "replace").replace("\r", "")
        return text[: text.rfind("\n") + 1]

    def lines(self, prefix: str = "DN ") -> list[str]:
        """The console's lines that begin with C{prefix}."""
        return [line for line in self.console().splitlines() if line.startswith(prefix)]

    def wait_for(self, regex: str, timeout: float = 60) -> re.Match[str]:
        """The first match on the console since the last begin() or system_reset(), awaited.
        Raises GuestError after C{timeout} seconds, or as soon as QEMU has ended without it."""
        found: list[re.Match[str]] = []
        self._until(lambda: self._matches(regex, found), f"{regex!r} from {self.name}", timeout)
        return found[0]

    def report(self, last: int = 25) -> str:
        """QEMU's command line, its state and the last console lines."""
        state = "running" if self.running else "not started"
        if self._process is not None and not self.running:
            state = f"ended with status {self._process.returncode}"
        tail = "\n    ".join(self.console().splitlines()[-last:])
        return f"{self.name}: {state}\n  {shlex.join(self._argv)}\n    {tail}"

    __repr__ = report

    def _matches(self, regex: str, found: list[re.Match[str]]) -> bool:
        running = self.running  # first: what was printed before the end must still be seen
        text = self.console()[self._reset_at :]
        if self._runs:
            text = text.rpartition(f"DN runs {self._runs}\n")[2]
        if match := re.search(regex, text, re.MULTILINE):
            found.append(match)
            return True
        if not running:
            raise GuestError(f"{self.name} ended without {regex!r}\n{self.report()}")
        return False

    def _until(self, done: Callable[[], bool], what: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise GuestError(f"{timeout} s without {what}\n{self.report()}")
            time.sleep(POLL)

    # --- commands

    def begin(self, script: str) -> None:
        """Have it run a script now, which ends what the one before still does."""
        assert self._commands
        assert self._dir is not None
        if not self._runs:
            self.wait_for("^DN ready$")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self._dir / "tty"))
            sock.sendall(f"{script}\n".encode())
            # QEMU forgets what it has not read when we close.
            self.wait_for(rf"^DN runs {self._runs + 1}$")
        self._runs += 1

    def finish(self, timeout: float = 60) -> list[str]:
        """The lines of the script that was begun, when it is done. Raises GuestError."""
        end = self.wait_for(r"^DN (done|PANIC|FAIL)\b.*$", timeout)
        if end[1] != "done":
            raise GuestError(f"{self.name}: {end[0]}\n{self.report()}")
        return end.string[: end.end()].splitlines()

    def run(self, script: str, timeout: float = 60) -> list[str]:
        """begin() and finish()."""
        self.begin(script)
        return self.finish(timeout)

    # --- monitor

    def qmp(self, command: str, **arguments: object) -> object:
        """Run one QMP command and return its result. Raises GuestError, after 10 s at the latest:
        a QEMU that writes to a master which does not read answers nobody.
        """
        assert self._dir is not None
        path = str(self._dir / "qmp")
        deadline = time.monotonic() + QMP_TIMEOUT
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(QMP_TIMEOUT)
            while True:  # QEMU makes the socket a moment after it was started
                try:
                    sock.connect(path)
                    break
                except (FileNotFoundError, ConnectionRefusedError):
                    if not self.running or time.monotonic() > deadline:
                        raise GuestError(f"no monitor\n{self.report()}") from None
                    time.sleep(POLL)
            try:
                with sock.makefile("rwb") as stream:
                    for request in (
                        {"execute": "qmp_capabilities"},
                        {"execute": command, "arguments": arguments},
                    ):
                        stream.write(json.dumps(request).encode() + b"\n")
                        stream.flush()
                        answer = self._answer(stream)
            except OSError as error:
                raise GuestError(f"QMP {command}: {error}\n{self.report()}") from error
        if "error" in answer:
            raise GuestError(f"QMP {command}: {answer['error']}")
        return answer["return"]

    def _answer(self, stream: Iterable[bytes]) -> dict[str, typing.Any]:
        for line in stream:
            message: dict[str, typing.Any] = json.loads(line)
            if "return" in message or "error" in message:  # not the greeting, not an event
                return message
        raise OSError("the monitor closed")

    def cont(self) -> None:
        """Let a stopped guest run."""
        self.qmp("cont")

    def stop(self) -> None:
        """Halt its processor, as a debugger does; QEMU's network goes on."""
        self.qmp("stop")

    def system_reset(self) -> None:
        """Press the reset button: the same QEMU, its connections included, boots again.

        From then on it also boots again after a panic of the guest's own kernel.
        """
        self.qmp("set-action", reboot="reset")  # -no-reboot would end QEMU here
        self._runs, self._reset_at = 0, len(self.console())
        self.qmp("system_reset")

    # --- for tests in a reactor

    def start_async(self) -> Deferred[Guest]:
        """start() in a thread: building an image takes its time."""
        from twisted.internet.threads import deferToThread

        return deferToThread(self.start)

    def qmp_async(self, command: str, **arguments: object) -> Deferred[object]:
        """qmp() in a thread: with the master in this reactor, QEMU may be waiting for us."""
        from twisted.internet.threads import deferToThread

        return deferToThread(lambda: self.qmp(command, **arguments))

    def cont_async(self) -> Deferred[object]:
        """cont() in a thread."""
        return self.qmp_async("cont")

    def system_reset_async(self) -> Deferred[None]:
        """system_reset() in a thread."""
        from twisted.internet.threads import deferToThread

        return deferToThread(self.system_reset)

    def wait_for_async(self, regex: str, timeout: float = 60) -> Deferred[re.Match[str]]:
        """wait_for() that polls from the reactor: no thread, so any number may wait."""
        found: list[re.Match[str]] = []
        what = f"{regex!r} from {self.name}"
        return self._until_async(lambda: self._matches(regex, found), what, timeout, found.pop)

    def wait_async(self, timeout: float = 60) -> Deferred[int]:
        """wait() that polls from the reactor."""
        what = f"the end of {self.name}"
        return self._until_async(lambda: not self.running, what, timeout, self.wait)

    def _until_async(
        self, done: Callable[[], bool], what: str, timeout: float, result: Callable[[], T]
    ) -> Deferred[T]:
        from twisted.internet import reactor
        from twisted.internet.defer import Deferred
        from twisted.internet.task import deferLater

        async def poll() -> T:
            deadline = time.monotonic() + timeout
            while not done():
                if time.monotonic() > deadline:
                    raise GuestError(f"{timeout} s without {what}\n{self.report()}")
                await deferLater(reactor, POLL, lambda: None)
            return result()

        return Deferred.fromCoroutine(poll())


def results(guests: Sequence[Guest]) -> collections.Counter[str]:
    """How the guests' scripts ended: counts of C{done}, C{PANIC}, C{FAIL} and C{none}."""
    ends: collections.Counter[str] = collections.Counter()
    for guest in guests:
        kinds = [m[1] for m in map(re.compile(r"DN (done|PANIC|FAIL)\b").match, guest.lines()) if m]
        ends[kinds[0] if kinds else "none"] += 1
    return ends


@atexit.register
def _close_all() -> None:
    for guest in list(_started):
        guest.close()
