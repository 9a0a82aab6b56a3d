"""How a master starts: where it listens, what it says, and what it does when something is wrong."""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from distnet._native import SWITCH
from distnet.client.blocking import Client
from distnet.client.channel import tls_context
from distnet.client.endpoints import TlsFiles
from distnet.control.paths import MASTER
from distnet.control.paths import SWITCH as SWITCH_KIND
from tests.certificates import Authority
from tests.daemons import PATIENCE, ROOT, TWISTD, answer, environment, eventually, free_low_port
from tests.masters import Kernel, Master, running
from tests.suites import why_not_native

Start = Callable[..., Master]
Connect = Callable[..., Kernel]

# Root may write everywhere, unless it gives that up.
NO_OVERRIDE = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []

# sd_listen_fds(3): descriptors from 3 on, and in the environment how many, their names, for whom.
ACTIVATE = """
import os, sys
names, descriptors = sys.argv[1], sys.argv[2].split(",")
for number, descriptor in enumerate([os.dup(int(each)) for each in descriptors], 3):
    os.dup2(descriptor, number)
    os.set_inheritable(number, True)
os.environ.update(LISTEN_FDS=str(len(descriptors)), LISTEN_PID=str(os.getpid()))
if names:
    os.environ["LISTEN_FDNAMES"] = names
os.execvp(sys.argv[3], sys.argv[3:])
"""


@dataclass
class Attempt:
    """What became of a twistd that was to end by itself."""

    status: int
    output: str
    errors: str
    log: str = ""


