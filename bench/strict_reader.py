"""What a strict reader in a guest sees under load with each pace, and what each pace costs.

C{python -m bench.strict_reader [MESSAGES]}: a guest reads messages of 16 to 600 bytes, written
back to back by a node outside, through a master with each pace in turn, over TCP and unix sockets.
"""

from __future__ import annotations

import random
import re
import sys
import tempfile
from pathlib import Path

from tests.guest import wire
from tests.guest.qemu import Guest, guestfwd
from tests.masters import Kernel, Master, running

ROUNDS = 2


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(kind: str, pace: str, count: int) -> tuple[str, float]:
    """The guest's summary line, and the processor time of the master, in µs per message."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        listen = "0" if kind == "tcp" else f"unix:{name}/k"
        with running(Master(directory, "--port", listen, "--pace", pace)) as master:
            address = ("127.0.0.1", master.port) if kind == "tcp" else f"{name}/k"
            netdev = guestfwd(master.port if kind == "tcp" else f"unix:{name}/k")
            with (
                Kernel(address) as sender,
                Guest(netdev, f"connect;load:0:{count}:300;quit") as guest,
            ):
                sender.read_id()
                guest.wait_for("^DN id=")
                sizes = random.Random(1)
                before = cpu_seconds(master.process.pid)
                for number in range(count):
                    data = wire.payload(0, number, sizes.randint(16, 600))
                    sender.socket.sendall(wire.frame(1, data))
                line = guest.wait_for(r"^DN load .*$", 320)[0]
                used = cpu_seconds(master.process.pid) - before
    return line, used / count * 1e6


def main(count: int) -> None:
    """Measure all, the paces in turn."""
    print(f"{count} messages of 16 to 600 bytes to a strict reader in a guest")
    print("| listener | pace | short headers | split payloads | messages/s | CPU µs/message |")
    print("|---|---|---|---|---|---|")
    for _ in range(ROUNDS):
        for kind in ("tcp", "unix"):
            for pace in ("segment", "stream"):
                line, used = measure(kind, pace, count)
                found = dict(re.findall(r"(\w+)=(\d+)", line))
                rate = count / int(found["ms"]) * 1000
                print(
                    f"| {kind} | {pace} | {found['short_headers']} | {found['split_payloads']}"
                    f" | {rate:.0f} | {used:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
