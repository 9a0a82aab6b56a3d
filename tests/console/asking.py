"""A question to the console of a switch, ours or vde_switch."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.daemons import PATIENCE, eventually


def console(path: Path, *lines: str) -> str:
    """What a switch answers at its management socket to the last of some lines."""
    eventually("it has a console", path.is_socket)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        said = ""
        # The greeting has a prompt too; vde_switch takes what comes at once for one line.
        for line in ("", *lines):
            connection.sendall(f"{line}\n".encode() if line else b"")
            said = ""
            while not said.endswith("\nvde$ "):
                said += connection.recv(65536).decode()
    return said