def attempt(directory: Path, *options: str, daemon: bool = False) -> Attempt:
    """Start a master that cannot start, or that only says something."""
    log = directory / "daemon.log"
    pidfile = directory / "daemon.pid"
    how = ["--nodaemon", "--pidfile="]
    if daemon:
        how = [f"--logfile={log}", f"--pidfile={pidfile}", f"--rundir={directory}"]
    ended = subprocess.run(
        [*NO_OVERRIDE, TWISTD, *how, "distnet", *options],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert not pidfile.exists()
    logged = log.read_text() if log.exists() else ""
    return Attempt(ended.returncode, ended.stdout, ended.stderr, logged)


# Where it listens


def test_the_log_has_the_option_for_qemu(start_master: Start, tmp_path: Path) -> None:
    """The start log has, for each listener, the exact options with which QEMU comes there."""
    path = tmp_path / "node3"
    master = start_master("--port", "0", "--listen", "tcp6:0", "--node", f"3=unix:{path}")
    six = master.address("tcp:[::1]")
    for address in (f"tcp:127.0.0.1:{master.port}", six, f"unix:{path}"):
        words = ["-netdev", f"user,id=net1,restrict=on,guestfwd=tcp:10.0.2.16:1234-{address}",
                 "-device", "e1000e,netdev=net1"]  # fmt: skip
        master.wait_for_log(f"QEMU: {shlex.join(words)}\n")
    master.wait_for_log(f"listening at unix:{path} for node 3")
    master.wait_for_log(f"listening at unix:{master.tools} for tools")


def test_what_twisted_says_of_listeners(start_master: Start, tmp_path: Path) -> None:
    """In the lines that Twisted logs of each port, listeners are called by whom they are for."""
    path = tmp_path / "node3"
    master = start_master("--port", "0", "--node", f"3=unix:{path}")
    assert re.findall(r"\] (.+) starting on (.+)\n", master.log()) == [
        ("listener for kernels", str(master.port)),
        ("listener for the control interface", repr(master.control)),
        ("listener for node 3", repr(str(path))),
        ("listener for tools", repr(master.tools)),
    ]


def test_tcp_is_on_loopback_by_default(start_master: Start, connect: Connect) -> None:
    """Without an interface, TCP listens on the loopback address of its family and nowhere else."""
    master = start_master("--port", "0", "--listen", "tcp6:0")
    listening = subprocess.run(
        ["ss", "--no-header", "--listening", "--numeric", "--tcp", "--processes"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    mine = [line.split()[3] for line in listening.splitlines() if f"={master.process.pid}," in line]
    six = int(master.address("tcp:[::1]").rpartition(":")[2])
    assert sorted(mine) == sorted([f"127.0.0.1:{master.port}", f"[::1]:{six}"])
    with Kernel(("::1", six)) as kernel:
        assert kernel.read_id() == 0
    assert connect(master).id in (0, 1)


def test_an_interface_can_be_named(start_master: Start) -> None:
    """With an interface, TCP listens there."""
    master = start_master("--port", "tcp:0:interface=127.0.0.2")
    with Kernel(("127.0.0.2", int(master.address("tcp:127.0.0.2").rpartition(":")[2]))) as kernel:
        assert kernel.read_id() == 0


def test_unix_sockets_are_for_their_user_alone(start_master: Start, tmp_path: Path) -> None:
    """All unix sockets that a master makes have mode 0600, unless another is asked for."""
    mine, all_ = str(tmp_path / "mine"), str(tmp_path / "all")
    master = start_master("--listen", f"unix:{mine}", "--listen", f"unix:{all_}:mode=666")
    modes = [stat.S_IMODE(Path(path).stat().st_mode) for path in
             (mine, all_, master.control, master.tools)]  # fmt: skip
    assert modes == [0o600, 0o666, 0o600, 0o600]


def test_paths_are_those_of_where_it_was_started(tmp_path: Path) -> None:
    """Relative paths do not follow C{--rundir}, whatever they are for."""
    started, elsewhere = tmp_path / "started", tmp_path / "elsewhere"
    started.mkdir()
    elsewhere.mkdir()
    master = Master(
        started, "--listen", "unix:kernels", "--node", "3=unix:node", "--state", "state",
        "--control", "control", "--tools", "tools",
    )  # fmt: skip
    master.twistd_options = ["--rundir", str(elsewhere)]
    master.tools = str(started / "tools")
    try:
        master.start()
        assert {path.name for path in started.iterdir()} >= {
            "kernels", "node", "state", "control", "tools",
        }  # fmt: skip
        assert list(elsewhere.iterdir()) == []
    finally:
        assert master.stop() == 0


def test_all_listeners_share_the_ids(start_master: Start, tmp_path: Path) -> None:
    """Nodes that come to different listeners get ids from one sequence, and reach each other."""
    paths = [str(tmp_path / "a"), str(tmp_path / "b")]
    start_master("--listen", f"unix:{paths[0]}", "--listen", f"unix:{paths[1]}")
    with Kernel(paths[0]) as one, Kernel(paths[1]) as other:
        assert [one.read_id(), other.read_id()] == [0, 1]
        one.send(1, bytes(16))
        assert other.receive() == (0, bytes(16))


def test_a_socket_left_by_kill_9_is_taken_over(start_master: Start, tmp_path: Path) -> None:
    """Unix sockets that a killed master left behind do not keep the next one from starting."""
    path = str(tmp_path / "kernels")
    master = start_master("--listen", f"unix:{path}")
    master.stop(signal.SIGKILL)
    assert Path(path).is_socket()
    master.start()
    with Kernel(path) as kernel:
        assert kernel.read_id() == 0
    assert master.stop() == 0
    assert not any(Path(left).exists() for left in (path, master.control, master.tools))


@pytest.mark.parametrize("name", ["distnet", "distnet-vde"])
def test_twist(name: str, tmp_path: Path) -> None:
    """C{twist}, the successor of C{twistd -n}, starts them as that does, and so they end."""
    control, path = tmp_path / "control", tmp_path / "socket"
    kind, option = {"distnet": (MASTER, "--listen"), "distnet-vde": (SWITCH_KIND, "--stream")}[name]
    sock = [f"--sock={tmp_path / 'switch'}"] if kind is SWITCH_KIND else []
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(TWISTD.removesuffix("d"), name, *sock, "--control", str(control)),
                *(option, f"unix:{path}", option, "tcp:0:interface=127.0.0.1"),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        status = eventually("it answers", lambda: answer(str(control), "/status", kind))
        addresses = [listener["address"] for listener in status["listeners"]]
        assert f"unix:{path}" in addresses
        assert any(re.fullmatch(r"tcp:127\.0\.0\.1:[1-9]\d*", each) for each in addresses)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
    assert [left.name for left in tmp_path.iterdir()] == ["log"]


def test_sockets_of_systemd(tmp_path: Path) -> None:
    """
    A master listens at the sockets that systemd passes to it, and leaves them as they are: the next
    one listens there again, and so do others whose sockets have no names.
    """
    path = tmp_path / "passed"
    master = Master(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(path))
        path.chmod(0o640)
        unix.listen()
        # No number that it is passed as.
        master.passed = tuple(fcntl.fcntl(one, fcntl.F_DUPFD, 10) for one in (tcp, unix))
        numbers = ",".join(map(str, master.passed))
        for names, which in (("tcp:unix", "name=unix"), ("", "index=1")):
            master.within = [sys.executable, "-c", ACTIVATE, names, numbers]
            master.options = (
                "--listen", "systemd:domain=INET:index=0",
                "--node", f"7=systemd:domain=UNIX:{which}",
            )  # fmt: skip
            with running(master):
                with Kernel(str(path)) as seventh, Kernel(tcp.getsockname()) as kernel:
                    assert [seventh.read_id(), kernel.read_id()] == [7, 0]
                master.wait_for_log(f"guestfwd=tcp:10.0.2.16:1234-unix:{path}")
                assert master.stop() == 0
            assert stat.S_IMODE(path.stat().st_mode) == 0o640
            # One that comes meanwhile waits for the next master.
            Kernel(str(path)).close()
        for descriptor in master.passed:
            os.close(descriptor)


# As somebody else: one question to a control socket, and an id from a node's socket.
ASKS = """
import os, socket, sys
os.setgid(65534), os.setuid(65534)
control, node = (socket.socket(socket.AF_UNIX) for _ in range(2))
control.connect(sys.argv[1])
control.sendall(b"GET /counters HTTP/1.0\\r\\n\\r\\n")
node.connect(sys.argv[2])
print(control.recv(15).decode(), node.recv(10).decode())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_privileges(runtime: Path) -> None:
    """It listens at TCP ports as root; its sockets are for whom it runs as, who removes them."""
    runtime.chmod(0o777)
    master = Master(runtime, "--port", str(free_low_port()), "--node", f"3=unix:{runtime}/node3")
    master.twistd_options = ["--uid", "65534", "--gid", "65534"]
    paths = [Path(path) for path in (master.control, master.tools, runtime / "node3")]
    with running(master):
        assert [path.stat().st_uid for path in paths] == [65534] * 3
        asked = subprocess.run(
            [sys.executable, "-c", ASKS, paths[0], paths[2]],
            capture_output=True, text=True, check=True, timeout=PATIENCE,
        )  # fmt: skip
        assert asked.stdout == "HTTP/1.0 200 OK 3\n"
        assert master.port < 1024
        assert master.stop() == 0
    assert [path.name for path in runtime.iterdir()] == ["log"]


def test_a_socket_that_is_gone(start_master: Start, tmp_path: Path) -> None:
    """A socket that somebody has removed keeps nothing of a stop from being done."""
    path = tmp_path / "kernels"
    master = start_master("--port", "0", "--listen", f"unix:{path}")
    with Kernel(str(path)) as kernel:
        assert kernel.read_id() == 0
        path.unlink()
        Path(master.control).unlink()
        assert master.stop() == 0
    master.wait_for_log("node 0: left (the master stops)")
    assert "Traceback" not in master.log()
    assert not Path(master.tools).exists()


def test_the_units_of_systemd(tmp_path: Path) -> None:
    """systemd finds nothing wrong with the units."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs the Debian package systemd")
    for unit in (ROOT / "etc/systemd").iterdir():
        text = unit.read_text().replace("/usr/local/bin/twistd", TWISTD)
        (tmp_path / unit.name).write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")


def test_tls_lets_in_whom_the_ca_has_signed(start_master: Start, tmp_path: Path) -> None:
    """Over TLS a client of the right CA gets an id; others get none and burn none."""
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    server, good, bad = ours.issue("localhost"), ours.issue("node"), others.issue("stranger")
    master = start_master(
        "--tls", "tcp:0", "--tls-cert", server.cert, "--tls-key", server.key,
        "--tls-client-ca", ours.ca,
    )  # fmt: skip
    port = int(master.address("tls:").rpartition(":")[2])

    def client(ca: str, files: TlsFiles, name: str = "localhost") -> Client:
        context = tls_context(ca, files.cert, files.key)
        return Client(f"tls:127.0.0.1:{port}", tls=context, server_hostname=name)

    with Kernel(("127.0.0.1", port)) as plain:
        plain.socket.sendall(b"quit and other bytes that are no handshake")
        assert plain.is_closed()
    for wrong in (
        client(ours.ca, bad),
        client(others.ca, good),
        client(ours.ca, good, name="other.example"),
    ):
        with pytest.raises(OSError):
            wrong.connect(PATIENCE)
    without = ssl.create_default_context(cafile=ours.ca)
    with pytest.raises(OSError):
        Client(f"tls:127.0.0.1:{port}", tls=without, server_hostname="localhost").connect(PATIENCE)
    with client(ours.ca, good) as node:
        assert node.getid() == 0
        node.send(0, bytes(16))
        assert node.recv(timeout=PATIENCE) == (0, bytes(16))
        assert "CN=node" in master.node(0)["peer"]
    assert "Traceback" not in master.log()


# What is wrong

Wrong = Callable[[Path], list[str]]


def busy_port(directory: Path) -> list[str]:
    """Somebody listens there, for as long as this process."""
    taken = socket.create_server(("127.0.0.1", 0))
    KEPT.append(taken)
    return ["--port", str(taken.getsockname()[1])]


def live_socket(directory: Path) -> list[str]:
    """Another process listens at a control socket."""
    taken = socket.socket(socket.AF_UNIX)
    KEPT.append(taken)
    taken.bind(str(directory / "control"))
    taken.listen()
    return ["--port", "0", "--control", str(directory / "control")]


def regular_file(directory: Path) -> list[str]:
    """A file is where a socket is to be."""
    (directory / "file").write_text("precious")
    return ["--listen", f"unix:{directory}/file"]


def unwritable(directory: Path) -> list[str]:
    """A directory that is not ours to write in."""
    (directory / "theirs").mkdir(mode=0o500)
    return ["--listen", f"unix:{directory}/theirs/socket"]


def unwritable_state(directory: Path) -> list[str]:
    """A state file in such a directory."""
    (directory / "theirs").mkdir(mode=0o500)
    return ["--port", "0", "--state", f"{directory}/theirs/state"]


def locked_state(directory: Path) -> list[str]:
    """A state file that somebody else uses."""
    database = sqlite3.connect(directory / "state")
    database.execute("pragma locking_mode=exclusive")
    database.execute("begin exclusive")
    KEPT.append(database)
    return ["--port", "0", "--state", str(directory / "state")]


def garbage_state(directory: Path) -> list[str]:
    """A file that is no state file."""
    (directory / "state").write_bytes(os.urandom(10000))
    return ["--port", "0", "--state", str(directory / "state")]


def newer_state(directory: Path) -> list[str]:
    """A state file of a distnet to come."""
    with sqlite3.connect(directory / "state") as database:
        database.execute("pragma user_version=99")
    database.close()
    return ["--port", "0", "--state", str(directory / "state")]


def foreign_state(directory: Path) -> list[str]:
    """A database that somebody else needs."""
    with sqlite3.connect(directory / "state") as database:
        database.execute("create table recipes (name)")
    database.close()
    return ["--port", "0", "--state", str(directory / "state")]


KEPT: list[object] = []
"""What stands in the way while this process lives."""

WRONG: list[tuple[Wrong, str]] = [
    (busy_port, "Address already in use; another master"),
    (lambda directory: ["--port", "tcp:0:interface=192.0.2.1"], "does not have that address"),
    (lambda directory: ["--listen", f"unix:{directory}/{'x' * 100}"], "a unix socket's can have"),
    (lambda directory: ["--listen", f"unix:{directory}/none/socket"], "there is no directory"),
    (unwritable, "is not writable"),
    (regular_file, "it exists and is not a socket"),
    (lambda directory: ["--port", "0", "--control", f"{directory}/no/control"], "no directory"),
    (live_socket, "another process listens there"),
    (
        lambda directory: ["--port", "0", "--state", f"{directory}/no/state"],
        "there is no directory",
    ),
    (lambda directory: ["--port", "0", "--state", str(directory)], "is a directory"),
    (unwritable_state, "is it, and its directory, writable?"),
    (locked_state, "another master uses it"),
    (garbage_state, "file is not a database"),
    (newer_state, "it has version 99, this distnet reads 1"),
    (foreign_state, "it is a database of something else"),
]


@pytest.mark.parametrize("daemon", [False, True], ids=["nodaemon", "daemon"])
@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_is_wrong_is_said_in_a_line(
    wrong: Wrong, said: str, daemon: bool, tmp_path: Path
) -> None:
    """A master that cannot start says why in one line, without a traceback, and exits with 1."""
    options = wrong(tmp_path)
    if "--control" not in options:
        options += ["--control", str(tmp_path / "own")]
    failed = attempt(tmp_path, *options, daemon=daemon)
    first, *more = failed.errors.splitlines()
    assert first.startswith("distnet: cannot ")
    assert said in first
    assert failed.status == 1
    assert "Traceback" not in failed.output + failed.errors + failed.log
    if daemon:
        # What twistd adds: the start of the same, and that there is a log.
        assert more[0].startswith("An error has occurred")
        assert more[1:] == ["Please look at log file for more information."]
        assert failed.log.count(first.removeprefix("distnet: ")) == 1
    else:
        assert more == []
    if wrong is regular_file:
        assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--settle-seconds", "soon"], "--settle-seconds: 'soon' is not a number of seconds"),
        (["--listen", "systemd:domain=INET:index=0"], "systemd has passed no socket"),
        (["--frobnicate"], "there is no option --frobnicate"),
        (["--port", "http:80"], "--port: 'http:80' is not a place to listen at"),
    ],
)
@pytest.mark.parametrize("daemon", [False, True], ids=["nodaemon", "daemon"])
def test_a_wrong_option_is_named(
    options: list[str], said: str, daemon: bool, tmp_path: Path
) -> None:
    """One that is wrong ends twistd with status 1, and a line that names it and where to read."""
    failed = attempt(tmp_path, *options, daemon=daemon)
    assert (failed.status, failed.output, failed.log) == (1, "", "")
    (line,) = failed.errors.splitlines()
    assert line.startswith("twistd distnet: ")
    assert said in line
    assert line.endswith(" (see twistd distnet --help)")


