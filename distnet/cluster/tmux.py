"""Windows of tmux, one for the console of each node."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

from distnet.cluster.node import ClusterError
from distnet.cluster.programs import daemon_environment


def open_windows(name: str, nodes: int) -> str:
    """
    Open a window for each node's console: in this session of tmux, or in a new one called
    C{distnet-NAME}. They close by themselves when the cluster ends.

    @return: a line that says where they are.
    @raise ClusterError: there is no tmux, or it fails.
    """
    inside = bool(os.environ.get("TMUX"))
    session = f"distnet-{name}"
    # A server that runs already has an environment of its own.
    given = daemon_environment()
    variables = [
        word
        for key in ("PYTHONPATH", "XDG_RUNTIME_DIR")
        if key in given
        for word in ("-e", f"{key}={given[key]}")
    ]
    for node in range(nodes):
        words = [sys.executable, "-m", "distnet.cli", "cluster", "console", str(node), name]
        window = ["-n", f"{name}-{node}", *variables, shlex.join(words)]
        if inside:
            _tmux("new-window", "-d", *window)
        elif node:
            _tmux("new-window", "-d", "-t", f"={session}:", *window)
        else:
            _tmux("new-session", "-d", "-s", session, *window)
    if inside:
        return f"tmux: windows {name}-0 to {name}-{nodes - 1}"
    return f"tmux: tmux attach -t {session}"


def _tmux(*words: str) -> None:
    try:
        ended = subprocess.run(["tmux", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ClusterError("there is no tmux here: on Debian, apt-get install tmux") from None
    if ended.returncode:
        raise ClusterError(f"tmux {words[0]}: {ended.stderr.strip()}")
