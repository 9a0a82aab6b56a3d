"""Where libslirp connects for guests that connect to the master: a listener of our own."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Final

BACKLOG: Final = 1024
"""Connections that may wait: libslirp blocks, and with it the gateway, if there is no room."""


class Forward:
    """
    A listening unix socket that has no name in the file system any more.

    libslirp needs a path; one through our own descriptors leaves nothing behind, however we end,
    and nobody else can connect there.

    @ivar path: what libslirp connects to.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with tempfile.TemporaryDirectory(prefix="distnet-gateway-") as directory:
            path = Path(directory, "forward")
            self._socket.bind(str(path))
            self._socket.listen(BACKLOG)
            self._descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        self.path = b"/proc/self/fd/%d" % self._descriptor

    def accept(self) -> socket.socket | None:
        """The connection that libslirp has just made, or None if it has made none."""
        try:
            return self._socket.accept()[0]
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Listen no more, and let go of the descriptor."""
        self._socket.close()
        os.close(self._descriptor)
