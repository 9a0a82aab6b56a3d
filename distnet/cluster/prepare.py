"""The command that a cluster's file has run first, to make the kernel."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Callable
from typing import Final

from distnet.cluster.config import ClusterConfig
from distnet.cluster.directory import RunDirectory
from distnet.cluster.node import TOLD_LINES, ClusterError
from distnet.cluster.record import start

_RECORD: Final = "prepare"


def prepare(config: ClusterConfig, run: RunDirectory, say: Callable[[str], object]) -> None:
    """
    Run the command, if there is one, in the file's directory, and wait until it has ended.

    @param say: is told each line that it prints.
    @raise ClusterError: it failed; the message has its last line.
    """
    command = config.prepare
    if not command:
        return
    say(f"prepare: {shlex.join(command)}")
    lines: deque[str] = deque(maxlen=TOLD_LINES)
    process = start(
        run.record(_RECORD), command, signal.SIGTERM,
        cwd=config.directory, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    with process.stdout as output:
        try:
            for line in output:
                lines.append(line.decode(errors="replace").rstrip())
                say(f"prepare: {lines[-1]}")
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            raise
        finally:
            process.wait()
    if process.returncode:
        last = next((line for line in reversed(lines) if line), "it said nothing")
        raise ClusterError(f"prepare ended with status {process.returncode}: {last}")
