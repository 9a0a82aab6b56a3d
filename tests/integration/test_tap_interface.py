"""Tap interfaces that the switch itself plugs in, each in a network namespace for its test."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.asking import console
from tests.daemons import PATIENCE, ROOT, TWISTD, eventually
from tests.switches import RawClient, StartSwitch, Switch, VdeSwitch, frame, mac

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists() or shutil.which("ip") is None,
    reason="needs root, /dev/net/tun and iproute2",
)

NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
OFFLINE = ["--bounding-set=-net_admin", "--inh-caps=-net_admin"]
NO_DEVICE = "mount -t tmpfs none /dev/net"
"""For a shell: hides the device, whose mode is each machine's own affair."""
TUNSETIFF = 0x400454CA

_numbers = itertools.count(1)


class Namespace:
    """
    A network namespace.

    @ivar within: a command that runs others there.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.within = ["ip", "netns", "exec", name]

    def ip(self, *words: str) -> str:
        """What ip(8) says there."""
        command = ["ip", "-n", self.name, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def has(self, interface: str) -> bool:
        """Whether an interface is there."""
        return f" {interface}:" in self.ip("-o", "link", "show")

    def up(self, interface: str, address: str) -> None:
        """Give an interface an address, without the packets that IPv6 would send by itself."""
        quiet = f"echo 1 >/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"
        subprocess.run([*self.within, "sh", "-c", quiet], check=True)
        self.ip("addr", "add", f"{address}/24", "dev", interface)
        self.ip("link", "set", interface, "up")

    def ping(self, address: str, *options: str) -> str:
        """What ping(8) says."""
        command = [*self.within, "ping", "-i", "0.01", "-W", "5", *options, address]
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=2 * PATIENCE
        )
        return ran.stdout + ran.stderr


def devices(prepare: str) -> list[str]:
    """A command that runs others where C{/dev/net} is as a command for a shell has left it."""
    return ["unshare", "--mount", "sh", "-c", f'{prepare} && exec "$@"', "sh"]


def device(mode: str) -> str:
    """For a shell: makes the device anew, with a mode, as C{chmod} has it."""
    return f"{NO_DEVICE} && mknod /dev/net/tun c 10 200 && chmod {mode} /dev/net/tun"


@pytest.fixture
def namespace() -> Iterator[Callable[[], Namespace]]:
    """Makes namespaces; they are gone afterwards."""
    with contextlib.ExitStack() as stack:

        def make() -> Namespace:
            name = f"tap{os.getpid()}n{next(_numbers)}"
            subprocess.run(["ip", "netns", "add", name], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
            return Namespace(name)

        yield make


Make = Callable[[], Namespace]


def attempt(*options: str, within: list[str]) -> subprocess.CompletedProcess[str]:
    """Start a switch that cannot start."""
    return subprocess.run(
        [*within, TWISTD, "--nodaemon", "--pidfile=", "distnet-vde", "--nostdin", *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


@contextlib.contextmanager
def plugged(place: Namespace, switch: Switch, address: str) -> Iterator[None]:
    """A namespace that vde_plug2tap plugs in."""
    plug = subprocess.Popen([*place.within, "vde_plug2tap", "-s", str(switch.sock), "tap0"])
    try:
        eventually("there is a tap", lambda: place.has("tap0"))
        place.up("tap0", address)
        yield
    finally:
        plug.terminate()
        plug.wait()


def test_ping(start_switch: StartSwitch, namespace: Make) -> None:
    """The machine at a tap of the switch and one plugged in by VDE exchange pings."""
    here, there = namespace(), namespace()
    switch = start_switch("-tap", "mytap", within=here.within)
    here.up("mytap", "10.98.8.1")
    with plugged(there, switch, "10.98.8.2"):
        for size in ("56", "1472"):
            said = here.ping("10.98.8.2", "-c", "10", "-M", "do", "-s", size)
            assert " 0% packet loss" in said, said
            said = there.ping("10.98.8.1", "-c", "10", "-M", "do", "-s", size)
            assert " 0% packet loss" in said, said


def test_long_frames(start_switch: StartSwitch, namespace: Make) -> None:
    """Between two taps frames pass whole that are as long as a tap lets them be."""
    here, there = namespace(), namespace()
    start_switch("-t", "one", "-t", "two", within=here.within)
    here.ip("link", "set", "two", "netns", there.name)
    here.up("one", "10.98.8.1")
    there.up("two", "10.98.8.2")
    here.ip("link", "set", "one", "mtu", "65521")
    there.ip("link", "set", "two", "mtu", "65521")
    for size in ("1490", "8900", "65493"):
        said = here.ping("10.98.8.2", "-c", "10", "-M", "do", "-s", size)
        assert " 0% packet loss" in said, said


def test_frames_are_whole(start_switch: StartSwitch, namespace: Make) -> None:
    """What the machine sends to its tap comes out as it was, without anything before it."""
    here = namespace()
    switch = start_switch("-t", "mytap", within=here.within)
    here.up("mytap", "10.98.8.1")
    own = bytes.fromhex(here.ip("-br", "link", "show", "mytap").split()[2].replace(":", ""))
    with RawClient(switch.sock).plug() as client:
        pinging = subprocess.Popen(
            [*here.within, "ping", "-c", "1", "-W", "1", "10.98.8.9"], stdout=subprocess.DEVNULL
        )
        asked = client.receive()
        pinging.wait()
    # An ARP request: RFC 826.
    head = struct.pack("!HHBBH", 1, 0x800, 6, 4, 1)
    assert asked[:42] == (
        b"\xff" * 6 + own + b"\x08\x06" + head
        + own + bytes([10, 98, 8, 1]) + bytes(6) + bytes([10, 98, 8, 9])
    )  # fmt: skip


@pytest.mark.parametrize("kind", [Switch, VdeSwitch])
def test_port(
    start_switch: StartSwitch, namespace: Make, kind: type[Switch], tmp_path: Path
) -> None:
    """Taps get the first ports in their order, named in port/print as vde_switch names them."""
    if kind is VdeSwitch and shutil.which("vde_switch") is None:
        pytest.skip("no vde_switch here")
    here = namespace()
    path = tmp_path / "console"
    switch = start_switch("-t", "one", "--tap", "two", "-M", str(path),
                          within=here.within, kind=kind)  # fmt: skip
    eventually("it has a console", path.is_socket)
    assert (here.has("one"), here.has("two")) == (True, True)
    with RawClient(switch.sock).plug() as client:
        assert client.port == 3
    lines = [line.split() for line in console(path, "port/print").splitlines()]
    assert [line[1] for line in lines if line[:1] == ["Port"]][:2] == ["0001", "0002"]
    described = [line[4:] for line in lines if line[:2] == ["--", "endpoint"]]
    assert described[:2] == [["module", "tuntap", ":", "one"], ["module", "tuntap", ":", "two"]]
    users = [line for line in lines if line[:2] == ["Current", "User:"]]
    assert users[0][2] == "NONE"
    assert switch.stop() == 0


def test_dump(start_switch: StartSwitch, namespace: Make, tmp_path: Path) -> None:
    """The dump of the console has what comes from a tap."""
    here = namespace()
    path, dump = tmp_path / "console", tmp_path / "dump"
    switch = start_switch("-t", "mytap", "-M", str(path), within=here.within)
    here.up("mytap", "10.98.8.1")
    console(
        path, "plugin/add pdump", f"pdump/filename {dump}", "pdump/buffered 0", "pdump/active 1"
    )
    with RawClient(switch.sock).plug() as client:
        here.ping("10.98.8.9", "-c", "1", "-W", "1")
        asked = client.receive()
    eventually("the dump has it", lambda: asked in dump.read_bytes())


def test_interface_down(start_switch: StartSwitch, namespace: Make, tmp_path: Path) -> None:
    """What is for a tap that is down is counted as refused; nothing else comes to harm."""
    here = namespace()
    path = tmp_path / "console"
    switch = start_switch("-t", "mytap", "-M", str(path), within=here.within)
    with RawClient(switch.sock).plug() as one, RawClient(switch.sock).plug() as other:
        for number in range(5):
            sent = frame(b"\xff" * 6, mac(1), bytes([number]) * 60)
            one.send(sent)
            assert other.receive() == sent
        assert "5          bytes                  370 (send-failed)" in console(
            path, "port/print 1"
        )
        here.up("mytap", "10.98.8.1")
        sent = frame(b"\xff" * 6, mac(1), bytes(60))
        one.send(sent)
        assert other.receive() == sent
        assert "5          bytes                  370 (send-failed)" in console(
            path, "port/print 1"
        )
    switch.stop()
    switch.wait_for_log("operations on sockets and taps failed (EIO 5 times)")


def test_interface_removed(start_switch: StartSwitch, namespace: Make) -> None:
    """A tap that somebody removes is unplugged, which the log says once; the switch goes on."""
    here = namespace()
    switch = start_switch("-t", "mytap", within=here.within)
    here.ip("link", "del", "mytap")
    switch.wait_for_log("the interface mytap has gone")
    with RawClient(switch.sock).plug() as client:
        assert client.port == 1
    assert switch.log().count("has gone") == 1
    assert switch.stop() == 0


def test_gone_with_the_switch(start_switch: StartSwitch, namespace: Make) -> None:
    """A tap that was made for the switch goes with it, even by kill -9; the next one has it too."""
    here = namespace()
    switch = start_switch("-t", "mytap", within=here.within)
    assert here.has("mytap")
    switch.stop(signal.SIGKILL)
    eventually("it is gone", lambda: not here.has("mytap"))
    switch.start()
    assert here.has("mytap")
    assert switch.stop() == 0
    assert not here.has("mytap")


def test_made_before(start_switch: StartSwitch, namespace: Make) -> None:
    """Whoever was given an interface needs no privilege for it; it stays when the switch stops."""
    here = namespace()
    here.ip("tuntap", "add", "mytap", "mode", "tap", "user", "nobody")
    for_all = devices(device("666"))
    switch = start_switch("-t", "mytap", within=[*here.within, *for_all, *NOBODY])
    here.up("mytap", "10.98.8.1")
    assert switch.stop() == 0
    assert here.has("mytap")


def test_what_is_wrong(namespace: Make, tmp_path: Path) -> None:
    """A tap that cannot be had ends the start with a line that says why, and leaves nothing."""
    here = namespace()
    here.ip("tuntap", "add", "mytun", "mode", "tun")
    here.ip("link", "add", "mybridge", "type", "bridge")
    here.ip("tuntap", "add", "busy", "mode", "tap")
    holder = subprocess.Popen(
        [*here.within, "python3", "-c",
         "import fcntl, os, struct, sys\n"
         "tun = os.open('/dev/net/tun', os.O_RDWR)\n"
         f"fcntl.ioctl(tun, {TUNSETIFF}, struct.pack('16sH22x', b'busy', 0x1002))\n"
         "print('ready', flush=True)\n"
         "sys.stdin.read()\n"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    home = tmp_path / "s"
    with holder.stdin, holder.stdout:
        assert holder.stdout.readline() == b"ready\n"
        for name, said, more in (
            ("lo", "of another kind", []),
            ("mytun", "of another kind", []),
            ("mybridge", "of another kind", []),
            ("busy", "another process has it", []),
            ("new", "CAP_NET_ADMIN", ["setpriv", *OFFLINE]),
        ):
            failed = attempt("-s", str(home), "-t", name, within=[*here.within, *more])
            assert failed.stderr.startswith(f"distnet: cannot plug in {name}: "), failed.stderr
            assert said in failed.stderr
            assert failed.stderr.count("\n") == 1
            assert failed.returncode == 1
            assert not home.exists()
    holder.wait()


def test_no_device(namespace: Make, tmp_path: Path) -> None:
    """Without the device, or access to it, the line says what to do."""
    within = namespace().within
    options = ["-s", str(tmp_path / "s"), "-t", "x"]
    nobody = attempt(*options, within=[*within, *devices(device("600")), *NOBODY])
    assert "cannot plug in x: /dev/net/tun: Permission denied; start as root" in nobody.stderr
    without = attempt(*options, within=[*within, *devices(NO_DEVICE)])
    assert "/dev/net/tun: No such file or directory; load the module tun" in without.stderr


def test_nothing_is_left(namespace: Make, tmp_path: Path) -> None:
    """When one of the things to open cannot be, those that were opened before are gone again."""
    here = namespace()
    # Where there is no address at all, every one can be had.
    here.ip("link", "set", "lo", "up")
    everything = ["-t", "mytap", "-M", f"{tmp_path}/m", "-s", f"{tmp_path}/s",
                  "--dgram", f"unix:{tmp_path}/d", "--stream", f"unix:{tmp_path}/q"]  # fmt: skip
    for more, said in (
        (["-f", f"{tmp_path}/none"], "cannot read the commands"),
        (["--dgram", "udp:192.0.2.1:9"], "does not have that address"),
        (["-s", f"{tmp_path}/none/s"], "cannot make the directory"),
    ):
        failed = attempt(*everything, *more, within=here.within)
        assert said in failed.stderr, failed.stderr
        assert failed.stderr.count("\n") == 1
        assert failed.returncode == 1
        assert list(tmp_path.iterdir()) == []
        assert "Traceback" not in failed.stdout + failed.stderr
        assert not here.has("mytap")
