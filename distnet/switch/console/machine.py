"""What the console needs of this machine: files, and the names of users."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
import time
from typing import Any

from distnet.switch.console.dumpfile import DumpFile
from distnet.switch.console.pdump import Sink
from distnet.switch.console.records import MAX_SCRIPT, Machine


class ThisMachine(Machine):
    """The machine that the switch runs on, where C{shutdown} stops the reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def wall_clock(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def shut_down(self) -> None:
        """Stop the reactor."""
        self._reactor.stop()

    def process(self) -> int:
        """The number of this process."""
        return os.getpid()

    def read_script(self, path: str) -> bytes:
        """All of a file of at most L{MAX_SCRIPT} bytes, never waiting for it. Raises OSError."""
        # A fifo would wait for whoever writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            data = file.read(MAX_SCRIPT + 1)
        if len(data) > MAX_SCRIPT:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return data

    def open_dump(self, path: str) -> Sink:
        """A new file, or a fifo that somebody reads. Raises OSError."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_CLOEXEC
        return DumpFile(os.open(path, flags, 0o600))

    def user_id(self, name: str) -> int:
        """The uid of a user, by name or number. Raises KeyError."""
        return _number(name) if name.isdigit() else pwd.getpwnam(name).pw_uid

    def group_id(self, name: str) -> int:
        """The gid of a group, by name or number. Raises KeyError."""
        return _number(name) if name.isdigit() else grp.getgrnam(name).gr_gid

    def user_name(self, number: int) -> str:
        """The name of a uid, or the uid itself."""
        try:
            return pwd.getpwuid(number).pw_name
        except KeyError:
            return str(number)

    def group_name(self, number: int) -> str:
        """The name of a gid, or the gid itself."""
        try:
            return grp.getgrgid(number).gr_name
        except KeyError:
            return str(number)


def _number(digits: str) -> int:
    if not digits.isascii() or len(digits) > 10 or int(digits) >= 2**32 - 1:
        raise KeyError(digits)
    return int(digits)