def test_a_daemon_in_a_directory_that_is_not_writable(tmp_path: Path) -> None:
    """It says in one line that it cannot write its log, and what to do."""
    (tmp_path / "theirs").mkdir(mode=0o500)
    ended = subprocess.run(
        [*NO_OVERRIDE, TWISTD, "distnet"],
        cwd=tmp_path / "theirs",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"twistd distnet: --logfile {tmp_path}/theirs/twistd.log: that cannot be written; name"
        " another FILE, or stay in the foreground with -n (see twistd --help)\n"
    )


def test_plugins_in_a_directory_that_is_not_writable(tmp_path: Path) -> None:
    """Users who cannot write where packages are installed are not told so at every start."""
    plugins = tmp_path / "packages/twisted/plugins"
    plugins.mkdir(parents=True)
    (plugins / "one.py").touch()
    plugins.chmod(0o500)
    master = Master(
        tmp_path, "--port", "0",
        environment={"PYTHONPATH": os.pathsep.join([str(plugins.parent.parent), str(ROOT)])},
    )  # fmt: skip
    master.within = NO_OVERRIDE
    with running(master):
        assert "cache" not in master.log()
    assert not (plugins / "dropin.cache").exists()


def test_help_and_version(tmp_path: Path) -> None:
    """The options are explained, the version is told, and nothing is started."""
    explained = attempt(tmp_path, "--help")
    assert explained.status == 0
    assert {"--port=", "--listen=", "--node=", "--keep-mail"} <= set(
        explained.output.replace(",", " ").split()
    )
    told = attempt(tmp_path, "--version")
    assert (told.status, told.output.split()[0]) == (0, "distnet")


@pytest.mark.parametrize("switch", ["1", "0"])
def test_version_and_log_say_whether_native_code_runs(
    switch: str, start_master: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Turned off, or not there, native code does not run, and --version and the log say why."""
    monkeypatch.setenv(SWITCH, switch)
    why = why_not_native() if switch == "1" else "DISTNET_NATIVE is 0"
    told = attempt(tmp_path, "--version").output
    log = start_master("--port", "0", "--pace", "stream").log()
    if why is None:
        assert told.endswith(", with native code\n")
        assert "messages are routed by native code" in log
    else:
        assert told.endswith(f", pure Python: {why}\n")
        assert f"messages are routed by Python, not by native code: {why}" in log
