"""Becomes a program that ends with the one that started it, and that is on record before it runs.

C{python leash.py RECORD PARENT SIGNAL PROGRAM [WORD...]}: run by path, so that it is quick; it
imports nothing of distnet.

RECORD then holds "PID START", START being the time at which the process started in the kernel's
ticks (field 22 of proc_pid_stat(5)), which an exec does not change: both together name a process.
"""

from __future__ import annotations

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_NOT_FOUND = 127


def main(record: str, parent: str, signal: str, *command: str) -> None:
    """Put this process on record, tie its end to its parent's, and become the program."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal), 0, 0, 0)
    # From here on its end is noticed; it may have been before.
    if os.getppid() != int(parent):
        sys.exit(_NOT_FOUND)
    with open("/proc/self/stat", "rb") as stat:
        # The second field is a name in parentheses, which may hold anything.
        start = int(stat.read().rpartition(b")")[2].split()[19])
    # By another name first: whoever reads it sees all of it or nothing.
    with open(f"{record}.new", "w") as file:
        file.write(f"{os.getpid()} {start}\n")
    os.rename(f"{record}.new", record)  # noqa: PTH104 - pathlib takes its time to import
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(_NOT_FOUND)


if __name__ == "__main__":
    main(*sys.argv[1:])
