"""What the tests of both benchmarks need: a very short run, and what processes are allowed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bench.contest import Amount
from bench.report import Report
from tests.daemons import PATIENCE, ROOT

SMALL = Amount(seconds=0.5, count=300, trips=100, nodes=20, frames=2000, tcp=1, ports=20)
"""So little that it takes next to no time, and that nothing of it is lost."""


def measured_in(directory: Path, contest: str, *more: str) -> tuple[str, Report]:
    """The Markdown of a short run, and all of it."""
    options = [f"--output={directory}", "--rounds=1"]
    options += [
        f"--{name}={getattr(SMALL, name)}"
        for name in ("seconds", "count", "trips", "nodes", "frames", "tcp", "ports")
    ]
    ran = subprocess.run(
        [sys.executable, "-m", "bench", contest, *options, *more],
        cwd=ROOT, capture_output=True, text=True, timeout=20 * PATIENCE, check=False,
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    return (directory / f"{contest}.md").read_text(), Report.read(directory / f"{contest}.json")


def lines_of(markdown: str) -> list[list[str]]:
    """The cells of the table of all figures."""
    table = markdown.partition("## All figures")[2]
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("|")]


def allowed(pid: int) -> str:
    """The processors that a process may use, proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (found,) = re.findall(r"^Cpus_allowed_list:\s+(\S+)", status, re.M)
    return str(found)


def is_pure(pid: int) -> bool:
    """Whether native code is turned off for a process."""
    return b"DISTNET_NATIVE=0" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
