"""TCP between two network namespaces on a switch, by iperf3. Needs root."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import cpu_seconds
from tests.daemons import PATIENCE, eventually

NETWORK = "10.98.8"


class TcpError(RuntimeError):
    """iperf3 has failed; the message is one line."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """
    @ivar seconds: how long it took.
    @ivar received: bytes.
    @ivar retransmits: segments that were sent again.
    @ivar tap_drops: packets that the hosts' own taps have dropped, since vde_plug2tap, which waits
        for the switch, had not read a thousand earlier ones: not the switch has lost these.
    @ivar switch_cpu: seconds of the switch's processor time.
    @ivar plugs_cpu: seconds of processor time of each vde_plug2tap.
    """

    seconds: float
    received: int
    retransmits: int
    tap_drops: int
    switch_cpu: float
    plugs_cpu: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """A network namespace that vde_plug2tap has plugged into a switch."""

    name: str
    address: str
    plug: int

    def command(self, *words: str) -> list[str]:
        """A command that is run there."""
        return ["ip", "netns", "exec", self.name, *words]

    def tap_drops(self) -> int:
        """How many packets its tap has dropped on their way to the switch."""
        show = ["ip", "-n", self.name, "-s", "-j", "link", "show", "tap0"]
        shown = subprocess.run(show, capture_output=True, check=True).stdout
        return int(json.loads(shown)[0]["stats64"]["tx"]["dropped"])


@contextlib.contextmanager
def host(sock: Path, number: int) -> Iterator[Host]:
    """Plug one in."""
    name, address = f"bench{os.getpid()}n{number}", f"{NETWORK}.{number}"
    with contextlib.ExitStack() as stack:
        subprocess.run(["ip", "netns", "add", name], check=True)
        stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        plug = ["vde_plug2tap", "-s", str(sock), "tap0"]
        process = subprocess.Popen(["ip", "netns", "exec", name, *plug])
        stack.callback(process.wait)
        stack.callback(process.terminate)
        ip = ["ip", "-n", name]
        eventually("there is a tap", lambda: _succeeds([*ip, "link", "show", "tap0"]))
        subprocess.run([*ip, "addr", "add", f"{address}/24", "dev", "tap0"], check=True)
        subprocess.run([*ip, "link", "set", "tap0", "up"], check=True)
        yield Host(name, address, process.pid)


def transfer(sock: Path, pid: int, *, streams: int, seconds: int) -> Transfer:
    """
    Send as much as a switch carries, from one host to another.

    @param pid: the switch's process.
    @raise TcpError: it cannot be done.
    """
    with host(sock, 1) as one, host(sock, 2) as other:
        ping = one.command("ping", "-c1", "-W1", other.address)
        eventually("they reach each other", lambda: _succeeds(ping))
        listening = subprocess.Popen(
            other.command("iperf3", "-s", "-1", "--forceflush"), stdout=subprocess.PIPE, text=True
        )
        with _ended(listening):
            assert listening.stdout is not None
            while "listening" not in (line := listening.stdout.readline()):
                if not line:
                    raise TcpError("iperf3 -s has ended")
            before = [cpu_seconds(each) for each in (pid, one.plug, other.plug)]
            result = _iperf(
                one.command(
                    "iperf3", "-c", other.address, "-t", str(seconds), "-P", str(streams), "--json"
                ),
                seconds + PATIENCE,
            )
            after = [cpu_seconds(each) for each in (pid, one.plug, other.plug)]
            drops = one.tap_drops() + other.tap_drops()
    switch, *plugs = (late - early for late, early in zip(after, before, strict=True))
    received = result["end"]["sum_received"]
    return Transfer(
        seconds=received["seconds"],
        received=received["bytes"],
        retransmits=result["end"]["sum_sent"]["retransmits"],
        tap_drops=drops,
        switch_cpu=switch,
        plugs_cpu=tuple(plugs),
    )


def _iperf(command: list[str], timeout: float) -> dict[str, Any]:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    result: dict[str, Any] = json.loads(ran.stdout or "{}")
    if ran.returncode or "error" in result:
        raise TcpError(f"iperf3: {result.get('error') or ran.stderr.strip() or ran.returncode}")
    return result


def _succeeds(command: list[str]) -> bool:
    return not subprocess.run(command, capture_output=True, check=False).returncode


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    with process:
        try:
            yield
        finally:
            process.terminate()
