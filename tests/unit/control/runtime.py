"""A directory of this user's sockets for one test, and who listens there."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from distnet.control.claim import ControlPath
from distnet.control.paths import MASTER


class RuntimeTestCase(SynchronousTestCase):
    """
    A test with a C{XDG_RUNTIME_DIR} of its own.

    @ivar directory: where control sockets are then.
    """

    def setUp(self) -> None:
        """Make it."""
        # Not trial's, which is too long for the path of a socket.
        runtime = tempfile.mkdtemp(prefix="dnr")
        self.addCleanup(shutil.rmtree, runtime)
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": runtime})
        self.directory = Path(runtime, "distnet")

    def listen(self, path: str | Path) -> socket.socket:
        """Listen there until the test ends, or as long as the socket that is returned is open."""
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        Path(path).unlink(missing_ok=True)
        sock.bind(os.fspath(path))
        sock.listen()
        return sock

    def start(
        self, name: str = "", usual: bool = False, told: str | None = None
    ) -> tuple[ControlPath, socket.socket]:
        """Start something that claims a path, and listens there."""
        path = ControlPath(MASTER, told, name, usual)
        with path.claimed() as claimed:
            return path, self.listen(claimed)

    def names(self) -> list[str]:
        """What is in the directory."""
        return sorted(path.name for path in self.directory.iterdir())

    def answer(self, sock: socket.socket, status: dict[str, Any] | None) -> None:
        """Answer whoever asks at a socket, or close the connection, until the test ends."""

        def serve() -> None:
            while True:
                connection, _ = sock.accept()
                with connection:
                    request = connection.recv(4096)
                    if request.startswith(b"STOP"):
                        return
                    if not request or status is None:
                        continue
                    body = json.dumps(status).encode()
                    connection.sendall(
                        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
                    )

        def stop() -> None:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(sock.getsockname())
                last.sendall(b"STOP")
            thread.join()

        thread = threading.Thread(target=serve)
        thread.start()
        self.addCleanup(stop)
