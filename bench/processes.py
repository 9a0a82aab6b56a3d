"""What a process has used of the machine."""

from __future__ import annotations

import ctypes
import os
import re
import time
from pathlib import Path

_libc = ctypes.CDLL(None)


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process, to the nanosecond (clock_getcpuclockid(3))."""
    clock = ctypes.c_int()
    error = _libc.clock_getcpuclockid(pid, ctypes.byref(clock))
    if error:
        raise OSError(error, os.strerror(error), f"process {pid}")
    return time.clock_gettime(clock.value)


def context_switches(pid: int) -> int:
    """How often the threads of a process have left a processor, of themselves or not."""
    return sum(
        int(count)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for count in re.findall(r"ctxt_switches:\s+(\d+)", (task / "status").read_text())
    )


def memory(pid: int) -> int:
    """Bytes of memory of a process that are no other's: Private_* in smaps_rollup, proc(5)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(size) for size in re.findall(r"^Private_\w+:\s+(\d+)", rollup, re.M))
