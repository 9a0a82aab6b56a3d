"""Where libslirp connects for a guest that connects to the master: a listener of our own."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

BACKLOG: Final = 1024
"""Connections that may wait: libslirp blocks if there is no room."""


def make_listener() -> tuple[socket.socket, int]:
    """
    A listening unix socket that has no name in the file system any more, and a descriptor of what
    was its name.

    libslirp needs a path; one through our own descriptors leaves nothing behind, however we end,
    and nobody else can connect there. Raises OSError.
    """
    # Not at the top: with what it imports it would cost memory in every guest's process.
    import tempfile

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        directory = Path(tempfile.mkdtemp(prefix="distnet-gateway-"))
        path = directory / "forward"
        # Not by tempfile's own way of removing it, which needs descriptors.
        try:
            listener.bind(str(path))
            try:
                listener.listen(BACKLOG)
                return listener, os.open(path, os.O_PATH | os.O_CLOEXEC)
            finally:
                path.unlink()
        finally:
            directory.rmdir()
    except BaseException:
        listener.close()
        raise


def path_of(name: int) -> bytes:
    """What libslirp connects to, if this is the descriptor of a listener's name."""
    return b"/proc/self/fd/%d" % name


class Forward:
    """Such a listener, in a guest's process."""

    def __init__(self, listener: socket.socket) -> None:
        """
        @param listener: listens, and does not block.
        """
        self._listener = listener

    def fileno(self) -> int:
        """The listener's descriptor."""
        return self._listener.fileno()

    def accept(self) -> socket.socket | None:
        """The connection that libslirp has just made, or None if it has made none. OSError."""
        try:
            return self._listener.accept()[0]
        except BlockingIOError:
            return None
