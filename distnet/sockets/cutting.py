"""
How the master knows the relays that cut what it sends into segments themselves: those of a gateway.

Such a relay's end of its connection to a unix listener has a name in the abstract namespace
(unix(7)). On the wire nothing is different, and of a master that does not know the name, what it
sends is paced, and cut once more.
"""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

_NAME: Final = b"\0distnet-relay-"
_numbers = itertools.count()


def name_cutting(sock: socket.socket) -> bool:
    """Name a unix socket that is not connected yet; whether that could be done."""
    try:
        sock.bind(b"%s%d-%d" % (_NAME, os.getpid(), next(_numbers)))
    except OSError:
        return False
    return True


def is_cutting(sock: socket.socket) -> bool:
    """Whether the other end of a connection was named so."""
    if sock.family != socket.AF_UNIX:
        return False
    name = sock.getpeername()
    return isinstance(name, bytes) and name.startswith(_NAME)
