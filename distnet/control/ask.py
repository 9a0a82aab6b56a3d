"""The other side of the control interface: ask a running master. Blocking, no Twisted."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from distnet.errors import MachineError


class NoMaster(MachineError):
    """No master answers at a control socket."""


class _UnixHTTPConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(control: str, path: str, timeout: float = 5) -> tuple[int, Any]:
    """
    Ask a master.

    @param control: the path of its control socket.
    @param path: as L{distnet.control.server} lists them.
    @param timeout: in seconds.
    @return: (HTTP status, the JSON of the answer).
    @raise NoMaster: nobody answers; the message is one line that says what to do.
    """
    connection = _UnixHTTPConnection(control, timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoMaster(
            f"no master answers at {control}: start one with 'twistd -n distnet',"
            f" or give its --control PATH"
        ) from None
    except PermissionError:
        raise NoMaster(f"the master at {control} belongs to another user") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoMaster(f"what answers at {control} is not a master: {error}") from None
    finally:
        connection.close()
