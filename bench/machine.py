"""What there is to know of the machine on which something was measured, and of the programs."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.compiled import first_line


def machine() -> str:
    """Processors, memory, and kernel."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    model = f" ({found[1]})" if found else ""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} processors{model}, {pages / 2**30:.1f} GiB of memory,"
        f" Linux {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    )


def load() -> str:
    """How busy it is: the load averages of the last 1, 5 and 15 minutes."""
    return " ".join(f"{each:.2f}" for each in os.getloadavg())


def version(command: Sequence[str]) -> str:
    """The first line that a command prints, or that it cannot be run."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"no {command[0]}: {error.strerror}"
    return first_line(ran.stdout + ran.stderr)
