"""Guests on one switch: how they are plugged in, and what they do there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from itertools import permutations

from tests.console.scripts import ConsoleClient
from tests.daemons import PATIENCE, TWISTD
from tests.guest.qemu import Guest
from tests.switches import Switch

MTU = 1522
"""The kernel's, whose frames have up to 1536 bytes."""
MUCH = 50_000_000
SERVED = 7000

NOT_LOST = ("nobody", "local")
"""Reasons for not delivering a frame that had nowhere to go."""


class GuestSwitch(Switch):
    """Ours, with the words that vde_switch is given, and a console."""

    @property
    def management(self) -> str:
        """Where its console is."""
        return str(self.home / "console")

    def command(self) -> list[str]:
        """How it is started."""
        twistd = [TWISTD, "--nodaemon", "--pidfile=", "--rundir", str(self.home), "distnet-vde"]
        options = ["--control", self.control, *self.options]
        return [*twistd, "-F", "-sock", str(self.sock), "-M", self.management, *options]


class MixedSwitch(GuestSwitch):
    """One that QEMU reaches without VDE, too."""

    @property
    def stream(self) -> str:
        """Where it listens for streams."""
        return str(self.home / "stream")

    @property
    def dgram(self) -> str:
        """Where it listens for datagrams."""
        return str(self.home / "dgram")

    def command(self) -> list[str]:
        """How it is started."""
        more = ["--stream", f"unix:{self.stream}", "--dgram", f"unix:{self.dgram}"]
        return [*super().command(), *more]


def on_vde(switch: Switch) -> list[str]:
    """The options that QEMU is given for vde_switch."""
    return ["-netdev", f"vde,id=net1,sock={switch.sock}", "-device", "e1000e,netdev=net1"]


def as_told(*options: str) -> list[str]:
    """What the command tells its user to give to QEMU."""
    command = [sys.executable, "-m", "distnet.cli", "qemu-args", *options]
    return shlex.split(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def settings(number: int, **others: object) -> dict[str, object]:
    """Of a guest that is one of several: as the kernel, it chooses its addresses itself."""
    return {
        "name": f"guest{number}",
        "ip": f"10.0.2.{20 + number}",
        "mac": f"54:51:9f:71:c0:{number:02x}",
        "mtu": MTU,
        "commands": True,
        **others,
    }


def all_ping(guests: Sequence[Guest]) -> None:
    """Each guest has answers from each other one, to small packets and to the largest."""
    for one, other in permutations(guests, 2):
        said = one.run(f"ping:{other.ip}:3:56:{PATIENCE};ping:{other.ip}:3:{MTU - 28}:{PATIENCE}")
        assert [line.split()[-1] for line in said if " ping " in line] == ["ok", "ok"]


def move(server: Guest, client: Guest, size: int = MUCH) -> None:
    """One guest reads so many bytes from another by TCP, and they are the right ones."""
    server.begin(f"serve:{SERVED}:{size}:300")
    said = client.run(f"fetch:{server.ip}:{SERVED}:{size}:300", 330)
    assert any(f"DN fetch peer={server.ip} bytes={size} " in line for line in said)
    server.finish()


def lost(switch: GuestSwitch) -> dict[str, int]:
    """Frames, by reason, that were not delivered though there was somebody to deliver them to."""
    console = ConsoleClient(switch.management)
    said = console.ask("port/print").decode()
    console.close()
    assert said.count(" IN: ") >= 2, said
    counted: dict[str, int] = {}
    for frames, reason in re.findall(r"NOT: pkts +(\d+) .*\((.*)\)", said):
        if reason not in NOT_LOST:
            counted[reason] = counted.get(reason, 0) + int(frames)
    return counted


def assert_nothing_lost(switch: GuestSwitch) -> None:
    """
    The switch delivered every frame.

    But for those to a guest that stood still for so long that it was told in the log, as one can
    under emulation on a busy machine.
    """
    counted = lost(switch)
    assert not counted or "does not read in time" in switch.log(), counted
